import { z } from 'zod'
import { formatCursor } from '../../protocol/cursor.js'
import { refuse } from '../../protocol/errors.js'
import { topicName } from '../../protocol/event.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Read, type Signalling, type Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { nearNames } from '../agents/near.js'
import { agents } from '../agents/row.js'
import { find as findContract } from '../contracts/change.js'
import { create, createParams } from '../contracts/create.js'
import { contractRow } from '../contracts/row.js'
import { agentName, capability, headCursor, id, ms } from '../fields.js'
import { findMessage } from './read.js'
import { type Message, part, published, type Signal, signalled } from './row.js'

const lifetime = ms(limits.messageTtlMsMin, limits.messageTtlMsMax)

export const publish = command({
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
    requireAck: z.boolean().optional().describe('to agents: each is to say `acked`; when one does not, it is overdue'),
    ackWithinMs: lifetime.optional().describe(`with \`requireAck\`: by when, ms; ${limits.ackWithinMs} unless told`),
    ttlMs: lifetime.optional().describe('to agents: who has not had it in a turn by then gets it no more, ms'),
    ephemeral: z
      .boolean()
      .optional()
      .describe('to a topic: pushed to those who follow it live, as a signal, and kept nowhere'),
  },
  result: z.strictObject({
    messageId: z.string(),
    cursor: z.string(),
    contract: contractRow.optional(),
    recipients: z.array(z.strictObject({ agent: agentName, live: z.boolean().describe('has a connected session') })),
    delivered: z.int().optional().describe('`ephemeral`: the sockets it was pushed to'),
  }),
  errors: ['NOT_FOUND', 'BAD_RESOURCE', 'TOO_LARGE'],
  http: { method: 'POST', path: '/publish_message', status: 201 },
  mcp: {
    common: true,
    description:
      'Sends a message to agents by name, to all with a capability, or to a topic. For work to be done use contract_create.',
    omit: ['parts', 'contract', 'ephemeral', 'ttlMs', 'ackWithinMs'],
  },
  run(tx, params, ctx) {
    checkAddress(params)
    if (params.ephemeral) return signal(tx, params, ctx)
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
      ...(ctx.caller.unverified && { unverified: true as const }),
      ...addressed,
      topic,
      text,
      parts,
      contractId,
      replyTo,
      threadId: replied?.threadId ?? messageId,
      sentAt: ctx.now,
      ...(params.ttlMs !== undefined && { expiresAt: later(ctx.now, params.ttlMs) }),
      ...(params.requireAck && {
        requireAck: true as const,
        ackDueAt: later(ctx.now, params.ackWithinMs ?? limits.ackWithinMs),
      }),
    }
    const cursor = formatCursor(tx.bounds().epoch, tx.nextSeq())
    tx.put(published, message, { topic, ...(to && { to }) })
    return { messageId, cursor, contract, recipients: (to ?? []).map((agent) => ({ agent, live: isLive(tx, agent) })) }
  },
})

/** Nothing is written: `cursor` is where the log stands. */
function signal(tx: Tx, params: Address, ctx: Context): Signalling<Published> {
  const { topic = refuse('INVALID_PARAMS', 'Only a message to a `topic` can be ephemeral.'), text, parts } = params
  if (params.contract !== undefined || params.replyTo !== undefined) {
    refuse('INVALID_PARAMS', 'An ephemeral message brings no contract and answers none: nothing of it is kept.')
  }
  const contractId = params.contractId && findContract(tx, params.contractId).id
  const { agent: from, role, unverified } = ctx.caller
  const messageId = ctx.newId('msg')
  const said = { messageId, from, role, unverified: unverified || undefined, topic, text, parts, contractId }
  const body = JSON.stringify({ ...said, sentAt: ctx.now } satisfies Signal)
  const cursor = headCursor(tx)
  return {
    signal: { type: signalled.type, topic, contractId: contractId ?? null, parties: null, body },
    answer: (delivered) => ({ messageId, cursor, recipients: [], delivered }),
  }
}

interface Published {
  messageId: string
  cursor: string
  recipients: never[]
  delivered: number
}

const sent = (ctx: Context) => ({ state: 'sent' as const, at: ctx.now })

interface Address {
  to?: string | string[] | undefined
  capability?: string | undefined
  topic?: string | undefined
  text?: string | undefined
  parts?: Message['parts']
  contract?: unknown
  contractId?: string | undefined
  replyTo?: string | undefined
  requireAck?: boolean | undefined
  ackWithinMs?: number | undefined
  ttlMs?: number | undefined
}

function checkAddress(params: Address): void {
  const { to, capability, topic, text, parts, contract, contractId } = params
  if ([to, capability, topic].filter((given) => given !== undefined).length !== 1) {
    refuse('INVALID_PARAMS', 'A message goes to exactly one of `to`, `capability` and `topic`.')
  }
  if (text === undefined && parts === undefined && contract === undefined) {
    refuse('INVALID_PARAMS', 'A message has `text`, `parts` or a `contract`.')
  }
  if (contract !== undefined && contractId !== undefined) {
    refuse('INVALID_PARAMS', 'A message names a contract or brings a new one, not both.')
  }
  if (topic !== undefined && (params.requireAck || params.ttlMs !== undefined)) {
    refuse('INVALID_PARAMS', 'A message to a topic has no receipts: `requireAck` and `ttlMs` are for agents.')
  }
  if (params.ackWithinMs !== undefined && !params.requireAck) {
    refuse('INVALID_PARAMS', '`ackWithinMs` says by when `requireAck` wants it.')
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
  if (unknown.length > 0) refuseUnknown(tx, unknown)
  return names
}

function refuseUnknown(tx: Tx, unknown: string[]): never {
  const near = Object.fromEntries(unknown.map((name) => [name, nearNames(tx, name)]))
  const meant = [...new Set(Object.values(near).flat())]
  const hint = meant.length > 0 ? `Did you mean ${meant.join(' or ')}? ` : ''
  return refuse(
    'NOT_FOUND',
    `No agent named ${unknown.join(', ')} has ever been here. ${hint}See agent.list; agent.register makes one known.`,
    { agents: unknown, near },
  )
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
