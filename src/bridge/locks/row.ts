import { z } from 'zod'
import { limits } from '../../protocol/limits.js'
import { type EventDef, event, type Table } from '../../protocol/method.js'
import { agentName, instant, ms } from '../fields.js'
import { keysOf, parseResource } from '../resources/resources.js'

export const claim = z.strictObject({
  resource: z.string().max(limits.resourceLength).describe('`file:<path or glob>`, or any other `scheme:name`'),
  mode: z.enum(['exclusive', 'shared']),
  literal: z.boolean().optional().describe('the path is meant to the letter, though it holds `[`, `{`, `*` or `?`'),
})

/** As callers write it. */
export const claimParam = claim.extend({ mode: claim.shape.mode.default('exclusive') })
export const claimsParam = z.array(claimParam).min(1).max(limits.lockResources)
export type Claim = z.output<typeof claim>

export const lockRow = z.strictObject({
  lockId: z.string(),
  state: z
    .enum(['waiting', 'held', 'cooling'])
    .describe('`cooling`: lost, and shut for a moment because its holder may be in the midst of a write'),
  token: z.int().optional().describe('rises with every grant in the workspace: the fence'),
  holder: agentName,
  session: z.string().optional().describe('the session it hangs on'),
  resources: z.array(claim),
  contractId: z.string().optional(),
  attempt: z.int().optional(),
  starts: z
    .literal(true)
    .optional()
    .describe('of the start of a contract: with it the work begins, and it ends with the attempt'),
  reason: z.string().max(limits.reasonLength).optional(),
  requestedAt: instant,
  acquiredAt: instant.optional(),
  expiresAt: instant
    .optional()
    .describe('waiting: when the wait ends; held: when the lease does, if it is timed; cooling: when it is free'),
  ttlMs: ms(limits.lockTtlMsMin, limits.lockTtlMsMax).optional().describe('length of a timed lease'),
})

/** One request for locks, from its place in the queue to its end. One that cools has only the claims that are shut. */
export type Lock = z.output<typeof lockRow>

export const locks: Table<Lock> = {
  name: 'locks',
  noun: 'lock',
  id: (row) => row.lockId,
  columns: { state: 'TEXT', holder: 'TEXT', session: 'TEXT', contract: 'TEXT', size: 'INTEGER', exclusive: 'INTEGER' },
  index: (row) => ({
    state: row.state,
    holder: row.holder,
    session: row.session,
    contract: row.contractId,
    size: row.resources.length,
    exclusive: row.resources.some(({ mode }) => mode === 'exclusive') ? 1 : 0,
  }),
  indexes: [['holder', 'state', 'size'], ['session'], ['contract'], ['state']],
  totals: ['size'],
  keys: (row) => [
    ...new Set(row.resources.flatMap(({ resource, literal }) => keysOf(parseResource(resource, literal)))),
  ],
  deadline: (row) => row.expiresAt,
  about: (row) => ({ contractId: row.contractId, parties: [row.holder] }),
}

export const blocker = z.strictObject({
  lockId: z.string(),
  holder: agentName,
  resource: z.string(),
  mode: claim.shape.mode,
  state: lockRow.shape.state,
  contractId: z.string().optional(),
  ageMs: z.int(),
  expiresAt: instant.optional(),
  reason: lockRow.shape.reason,
})

export const queued = event('lock.queued', locks, 'A request waits its turn.', {
  position: 'its place in line, from 1, as far as blockers are told',
  blockers: `what it waits for, at most ${limits.blockersTold} of them`,
})
export const contended: EventDef = {
  type: 'lock.contended',
  summary: 'Told to a holder: somebody waits for what it holds. The subject is its lock.',
  data: { waiter: 'the agent that waits, the first of them', resource: 'which of its claims is wanted' },
}
export const acquired = event('lock.acquired', locks, 'A request was granted.')
export const extended = event('lock.extended', locks, 'A lease was renewed, or given time after a restart.')
const was = { last: 'the lock as it was, also where what is left of it cools' }
export const downgraded = event('lock.downgraded', locks, 'Its holder shares it from now on.', {
  last: 'the lock as it was',
})
export const released = event('lock.released', locks, 'A lock was given back.')
export const expired = event('lock.expired', locks, 'A timed lease ran out.', was)
export const lost = event('lock.lost', locks, 'A lock went with what it hung on.', {
  reason: '`session lost`, `attempt lost`, `canceled` (by force) or `restored`',
  ...was,
})
export const broken = event('lock.broken', locks, 'An admin ended a lock, a wait or the cooling of a lock.', {
  reason: "the admin's",
  ...was,
})
export const cooled = event('lock.cooled', locks, 'What was lost is free again.')
export const abandoned = event('lock.abandoned', locks, 'A request waits no longer.', {
  reason: '`timeout`, `gone`, `restarted`, `attempt ended` or `overtaken`',
  blockers: 'with `timeout`: what it still waited for',
})
export const violated: EventDef = {
  type: 'lock.violated',
  summary:
    'Files were changed by an agent that had not locked them. The subject is the lock they are under, or the agent.',
  data: {
    by: 'the agent that changed them, or ran what did',
    holder: 'who has them locked; absent when nobody has',
    resources: 'the files',
    note: 'how it came to it',
  },
}
