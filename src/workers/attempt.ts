import { CallError, ConnectionError, type Event } from '../client/node.js'
import { limits } from '../protocol/limits.js'
import type { Account } from './account.js'
import type { Fault } from './agents/adapter.js'
import { answer, fail, type Outcome } from './answer.js'
import { type LockWatch, watchLocks } from './audit.js'
import { notAllowed } from './checks.js'
import { fits } from './complete.js'
import { changedSince, type Snapshot, snapshot } from './git.js'
import { createHearing, type Hearing } from './hearing.js'
import { acknowledge, asks, decline, type Letter, shown } from './mail.js'
import { type Halt, type Ongoing, tellNote, wake } from './ongoing.js'
import type { Contract } from './prompt.js'
import type { Shop } from './shop.js'
import type { TurnEnd } from './turn.js'
import { runTurns } from './turns.js'
import { commitTree, openTree } from './worktree.js'

/** One attempt at a contract, from the lock to the last word. */
export interface Attempt {
  contractId: string
  /** Settles when it is over and its process tree is dead. */
  ended: Promise<Outcome>
  /** An event that concerns the worker. */
  heard(event: Event): void
  /** A message for the agent: into its running turn if it can be, else into one that follows. */
  deliver(letter: Letter): Promise<void>
  /** Ends it and gives the contract back. */
  leave(): void
}

/** How long one call waits for its turn at the locks, ms; it is then made again. */
const TURN_WAIT_MS = 10 * 60_000
const NOT_READ =
  'This was not read: the turn ended before the agent could be shown it. Send it again with the next task.'

export function beginAttempt(shop: Shop, contract: Contract): Attempt {
  const { id: contractId, attempt } = contract
  const ongoing: Ongoing = { shop, contract, contractId, attempt, waiting: [], told: new Set(), listeners: new Set() }
  const aborted = new AbortController()
  const end = (reason: Halt) => {
    ongoing.halt ??= reason
    ongoing.live?.stop(reason)
    aborted.abort()
    wake(ongoing)
  }
  return {
    contractId,
    ended: run(ongoing, aborted.signal),
    heard(event) {
      ongoing.watch?.heard(event)
      const reason = haltBy(event, contract)
      if (reason) end(reason)
      else if (event.contractId === contractId) wake(ongoing)
    },
    async deliver(letter) {
      if (await ongoing.live?.steer(shown(letter))) await acknowledge(shop.client, [letter])
      else ongoing.waiting.push(letter)
    },
    leave: () => end('left'),
  }
}

const OPEN: ReadonlySet<string> = new Set(['accepted', 'working', 'input_required'])

/** What an event means for an attempt under way. */
function haltBy({ data }: Event, { id, attempt }: Contract): Halt | undefined {
  const told = data.contract as Contract | undefined
  if (told?.id !== id || told.attempt < attempt) return undefined
  const open = told.attempt === attempt && OPEN.has(told.status)
  if (!open) return 'lost'
  return told.cancelRequestedAt === undefined ? undefined : 'canceled'
}

async function run(ongoing: Ongoing, signal: AbortSignal): Promise<Outcome> {
  try {
    return await work(ongoing, signal)
  } catch (error) {
    // The attempt ended in the moment in which it was to be answered.
    if (error instanceof CallError && error.reason === 'STALE_ATTEMPT') return { text: 'was taken away' }
    if (error instanceof ConnectionError) throw error
    return await giveUp(ongoing, error as Error)
  } finally {
    const { client, options } = ongoing.shop
    for (const letter of ongoing.waiting) {
      // A turn of its own follows.
      if (options.answerMessages && letter.contractId === undefined && asks(letter)) continue
      await decline(client, letter, NOT_READ).catch(() => {})
    }
  }
}

/** A fault of ours: the contract must not stay with a worker that has lost its way with it. */
async function giveUp(ongoing: Ongoing, error: Error): Promise<Outcome> {
  ongoing.live?.stop('left')
  await ongoing.live?.ended.catch(() => {})
  return fail(ongoing, { reason: 'WORKER_FAULT', message: error.message.slice(0, limits.noteLength), retryable: true })
}

