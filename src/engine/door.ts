import { methods, sessionDropped } from '../bridge/index.js'
import { BridgeError, refuse } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import { type Caller, type Method, type Role, type Runtime, roles } from '../protocol/method.js'
import { type Instant, toInstant } from '../protocol/time.js'
import type { Engine, Outcome } from './engine.js'
import { parseParams } from './params.js'
import type { Clock } from './ports.js'
import type { Sink, Tail } from './tail.js'

/** One workspace in service. */
export interface Served {
  engine: Engine
  tail: Tail
  runtime: Omit<Runtime, 'lastSeenAt'>
}

/** What a token allows: a role, and, unless it is the operator's, only one name and one workspace. */
export interface Grant {
  role: Role
  operator: boolean
  agent?: string
  workspace?: string
}

/** The other end of a connection. */
export interface Peer extends Sink {
  close(code: number, reason: string): void
}

/** One socket's calls: made in the order sent, each effect seen by those behind it. */
export interface Connection {
  call(method: string, params: Record<string, unknown>, done: (outcome: Outcome) => void): void
  /** Calls that are neither answered nor waiting for something. */
  busy(): number
  opened(): boolean
  /** A byte came in. */
  seen(): void
  drained(): void
  /** The socket is gone. */
  closed(): void
}

/** The one door: every transport's calls come through here. */
export interface Door {
  connect(grant: Grant, peer: Peer): Connection
}

export interface DoorOptions {
  clock: Clock
  /** The workspace of that name; made when it is new. @throws BridgeError */
  workspace(name: string, grant: Grant): Served
  /** Reports a bug, and gives what its caller is told. */
  fault(error: unknown): Outcome
}

const DEFAULT_WORKSPACE = 'default'

interface Pending {
  name: string
  params: Record<string, unknown>
  done(outcome: Outcome): void
}

/** What a connection is once its session is open. */
interface Opened {
  served: Served
  caller: Caller
  session: string
  connects: number | undefined
}

interface State {
  readonly grant: Grant
  readonly peer: Peer
  readonly queue: Pending[]
  /** Commands, or a session.open, whose effect is not committed yet. */
  inFlight: number
  /** A session is being opened or closed: what comes behind it has to wait for what comes of it. */
  turning: boolean
  unanswered: number
  waiting: number
  opened?: Opened
  gone: boolean
  /** It said goodbye. */
  over: boolean
  lastSeenMs: number
  subscriptions: Map<number, () => void>
  lastSubscription: number
}

export function createDoor(options: DoorOptions): Door {
  const { clock } = options
  const connections = new Set<State>()

  const lastSeenAt = (agent: string): Instant | undefined => {
    const seen = [...connections]
      .filter(({ opened }) => opened?.caller.agent === agent)
      .map(({ lastSeenMs }) => lastSeenMs)
    return seen.length > 0 ? toInstant(Math.max(...seen)) : undefined
  }

  return {
    connect(grant, peer) {
      const state: State = {
        grant,
        peer,
        queue: [],
        inFlight: 0,
        turning: false,
        unanswered: 0,
        waiting: 0,
        gone: false,
        over: false,
        lastSeenMs: clock.wallMs(),
        subscriptions: new Map(),
        lastSubscription: 0,
      }
      connections.add(state)
      const house = { options, connections, lastSeenAt }
      return {
        busy: () => state.unanswered - state.waiting,
        opened: () => state.opened !== undefined,
        seen() {
          state.lastSeenMs = clock.wallMs()
        },
        drained: () => state.opened?.served.tail.drained(peer),
        call(name, params, done) {
          state.unanswered++
          state.queue.push({ name, params, done })
          advance(house, state)
        },
        closed() {
          connections.delete(state)
          leave(state)
        },
      }
    },
  }
}

interface House {
  options: DoorOptions
  connections: ReadonlySet<State>
  lastSeenAt(agent: string): Instant | undefined
}

/** Makes the next calls: commands one behind the other, a query once the commands before it have had their effect. */
function advance(house: House, state: State): void {
  for (let next = state.queue[0]; next && !state.turning; next = state.queue[0]) {
    const method = methods.get(next.name)
    if (state.inFlight > 0 && method && (method.kind === 'query' || method.name === 'session.open')) return
    state.queue.shift()
    make(house, state, next, method)
  }
}

function make(house: House, state: State, { params, done }: Pending, method: Method | undefined): void {
  const answer = (outcome: Outcome) => {
    state.unanswered--
    if (!state.gone) done(outcome)
  }
  try {
    if (state.over) refuse('INVALID_REQUEST', 'The session was closed, and with it this socket.')
    if (!method) refuse('METHOD_NOT_FOUND', 'There is no method of that name: rpc.discover lists them.')
    if (method.name === 'session.open') return open(house, state, method, params, answer)
    const opened =
      state.opened ?? refuse('UNAUTHENTICATED', 'Open a session first: session.open is the first call on a socket.')
    if (roles.indexOf(opened.caller.role) < roles.indexOf(method.role)) {
      refuse('FORBIDDEN', `This takes the role ${method.role}; the token's is ${opened.caller.role}.`)
    }
    run(house, state, opened, method, params, answer)
  } catch (error) {
    answer(error instanceof BridgeError ? { refusal: error } : house.options.fault(error))
  }
}

