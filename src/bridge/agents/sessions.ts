import { z } from 'zod'
import { formatCursor } from '../../protocol/cursor.js'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Beside, type Context, command, type EventDef, type Read, roles, type Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { product } from '../../protocol/version.js'
import { agentName, capability, id, ms } from '../fields.js'
import { type Agent, type AgentSession, agents, connected, disconnected, lost, registered, updated } from './row.js'

const told = {
  frameBytes: limits.frameBytes,
  outstandingCalls: limits.outstandingCalls,
  parkedCalls: limits.parkedCalls,
  batchCalls: limits.batchCalls,
  subscriptions: limits.subscriptions,
  pingEveryMs: limits.pingEveryMs,
  pollMsMax: limits.pollMsMax,
}

export const open = command({
  name: 'session.open',
  summary: 'Says who is calling: the first call on a socket.',
  role: 'observer',
  keyless: true,
  params: {
    agent: agentName.optional().describe("the token's own name unless told; `human` for the operator's"),
    kind: z.string().max(limits.nameLength).optional().describe('what sort of agent, such as `codex`'),
    capabilities: z.array(capability).max(limits.capabilities).optional(),
    workspace: z
      .string()
      .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/, 'is up to 100 letters, digits, ".", "_" and "-"')
      .optional()
      .describe('`default` unless named'),
    resume: z.strictObject({ session: id, resumeKey: z.string().max(limits.keyLength) }).optional(),
    graceMs: ms(0, limits.graceMsMax)
      .optional()
      .describe(`how long after its socket broke the session is kept; ${limits.graceMs} unless told`),
    oneShot: z.boolean().optional().describe('nothing is to depend on this session: it is not kept and cannot be lost'),
  },
  result: z.strictObject({
    session: z.string(),
    connects: z.int().optional().describe('how many sockets it has had; absent for `oneShot`'),
    resumeKey: z.string().optional().describe('keep it: with it the session can be resumed; absent for `oneShot`'),
    agent: agentName,
    role: z.enum(roles),
    workspace: z.string(),
    epoch: z.string(),
    cursor: z.string().describe('the end of the log'),
    earliest: z.string().describe('the first cursor from which the log can still be read'),
    resumed: z.boolean(),
    server: z.strictObject({ name: z.string(), version: z.string(), protocol: z.int() }),
    limits: z.record(z.string(), z.int()),
  }),
  errors: ['NOT_FOUND', 'OVERLOADED'],
  socket: true,
  run(tx, params, ctx) {
    const { agent } = ctx.caller
    const opening = { ...params, agent }
    const opened = params.oneShot ? visit(tx, opening, ctx) : openSession(tx, opening, ctx)
    const { epoch, earliest } = tx.bounds()
    return {
      ...opened,
      agent,
      role: ctx.caller.role,
      workspace: ctx.workspace,
      epoch,
      cursor: formatCursor(epoch, tx.nextSeq() - 1),
      earliest: formatCursor(epoch, earliest),
      server: product,
      limits: told,
    }
  },
})

export const close = command({
  name: 'session.close',
  summary: 'A goodbye: what hangs on the session is let go at once, and the socket is closed.',
  role: 'observer',
  keyless: true,
  params: {},
  result: z.strictObject({}),
  errors: [],
  socket: true,
  run(tx, _params, ctx) {
    const agent = tx.get(agents, ctx.caller.agent)
    const session = agent?.sessions.find(({ session }) => session === ctx.caller.session)
    if (agent && session) {
      put(tx, disconnected, agent, without(agent, session), ctx, {
        data: { session: session.session, reason: 'closed', ended: true },
      })
    }
    return {}
  },
})

interface Opening {
  agent: string
  kind?: string | undefined
  capabilities?: string[] | undefined
  graceMs?: number | undefined
  resume?: { session: string; resumeKey: string } | undefined
}

/** False for a name under which nobody has called yet. */
export const isKnown = (read: Read, agent: string): boolean => read.get(agents, agent) !== undefined

/** Writes what is new of an agent: that there is one, or what it is and can do. */
export function makeKnown(tx: Tx, params: Opening, ctx: Context, change: Partial<Agent> = {}): Agent {
  const agent = tx.get(agents, params.agent)
  if (!agent) return tx.put(registered, newcomer(params, ctx))
  return tellsNew(agent, params) ? put(tx, updated, agent, change, ctx, {}, params) : agent
}

/** A caller whose life is not followed: it is made known and nothing more is written. */
function visit(tx: Tx, params: Opening, ctx: Context) {
  makeKnown(tx, params, ctx)
  return { session: ctx.newId('ses'), resumed: false }
}

function openSession(tx: Tx, params: Opening, ctx: Context) {
  const agent = tx.get(agents, params.agent) ?? tx.put(registered, newcomer(params, ctx))
  const secret = tx.secret(agents, agent.agent) ?? {}
  const former = params.resume && agent.sessions.find(({ session }) => session === params.resume?.session)
  const resumed = former !== undefined && secret[former.session] === ctx.hash(params.resume?.resumeKey ?? '')
  if (!resumed && agent.sessions.length >= limits.agentSessions) {
    refuse('OVERLOADED', `An agent has at most ${limits.agentSessions} sessions: close one, or resume instead.`)
  }
  const resumeKey = resumed ? (params.resume?.resumeKey ?? '') : ctx.newSecret()
  const session: AgentSession = {
    session: resumed ? former.session : ctx.newId('ses'),
    state: 'connected',
    connects: resumed ? former.connects + 1 : 1,
    graceMs: params.graceMs ?? (resumed ? former.graceMs : limits.graceMs),
    daemon: ctx.daemon,
    since: ctx.now,
  }
  const sessions = [...agent.sessions.filter((other) => other.session !== session.session), session]
  put(
    tx,
    connected,
    agent,
    { sessions },
    ctx,
    {
      data: { session: session.session, resumed },
      secret: { ...secret, [session.session]: ctx.hash(resumeKey) },
    },
    params,
  )
  return { session: session.session, connects: session.connects, resumeKey, resumed }
}

