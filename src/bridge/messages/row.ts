import { z } from 'zod'
import { topicName } from '../../protocol/event.js'
import { type EventDef, event, roles, type Table } from '../../protocol/method.js'
import { agentName, capability, contentOf, instant } from '../fields.js'

/** How far a message got with one recipient, in rising order; `expired` is an end from which nothing rises. */
export const receiptStates = ['sent', 'injected', 'read', 'acked', 'expired'] as const

export const part = contentOf({})

export const messageRow = z.strictObject({
  messageId: z.string(),
  from: agentName,
  role: z.enum(roles).describe("the sender's, stamped by the bridge"),
  unverified: z
    .literal(true)
    .optional()
    .describe("the sender's name was chosen by a holder of the operator's token: nothing else vouches for it"),
  to: z.array(agentName).optional().describe('the recipients, each with a receipt; absent for a topic'),
  capability: capability.optional().describe('the recipients were chosen by it'),
  topic: topicName.optional(),
  text: z.string().optional(),
  parts: z.array(part).optional(),
  contractId: z.string().optional(),
  replyTo: z.string().optional(),
  threadId: z.string().describe('the first message of the thread'),
  sentAt: instant,
  expiresAt: instant.optional().describe('who has not had it in a turn by then gets it no more'),
  requireAck: z.literal(true).optional().describe('the sender wants every recipient to say `acked`'),
  ackDueAt: instant.optional().describe('with `requireAck`: by when'),
  overdueAt: instant.optional().describe('when that had passed with a receipt still open'),
  receipts: z
    .record(z.string(), z.strictObject({ state: z.enum(receiptStates), at: instant }))
    .optional()
    .describe('by recipient'),
})

/** What an ephemeral message is pushed as; none of it is kept. */
export const signalRow = messageRow
  .pick({
    messageId: true,
    from: true,
    role: true,
    unverified: true,
    text: true,
    parts: true,
    contractId: true,
    sentAt: true,
  })
  .extend({ topic: topicName })

export type Signal = z.output<typeof signalRow>

/** What one agent tells others. A topic message is only its event; an addressed one is kept, with receipts. */
export type Message = z.output<typeof messageRow>

/** Ranks of `state`; -1 for one who is no recipient. */
export const rank = (message: Message, agent: string): number =>
  receiptStates.indexOf(message.receipts?.[agent]?.state as (typeof receiptStates)[number])

export const inboxKey = (agent: string, inbox: 'all' | 'unread' | 'unacked'): string => `${inbox}/${agent}`
export const outboxKey = (agent: string, outbox: 'awaiting' | 'overdue'): string => `${outbox}/from/${agent}`
/** Every message whose acknowledgement is overdue, whoever sent it. */
export const OVERDUE = 'overdue'

const ranks = (message: Message): number[] => (message.to ?? []).map((agent) => rank(message, agent))
const READ = receiptStates.indexOf('read')
const ACKED = receiptStates.indexOf('acked')

/** Who has not come as far. */
export const owing = (message: Message, state: 'injected' | 'acked'): string[] =>
  (message.to ?? []).filter((agent) => rank(message, agent) < receiptStates.indexOf(state))

/** Somebody has not had it in a turn yet. */
const isPending = (message: Message): boolean => ranks(message).includes(receiptStates.indexOf('sent'))

/** Its sender waits for somebody's `acked`. */
export const isAwaited = (message: Message): boolean =>
  message.requireAck === true && ranks(message).some((at) => at < ACKED)

/** When its last receipt came to an end, and it is only kept to be looked at; undefined before. */
function settledAt(message: Message): string | undefined {
  const end = message.requireAck ? ACKED : READ
  if (ranks(message).some((at) => at < end)) return undefined
  return Object.values(message.receipts ?? {})
    .map(({ at }) => at)
    .sort()
    .at(-1)
}

/** The deadlines that are still ahead of it. */
export const expiryOf = (row: Message) => (isPending(row) ? row.expiresAt : undefined)
export const ackDueOf = (row: Message) => (isAwaited(row) && row.overdueAt === undefined ? row.ackDueAt : undefined)

const wordsOf = ({ text = '', parts = [] }: Message): string =>
  [text, ...parts.map((part) => part.text ?? '')].join('\n')

export const messages: Table<Message> = {
  name: 'messages',
  noun: 'message',
  id: (row) => row.messageId,
  columns: { thread: 'TEXT', sender: 'TEXT', settled: 'TEXT' },
  index: (row) => ({ thread: row.threadId, sender: row.from, settled: settledAt(row) }),
  indexes: [['thread'], ['sender'], ['settled']],
  keys: (row) => [
    ...(row.to ?? []).flatMap((agent) => [
      inboxKey(agent, 'all'),
      ...(rank(row, agent) < READ ? [inboxKey(agent, 'unread')] : []),
      ...(rank(row, agent) < ACKED ? [inboxKey(agent, 'unacked')] : []),
    ]),
    ...(isAwaited(row) ? [outboxKey(row.from, 'awaiting')] : []),
    ...(isAwaited(row) && row.overdueAt !== undefined ? [outboxKey(row.from, 'overdue'), OVERDUE] : []),
  ],
  deadline: (row) => [expiryOf(row), ackDueOf(row)].filter((at) => at !== undefined).sort()[0],
  search: { enters: 'message.published', leaves: 'message.removed', text: wordsOf },
  about: (row) => ({ contractId: row.contractId, parties: row.to ?? [] }),
  keeps: (row) => row.to !== undefined,
}

export const published = event('message.published', messages, 'A message was sent.')
export const receiptChanged = event('message.receiptChanged', messages, 'A message got further with a recipient.', {
  agent: 'the recipient',
  state: '`injected`, `read` or `acked`',
})
export const expired = event(
  'message.expired',
  messages,
  'Its time was over before everyone had it. Told to the sender.',
  {
    agents: 'the recipients who get it no more',
  },
)
export const ackDuePassed = event(
  'message.ackDuePassed',
  messages,
  'An acknowledgement is overdue. Told to the sender.',
  {
    agents: 'the recipients who owe it',
  },
)
export const removed = event(
  'message.removed',
  messages,
  'A settled message went with retention; `last` has no content.',
)
/** It names signals in filters: `types: ['message.signalled']` wants them and no events. */
export const signalled: EventDef = {
  type: 'message.signalled',
  summary: 'Never in the log: what filters know signals by, the ephemeral messages to a topic.',
  data: {},
}
