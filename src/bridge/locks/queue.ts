import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import type { Context, Happened, Parked, Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { parseResource } from '../resources/resources.js'
import { describeBlockers, isCovered, type Obstacle, obstaclesOf, waitersFor } from './conflict.js'
import { circleOf } from './deadlock.js'
import { abandoned, acquired, broken, type Claim, contended, type Lock, locks, queued, released } from './row.js'

export interface Asked {
  resources: Claim[]
  holder: string
  session?: string | undefined
  contractId?: string | undefined
  attempt?: number | undefined
  reason?: string | undefined
  ttlMs?: number | undefined
  starts?: true
}

/**
 * Grants a request, all of it or nothing; or queues it, when it may wait; or refuses it.
 * @throws BAD_RESOURCE, TOO_LARGE, LOCK_CONFLICT, DEADLOCK, OVERLOADED
 */
export function request(tx: Tx, asked: Asked, waitMs: number, ctx: Context): Lock {
  checkPatterns(asked.resources)
  checkRoom(tx, asked)
  const lock: Lock = { lockId: ctx.newId('lck'), state: 'waiting', ...asked, requestedAt: ctx.now }
  const obstacles = isCovered(tx, asked) ? [] : obstaclesOf(tx, asked, { limit: limits.blockersTold })
  if (obstacles.length === 0) return grant(tx, lock, ctx)
  if (waitMs === 0) refuseConflict(obstacles, ctx)
  checkCircle(tx, asked)
  return enqueue(tx, { ...lock, expiresAt: later(ctx.now, waitMs) }, obstacles, ctx)
}

/** @throws OVERLOADED */
function checkRoom(tx: Tx, { holder, resources }: Asked): void {
  if (tx.count(locks, { holder }, 'size') + resources.length > limits.agentResources) {
    refuse('OVERLOADED', `An agent holds and waits for at most ${limits.agentResources} resources: release some.`)
  }
  if (tx.count(locks, undefined, 'size') + resources.length > limits.workspaceResources) {
    const message = `At most ${limits.workspaceResources} resources are held and waited for in a workspace: wait, or lock folders.`
    refuse('OVERLOADED', message)
  }
}

/** @throws DEADLOCK */
function checkCircle(tx: Tx, asked: Asked): void {
  const cycle = circleOf(tx, asked)
  if (!cycle) return
  const waiting = cycle.length === 2 ? `${cycle[1]} waits` : `${cycle.slice(1).join(', ')} wait for one another and`
  refuse(
    'DEADLOCK',
    `Nobody could ever go on: ${waiting} for what ${asked.holder} has. Release that, then ask for all that is needed at once.`,
    { cycle },
  )
}

/** @throws BAD_RESOURCE, TOO_LARGE: comparing two requests compares each alternative of one with each of the other */
export function checkPatterns(claims: readonly Claim[]): void {
  const patterns = claims.map(({ resource, literal }) => parseResource(resource, literal))
  const alternatives = patterns.reduce((sum, pattern) => sum + pattern.alternatives.length, 0)
  if (alternatives > limits.requestAlternatives) {
    refuse('TOO_LARGE', `The braces of a request come to at most ${limits.requestAlternatives} alternatives together.`)
  }
}

/** The token of a lock is the seq of its grant: it rises for ever and survives restarts. */
function grant(tx: Tx, lock: Lock, ctx: Context): Lock {
  const expiresAt = lock.ttlMs === undefined ? undefined : later(ctx.now, lock.ttlMs)
  return tx.put(acquired, { ...lock, state: 'held', token: tx.nextSeq(), acquiredAt: ctx.now, expiresAt })
}

function enqueue(tx: Tx, lock: Lock, obstacles: Obstacle[], ctx: Context): Lock {
  const blockers = describeBlockers(obstacles, ctx.now)
  const position = 1 + blockers.filter(({ state }) => state === 'waiting').length
  tx.put(queued, lock, { data: { position, blockers } })
  for (const { lock: holding, claim } of obstacles) {
    if (holding.state === 'held') tellContended(tx, holding, claim, lock)
  }
  return lock
}

const tellContended = (tx: Tx, { lockId, contractId, holder }: Lock, { resource }: Claim, waiter: Lock): void =>
  tx.tell(contended, lockId, { contractId, to: [holder], data: { waiter: waiter.holder, resource } })

function refuseConflict(obstacles: Obstacle[], ctx: Context): never {
  const blockers = describeBlockers(obstacles, ctx.now)
  const [first] = blockers
  const work = first?.contractId ? ` for contract ${first.contractId}` : ''
  const ageS = Math.round((first?.ageMs ?? 0) / 1000)
  const verb = first?.state === 'waiting' ? 'waits for' : 'holds'
  const message =
    first?.state === 'cooling'
      ? `${first.holder} lost what was asked and may still be writing: it is free at ${first.expiresAt}. Ask again then, or wait with \`waitMs\`.`
      : `${first?.holder} ${verb} what was asked${work}, for ${ageS} s now. Wait with \`waitMs\`, work on something else, or ask ${first?.holder} for it.`
  refuse('LOCK_CONFLICT', message, { blockers })
}

/** The answer to a caller whose request is in the queue: `then` turns an event into its result. */
export function awaitGrant<Result>(
  lock: Lock,
  then: (event: Happened) => Result | undefined,
  ...others: string[]
): Parked<Result> {
  return {
    parked: 'for-event',
    subjects: [lock.lockId, ...others],
    answer(event) {
      // Whatever ends the request ends the wait.
      if (event.data.lock !== null) return then(event)
      const { reason, blockers } = event.data
      if (event.type === broken.type) {
        refuse('LOCK_LOST', 'An admin ended the request: do not ask again before you know why.', { because: reason })
      }
      if (reason === 'timeout') {
        refuse('WAIT_TIMEOUT', 'The lock was not granted in time. Ask again, or ask the holder for it.', { blockers })
      }
      return refuse('STALE_ATTEMPT', 'What the lock was wanted for is over: stop working on it.', { because: reason })
    },
    abandon(tx) {
      const waiting = tx.get(locks, lock.lockId)
      if (waiting?.state === 'waiting') abandon(tx, waiting, 'gone')
      // Granted in the moment in which its asker went, who never heard of it.
      else if (waiting && !waiting.starts) tx.drop(released, waiting)
    },
  }
}

export const abandon = (tx: Tx, lock: Lock, reason: string, data: Record<string, unknown> = {}): void =>
  tx.drop(abandoned, lock, { data: { reason, ...data } })

/** Grants, oldest first, what waited for the locks that went; whoever is given one hears of the next in line. */
export function grantFreed(tx: Tx, freed: readonly Lock[], ctx: Context): void {
  const waiting = new Map<string, Lock>()
  for (const lock of freed.flatMap((gone) => waitersFor(tx, gone))) waiting.set(lock.lockId, lock)
  const oldestFirst = [...waiting.values()].sort((a, b) => (a.lockId < b.lockId ? -1 : 1))
  const granted = oldestFirst.filter((lock) => grantWaiting(tx, lock, ctx))
  for (const lock of granted) tellNext(tx, lock)
}

/** Grants a request of the queue if nothing stands against it any longer; a second `start` of an attempt never. */
function grantWaiting(tx: Tx, lock: Lock, ctx: Context): boolean {
  const { starts, contractId = null } = lock
  if (starts && tx.find(locks, { where: { contract: contractId, state: 'held' } }).some((held) => held.starts)) {
    return false
  }
  const free = obstaclesOf(tx, lock, { limit: 1 }).length === 0
  if (free) grant(tx, lock, ctx)
  return free
}

function tellNext(tx: Tx, lock: Lock): void {
  const next = waitersFor(tx, lock).find(({ holder }) => holder !== lock.holder)
  const claim = next && obstaclesOf(tx, next, { states: ['held'] }).find((found) => found.lock.lockId === lock.lockId)
  if (next && claim) tellContended(tx, lock, claim.claim, next)
}
