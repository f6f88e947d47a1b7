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

/**
 * What stands in the way of a request: conflicting claims that others hold, or wait for and asked for earlier.
 * A request within what its holder already has only respects holders: making it wait behind those who wait for the
 * holder itself would be waiting for oneself. Ordered by age, at most `limit`.
 */
export function obstaclesOf(read: Read, request: Request, limit = Number.POSITIVE_INFINITY): Obstacle[] {
  const waitersCount = !coveredByOwn(read, request)
  const found = new Map<string, Obstacle>()
  for (const asked of request.resources) {
    const pattern = parse(asked)
    for (const lock of candidates(read, pattern)) {
      if (found.has(lock.lockId) || lock.lockId === request.lockId || lock.holder === request.holder) continue
      if (lock.state === 'waiting' && (!waitersCount || (request.lockId ?? '~') < lock.lockId)) continue
      const claim = lock.resources.find((held) => conflicts(asked.mode, pattern, held))
      if (claim) found.set(lock.lockId, { lock, claim })
      if (found.size >= limit) return oldestFirst(found)
    }
  }
  return oldestFirst(found)
}

const oldestFirst = (found: ReadonlyMap<string, Obstacle>): Obstacle[] =>
  [...found.values()].sort((a, b) => (a.lock.lockId < b.lock.lockId ? -1 : 1))

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
    expiresAt: lock.state === 'held' ? lock.expiresAt : undefined,
    reason: lock.reason,
  }))

/** The requests in the way of one, as many as are told. */
export const blockersOf = (read: Read, request: Request): Lock[] =>
  obstaclesOf(read, request, limits.blockersTold).map(({ lock }) => lock)

/** A lock that the caller itself holds and that includes a claim. What covers another begins no deeper than it. */
export function ownCover(read: Read, holder: string, claim: Claim): Lock | undefined {
  const pattern = parse(claim)
  const includes = (held: Claim) =>
    (held.mode === 'exclusive' || claim.mode === 'shared') && covers(parse(held), pattern)
  const own = candidateKeys(pattern).equal.flatMap((key) => read.find(locks, { key, where: { holder, state: 'held' } }))
  return own.find((lock) => lock.resources.some(includes))
}

const coveredByOwn = (read: Read, request: Request): boolean =>
  request.resources.every((claim) => ownCover(read, request.holder, claim) !== undefined)

const conflicts = (mode: Claim['mode'], pattern: Pattern, other: Claim): boolean =>
  (mode === 'exclusive' || other.mode === 'exclusive') && overlaps(pattern, parse(other))

const parse = ({ resource, literal }: Claim): Pattern => parseResource(resource, literal)

/** The requests filed where an overlapping pattern can be: on the way to the literal prefix, and below it. */
function* candidates(read: Read, pattern: Pattern): Generator<Lock> {
  const { equal, below } = candidateKeys(pattern)
  for (const key of equal) yield* filedUnder(read, key)
  // '0' is the character after '/'.
  for (const key of below) yield* filedUnder(read, { from: `${key}/`, to: `${key}0` })
}

const PAGE = 64

/** The oldest first, a page at a time: who only wants to know whether there is an obstacle need not read them all. */
function* filedUnder(read: Read, key: NonNullable<Find['key']>): Generator<Lock> {
  let after: string[] | undefined
  for (;;) {
    const page = read.find(locks, { key, limit: PAGE, ...(after && { after }) })
    yield* page
    if (page.length < PAGE) return
    after = page.slice(-1).map(({ lockId }) => lockId)
  }
}
