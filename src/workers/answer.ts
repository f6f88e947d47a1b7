import { limits } from '../protocol/limits.js'
import { type Account, artifactsOf } from './account.js'
import type { Fault } from './agents/adapter.js'
import { ownChecks, runChecks } from './checks.js'
import { complete, fits } from './complete.js'
import { fileResource } from './names.js'
import type { Ongoing } from './ongoing.js'
import { STALLED, type TurnEnd } from './turn.js'
import { closeTree } from './worktree.js'

/** `fatal`: the agent cannot work here at all, and the next contract would fare no better. */
export interface Outcome {
  text: string
  fatal?: string
}

const NOTE_LENGTH = 500
const RESULT_LENGTH = 4_096
const TOLD = 20
const PATHS_KEPT = 200

/** Answers the contract, with what is known of the attempt. Its process tree is dead by now. */
export async function answer(ongoing: Ongoing, turns?: TurnEnd, account?: Account): Promise<Outcome> {
  const { shop, contractId, attempt, halt } = ongoing
  const { client } = shop
  if (halt === 'lost') return { text: 'was taken away' }
  if (account) await keep(ongoing, account)
  if (halt === 'canceled') {
    await client.call('contract.acknowledgeCancel', { contractId, attempt })
    return { text: 'was canceled' }
  }
  if (halt === 'left' || !turns || !account) {
    await client.call('contract.release', { contractId, attempt, note: 'The worker was stopped.' })
    return { text: 'was given back' }
  }
  if (account.outsideLocks.length > 0) await report(ongoing, account.outsideLocks)
  const fault = faultIn(ongoing, turns, account)
  return fault ? fail(ongoing, fault) : finish(ongoing, account)
}

/** What completing adds to a contract: its result, the tails of its checks, notes. */
const ROOM_BYTES = 24 * 1024

/** Keeps what the attempt left with the contract, as far as the contract has room for it: completing it comes first. */
async function keep({ shop, contract, contractId, attempt }: Ongoing, account: Account): Promise<void> {
  const artifacts = artifactsOf(contract, account)
  const bytes = Buffer.byteLength(JSON.stringify([contract, artifacts]))
  const facts = artifacts.filter(({ text }) => text === undefined)
  const bare = artifactsOf(contract, { ...account, changed: [], refused: [], outsideLocks: [] }).slice(0, 1)
  for (const some of [...(bytes + ROOM_BYTES > limits.contractBytes ? [] : [artifacts]), facts, bare])
    if (await fits(shop.client.call('contract.update', { contractId, attempt, artifacts: some }))) return
}

/** Those whose files they are hear of it, and the creator of the contract of what was nobody's. */
async function report({ shop, contractId }: Ongoing, paths: readonly string[]): Promise<void> {
  const resources = paths.slice(0, limits.lockResources).map(fileResource)
  await shop.client.call('lock.report', { resources, contractId, note: 'changed while the agent worked' })
}

export async function fail({ shop, contractId, attempt }: Ongoing, fault: Fault): Promise<Outcome> {
  const { reason, message, retryable, fatal } = fault
  await shop.client.call('contract.fail', { contractId, attempt, error: { reason, message, retryable } })
  return { text: `failed: ${reason}: ${message}`, ...(fatal && { fatal: message }) }
}

async function finish(ongoing: Ongoing, account: Account): Promise<Outcome> {
  const { shop, contract, contractId, attempt } = ongoing
  const { message, changed, refused, outsideLocks, usage } = account
  const runId = `${shop.runs}${contractId}/${attempt}/checks`
  const setting = { cwd: shop.cwd, runId, env: shop.plainEnv, timeLimitMs: shop.options.checkTimeoutMs }
  const evidence = await runChecks(ownChecks(contract), setting)
  const failed = evidence.filter(({ exitCode }) => exitCode !== 0)
  if (failed.length > 0) {
    const told = failed.map(
      ({ check, exitCode, output = '' }) => `${check} ended with ${exitCode}: ${output.slice(-400)}`,
    )
    return fail(ongoing, {
      reason: 'CHECKS_FAILED',
      message: told.join('\n').slice(0, limits.noteLength),
      retryable: true,
    })
  }
  const result = {
    message: message.slice(-RESULT_LENGTH),
    changed: changed.slice(0, PATHS_KEPT),
    refused,
    outsideLocks,
    ...(shop.branch && { branch: shop.branch }),
    ...(usage && { usage: { ...usage } }),
  }
  const note = message.slice(0, NOTE_LENGTH) || 'done'
  const bare = evidence.map(({ output: _output, ...run }) => run)
  const outcome = await complete(ongoing, [
    { result, evidence, note },
    { result: { message: message.slice(0, NOTE_LENGTH) }, evidence: bare },
    { evidence: bare },
  ])
  if (outcome === 'completed') {
    if (shop.branch) closeTree(shop.top)
    return { text: 'is done' }
  }
  return outcome ? fail(ongoing, outcome) : answer(ongoing)
}

const some = (names: readonly string[]): string => names.slice(0, TOLD).join(', ')

/** What keeps an attempt from being done, beside its checks. */
function faultIn({ watch, contract }: Ongoing, { stopped, verdict }: TurnEnd, account: Account): Fault | undefined {
  const again = (reason: string, message: string): Fault => ({ reason, message, retryable: true })
  if (stopped === STALLED) {
    return again(
      'STALLED',
      'The agent printed nothing for too long, and was ended. What it has edited is in the files.',
    )
  }
  if (!verdict.done) return verdict
  const { refused, changed, outsideLocks } = account
  const others = watch?.sort(outsideLocks).others ?? []
  if (others.length > 0) return again('OUTSIDE_LOCKS', `The agent edited what others have locked: ${some(others)}.`)
  // Agents say that all went well when all that they tried was refused.
  if (refused.length > 0 && changed.length === 0 && contract.resources.length > 0) {
    return again('REFUSED', `Nothing was changed, and this was refused: ${some(refused)}.`)
  }
  return undefined
}
