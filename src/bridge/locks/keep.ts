import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { id, instant } from '../fields.js'
import { lose } from './loss.js'
import * as row from './row.js'
import { type Lock, lockRow } from './row.js'
import { ttlMs } from './take.js'

// What becomes of a lock once it is held.

const ofLock = {
  lockId: id,
  token: z.int().min(0).describe('the `token` of the grant'),
}

/** @throws NOT_FOUND */
const find = (tx: Tx, lockId: string): Lock =>
  tx.get(row.locks, lockId) ?? refuse('NOT_FOUND', 'There is no such lock; it may have ended.', { lockId })

/** @throws NOT_FOUND, FORBIDDEN, LOCK_LOST */
function ownHeld(tx: Tx, { lockId, token }: { lockId: string; token: number }, ctx: Context): Lock {
  const lock = find(tx, lockId)
  if (lock.holder !== ctx.caller.agent) refuse('FORBIDDEN', 'Only the holder of a lock may do this.')
  if (lock.state !== 'held' || lock.token !== token) {
    refuse('LOCK_LOST', 'The lock is not held under that token: stop using what it guarded.', { state: lock.state })
  }
  return lock
}

export const renew = command({
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

export const release = command({
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

export const downgrade = command({
  name: 'lock.downgrade',
  summary: 'Shares from now on what the caller had alone; whoever can share it is let in.',
  role: 'agent',
  params: ofLock,
  result: lockRow,
  errors: ['NOT_FOUND', 'FORBIDDEN', 'LOCK_LOST'],
  mcp: { idempotent: true },
  run(tx, params, ctx) {
    const lock = ownHeld(tx, params, ctx)
    if (lock.resources.every(({ mode }) => mode === 'shared')) return lock
    const resources = lock.resources.map((claim) => ({ ...claim, mode: 'shared' as const }))
    return tx.put(row.downgraded, { ...lock, resources }, { data: { last: lock } })
  },
})

export const breakLock = command({
  name: 'lock.break',
  summary: 'Takes a lock from its holder, and ends its attempt; or ends a wait, or the cooling of a lock.',
  role: 'admin',
  params: { lockId: id, reason: z.string().min(1).max(limits.reasonLength).describe('told to the holder') },
  result: z.strictObject({
    lockId: z.string(),
    coolsUntil: instant.optional().describe('files that the holder had alone stay shut until then'),
  }),
  errors: ['NOT_FOUND'],
  mcp: { destructive: true },
  run(tx, { lockId, reason }, ctx) {
    const lock = find(tx, lockId)
    if (lock.state === 'held') lose(tx, row.broken, lock, reason, ctx)
    else tx.drop(row.broken, lock, { data: { reason } })
    const coolsUntil = tx.get(row.locks, lockId)?.expiresAt
    return { lockId, ...(coolsUntil !== undefined && { coolsUntil }) }
  },
})
