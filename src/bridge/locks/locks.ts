import { limits } from '../../protocol/limits.js'
import type { Context, Happened, Noun, Tx } from '../../protocol/method.js'
import { type Instant, later } from '../../protocol/time.js'
import { lost as agentLost, disconnected } from '../agents/row.js'
import type { Contract } from '../contracts/row.js'
import { describeBlockers, obstaclesOf } from './conflict.js'
import { breakLock, downgrade, release, renew } from './keep.js'
import { lose } from './loss.js'
import { abandon, grantFreed } from './queue.js'
import { check, list } from './read.js'
import { report } from './report.js'
import type { Lock } from './row.js'
import * as row from './row.js'
import { acquire } from './take.js'

/** What follows for locks from ended sessions and attempts, and for those who waited for what went. */
function settle(tx: Tx, happened: readonly Happened[], ctx: Context): void {
  const freed: Lock[] = []
  for (const { type, data } of happened) {
    if (type === agentLost.type) endSession(tx, data.session as string, true, ctx)
    else if (type === disconnected.type && data.ended) endSession(tx, data.session as string, false, ctx)
    else if (endsAttempt.has(type)) endAttempt(tx, data.contract as Contract, data.forced === true, ctx)
    else if (type === 'contract.started') overtake(tx, data.contract as Contract)
    if ('lock' in data && data.last !== undefined) freed.push(data.last as Lock)
  }
  if (freed.length > 0) grantFreed(tx, freed, ctx)
}

const endsAttempt = new Set([
  'contract.completed',
  'contract.failed',
  'contract.attemptFailed',
  'contract.released',
  'contract.canceled',
])

function endSession(tx: Tx, session: string, involuntary: boolean, ctx: Context): void {
  for (const lock of tx.find(row.locks, { where: { session } })) {
    if (lock.state === 'waiting') abandon(tx, lock, 'gone')
    else if (involuntary) lose(tx, row.lost, lock, 'session lost', ctx)
    else tx.drop(row.released, lock)
  }
}

/** Its owner ended it and knows that it has stopped, or the attempt was lost, or the owner did not stop when asked. */
function endAttempt(tx: Tx, contract: Contract, forced: boolean, ctx: Context): void {
  const isLost = contract.attempts.at(-1)?.outcome === 'lost'
  for (const lock of tx.find(row.locks, { where: { contract: contract.id, state: ['waiting', 'held'] } })) {
    if (lock.state === 'waiting') abandon(tx, lock, 'attempt ended')
    else if (forced || isLost) lose(tx, row.lost, lock, forced ? 'canceled' : 'attempt lost', ctx)
    else tx.drop(row.released, lock)
  }
}

/** A contract that has started needs no second `start` in the queue. */
function overtake(tx: Tx, contract: Contract): void {
  for (const lock of tx.find(row.locks, { where: { contract: contract.id, state: 'waiting' } })) {
    if (lock.starts) abandon(tx, lock, 'overtaken')
  }
}

function expire(tx: Tx, lock: Lock, ctx: Context): void {
  if (lock.state === 'cooling') return tx.drop(row.cooled, lock)
  if (lock.state === 'held') return lose(tx, row.expired, lock, undefined, ctx)
  const blockers = describeBlockers(obstaclesOf(tx, lock, { limit: limits.blockersTold }), ctx.now)
  abandon(tx, lock, 'timeout', { blockers })
}

/** Who waited in the daemon's former life waits no more: the socket that asked is gone. */
function restart(tx: Tx): void {
  for (const lock of tx.find(row.locks, { where: { state: 'waiting' } })) abandon(tx, lock, 'restarted')
}

function restored(tx: Tx, ctx: Context): void {
  for (const lock of tx.find(row.locks, { where: { state: 'held' } })) lose(tx, row.lost, lock, 'restored', ctx)
}

/** Leases are given until `until`; what cools, its whole time again: its holder may have slept as the machine did. */
function rebase(tx: Tx, until: Instant, ctx: Context): void {
  for (const lock of tx.find(row.locks, { where: { deadline: { to: until } } })) {
    const given = lock.state === 'cooling' ? later(ctx.now, limits.coolingMs) : until
    if (lock.expiresAt !== undefined && lock.expiresAt < given) tx.put(row.extended, { ...lock, expiresAt: given })
  }
}

export const lockNoun = {
  tables: [row.locks],
  events: [
    row.queued,
    row.contended,
    row.acquired,
    row.extended,
    row.downgraded,
    row.released,
    row.expired,
    row.lost,
    row.broken,
    row.cooled,
    row.abandoned,
    row.violated,
  ],
  methods: [acquire, renew, downgrade, release, check, list, report, breakLock] as const,
  settle,
  expire: { locks: expire },
  started: restart,
  restored,
  rebase,
} satisfies Noun