async function work(ongoing: Ongoing, signal: AbortSignal): Promise<Outcome> {
  const { contract } = ongoing
  const [denied] = notAllowed(contract, ongoing.shop.options.allowChecks)
  if (denied) return fail(ongoing, notAllowedFault(denied.command))
  if (!(await takeTurn(ongoing, signal))) return answer(ongoing)
  const { shop } = ongoing
  if (shop.options.worktree) ongoing.shop = { ...shop, ...openTree(shop.top, shop.cwd, contract) }
  return workIn(ongoing, ongoing.shop)
}

async function workIn(ongoing: Ongoing, shop: Shop): Promise<Outcome> {
  const { contract } = ongoing
  // By this a worker that is started in the place of a killed one knows what it left. It can do without.
  const { id: contractId, attempt } = contract
  await fits(shop.client.call('contract.update', { contractId, attempt, metadata: { worker: shop.runs } }))
  const watch = await watchLocks(shop.client, shop.client.agent)
  ongoing.watch = watch
  const before = snapshot(shop.top)
  const hearing = createHearing()
  const begunMs = performance.now()
  const turns = await runTurns(ongoing, before.dirty.keys(), hearing)
  const account = accountOf(shop, turns, hearing, before, watch)
  if (shop.branch) commitTree(shop.top, contract)
  return answer(ongoing, turns, { ...account, durationMs: Math.round(performance.now() - begunMs) })
}

/** Waits for the locks. False when the attempt was ended meanwhile. */
async function takeTurn(ongoing: Ongoing, signal: AbortSignal): Promise<boolean> {
  const { shop, contractId, attempt } = ongoing
  for (;;) {
    try {
      const waited = { contractId, attempt, waitMs: TURN_WAIT_MS }
      const { contract } = await shop.client.call('contract.start', waited, { signal })
      // It may have been called off before there was anybody here to hear it.
      if (contract.cancelRequestedAt !== undefined) ongoing.halt ??= 'canceled'
      return ongoing.halt === undefined
    } catch (error) {
      if (ongoing.halt !== undefined) return false
      if (!(error instanceof CallError) || error.reason !== 'WAIT_TIMEOUT') throw error
      tellNote(ongoing, 'still waits for its locks')
    }
  }
}

/** What came of the turns: what the agent says it edited, and what the work tree shows, held against the locks. */
function accountOf(shop: Shop, turns: TurnEnd, hearing: Hearing, before: Snapshot, watch: LockWatch): Account {
  const seen = watch.sort(changedSince(shop.top, before))
  const said = watch.sort([...hearing.edited].filter((path) => !seen.own.includes(path) && !path.startsWith('/')))
  // In a work tree of its own nobody else changes anything.
  const theirs = [...said.others, ...(shop.branch ? seen.others : [])]
  return {
    agent: shop.options.kind,
    version: shop.version,
    outcome: turns.verdict.done ? 'done' : turns.verdict.reason,
    durationMs: 0,
    message: hearing.message,
    // What others have locked is theirs, unless the agent itself says that it edited it.
    changed: [...new Set([...seen.own, ...seen.nobodys, ...theirs, ...said.own, ...said.nobodys])].sort(),
    refused: [...hearing.refused],
    outsideLocks: [...new Set([...seen.nobodys, ...theirs, ...said.nobodys])].sort(),
    top: shop.top,
    head: before.head,
    ...(shop.branch && { branch: shop.branch }),
    ...(hearing.session && { session: hearing.session }),
    ...(turns.usage && { usage: turns.usage }),
  }
}

const notAllowedFault = (command: string): Fault => ({
  reason: 'CHECK_NOT_ALLOWED',
  message: `This worker does not run the check \`${command}\`: start it with --allow-check and this command, if you trust it, or leave the check to another agent.`,
  retryable: false,
})
