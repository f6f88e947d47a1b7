import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Happened, type Noun, query, type Read, type Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { lost as agentLost, disconnected } from '../agents/row.js'
import { asOwner } from '../contracts/change.js'
import { attemptParam, openStatuses } from '../contracts/row.js'
import { agentName, id, listOf, ms, pageParams, readPage } from '../fields.js'
import { describeBlockers, obstaclesOf, ownCover } from './conflict.js'
import { abandon, awaitGrant, grantFreed, request } from './queue.js'
import * as row from './row.js'
import { type Lock, lockRow } from './row.js'

const ttlMs = ms(limits.lockTtlMsMin, limits.lockTtlMsMax)

const acquire = command({
  name: 'lock.acquire',
  summary: 'Takes locks, all of them or none; with `waitMs` waits in line for them.',
  role: 'agent',
  params: {
    resources: row.claimsParam,
    ttlMs: ttlMs
      .optional()
      .describe(
        'a timed lease, ms, to be renewed; without it the lock lives as long as the session (or 10 min, without one)',
      ),
    waitMs: ms(0, limits.waitMsMax).default(0).describe('wait this long, ms'),
    contractId: id.optional().describe('the lock belongs to this contract, and ends with the attempt'),
    attempt: attemptParam.optional(),
    reason: z.string().max(limits.reasonLength).optional().describe('told to those whom it keeps waiting'),
  },
  result: lockRow,
  errors: [
    'BAD_RESOURCE',
    'TOO_LARGE',
    'LOCK_CONFLICT',
    'WAIT_TIMEOUT',
    'OVERLOADED',
    'NOT_FOUND',
    'STALE_ATTEMPT',
    'FORBIDDEN',
  ],
  http: { method: 'POST', path: '/locks', status: 201, location: '/locks/:lockId' },
  mcp: {
    common: true,
    description:
      'Takes locks on what you are about to edit, all or none: file:src/a.ts, file:src/**, or another scheme:name. A refusal says who holds them. Not needed for the resources of a contract that you have started.',
    omit: ['contractId', 'attempt'],
    lasts: true,
  },
  run(tx, { resources, waitMs, ...params }, ctx) {
    const lock = request(tx, { resources, holder: ctx.caller.agent, ...leaseOf(tx, params, ctx) }, waitMs, ctx)
    if (lock.state === 'held') return lock
    return awaitGrant(lock, ({ type, data }) => (type === row.acquired.type ? (data.lock as Lock) : undefined))
  },
})

interface LeaseParams {
  ttlMs?: number | undefined
  contractId?: string | undefined
  attempt?: number | undefined
  reason?: string | undefined
}

/** A lock hangs on the attempt it is for, on the caller's session, or on time; a `ttlMs` always counts. */
function leaseOf(tx: Tx, { contractId, attempt, ttlMs, reason }: LeaseParams, { caller }: Context) {
  if ((contractId === undefined) !== (attempt === undefined)) {
    refuse('INVALID_PARAMS', 'A lock for a contract names both `contractId` and `attempt`.')
  }
  if (contractId !== undefined && attempt !== undefined) {
    asOwner(tx, { contractId, attempt }, caller, openStatuses)
    return { contractId, attempt, ttlMs, reason }
  }
  const { session } = caller
  if (session === undefined) return { ttlMs: ttlMs ?? limits.lockTtlMs, reason }
  return ttlMs === undefined ? { session, reason } : { ttlMs, reason }
}

const ofLock = {
  lockId: id,
  token: z.int().min(0).describe('the `token` of the grant'),
}

