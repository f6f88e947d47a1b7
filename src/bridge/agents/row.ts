import { z } from 'zod'
import { limits } from '../../protocol/limits.js'
import { event, type Table } from '../../protocol/method.js'
import { agentName, capability, instant, note } from '../fields.js'

const sessionState = z.strictObject({
  session: z.string(),
  state: z.enum(['connected', 'disconnected']),
  connects: z.int().describe('rises with every socket that opens or resumes the session'),
  graceMs: z.int(),
  daemon: z.string().describe('the life of the daemon it was last connected to'),
  since: instant.describe('when it came into this state'),
  graceUntil: instant.optional().describe('while disconnected: when it is given up as lost'),
})

export const agentRow = z.strictObject({
  agent: agentName,
  kind: z.string().max(limits.nameLength).optional().describe('what sort of agent, such as `codex`'),
  capabilities: z.array(capability),
  presence: z.enum(['running', 'idle', 'requires_action', 'offline']),
  presenceAt: instant.optional().describe('since when; absent before it first changed'),
  note: note.optional().describe('what it says it is doing'),
  sessions: z.array(sessionState),
  registeredAt: instant,
  lastSeenAt: instant,
})

/** One worker, known by name, with the sessions under which it is connected or may come back. */
export type Agent = z.output<typeof agentRow>
export type AgentSession = z.output<typeof sessionState>

/** The secret of a row is `{ [session]: hash of its resume key }`. */
export const agents: Table<Agent> = {
  name: 'agents',
  noun: 'agent',
  id: (row) => row.agent,
  columns: { connected: 'INTEGER', attention: 'TEXT' },
  index: (row) => ({
    connected: row.sessions.filter(({ state }) => state === 'connected').length,
    attention: row.presence === 'requires_action' ? (row.presenceAt ?? row.lastSeenAt) : undefined,
  }),
  indexes: [['connected'], ['attention']],
  keys: (row) => row.capabilities,
  deadline: (row) => row.sessions.flatMap(({ graceUntil }) => graceUntil ?? []).sort()[0],
  about: (row) => ({ parties: [row.agent] }),
}

export const registered = event('agent.registered', agents, 'An agent is known from now on.')
export const connected = event('agent.connected', agents, 'A session was opened or resumed.', {
  session: 'its id',
  resumed: 'true when it was there before',
})
export const disconnected = event('agent.disconnected', agents, 'A session lost its socket, or said goodbye.', {
  session: 'its id',
  reason: '`closed` (a goodbye), `dropped` or `restarted`',
  ended: 'true after a goodbye: there is no grace',
})
export const lost = event('agent.lost', agents, 'A session did not come back within its grace.', { session: 'its id' })
export const updated = event('agent.updated', agents, 'An agent told something new of itself, or was given time.')
