import { z } from 'zod'
import { formatCursor, resolveCursor } from '../../protocol/cursor.js'
import { refuse } from '../../protocol/errors.js'
import type { StoredEvent } from '../../protocol/event.js'
import { limits } from '../../protocol/limits.js'
import { type Find, query, type Read } from '../../protocol/method.js'
import { agentName, capability, headCursor, id, instant, listOf, pageParams, readPage } from '../fields.js'
import { find } from './change.js'
import { created } from './events.js'
import {
  contractIdParam,
  contractRow,
  contracts,
  contractView,
  type Status,
  statuses,
  statusParam,
  tagKey,
} from './row.js'

export const get = query({
  name: 'contract.get',
  summary: 'One contract as it is now.',
  role: 'observer',
  params: { contractId: contractIdParam },
  result: contractView,
  errors: ['NOT_FOUND'],
  http: { method: 'GET', path: '/contracts/:contractId', etag: 'generation' },
  mcp: { common: true, description: 'All of one contract: its description, attempts, result, artifacts and evidence.' },
  run(read, { contractId }) {
    const contract = find(read, contractId)
    const children = childrenOf(read, contractId)
    return children ? { ...contract, children } : contract
  },
})

/** How a contract's parts stand; nothing is stored of it, so nothing can be out of date. */
function childrenOf(read: Read, parent: string): Partial<Record<Status, number>> | undefined {
  if (read.count(contracts, { parent }) === 0) return undefined
  const counts = statuses.map((status) => [status, read.count(contracts, { parent, status })] as const)
  return Object.fromEntries(counts.filter(([, count]) => count > 0))
}

export const list = query({
  name: 'contract.list',
  summary: 'Contracts, the newest first; with `ready` the work queue, by priority and then age.',
  role: 'observer',
  params: {
    status: z.array(statusParam).min(1).max(statuses.length).optional(),
    owner: agentName.optional(),
    assignee: agentName.optional(),
    capability: capability.optional(),
    createdBy: agentName.optional(),
    tag: z.string().max(limits.nameLength).optional(),
    parentId: id.optional().describe('the parts of this contract'),
    ready: z.boolean().optional().describe('only those that can be accepted now (or, with false, that cannot)'),
    ...pageParams,
  },
  result: listOf(contractRow),
  errors: [],
  http: { method: 'GET', path: '/contracts' },
  run(read, { page, limit, status, owner, assignee, capability, createdBy, tag, parentId, ready }) {
    const where: Find['where'] = {
      ...(status && { status }),
      ...(owner && { owner }),
      ...(assignee && { assignee }),
      ...(capability && { capability }),
      ...(createdBy && { creator: createdBy }),
      ...(parentId !== undefined && { parent: parentId }),
      ...(ready !== undefined && { ready: ready ? 1 : 0 }),
    }
    const order = ready ? ['-priority'] : ['-id']
    return readPage(read, contracts, { where, order, ...(tag !== undefined && { key: tagKey(tag) }) }, { page, limit })
  },
})

export const history = query({
  name: 'contract.history',
  summary: 'What happened to a contract, its locks and the messages about it, oldest first, read from the log.',
  role: 'observer',
  params: { contractId: contractIdParam, ...pageParams },
  result: listOf(
    z.strictObject({
      cursor: z.string(),
      type: z.string(),
      time: instant,
      actor: agentName,
      note: z.string().optional(),
      changes: z
        .record(z.string(), z.json())
        .describe("the contract's fields that changed, as they became; or the `lock` or `message` it was about"),
    }),
  ).extend({ truncatedBefore: z.string().optional().describe('earlier events have been removed') }),
  errors: ['NOT_FOUND', 'CURSOR_EXPIRED'],
  mcp: { whole: true },
  run(read, { contractId, page, limit = limits.pageItems }) {
    find(read, contractId)
    const { epoch, earliest } = read.bounds()
    const { at, base, after } =
      page === undefined ? { at: headCursor(read), base: 0, after: earliest } : decodePage(page)
    // A page goes on from an event that it is compared with: both may have been removed since.
    const needed = base > 0 ? base - 1 : after
    if (needed < earliest) resolveCursor(formatCursor(epoch, needed), read.bounds())
    const known = base === 0 ? undefined : baseAt(read, contractId, base)
    const shown = read.events(after, { contractId, limit })
    const end = shown.at(-1)?.seq ?? after
    // Fewer than asked may mean the end or the limit of bytes: one look behind the last tells.
    const more = read.events(end, { contractId, limit: 1 }).length > 0
    const { items, last } = describe(epoch, shown, known)
    const truncated = page === undefined && shown[0]?.type !== created.type
    return {
      items,
      at,
      ...(more && { nextPage: `${at}/${last?.seq ?? base}/${end}` }),
      ...(truncated && { truncatedBefore: formatCursor(epoch, (shown[0]?.seq ?? earliest + 1) - 1) }),
    }
  },
})

/** The event of this contract that a page says it goes on from. @throws INVALID_PARAMS for a page of another list */
function baseAt(read: Read, contractId: string, seq: number): StoredEvent {
  const [event] = read.events(seq - 1, { contractId, limit: 1 })
  return event?.seq === seq && JSON.parse(event.body).data.contract ? event : refusePage()
}

type Row = Record<string, unknown>

/** The events in words of what they changed. `known` is the last event before them that held the contract. */
function describe(epoch: string, events: StoredEvent[], known: StoredEvent | undefined) {
  let last = known
  let row: Row = known ? JSON.parse(known.body).data.contract : {}
  const items = events.map((event) => {
    const { type, time, actor, data } = JSON.parse(event.body)
    const changes = data.contract ? changed(row, data.contract) : beside(type, data)
    if (data.contract) {
      row = data.contract
      last = event
    }
    return { cursor: formatCursor(epoch, event.seq), type, time, actor, ...(data.note && { note: data.note }), changes }
  })
  return { items, last }
}

/** What happened to something of the contract: a lock, a message. */
function beside(type: string, data: Row): Row {
  const noun = type.slice(0, type.indexOf('.'))
  return { [noun]: data[noun] ?? data.last ?? data }
}

/** The fields that differ, as they became; null for one that is gone. */
function changed(before: Row, after: Row): Row {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  const differing = [...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
  return Object.fromEntries(differing.map((name) => [name, after[name] ?? null]))
}

function decodePage(page: string): { at: string; base: number; after: number } {
  const match = /^([a-z0-9]{1,16}-\d{1,15})\/(\d{1,15})\/(\d{1,15})$/.exec(page)
  if (!match) refusePage()
  return { at: match[1]!, base: Number(match[2]), after: Number(match[3]) }
}

function refusePage(): never {
  return refuse('INVALID_PARAMS', 'The page is not one that this list gave out: begin again without it.')
}
