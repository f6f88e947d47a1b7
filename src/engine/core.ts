import type { LogBounds } from '../protocol/cursor.js'
import { BridgeError } from '../protocol/errors.js'
import type { Signal } from '../protocol/event.js'
import type { Caller, Command, Context, Happened, Noun, Read, Tx } from '../protocol/method.js'
import { type Instant, toInstant } from '../protocol/time.js'
import { createIds } from './ids.js'
import type { Clock, Random, Store } from './ports.js'
import { createReaders, type KeptReaders } from './readers.js'
import { createSearch, type Search } from './search.js'
import { type CommandTx, createTransaction, type Held } from './transaction.js'
import { createWaiting, type Outcome, type Waiting, type WaitingCall } from './waiting.js'

/** A command somebody asked for. */
export interface CommandCall {
  method: Command
  params: Record<string, unknown>
  caller: Caller
  idempotencyKey?: string | undefined
  /** What its parameters take of memory, as characters of JSON. */
  bytes?: number
  /** Whose waiting ends when it goes. */
  owner: object
  /** False when its owner has as many calls waiting as it may. */
  mayWait(): boolean
  /** Its effect is committed, or refused, or it waits. Called once, before `done`. */
  ran(waits: boolean): void
  done(outcome: Outcome): void
}

/** How much of a log is kept. */
export interface Retention {
  /** Events older than this go, ms. */
  ms: number
  /** Events behind the last so many go, once they are a day old. */
  events: number
  /** Above so many bytes in use in the database the oldest events go, however young. */
  bytes?: number | undefined
}

export interface EngineOptions {
  store: Store
  nouns: readonly Noun[]
  clock: Clock
  random: Random
  workspace: string
  /** The defaults of `limits` unless told. */
  retention?: Retention | undefined
  /** The database is another than the one last seen. */
  restored?: boolean
  /** A bug was met; the id is the one its caller was given. */
  report(fault: unknown, requestId: string): void
}

/**
 * Something to run in a transaction: a call, perhaps one that waited, or a rule of the bridge's own, each as a command;
 * or a write to the engine's own tables, which is no command and has no events.
 */
export type Job = { call: CommandCall; again?: WaitingCall | undefined } | { rule: Rule } | { write: Write }
export type Write = (batch: Batch) => void
export type Rule = (tx: Tx, ctx: Context) => void

/** What is to happen once the batch is committed; or, with an outcome, instead of it. */
export type After = (instead?: Outcome) => void

/** A signal on its way, and the sinks that it has reached. */
export interface Sent {
  signal: Signal
  readers: Set<object>
  answer(): void
}

/** One transaction's work. */
export interface Batch {
  bounds: LogBounds
  happened: Happened[]
  after: After[]
  /** To be pushed behind the events. */
  sent: Sent[]
}

/** The state of one workspace's writer. Changed by its own functions only, and never by a command that was rolled back. */
export interface Core {
  readonly options: EngineOptions
  readonly waiting: Waiting
  readonly held: Map<string, Held>
  readonly readers: KeptReaders
  readonly tx: CommandTx
  /** What a rule is told besides the instant and the caller. */
  readonly means: Omit<Context, 'now' | 'caller'>
  readonly ids: ReturnType<typeof createIds>
  readonly committed: Read
  readonly queue: Job[]
  /** What the calls in it take of memory. */
  queuedBytes: number
  /** Queries that wait for the turn under way. */
  postponed: Array<() => void>
  readonly search: Search
  bounds: LogBounds
  /** The batch's instant: the wall clock, but never earlier than before. */
  now: Instant
  wallMs: number
  monotonicMs: number
  /** The first deadline of any row, or of what is held. */
  dueAt: Instant | undefined
  stopTimer(): void
  /** A turn is under way or about to be. */
  scheduled: boolean
  stopped: boolean
  /** Times in a row that no transaction could be begun. */
  failedBegins: number
  /** Why the workspace takes no commands any more. */
  failure: unknown
}

/** `write` has something written in the next turn. */
export function createCore(options: EngineOptions, write: (act: Write) => void): Core {
  const { store, clock, random, workspace } = options
  const ids = createIds(random)
  const held = new Map<string, Held>()
  const core: Core = {
    options,
    waiting: createWaiting(clock, (error) => refusalOfFault(core, error)),
    held,
    readers: createReaders(store, clock, write),
    tx: createTransaction(store, held),
    ids,
    means: {
      daemon: ids.next('dmn', toInstant(clock.wallMs())),
      workspace,
      newId: (prefix) => ids.next(prefix, core.now),
      newSecret: () => Buffer.from(random.bytes(32)).toString('base64url'),
      hash: random.hash,
    },
    committed: { ...store.committed, bounds: () => core.bounds },
    queue: [],
    queuedBytes: 0,
    postponed: [],
    search: createSearch(),
    bounds: store.bounds(),
    now: toInstant(0),
    wallMs: clock.wallMs(),
    monotonicMs: clock.monotonicMs(),
    dueAt: undefined,
    stopTimer: () => {},
    scheduled: false,
    stopped: false,
    failedBegins: 0,
    failure: undefined,
  }
  core.now = lastInstant(core) ?? core.now
  return core
}

/** The instant of the last event: time never runs backwards within a log. */
function lastInstant({ committed, bounds }: Core): Instant | undefined {
  const [last] = committed.events(bounds.head - 1, { limit: 1 })
  return last && JSON.parse(last.body).time
}

/** Whoever acts when nobody asked: time, restarts, and what follows from other events. */
export const BRIDGE: Caller = { agent: 'bridge', role: 'admin', unverified: false }

export function contextFor({ now, means }: Core, caller: Caller): Context {
  const { daemon, workspace, newId, newSecret, hash } = means
  return { now, caller, daemon, workspace, newId, newSecret, hash }
}

/** Reports a bug, and gives what its caller is told: an id under which the log has more, and nothing else. */
export function refusalOfFault({ ids, now, options }: Core, fault: unknown): Outcome {
  const requestId = ids.next('req', now)
  options.report(fault, requestId)
  const message = `A fault of the bridge: its log has more under ${requestId}.`
  return { refusal: new BridgeError('INTERNAL', message, { requestId }) }
}