/** @throws NOT_FOUND, FORBIDDEN, LOCK_LOST */
function ownHeld(tx: Tx, { lockId, token }: { lockId: string; token: number }, ctx: Context): Lock {
  const lock = tx.get(row.locks, lockId) ?? refuse('NOT_FOUND', 'There is no such lock; it may have ended.', { lockId })
  if (lock.holder !== ctx.caller.agent) refuse('FORBIDDEN', 'Only the holder of a lock may do this.')
  if (lock.state !== 'held' || lock.token !== token) {
    refuse('LOCK_LOST', 'The lock is not held under that token: stop using what it guarded.', { state: lock.state })
  }
  return lock
}

const renew = command({
  name: 'lock.renew',
  summary: 'Gives a timed lease its whole time again, from now.',
  role: 'agent',
  params: { ...ofLock, ttlMs: ttlMs.optional().describe('its new length, ms') },
  result: lockRow,
  errors: ['NOT_FOUND', 'FORBIDDEN', 'LOCK_LOST'],
  mcp: { idempotent: true },
  run(tx, params, ctx) {
    const lock = ownHeld(tx, params, ctx)
    const ttlMs = params.ttlMs ?? lock.ttlMs
    // A lock that hangs on a session or an attempt has nothing to renew.
    if (ttlMs === undefined) return lock
    return tx.put(row.extended, { ...lock, ttlMs, session: undefined, expiresAt: later(ctx.now, ttlMs) })
  },
})

const release = command({
  name: 'lock.release',
  summary: 'Gives a lock back.',
  role: 'agent',
  params: ofLock,
  result: z.strictObject({ lockId: z.string() }),
  errors: ['NOT_FOUND', 'FORBIDDEN', 'LOCK_LOST'],
  http: { method: 'DELETE', path: '/locks/:lockId' },
  mcp: { common: true },
  run(tx, params, ctx) {
    const lock = ownHeld(tx, params, ctx)
    if (lock.starts) {
      const { contractId, attempt } = lock
      const message =
        'The contract is worked on under this lock: complete, fail or release the contract, and it is free.'
      refuse('FORBIDDEN', message, { contractId, attempt })
    }
    tx.drop(row.released, lock)
    return { lockId: lock.lockId }
  },
})

const check = query({
  name: 'lock.check',
  summary: 'May the caller write to these paths? Takes paths to the letter, never patterns.',
  role: 'observer',
  params: {
    resource: row.claim.shape.resource.optional().describe('`file:<path>`, to the letter, or another `scheme:name`'),
    resources: z.array(row.claim.shape.resource).min(1).max(limits.lockResources).optional(),
    mode: row.claim.shape.mode.default('exclusive'),
    token: z.int().min(0).optional().describe('refuse unless the caller holds them under this token'),
  },
  result: z.strictObject({
    allowed: z.boolean().describe('nobody else holds a lock against it'),
    heldBy: lockRow.optional().describe('the lock that stands against it'),
    mine: z.boolean().describe('the caller holds locks for all of it'),
  }),
  errors: ['BAD_RESOURCE', 'LOCK_LOST'],
  run(read, { resource, resources = [], mode, token }, ctx) {
    const paths = resource === undefined ? resources : [resource, ...resources]
    if (paths.length === 0) refuse('INVALID_PARAMS', 'Name what to check in `resource` or `resources`.')
    const holder = ctx.caller.agent
    const claims = paths.map((resource) => ({ resource, mode, literal: true }))
    const own = claims.map((claim) => ownCover(read, holder, claim))
    if (token !== undefined && own.some((lock) => lock?.token !== token)) {
      refuse('LOCK_LOST', 'The caller does not hold all of it under that token.')
    }
    const against = obstaclesOf(read, { holder, resources: claims }).find(({ lock }) => lock.state === 'held')
    const mine = own.every((lock) => lock !== undefined)
    return { allowed: against === undefined, mine, ...(against && { heldBy: against.lock }) }
  },
})