/** What a call's life means for its connection. */
function track(house: House, state: State, counts: boolean) {
  let waits = false
  if (counts) state.inFlight++
  const leaveRoom = () => {
    if (waits) state.waiting--
    waits = false
  }
  return {
    owner: state,
    /** Takes the place as well: of the calls of one batch no more may wait than there is room for. */
    mayWait(): boolean {
      // Whoever has gone waits for nothing, though its command was still on its way.
      waits = !state.over && state.waiting < limits.parkedCalls
      if (waits) state.waiting++
      return waits
    },
    ran(isWaiting: boolean) {
      if (!isWaiting) leaveRoom()
      if (counts) state.inFlight--
      if (counts && state.queue.length > 0) advance(house, state)
    },
    answered: leaveRoom,
  }
}

function run(
  house: House,
  state: State,
  opened: Opened,
  method: Method,
  given: Record<string, unknown>,
  answer: (outcome: Outcome) => void,
) {
  const { engine } = opened.served
  const { idempotencyKey, ...params } = parseParams(method, given)
  const { answered, ...life } = track(house, state, method.kind === 'command')
  const closes = method.name === 'session.close'
  if (closes) state.turning = true
  const done = (outcome: Outcome) => {
    answered()
    answer(outcome)
    if (!closes) return
    state.turning = false
    if ('result' in outcome) leave(state, 'goodbye')
    advance(house, state)
  }
  if (method.kind === 'command') {
    engine.command({
      method,
      params,
      caller: opened.caller,
      idempotencyKey: idempotencyKey as string | undefined,
      ...life,
      done,
    })
  } else {
    const runtime = { ...opened.served.runtime, lastSeenAt: house.lastSeenAt }
    engine.query({
      method,
      params,
      caller: opened.caller,
      ...life,
      done,
      context: { runtime, socket: socketOf(state, opened) },
    })
  }
}

/** The subscriptions of a connection, as queries reach them. */
const socketOf = (state: State, { served }: Opened) => ({
  subscribe(after: number, filter: Parameters<Tail['subscribe']>[3]): number {
    if (state.subscriptions.size >= limits.subscriptions) {
      refuse('OVERLOADED', `A socket has at most ${limits.subscriptions} subscriptions: one can have many filters.`)
    }
    state.lastSubscription++
    state.subscriptions.set(
      state.lastSubscription,
      served.tail.subscribe(state.peer, state.lastSubscription, after, filter),
    )
    return state.lastSubscription
  },
  unsubscribe(id: number): boolean {
    state.subscriptions.get(id)?.()
    return state.subscriptions.delete(id)
  },
})

function open(
  house: House,
  state: State,
  method: Method,
  given: Record<string, unknown>,
  answer: (outcome: Outcome) => void,
): void {
  if (state.opened) refuse('INVALID_REQUEST', 'A session is open on this socket; for another, open another socket.')
  if (method.kind !== 'command') return
  const params = parseParams(method, given)
  const caller = callerOf(state.grant, params.agent as string)
  const name = (params.workspace as string | undefined) ?? state.grant.workspace ?? DEFAULT_WORKSPACE
  const served = house.options.workspace(name, state.grant)
  state.turning = true
  served.engine.command({
    method,
    params,
    caller,
    owner: state,
    mayWait: () => false,
    ran: () => {},
    done(outcome) {
      state.turning = false
      if ('result' in outcome) enter(house, state, served, caller, JSON.parse(outcome.result))
      answer(outcome)
      advance(house, state)
    },
  })
}

/** @throws FORBIDDEN */
function callerOf(grant: Grant, agent: string): Caller {
  if (agent === 'bridge') refuse('FORBIDDEN', 'The name "bridge" is the daemon\'s own.')
  if (grant.agent !== undefined && grant.agent !== agent) refuse('FORBIDDEN', `This token is ${grant.agent}'s alone.`)
  return { agent, role: grant.role, unverified: grant.operator }
}

interface Entered {
  session: string
  /** Absent for a session on which nothing is to depend. */
  connects?: number
}

function enter(house: House, state: State, served: Served, caller: Caller, { session, connects }: Entered): void {
  // A newer socket takes a session over.
  for (const other of house.connections) {
    if (other !== state && other.opened?.session === session) {
      leave(other)
      other.peer.close(4409, 'the session was resumed on another socket')
    }
  }
  state.opened = { served, session, connects, caller: connects === undefined ? caller : { ...caller, session } }
  // The socket closed while its session was being opened.
  if (state.gone) leave(state)
}

/** The connection follows nothing and waits for nothing any more; a session that hangs on it begins its grace. */
function leave(state: State, goodbye?: string): void {
  state.gone = goodbye === undefined
  state.over = true
  for (const end of state.subscriptions.values()) end()
  state.subscriptions.clear()
  const { opened } = state
  if (!opened) return
  delete state.opened
  const { engine } = opened.served
  engine.forget(state)
  if (goodbye !== undefined) return state.peer.close(1000, goodbye)
  const { caller, session, connects } = opened
  if (connects !== undefined)
    engine.internal((tx, ctx) => sessionDropped(tx, { agent: caller.agent, session, connects }, ctx))
}
