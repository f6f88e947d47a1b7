import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Tx } from '../../protocol/method.js'
import { asOwner } from '../contracts/change.js'
import { attemptParam, openStatuses } from '../contracts/row.js'
import { id, ms } from '../fields.js'
import { awaitGrant, request } from './queue.js'
import * as row from './row.js'
import { type Lock, lockRow } from './row.js'

export const ttlMs = ms(limits.lockTtlMsMin, limits.lockTtlMsMax)

export const acquire = command({
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
    'DEADLOCK',
    'LOCK_LOST',
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
