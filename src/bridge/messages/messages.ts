import type { Noun } from '../../protocol/method.js'
import { publish } from './publish.js'
import { ack, get, inbox, outbox, thread } from './read.js'
import { ackDuePassed, expired, messages, published, receiptChanged, removed, signalled } from './row.js'
import { expireMessage, trimMessages } from './settle.js'
import { z } from 'zod'
import { formatCursor } from '../../protocol/cursor.js'
import { refuse } from '../../protocol/errors.js'
import { topicName } from '../../protocol/event.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Noun, query, type Read, type Tx } from '../../protocol/method.js'
import { agents } from '../agents/row.js'
import { find as findContract } from '../contracts/change.js'
import { create, createParams } from '../contracts/create.js'
import { contractRow } from '../contracts/row.js'
import { agentName, capability, id, listOf, ms, pageParams, readPage } from '../fields.js'
import {
  inboxKey,
  type Message,
  messageRow,
  messages,
  part,
  published,
  rank,
  receiptChanged,
  receiptStates,
} from './row.js'

const publish = command({
  name: 'message.publish',
  summary: 'Sends a message to agents, to those with a capability, or to a topic; it may bring a contract.',
  role: 'agent',
  params: {
    to: z.union([agentName, z.array(agentName).min(1).max(limits.recipients)]).optional(),
    capability: capability.optional().describe('to every agent with it'),
    topic: topicName.optional(),
    text: z.string().min(1).max(limits.textLength).optional(),
    parts: z.array(part).min(1).max(limits.parts).optional(),
    contractId: id.optional().describe('the contract it is about'),
    contract: createParams
      .optional()
      .describe('a contract to create with it; its assignee is a single recipient unless named'),
    replyTo: id.optional().describe('the message it answers'),
  },
  result: z.strictObject({
    messageId: z.string(),
    cursor: z.string(),
    contract: contractRow.optional(),
    recipients: z.array(z.strictObject({ agent: agentName, live: z.boolean().describe('has a connected session') })),
  }),
  errors: ['NOT_FOUND', 'BAD_RESOURCE', 'TOO_LARGE'],
  mcp: {
    common: true,
    description:
      'Sends a message to agents by name, to all with a capability, or to a topic. For work to be done use contract_create.',
    omit: ['parts', 'contract'],
  },
  run(tx, params, ctx) {
    checkAddress(params)
    const to = recipientsOf(tx, params)
    const messageId = ctx.newId('msg')
    const replied = params.replyTo === undefined ? undefined : findMessage(tx, params.replyTo)
    const contract = params.contract && offerWith(tx, params.contract, to, messageId, ctx)
    const contractId = contract?.id ?? (params.contractId && findContract(tx, params.contractId).id)
    const { topic, capability, text, parts, replyTo } = params
    const addressed = to && { to, capability, receipts: Object.fromEntries(to.map((agent) => [agent, sent(ctx)])) }
    const message: Message = {
      messageId,
      from: ctx.caller.agent,
      role: ctx.caller.role,
      ...addressed,
      topic,
      text,
      parts,
      contractId,
      replyTo,
      threadId: replied?.threadId ?? messageId,
      sentAt: ctx.now,
    }
    const cursor = formatCursor(tx.bounds().epoch, tx.nextSeq())
    tx.put(published, message, { topic, ...(to && { to }) })
    return { messageId, cursor, contract, recipients: (to ?? []).map((agent) => ({ agent, live: isLive(tx, agent) })) }
  },
})

const sent = (ctx: Context) => ({ state: 'sent' as const, at: ctx.now })

interface Address {
  to?: string | string[] | undefined
  capability?: string | undefined
  topic?: string | undefined
  text?: string | undefined
  parts?: unknown[] | undefined
  contract?: unknown
  contractId?: string | undefined
}

function checkAddress({ to, capability, topic, text, parts, contract, contractId }: Address): void {
  if ([to, capability, topic].filter((given) => given !== undefined).length !== 1) {
    refuse('INVALID_PARAMS', 'A message goes to exactly one of `to`, `capability` and `topic`.')
  }
  if (text === undefined && parts === undefined && contract === undefined) {
    refuse('INVALID_PARAMS', 'A message has `text`, `parts` or a `contract`.')
  }
  if (contract !== undefined && contractId !== undefined) {
    refuse('INVALID_PARAMS', 'A message names a contract or brings a new one, not both.')
  }
}

/** @throws NOT_FOUND for an agent nobody has heard of, or a capability nobody has */
function recipientsOf(tx: Tx, { to, capability }: Address): string[] | undefined {
  if (capability !== undefined) {
    const able = tx.find(agents, { key: capability, limit: limits.recipients + 1 }).map(({ agent }) => agent)
    if (able.length > limits.recipients) {
      refuse('TOO_LARGE', `More than ${limits.recipients} agents have that capability: publish to a topic instead.`)
    }
    if (able.length === 0) refuse('NOT_FOUND', `No agent has the capability ${capability}.`, { capability })
    return able
  }
  if (to === undefined) return undefined
  const names = [...new Set(typeof to === 'string' ? [to] : to)]
  const unknown = names.filter((name) => !tx.get(agents, name))
  if (unknown.length > 0) {
    refuse('NOT_FOUND', `No agent named ${unknown.join(', ')} has ever been here: see agent.list.`, { agents: unknown })
  }
  return names
}

function offerWith(
  tx: Tx,
  terms: z.output<typeof createParams>,
  to: string[] | undefined,
  messageId: string,
  ctx: Context,
) {
  const sole = to?.length === 1 && terms.capability === undefined ? to[0] : undefined
  return create(tx, { ...terms, assignee: terms.assignee ?? sole }, ctx, messageId)
}

const isLive = (read: Read, agent: string): boolean =>
  read.get(agents, agent)?.sessions.some(({ state }) => state === 'connected') ?? false

const findMessage = (read: Read, messageId: string): Message =>
  read.get(messages, messageId) ?? refuse('NOT_FOUND', 'No message with receipts has that id.', { messageId })

const inbox = query({
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

const ack = command({
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

const get = query({
  name: 'message.get',
  summary: 'One addressed message, with its receipts.',
  role: 'observer',
  params: { messageId: id },
  result: messageRow,
  errors: ['NOT_FOUND'],
  run: (read, { messageId }) => findMessage(read, messageId),
})

export const messageNoun = {
  tables: [messages],
  events: [published, receiptChanged, expired, ackDuePassed, removed, signalled],
  methods: [publish, inbox, outbox, ack, get, thread] as const,
  expire: { messages: expireMessage },
  trim: trimMessages,
} satisfies Noun
