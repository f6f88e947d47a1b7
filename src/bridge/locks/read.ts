import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { query, type Read } from '../../protocol/method.js'
import { agentName, id, listOf, pageParams, readPage } from '../fields.js'
import { obstaclesOf, ownCover } from './conflict.js'
import * as row from './row.js'
import { type Claim, type Lock, lockRow } from './row.js'

export const check = query({
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
    allowed: z.boolean().describe('nobody else holds a lock against any of it, and none of it cools'),
    heldBy: lockRow.optional().describe('the first lock that stands against it'),
    mine: z.boolean().describe('the caller holds locks for all of it'),
    denied: z
      .array(lockRow.pick({ lockId: true, state: true, holder: true }).extend({ resource: z.string() }))
      .optional()
      .describe('each path that a lock stands against, and one such lock'),
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
    const against = claims.flatMap((claim, at) => (own[at] ? [] : standingAgainst(read, holder, claim)))
    const mine = own.every((lock) => lock !== undefined)
    const [first] = against
    if (!first) return { allowed: true, mine }
    const denied = against.map(({ lock: { lockId, state, holder }, resource }) => ({ lockId, state, holder, resource }))
    return { allowed: false, mine, heldBy: first.lock, denied }
  },
})

/** One lock against a path, if there is one. */
const standingAgainst = (read: Read, holder: string, claim: Claim): Array<{ lock: Lock; resource: string }> =>
  obstaclesOf(read, { holder, resources: [claim] }, { states: ['held', 'cooling'], limit: 1 }).map(({ lock }) => ({
    lock,
    resource: claim.resource,
  }))

export const list = query({
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
    if (resource === undefined) return readPage(read, row.locks, { where }, { page, limit })
    const overlapping = overlappingIds(read, resource)
    // A page on which nothing is left is passed over: whoever reads no further would take it for the whole answer.
    for (let at = page; ; ) {
      const found = readPage(read, row.locks, { where }, { page: at, limit })
      const items = found.items.filter(({ lockId }) => overlapping.has(lockId))
      if (items.length > 0 || found.nextPage === undefined) return { ...found, items }
      at = found.nextPage
    }
  },
})

/** Everything that stands against an exclusive request of nobody in particular. */
const overlappingIds = (read: Read, resource: string): Set<string> =>
  new Set(
    obstaclesOf(read, { holder: '', resources: [{ resource, mode: 'exclusive' }] }).map(({ lock }) => lock.lockId),
  )
