import type { Caller, Runtime } from '../../protocol/method.js'
import { type Instant, toInstant } from '../../protocol/time.js'
import type { Engine, Outcome } from '../engine.js'
import type { Clock } from '../ports.js'
import type { Sink, Tail } from '../tail.js'
import type { Grant } from './grant.js'
import { createRates, type Rates } from './rates.js'

// What the door knows of everyone who has come in, on a socket or without one.

/** One workspace in service. */
export interface Served {
  engine: Engine
  tail: Tail
  runtime: Omit<Runtime, 'lastSeenAt'>
}

/** The other end of a connection. */
export interface Peer extends Sink {
  close(code: number, reason: string): void
}

/** One caller's calls: made in the order sent, each effect seen by those behind it. */
export interface Connection {
  /** `bytes`: what the call takes of memory, as characters of JSON. */
  call(method: string, params: Record<string, unknown>, done: (outcome: Outcome) => void, bytes?: number): void
  /** Calls that are neither answered nor waiting for something. */
  busy(): number
  /** What they take of memory. */
  busyBytes(): number
  opened(): boolean
  /** A byte came in. */
  seen(): void
  drained(): void
  /** The socket is gone, or whoever called without one. */
  closed(): void
}

export interface DoorOptions {
  clock: Clock
  /** The workspace of that name; made when it is new. @throws BridgeError */
  workspace(name: string, grant: Grant): Served
  /** A call was answered; its method is `unknown` when there is none of that name. For those who measure. */
  called?(method: string, outcome: Outcome): void
  /** Reports a bug, and gives what its caller is told. */
  fault(error: unknown): Outcome
}

export interface Pending {
  name: string
  params: Record<string, unknown>
  done(outcome: Outcome): void
  bytes: number
}

/** What a connection is once its session is open, or its caller known without one. */
export interface Opened {
  served: Served
  caller: Caller
  /** Absent for a visitor. */
  session?: string
  connects: number | undefined
}

export interface State {
  readonly grant: Grant
  /** Absent for a visitor whose one request is answered and who follows nothing. */
  readonly peer: Peer | undefined
  /** It opens no session: its caller is told with each request. */
  readonly visits: boolean
  readonly queue: Pending[]
  /** Commands, or a session.open, whose effect is not committed yet. */
  inFlight: number
  /** A session is being opened or closed: what comes behind it has to wait for what comes of it. */
  turning: boolean
  unanswered: number
  /** A visitor's calls that were made and are not answered. */
  open: Set<(outcome: Outcome) => void>
  waiting: number
  /** What its calls take of memory, and of that those that wait. */
  bytes: number
  waitingBytes: number
  opened?: Opened
  /** Why no call of this connection can be made. */
  barred?: Outcome
  gone: boolean
  /** It said goodbye. */
  over: boolean
  lastSeenMs: number
  subscriptions: Map<number, { end(): void; durable?: string | undefined }>
  lastSubscription: number
}

/** How many are in, by how they came. */
export interface Counts {
  sockets: number
  /** Sockets whose session is not open. */
  unopened: number
  requests: number
  streams: number
}

/** Everyone who is in, and what they come for. */
export interface House {
  options: DoorOptions
  connections: Set<State>
  rates: Rates
  /** What everyone's unanswered calls take of memory. */
  bytes: number
  lastSeenAt(served: Served, agent: string): Instant | undefined
  /** Keeps when somebody who leaves was last seen. */
  remember(state: State): void
}

export function createHouse(options: DoorOptions): House {
  const connections = new Set<State>()
  const left = new WeakMap<Served, Map<string, number>>()
  return {
    options,
    connections,
    rates: createRates(options.clock),
    bytes: 0,
    lastSeenAt(served, agent) {
      let ms = left.get(served)?.get(agent)
      for (const { opened, lastSeenMs } of connections) {
        if (opened?.served === served && opened.caller.agent === agent) ms = Math.max(ms ?? 0, lastSeenMs)
      }
      return ms === undefined ? undefined : toInstant(ms)
    },
    remember({ opened, lastSeenMs }) {
      if (!opened) return
      const seen = left.get(opened.served) ?? new Map<string, number>()
      left.set(opened.served, seen.set(opened.caller.agent, lastSeenMs))
    },
  }
}

export const createState = ({ options }: House, grant: Grant, peer: Peer | undefined, visits: boolean): State => ({
  grant,
  peer,
  visits,
  queue: [],
  inFlight: 0,
  turning: false,
  unanswered: 0,
  open: new Set(),
  waiting: 0,
  bytes: 0,
  waitingBytes: 0,
  gone: false,
  over: false,
  lastSeenMs: options.clock.wallMs(),
  subscriptions: new Map(),
  lastSubscription: 0,
})
