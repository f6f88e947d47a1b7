import { z } from 'zod'
import { topicName } from '../../protocol/event.js'
import { type EventDef, event, roles, type Table } from '../../protocol/method.js'
import { agentName, capability, contentOf, instant } from '../fields.js'

/** How far a message got with one recipient, in rising order. */
export const receiptStates = ['sent', 'injected', 'read', 'acked'] as const

export const part = contentOf({})

export const messageRow = z.strictObject({
  messageId: z.string(),
  from: agentName,
  role: z.enum(roles).describe("the sender's, stamped by the bridge"),
  to: z.array(agentName).optional().describe('the recipients, each with a receipt; absent for a topic'),
  capability: capability.optional().describe('the recipients were chosen by it'),
  topic: topicName.optional(),
  text: z.string().optional(),
  parts: z.array(part).optional(),
  contractId: z.string().optional(),
  replyTo: z.string().optional(),
  threadId: z.string().describe('the first message of the thread'),
  sentAt: instant,
  receipts: z
    .record(z.string(), z.strictObject({ state: z.enum(receiptStates), at: instant }))
    .optional()
    .describe('by recipient'),
})

/** What an ephemeral message is pushed as; none of it is kept. */
export const signalRow = messageRow
  .pick({ messageId: true, from: true, role: true, text: true, parts: true, contractId: true, sentAt: true })
  .extend({ unverified: z.literal(true).optional(), topic: topicName })

export type Signal = z.output<typeof signalRow>

/** What one agent tells others. A topic message is only its event; an addressed one is kept, with receipts. */
export type Message = z.output<typeof messageRow>

/** Ranks of `state`; -1 for one who is no recipient. */
export const rank = (message: Message, agent: string): number =>
  receiptStates.indexOf(message.receipts?.[agent]?.state as (typeof receiptStates)[number])

export const inboxKey = (agent: string, inbox: 'all' | 'unread' | 'unacked'): string => `${inbox}/${agent}`

export const messages: Table<Message> = {
  name: 'messages',
  noun: 'message',
  id: (row) => row.messageId,
  columns: { thread: 'TEXT', sender: 'TEXT' },
  index: (row) => ({ thread: row.threadId, sender: row.from }),
  indexes: [['thread']],
  keys: (row) =>
    (row.to ?? []).flatMap((agent) => [
      inboxKey(agent, 'all'),
      ...(rank(row, agent) < receiptStates.indexOf('read') ? [inboxKey(agent, 'unread')] : []),
      ...(rank(row, agent) < receiptStates.indexOf('acked') ? [inboxKey(agent, 'unacked')] : []),
    ]),
  about: (row) => ({ contractId: row.contractId, parties: row.to ?? [] }),
  keeps: (row) => row.to !== undefined,
}

export const published = event('message.published', messages, 'A message was sent.')
export const receiptChanged = event('message.receiptChanged', messages, 'A message got further with a recipient.', {
  agent: 'the recipient',
  state: '`injected`, `read` or `acked`',
})
/** It names signals in filters: `types: ['message.signalled']` wants them and no events. */
export const signalled: EventDef = {
  type: 'message.signalled',
  summary: 'Never in the log: what filters know signals by, the ephemeral messages to a topic.',
  data: {},
}
