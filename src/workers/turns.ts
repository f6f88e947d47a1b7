import { limits } from '../protocol/limits.js'
import { sessionOf, sumOf } from './account.js'
import type { Milestone, Usage } from './agents/adapter.js'
import { type Hearing, hear } from './hearing.js'
import { isProof, nameOf, startTurn } from './launch.js'
import { acknowledge, asPrompt, type Letter, shown, unread } from './mail.js'
import { createNotes, noteOf } from './notes.js'
import { type Ongoing, tellNote } from './ongoing.js'
import { promptOf } from './prompt.js'
import { answersTo } from './questions.js'
import type { LiveTurn, TurnEnd } from './turn.js'

const NOTES_EVERY_MS = limits.progressEveryMs + 100
/**
 * Runs the agent on the contract. A message that cannot be put into the running turn begins another one of the same
 * session when it is over, before the contract is answered.
 */
export async function runTurns(ongoing: Ongoing, dirty: Iterable<string>, hearing: Hearing): Promise<TurnEnd> {
  const { shop, contract, waiting } = ongoing
  const { client, options } = shop
  const letters = await unread(client, contract.id)
  const facts = { dirty: [...dirty], mayTakeMore: options.outside === 'acquire' }
  const notes = createNotes((text) => tellNote(ongoing, text), NOTES_EVERY_MS, limits.noteLength)
  const usages: Array<Usage | undefined> = []
  let pending: Letter[] = letters
  let prompt = [promptOf(contract, facts), ...letters.map(shown)].join('\n\n')
  let resume = sessionOf(contract, options.kind)
  for (;;) {
    const live = turnAt(ongoing, prompt, resume, (milestone) => {
      hear(hearing, milestone, (path) => nameOf(shop, path))
      const note = noteOf(milestone, (path) => nameOf(shop, path))
      if (note) {
        notes.add(note)
        signal(ongoing, note)
      }
      if (isProof(milestone)) void acknowledge(client, pending.splice(0)).catch(() => {})
    })
    ongoing.live = live
    if (ongoing.halt) live.stop(ongoing.halt)
    const ended = await live.ended
    notes.flush()
    usages.push(ended.usage)
    const failed = ended.stopped !== undefined || !ended.verdict.done
    const answers = failed ? undefined : await answersTo(ongoing)
    if (failed || ongoing.halt || (answers === undefined && (waiting.length === 0 || !hearing.session))) {
      waiting.push(...pending)
      return { ...ended, usage: usages.some((usage) => usage) ? sumOf(usages) : undefined }
    }
    pending = waiting.splice(0)
    resume = hearing.session
    prompt = [
      ...(resume ? [] : [promptOf(contract, facts)]),
      ...(answers ? [answers] : []),
      ...(pending.length > 0 ? [asPrompt(pending)] : []),
    ].join('\n\n')
  }
}

/** Told to whoever follows the contract's topic live, as it happens; kept nowhere. */
function signal({ shop, contractId }: Ongoing, text: string): void {
  shop.client
    .call('message.publish', { topic: `work.${contractId}`, contractId, text, ephemeral: true })
    .catch(() => {})
}

/** One turn at the contract, within the locks of its attempt. */
function turnAt(
  ongoing: Ongoing,
  prompt: string,
  resume: string | undefined,
  tell: (milestone: Milestone) => void,
): LiveTurn {
  const { shop, contract, contractId, attempt } = ongoing
  const { outside, stallMs } = shop.options
  return startTurn(shop, {
    prompt,
    resume,
    run: `${contractId}/${attempt}`,
    log: `${contractId}-${attempt}.jsonl`,
    env: { AGENT_BRIDGE_CONTRACT: contractId, AGENT_BRIDGE_ATTEMPT: String(attempt) },
    stallMs: contract.progressTimeoutMs ?? stallMs,
    outside,
    lease: { contractId, attempt },
    tell,
    late: (pids) => tellNote(ongoing, `waits for processes that do not end: ${pids.join(', ')}`),
  })
}
