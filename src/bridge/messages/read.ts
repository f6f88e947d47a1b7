import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { command, query, type Read } from '../../protocol/method.js'
import { decodePage, encodePage, headCursor, id, listOf, ms, pageParams, readPage, refusePage } from '../fields.js'
import {
  inboxKey,
  type Message,
  messageRow,
  messages,
  outboxKey,
  published,
  rank,
  receiptChanged,
  receiptStates,
} from './row.js'

/** @throws NOT_FOUND */
export const findMessage = (read: Read, messageId: string): Message =>
  read.get(messages, messageId) ?? refuse('NOT_FOUND', 'No message with receipts has that id.', { messageId })

export const inbox = query({
  name: 'message.inbox',
  summary: "The caller's messages, the oldest first. Looking changes nothing: say what was read with message.ack.",
  role: 'observer',
  params: {
    state: z.enum(['unread', 'unacked', 'all']).default('unread'),
    waitMs: ms(0, limits.pollMsMax).default(0).describe('when there is none, wait this long for one, ms'),
    ...pageParams,
  },
  result: listOf(messageRow),
  errors: [],
  mcp: { whole: true },
  run(read, { state, waitMs, ...paging }, ctx) {
    const { agent } = ctx.caller
    const found = readPage(read, messages, { key: inboxKey(agent, state) }, paging)
    if (found.items.length > 0 || waitMs === 0) return found
    return {
      parked: 'run-again',
      exclusive: false,
      waitMs,
      otherwise: () => found,
      wakes: ({ type, data }) => type === published.type && ((data.message as Message).to?.includes(agent) ?? false),
    }
  },
})

export const outbox = query({
  name: 'message.outbox',
  summary: 'What the caller sent to agents, the newest first, with the receipts: who had it, who said so.',
  role: 'observer',
  params: {
    state: z
      .enum(['all', 'awaiting', 'overdue'])
      .default('all')
      .describe('`awaiting`: an acknowledgement that was required is missing; `overdue`: for too long'),
    ...pageParams,
  },
  result: listOf(messageRow),
  errors: [],
  run(read, { state, ...paging }, ctx) {
    const { agent } = ctx.caller
    const which = state === 'all' ? { where: { sender: agent } } : { key: outboxKey(agent, state) }
    return readPage(read, messages, { ...which, order: ['-id'] }, paging)
  },
})

export const thread = query({
  name: 'message.thread',
  summary: 'A message to agents and all that answer it, or an answer to it, the oldest first.',
  role: 'observer',
  params: { threadId: id.describe("the thread's first message"), ...pageParams },
  result: listOf(messageRow),
  errors: ['NOT_FOUND'],
  mcp: { whole: true },
  run(read, { threadId, ...paging }) {
    const found = readPage(read, messages, { where: { thread: threadId } }, paging)
    if (found.items.length === 0 && paging.page === undefined) {
      refuse('NOT_FOUND', 'There is no thread of that id.', { threadId })
    }
    return found
  },
})

export const search = query({
  name: 'message.search',
  summary: 'Messages that hold all the words, the newest first: those to agents, and to topics as far as the log goes.',
  role: 'observer',
  searches: true,
  params: {
    query: z
      .string()
      .min(1)
      .max(limits.queryLength)
      .describe('words; `"in quotes"` a phrase; `begin*` the beginning of a word'),
    ...pageParams,
  },
  result: listOf(messageRow),
  errors: [],
  run(read, { query: words, page, limit = limits.pageItems }) {
    const { at, after } = page === undefined ? { at: headCursor(read), after: [] } : decodePage(page, 1)
    const before = after[0] ?? Number.MAX_SAFE_INTEGER
    if (typeof before !== 'number') refusePage()
    const found = read.search(messages, words, { before, limit })
    const last = found.at(-1)
    const more = last && read.search(messages, words, { before: last.place, limit: 1 }).length > 0
    return { items: found.map(({ row }) => row), ...(more && { nextPage: encodePage(at, [last.place]) }), at }
  },
})

export const ack = command({
  name: 'message.ack',
  summary: 'Says how far messages got with the caller. A receipt only rises: saying less changes nothing.',
  role: 'agent',
  params: {
    messageIds: z.array(id).min(1).max(limits.pageItemsMax),
    state: z.enum(['injected', 'read', 'acked']).default('read'),
  },
  result: z.strictObject({ changed: z.int().describe('receipts that rose') }),
  errors: ['NOT_FOUND', 'FORBIDDEN'],
  mcp: { idempotent: true },
  run(tx, { messageIds, state }, ctx) {
    const { agent } = ctx.caller
    let changed = 0
    for (const messageId of new Set(messageIds)) {
      const message = findMessage(tx, messageId)
      if (!message.to?.includes(agent)) refuse('FORBIDDEN', 'Only a recipient may say how far a message got.')
      if (rank(message, agent) >= receiptStates.indexOf(state)) continue
      const receipts = { ...message.receipts, [agent]: { state, at: ctx.now } }
      tx.put(receiptChanged, { ...message, receipts }, { to: [message.from], data: { agent, state } })
      changed++
    }
    return { changed }
  },
})

export const get = query({
  name: 'message.get',
  summary: 'One addressed message, with its receipts.',
  role: 'observer',
  params: { messageId: id },
  result: messageRow,
  errors: ['NOT_FOUND'],
  run: (read, { messageId }) => findMessage(read, messageId),
})
