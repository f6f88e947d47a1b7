import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { command, type Noun, query, type Read } from '../../protocol/method.js'
import { openContractsOf } from '../contracts/row.js'
import { agentName, capability, listOf, note, pageParams, readPage } from '../fields.js'
import { blockersOf } from '../locks/conflict.js'
import { locks } from '../locks/row.js'
import { brief } from './brief.js'
import * as row from './row.js'
import { close, endAllSessions, expireSessions, makeKnown, open, rebaseSessions, restartSessions } from './sessions.js'

const list = query({
  name: 'agent.list',
  summary: 'Who is known, who is here, and what each does.',
  role: 'observer',
  params: { online: z.boolean().optional().describe('only agents with a connected session'), ...pageParams },
  result: listOf(
    row.agentRow.omit({ sessions: true, registeredAt: true }).extend({
      contracts: z.array(z.string()).describe('open contracts it owns'),
      locks: z.array(z.string()).describe('locks it holds'),
      waitingFor: z.array(z.string()).optional().describe('agents whose locks it waits for'),
    }),
  ),
  errors: [],
  mcp: { common: true, description: 'Who else works here, what each does and holds, and who waits for whom.' },
  run(read, { online, ...paging }, ctx) {
    const where = online === undefined ? {} : { where: { connected: online ? { from: 1 } : 0 } }
    const found = readPage(read, row.agents, where, paging)
    return {
      ...found,
      items: found.items.map(({ sessions: _sessions, registeredAt: _registeredAt, ...agent }) => {
        const requests = read.find(locks, { where: { holder: agent.agent } })
        const waitingFor = requests.filter(({ state }) => state === 'waiting').flatMap((lock) => holders(read, lock))
        return {
          ...agent,
          lastSeenAt: ctx.runtime.lastSeenAt(agent.agent) ?? agent.lastSeenAt,
          contracts: openContractsOf(read, agent.agent).map(({ id }) => id),
          locks: requests.filter(({ state }) => state === 'held').map(({ lockId }) => lockId),
          ...(waitingFor.length > 0 && { waitingFor: [...new Set(waitingFor)].sort() }),
        }
      }),
    }
  },
})

const holders = (read: Read, lock: Parameters<typeof blockersOf>[1]): string[] =>
  blockersOf(read, lock).map(({ holder }) => holder)

const register = command({
  name: 'agent.register',
  summary: 'Makes an agent known before it has ever been here, so that messages can be left for it.',
  role: 'admin',
  params: {
    agent: agentName,
    kind: z.string().max(limits.nameLength).optional().describe('what sort of agent, such as `codex`'),
    capabilities: z.array(capability).max(limits.capabilities).optional(),
  },
  result: row.agentRow,
  errors: [],
  run(tx, params, ctx) {
    if (params.agent === 'bridge') refuse('FORBIDDEN', 'The name "bridge" is the daemon\'s own.')
    const known = tx.get(row.agents, params.agent)
    // It is spoken of, not seen.
    return makeKnown(tx, params, ctx, known && { lastSeenAt: known.lastSeenAt })
  },
})

const update = command({
  name: 'agent.update',
  summary: 'Tells what the caller is doing and what it can do.',
  role: 'agent',
  params: {
    presence: z.enum(['running', 'idle', 'requires_action']).optional(),
    note: note.optional(),
    capabilities: z.array(capability).max(limits.capabilities).optional(),
  },
  result: row.agentRow,
  errors: [],
  mcp: { idempotent: true },
  run(tx, { presence, note, capabilities }, ctx) {
    const agent = tx.get(row.agents, ctx.caller.agent)!
    const next = {
      ...agent,
      ...(presence !== undefined &&
        agent.presence !== 'offline' &&
        agent.presence !== presence && { presence, presenceAt: ctx.now }),
      ...(note !== undefined && { note }),
      ...(capabilities !== undefined && { capabilities }),
      lastSeenAt: ctx.now,
    }
    return tx.put(row.updated, next)
  },
})

export const agentNoun = {
  tables: [row.agents],
  events: [row.registered, row.connected, row.disconnected, row.lost, row.updated],
  methods: [open, close, list, brief, register, update] as const,
  expire: { agents: expireSessions },
  started: restartSessions,
  restored: endAllSessions,
  rebase: rebaseSessions,
} satisfies Noun
