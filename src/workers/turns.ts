import { createWriteStream } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathIn } from '../client/paths.js'
import { limits } from '../protocol/limits.js'
import { folderOf, sessionOf, sumOf } from './account.js'
import type { Milestone, Usage } from './agents/adapter.js'
import { forbids } from './gate.js'
import { type Hearing, hear } from './hearing.js'
import { acknowledge, asPrompt, type Letter, shown, unread } from './mail.js'
import { createNotes, noteOf } from './notes.js'
import { type Ongoing, tellNote } from './ongoing.js'
import { promptOf } from './prompt.js'
import { answersTo } from './questions.js'
import type { Shop } from './shop.js'
import { type LiveTurn, runTurn, type TurnEnd } from './turn.js'

const NOTES_EVERY_MS = limits.progressEveryMs + 100
/** What the agent printed is kept beside the repository up to this, characters an attempt. */
const LOG_LENGTH_MAX = 16 * 1024 * 1024
/** What only a model that has read its prompt brings about. */
const PROOFS = new Set<Milestone['kind']>(['said', 'thought', 'edit', 'command', 'tool'])

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
    const live = startTurn(ongoing, prompt, resume, (milestone) => {
      hear(hearing, milestone, (path) => nameOf(shop, path))
      const note = noteOf(milestone, (path) => nameOf(shop, path))
      if (note) {
        notes.add(note)
        signal(ongoing, note)
      }
      if (PROOFS.has(milestone.kind)) void acknowledge(client, pending.splice(0)).catch(() => {})
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

/** A path as locks name it; agents name them from their folder, which need not be the top of the work tree. */
const nameOf = ({ top, cwd }: Shop, path: string): string => pathIn(top, resolve(cwd, path)) ?? path

function startTurn(
  { shop, contract, contractId, attempt, ...ongoing }: Ongoing,
  prompt: string,
  resume: string | undefined,
  tell: (milestone: Milestone) => void,
): LiveTurn {
  const { client, options, top, cwd, hook, mcp } = shop
  const gate = { client, top, outside: options.outside, lease: { contractId, attempt } }
  const log = openLog(join(folderOf(top), `${contractId}-${attempt}.jsonl`))
  const turn = runTurn({
    adapter: shop.adapter,
    binary: options.binary,
    runId: `${shop.runs}${contractId}/${attempt}`,
    env: { ...shop.env, AGENT_BRIDGE_CONTRACT: contractId, AGENT_BRIDGE_ATTEMPT: String(attempt) },
    stallMs: contract.progressTimeoutMs ?? options.stallMs,
    tell,
    forbids: (paths) =>
      forbids(
        gate,
        paths.map((path) => resolve(cwd, path)),
      ),
    keep: log.keep,
    late: (pids) =>
      tellNote(
        { shop, contract, contractId, attempt, ...ongoing },
        `waits for processes that do not end: ${pids.join(', ')}`,
      ),
    task: {
      prompt,
      cwd,
      more: options.more,
      ...(resume && { resume }),
      ...(options.model && { model: options.model }),
      ...(hook && { hook }),
      ...(mcp && { mcp }),
    },
  })
  void turn.ended.finally(log.close)
  return turn
}

function openLog(file: string): { keep(line: string): void; close(): void } {
  const log = createWriteStream(file, { flags: 'a', mode: 0o600 })
  // A log that cannot be written is no reason to stop the work.
  log.on('error', () => {})
  let length = 0
  return {
    keep(line) {
      length += line.length
      if (length <= LOG_LENGTH_MAX) log.write(`${line}\n`)
    },
    close: () => void log.end(),
  }
}