const list = query({
  name: 'lock.list',
  summary: 'Who holds what, and who waits, the oldest request first.',
  role: 'observer',
  params: {
    resource: row.claim.shape.resource.optional().describe('only what overlaps this path or pattern'),
    holder: agentName.optional(),
    contractId: id.optional(),
    state: lockRow.shape.state.optional(),
    ...pageParams,
  },
  result: listOf(lockRow),
  errors: ['BAD_RESOURCE'],
  http: { method: 'GET', path: '/locks' },
  run(read, { resource, holder, contractId, state, page, limit }) {
    const where = { ...(holder && { holder }), ...(contractId && { contract: contractId }), ...(state && { state }) }
    const found = readPage(read, row.locks, { where }, { page, limit })
    if (resource === undefined) return found
    const overlapping = overlappingIds(read, resource)
    return { ...found, items: found.items.filter(({ lockId }) => overlapping.has(lockId)) }
  },
})

/** Everything that stands against an exclusive request of nobody in particular. */
const overlappingIds = (read: Read, resource: string): Set<string> =>
  new Set(
    obstaclesOf(read, { holder: '', resources: [{ resource, mode: 'exclusive' }] }).map(({ lock }) => lock.lockId),
  )

/** What follows for locks from ended sessions and attempts, and for those who waited for what went. */
function settle(tx: Tx, happened: readonly Happened[], ctx: Context): void {
  const freed: Lock[] = []
  for (const { type, data } of happened) {
    if (type === agentLost.type) endSession(tx, data.session as string, true)
    else if (type === disconnected.type && data.ended) endSession(tx, data.session as string, false)
    else if (endsAttempt.has(type)) endAttempt(tx, data.contract as { id: string })
    else if (type === 'contract.started') overtake(tx, data.contract as { id: string })
    if (data.lock === null) freed.push(data.last as Lock)
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

function endSession(tx: Tx, session: string, involuntary: boolean): void {
  for (const lock of tx.find(row.locks, { where: { session } })) {
    if (lock.state === 'waiting') abandon(tx, lock, 'gone')
    else if (involuntary) tx.drop(row.lost, lock, { data: { reason: 'session lost' } })
    else tx.drop(row.released, lock)
  }
}

function endAttempt(tx: Tx, contract: { id: string }): void {
  for (const lock of tx.find(row.locks, { where: { contract: contract.id } })) {
    if (lock.state === 'waiting') abandon(tx, lock, 'attempt ended')
    else tx.drop(row.released, lock)
  }
}

/** A contract that has started needs no second `start` in the queue. */
function overtake(tx: Tx, contract: { id: string }): void {
  for (const lock of tx.find(row.locks, { where: { contract: contract.id, state: 'waiting' } })) {
    if (lock.starts) abandon(tx, lock, 'overtaken')
  }
}

function expire(tx: Tx, lock: Lock, ctx: Context): void {
  if (lock.state === 'held') tx.drop(row.expired, lock)
  else abandon(tx, lock, 'timeout', { blockers: describeBlockers(obstaclesOf(tx, lock, limits.blockersTold), ctx.now) })
}

/** Who waited in the daemon's former life waits no more: the socket that asked is gone. */
function restart(tx: Tx): void {
  for (const lock of tx.find(row.locks, { where: { state: 'waiting' } })) abandon(tx, lock, 'restarted')
}

function restored(tx: Tx): void {
  for (const lock of tx.find(row.locks, {})) tx.drop(row.lost, lock, { data: { reason: 'restored' } })
}

function rebase(tx: Tx, until: string): void {
  for (const lock of tx.find(row.locks, { where: { deadline: { to: until } } })) {
    if (lock.expiresAt !== undefined && lock.expiresAt < until) tx.put(row.extended, { ...lock, expiresAt: until })
  }
}

export const lockNoun = {
  tables: [row.locks],
  events: [row.queued, row.contended, row.acquired, row.extended, row.released, row.expired, row.lost, row.abandoned],
  methods: [acquire, renew, release, check, list] as const,
  settle,
  expire: { locks: expire },
  started: restart,
  restored,
  rebase,
} satisfies Noun
