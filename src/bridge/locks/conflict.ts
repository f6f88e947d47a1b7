import type { z } from 'zod'
import { limits } from '../../protocol/limits.js'
import type { Find, Read } from '../../protocol/method.js'
import { between, type Instant } from '../../protocol/time.js'
import { candidateKeys, covers, overlaps, type Pattern, parseResource } from '../resources/resources.js'
import { type blocker, type Claim, type Lock, locks } from './row.js'

export type Blocker = z.output<typeof blocker>

/** What is asked for; without `lockId` it stands behind everyone who waits already. */
export type Request = Pick<Lock, 'holder' | 'resources'> & { lockId?: string }

/** One claim that stands in the way, and the request it belongs to. */
export interface Obstacle {
  lock: Lock
  claim: Claim
}

interface Look {
  /** Only obstacles in these states. Default: any. */
  states?: readonly Lock['state'][]
  /** At most so many. Default: all. */
  limit?: number
}

/**
 * What stands in the way of a request that `isCovered` does not let through: conflicting claims that others hold, or
 * wait for and asked for earlier, and whatever cools. Ordered by age.
 */
export function obstaclesOf(read: Read, request: Request, look: Look = {}): Obstacle[] {
  const { limit = Number.POSITIVE_INFINITY } = look
  const found = new Map<string, Obstacle>()
  for (const asked of request.resources) {
    const pattern = parse(asked)
    for (const lock of candidates(read, asked, pattern, look)) {
      if (found.has(lock.lockId) || !comesBefore(lock, request)) continue
      const claim = lock.resources.find((held) => conflicts(asked.mode, pattern, held))
      if (claim) found.set(lock.lockId, { lock, claim })
      if (found.size >= limit) return oldestFirst(found)
    }
  }
  return oldestFirst(found)
}

/** What cools is shut for everyone: what may still be writing is no part of whoever asks, not even of the same name. */
function comesBefore(lock: Lock, request: Request): boolean {
  if (lock.lockId === request.lockId) return false
  if (lock.state === 'cooling') return true
  return lock.holder !== request.holder && (lock.state === 'held' || lock.lockId < (request.lockId ?? '~'))
}

const oldestFirst = (found: ReadonlyMap<string, Obstacle>): Obstacle[] =>
  [...found.values()].sort((a, b) => (a.lock.lockId < b.lock.lockId ? -1 : 1))

/** The requests that wait for something of this, whoever's they are. The oldest first. */
export const waitersFor = (read: Read, { resources }: Pick<Lock, 'resources'>): Lock[] =>
  obstaclesOf(read, { holder: '', resources }, { states: ['waiting'] }).map(({ lock }) => lock)

/** The obstacles of a request, as its asker is told of them. */
export const describeBlockers = (obstacles: readonly Obstacle[], now: Instant): Blocker[] =>
  obstacles.map(({ lock, claim }) => ({
    lockId: lock.lockId,
    holder: lock.holder,
    resource: claim.resource,
    mode: claim.mode,
    state: lock.state,
    contractId: lock.contractId,
    ageMs: Math.max(0, between(lock.acquiredAt ?? lock.requestedAt, now)),
    expiresAt: lock.state === 'waiting' ? undefined : lock.expiresAt,
    reason: lock.reason,
  }))

/** The requests of other agents in the way of one, as many as are told. What cools is nobody's any more. */
export const blockersOf = (read: Read, request: Request): Lock[] =>
  obstaclesOf(read, request, { states: ['held', 'waiting'], limit: limits.blockersTold }).map(({ lock }) => lock)

/** A lock that the caller itself holds and that includes a claim. What covers another begins no deeper than it. */
export function ownCover(read: Read, holder: string, claim: Claim): Lock | undefined {
  const pattern = parse(claim)
  const includes = (held: Claim) =>
    (held.mode === 'exclusive' || claim.mode === 'shared') && covers(parse(held), pattern)
  const own = candidateKeys(pattern).equal.flatMap((key) => read.find(locks, { key, where: { holder, state: 'held' } }))
  return own.find((lock) => lock.resources.some(includes))
}

/**
 * A request within what its holder already has is granted whoever waits: making it wait behind those who wait for the
 * holder itself would be waiting for oneself. Nobody else can hold any of it.
 */
export const isCovered = (read: Read, { holder, resources }: Request): boolean =>
  resources.every((claim) => ownCover(read, holder, claim) !== undefined)

const conflicts = (mode: Claim['mode'], pattern: Pattern, other: Claim): boolean =>
  (mode === 'exclusive' || other.mode === 'exclusive') && overlaps(pattern, parse(other))

const parse = ({ resource, literal }: Claim): Pattern => parseResource(resource, literal)

/** The requests filed where an overlapping pattern can be: on the way to the literal prefix, and below it. */
function* candidates(read: Read, { mode }: Claim, pattern: Pattern, { states }: Look): Generator<Lock> {
  // Sharing meets nothing but what somebody wants alone.
  const where = { ...(mode === 'shared' && { exclusive: 1 }), ...(states && { state: states }) }
  const { equal, below } = candidateKeys(pattern)
  for (const key of equal) yield* filedUnder(read, key, where)
  // '0' is the character after '/'.
  for (const key of below) yield* filedUnder(read, { from: `${key}/`, to: `${key}0` }, where)
}

/**
 * Rows read at first, and how much larger each further page is. Most of those who want to know whether there is an
 * obstacle find it in the first few; a range of keys is looked through anew for each page.
 */
const PAGE = 4
const GROWTH = 8

/** The oldest first, a page at a time. */
function* filedUnder(read: Read, key: NonNullable<Find['key']>, where: NonNullable<Find['where']>): Generator<Lock> {
  let after: string[] | undefined
  for (let limit = PAGE; ; limit *= GROWTH) {
    const page = read.find(locks, { key, where, limit, ...(after && { after }) })
    yield* page
    if (page.length < limit) return
    after = page.slice(-1).map(({ lockId }) => lockId)
  }
}