const newcomer = ({ agent, kind, capabilities }: Opening, ctx: Context): Agent => ({
  agent,
  kind,
  capabilities: capabilities ?? [],
  presence: 'offline',
  sessions: [],
  registeredAt: ctx.now,
  lastSeenAt: ctx.now,
})

const tellsNew = (agent: Agent, { kind, capabilities }: Opening): boolean =>
  (kind !== undefined && kind !== agent.kind) ||
  (capabilities !== undefined && capabilities.join() !== agent.capabilities.join())

const without = (agent: Agent, gone: AgentSession): Partial<Agent> => ({
  sessions: agent.sessions.filter(({ session }) => session !== gone.session),
})

const replacing = (agent: Agent, session: AgentSession): Partial<Agent> => ({
  sessions: agent.sessions.map((other) => (other.session === session.session ? session : other)),
})

/** Writes a changed agent: presence follows from its sessions, and keys of sessions that are gone are forgotten. */
function put(
  tx: Tx,
  def: EventDef<Agent>,
  agent: Agent,
  change: Partial<Agent>,
  ctx: Context,
  beside: Beside = {},
  told: Opening | Partial<Agent> = {},
): Agent {
  const next = {
    ...agent,
    ...(told.kind !== undefined && { kind: told.kind }),
    ...(told.capabilities !== undefined && { capabilities: told.capabilities }),
    lastSeenAt: ctx.now,
    ...change,
  }
  const online = next.sessions.some(({ state }) => state === 'connected')
  if (!online) next.presence = 'offline'
  else if (next.presence === 'offline') next.presence = 'idle'
  if (next.presence !== agent.presence) next.presenceAt = ctx.now
  const kept = new Set(next.sessions.map(({ session }) => session))
  const secret = beside.secret ?? tx.secret(agents, agent.agent) ?? {}
  return tx.put(def, next, {
    ...beside,
    secret: Object.fromEntries(Object.entries(secret).filter(([session]) => kept.has(session))),
  })
}

/** The socket of a session is gone: its grace begins. Stale when the session has been resumed on another socket since. */
export function sessionDropped(tx: Tx, gone: { agent: string; session: string; connects: number }, ctx: Context): void {
  const agent = tx.get(agents, gone.agent)
  const session = agent?.sessions.find(({ session }) => session === gone.session)
  if (!agent || session?.state !== 'connected' || session.connects !== gone.connects) return
  disconnect(tx, agent, session, 'dropped', session.graceMs, ctx)
}

function disconnect(tx: Tx, agent: Agent, session: AgentSession, reason: string, graceMs: number, ctx: Context): Agent {
  const gone: AgentSession = { ...session, state: 'disconnected', since: ctx.now, graceUntil: later(ctx.now, graceMs) }
  // That the daemon comes back is no sign of life of its agents.
  const change = { ...replacing(agent, gone), ...(reason === 'restarted' && { lastSeenAt: agent.lastSeenAt }) }
  return put(tx, disconnected, agent, change, ctx, { data: { session: session.session, reason } })
}

/** Gives up each session whose grace is over. */
export function expireSessions(tx: Tx, row: Agent, ctx: Context): void {
  let agent = row
  for (const session of row.sessions) {
    if (session.graceUntil === undefined || session.graceUntil > ctx.now) continue
    // Nothing was seen of it since its socket broke.
    const change = { ...without(agent, session), lastSeenAt: agent.lastSeenAt }
    agent = put(tx, lost, agent, change, ctx, { data: { session: session.session } })
  }
}

/** The daemon begins anew: every session has lost its socket. */
export function restartSessions(tx: Tx, ctx: Context): void {
  for (const row of tx.find(agents, { where: { connected: { from: 1 } } })) {
    let agent = row
    for (const session of row.sessions) {
      if (session.state !== 'connected') continue
      agent = disconnect(tx, agent, session, 'restarted', Math.max(session.graceMs, limits.rebaseMs), ctx)
    }
  }
}

/** Another history of the workspace: nobody's session is of it. */
export function endAllSessions(tx: Tx, ctx: Context): void {
  for (const agent of tx.find(agents, {})) {
    for (const { session } of agent.sessions) put(tx, lost, agent, { sessions: [] }, ctx, { data: { session } })
  }
}

export function rebaseSessions(tx: Tx, until: string, ctx: Context): void {
  for (const agent of tx.find(agents, { where: { deadline: { to: until } } })) {
    const sessions = agent.sessions.map((session) =>
      session.graceUntil !== undefined && session.graceUntil < until ? { ...session, graceUntil: until } : session,
    )
    put(tx, updated, agent, { sessions, lastSeenAt: agent.lastSeenAt }, ctx)
  }
}
