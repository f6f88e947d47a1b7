import { z } from 'zod'
import type { LogBounds } from './cursor.js'
import type { Reason } from './errors.js'
import type { EventFilter, Signal, StoredEvent } from './event.js'
import { limits } from './limits.js'
import type { Instant } from './time.js'

// The vocabulary in which the nouns are written: tables, events, methods, and what a rule is given to work with.

/** In rising order: an observer reads, an agent acts, an admin also does what is the operator's. */
export const roles = ['observer', 'agent', 'admin'] as const
export type Role = (typeof roles)[number]

/** Who calls. `session` is set when the caller's life can be followed: leases without a deadline hang on it. */
export interface Caller {
  agent: string
  role: Role
  /** The name was chosen by a holder of the operator's token. */
  unverified: boolean
  session?: string
  /** The agent's token it came with; absent for the operator. */
  tokenId?: string
}

export type Value = string | number | null

/** A noun's rows: an id, the JSON body and the columns they are found by, all derived from the row by pure functions. */
export interface Table<Row extends object> {
  /** Plural; also the table's name in the store. */
  name: string
  /** The field of an event's `data` that holds the row. */
  noun: string
  id(row: Row): string
  columns: Record<string, 'TEXT' | 'INTEGER'>
  index(row: Row): Record<string, Value | undefined>
  /** Columns that are searched together; `-` before one that is sorted by descending. */
  indexes: readonly (readonly string[])[]
  /** Integer columns whose sum over all rows is at hand, however many rows there are. */
  totals?: readonly string[]
  /** Further values under which the row is found, any number of them. */
  keys?(row: Row): readonly string[]
  /** When time alone next changes the row; its noun's `expire` is called then. */
  deadline?(row: Row): Instant | undefined
  /** What the row is about, for the filters of events. */
  about(row: Row): { contractId?: string | undefined; parties: readonly (string | undefined)[] }
  /**
   * Rows are found by the words of their text, from the event that they enter the index by, of that type, until the one
   * they leave it by. Rows that are not kept are found in the log.
   */
  search?: { enters: string; leaves: string; text(row: Row): string }
  /** Rows that are only an event are not kept. All are, unless this says no. */
  keeps?(row: Row): boolean
}

/** A kind of event: `noun.pastVerb`, the table whose row it changes, and what its `data` holds beside the row. */
export interface EventDef<Row extends object = object> {
  type: string
  table?: Table<Row>
  summary: string
  data: Record<string, string>
}

export function event<Row extends object>(
  type: string,
  table: Table<Row>,
  summary: string,
  data: Record<string, string> = {},
): EventDef<Row> {
  return { type, table, summary, data }
}

/** What stands beside the row in an event. */
export interface Beside {
  data?: Record<string, unknown>
  /** Kept with the row and in the event's private part; never leaves the daemon. */
  secret?: Record<string, unknown>
  subject?: string
  contractId?: string | undefined
  topic?: string | undefined
  to?: readonly string[]
}

/** An event of the running or a committed command, as rules and waiting calls see it. */
export interface Happened extends StoredEvent {
  subject: string
  data: Record<string, unknown>
}

/** Rows by column: a value, one of several values, or a half-open range. */
export interface Find {
  where?: Record<string, Value | readonly Value[] | { from?: Value; to?: Value; upTo?: Value }>
  /** Rows filed under this key, or under any key in `[from, to)`. */
  key?: string | { from: string; to: string }
  /** Columns to sort by, `-` for descending. The id is always the last, and may be named to be descending. */
  order?: readonly string[]
  /** Continue behind the row that has these values in the columns of `order`, its id last. */
  after?: readonly Value[]
  /** Default: all. */
  limit?: number
  /** Ends the result once the rows' JSON is this long; at least one row is given. */
  bytes?: number
}

/** A row found by its words. */
export interface Found<Row> {
  /** Where to go on from. */
  place: number
  row: Row
}

/** Reading, in a rule's transaction or on the read-only connection. */
export interface Read {
  get<Row extends object>(table: Table<Row>, id: string): Row | undefined
  /** What was kept with the row as `secret`. */
  secret<Row extends object>(table: Table<Row>, id: string): Record<string, unknown> | undefined
  find<Row extends object>(table: Table<Row>, find: Find): Row[]
  /** The number of rows, or the sum of a column over them. */
  count<Row extends object>(table: Table<Row>, where: Find['where'], sum?: string): number
  /** Rows that hold all the words, the newest first, placed before `before`; complete for a method that `searches`. */
  search<Row extends object>(table: Table<Row>, words: string, page: { before: number; limit: number }): Found<Row>[]
  /** Events after a seq, oldest first; whole commands unless one alone exceeds the limits of a page. */
  events(after: number, options?: { contractId?: string; limit?: number }): StoredEvent[]
  bounds(): LogBounds
}

/** Reading and emitting: all that a command's rule can do. Every event changes at most one row. */
export interface Tx extends Read {
  /** Appends the event and puts the row. */
  put<Row extends object>(def: EventDef<Row>, row: Row, beside?: Beside): Row
  /** Appends the event, deletes the row, and tells in `data.last` what it was. */
  drop<Row extends object>(def: EventDef<Row>, row: Row, beside?: Beside): void
  /** Appends an event that changes no row. */
  tell(def: EventDef, subject: string, beside: Beside): void
  /** The seq that the next event will have. */
  nextSeq(): number
  /**
   * Puts off writing `values`: `write` runs as a command of its own at `at`, unless a later `hold` of the same name has
   * replaced it. What is held is all that a crash can lose.
   */
  hold(name: string, at: Instant, values: Record<string, unknown>, write: (tx: Tx, ctx: Context) => void): void
  /** What is held under the name, and held no longer: the caller writes it itself. */
  takeHeld(name: string): Record<string, unknown>
}

/** What a rule may know of the world. */
export interface Context {
  /** Fixed for a batch, and never earlier than before. */
  now: Instant
  caller: Caller
  /** Names this life of the daemon. */
  daemon: string
  workspace: string
  /** A new id, `<prefix>_...`, that sorts behind every earlier one. */
  newId(prefix: string): string
  /** 256 random bits, base64url. */
  newSecret(): string
  /** SHA-256, hex. */
  hash(text: string): string
}

/** What a query may know besides: this process, and the socket that asks, if there is one. */
export interface QueryContext {
  now: Instant
  caller: Caller
  runtime: Runtime
  readers: Readers
  socket?: Socket
}

export interface Runtime {
  version: string
  workspace: string
  uptimeMs(): number
  subscriptions(): number
  store(): { bytes: number; synchronous: string }
  /** When a byte of the agent was last seen by this process. */
  lastSeenAt(agent: string): Instant | undefined
}

/** The calling socket's subscriptions. */
export interface Socket {
  /** With a durable name it takes over from whoever reads under the caller's name of it. */
  subscribe(after: number, filter: EventFilter, durable?: string): number
  /** Undefined when there is no such subscription. */
  subscription(subscription: number): { durable?: string | undefined } | undefined
  /** False when there is no such subscription. */
  unsubscribe(subscription: number): boolean
}

/** How far durable readers have acknowledged, each a cursor under an agent and a name. */
export interface Readers {
  at(agent: string, name: string): string | undefined
  /** @throws OVERLOADED for one new name too many */
  move(agent: string, name: string, cursor: string): void
  forget(agent: string, name: string): void
}

/** Instead of a result: the call waits, and is answered from committed events. */
export type Parked<Result> = WaitForEvent<Result> | RunAgain<Result>

/** Answered by an event about one of `subjects`; a row's own deadline makes sure that one comes. */
export interface WaitForEvent<Result> {
  parked: 'for-event'
  subjects: readonly string[]
  /** Called with each event of the subjects, in order; may refuse. Until it gives a result the call waits on. */
  answer(event: Happened): Result | undefined
  /** Run as a command when whoever asked has gone. */
  abandon(tx: Tx, ctx: Context): void
}

/** Run anew when an event makes it worth while; at `until`, answered with `otherwise`. */
export interface RunAgain<Result> {
  parked: 'run-again'
  wakes(event: Happened): boolean
  /** Only one waiting call is woken by an event, the one that has waited longest. */
  exclusive: boolean
  waitMs: number
  /** What the parameters are the next time, where they are not the same: "latest" then means what it meant at first. */
  params?: Record<string, unknown>
  otherwise(): Result
}

export const isParked = (value: unknown): value is Parked<unknown> =>
  typeof value === 'object' &&
  value !== null &&
  'parked' in value &&
  (value.parked === 'for-event' || value.parked === 'run-again')

/** Instead of a result: something that only those who follow live are told, behind the events of its batch. */
export interface Signalling<Result> {
  signal: Signal
  /** `delivered`: the sockets it was pushed to. */
  answer(delivered: number): Result
}

export const isSignalling = (value: unknown): value is Signalling<unknown> =>
  typeof value === 'object' && value !== null && 'signal' in value && 'answer' in value

interface MethodBase<Name extends string, Params extends z.ZodObject, Result extends z.ZodType> {
  /** `noun.verb` */
  name: Name
  summary: string
  /** The least role that may call it. */
  role: Role
  params: Params
  result: Result
  /** The refusals of its own, beside those any call can meet. */
  errors: readonly Reason[]
  /** It makes sense only on a socket. */
  socket?: true
  http?: Route
  /** How it is offered to models. */
  mcp?: ToolTerms
}

/** The route of its own that a method has over HTTP, besides `POST /v1/<noun>/<verb>`. */
export interface Route {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** `:name` is the parameter of that name; the others come from the body, or, for GET and DELETE, from the query. */
  path: string
  /** Of success; 200 unless it says otherwise. */
  status?: 201
  /** Where what was made is found: `:name` is the field of that name of the result. */
  location?: string
  /** The field of the result that is its ETag. */
  etag?: string
  /** The parameter that `If-Match` stands for. */
  ifMatch?: string
}

/** A method as a tool for models. Every method but those of a socket is one in the full profile, with or without this. */
export interface ToolTerms {
  /** It is in the default profile, which is small. */
  common?: true
  /** What a model is told instead of the summary: what it is for, and what to do next. */
  description?: string
  /** Parameters left out, for they take much to explain and a model rarely needs them. */
  omit?: readonly string[]
  /** The fields of the answer that are told; all unless named. */
  only?: readonly string[]
  /** The answer is wanted whole; else only what is short of it. */
  whole?: true
  /** A wait for it may outlast the tool's call, and the answer is told later. */
  lasts?: true
  /** What it does cannot be made good: clients may ask their user first. */
  destructive?: boolean
  /** The same call twice does no more than once. */
  idempotent?: boolean
}

export interface Command<
  Name extends string = string,
  Params extends z.ZodObject = z.ZodObject,
  Result extends z.ZodType = z.ZodType,
> extends MethodBase<Name, Params, Result> {
  kind: 'command'
  /** It takes no idempotency key. */
  keyless?: true
  run(
    tx: Tx,
    params: z.output<Params>,
    ctx: Context,
  ): z.input<Result> | Parked<z.input<Result>> | Signalling<z.input<Result>>
}

export interface Query<
  Name extends string = string,
  Params extends z.ZodObject = z.ZodObject,
  Result extends z.ZodType = z.ZodType,
> extends MethodBase<Name, Params, Result> {
  kind: 'query'
  /** It is run when the search index has caught up with the log. */
  searches?: true
  run(read: Read, params: z.output<Params>, ctx: QueryContext): z.input<Result> | Parked<z.input<Result>>
}

export type Method = Command | Query

export const idempotencyKey = z
  .string()
  .min(1)
  .max(limits.keyLength)
  .optional()
  .describe('the same key with the same parameters has effect once, and the same answer, for at least 24 h')

/** A command; unless it says otherwise it takes an `idempotencyKey`. */
export function command<Name extends string, Shape extends z.ZodRawShape, Result extends z.ZodType>(
  method: Omit<Command<Name, z.ZodObject<Shape>, Result>, 'kind' | 'params'> & { params: Shape },
) {
  const params = z.strictObject(method.keyless ? method.params : { ...method.params, idempotencyKey })
  return { ...method, kind: 'command' as const, params: params as z.ZodObject<Shape> }
}

/** A query; it changes nothing and takes no `idempotencyKey`. */
export function query<Name extends string, Shape extends z.ZodRawShape, Result extends z.ZodType>(
  method: Omit<Query<Name, z.ZodObject<Shape>, Result>, 'kind' | 'params'> & { params: Shape },
) {
  return { ...method, kind: 'query' as const, params: z.strictObject(method.params) }
}

/** Everything one noun adds to the bridge. */
export interface Noun {
  tables: readonly Table<object>[]
  events: readonly EventDef[]
  methods: readonly Method[]
  /** Before each call: throws when its caller may do nothing any more, whatever it was let in with. */
  admit?(read: Read, caller: Caller): void
  /** After each command, with what has happened since it was last called: emits what follows from that. */
  settle?(tx: Tx, happened: readonly Happened[], ctx: Context): void
  /** A row's deadline has passed: emits what that means. Keyed by table name. */
  expire?: Record<string, (tx: Tx, row: never, ctx: Context) => void>
  /** The first command of a daemon's life: what its former life left is ended or given time. */
  started?(tx: Tx, ctx: Context): void
  /** The database is another than the one last seen, restored or rolled back: who held anything then, does no more. */
  restored?(tx: Tx, ctx: Context): void
  /** Retention: drops rows that have been of no use since before an instant, at most `limit`; gives how many it did. */
  trim?(tx: Tx, before: Instant, limit: number): number
  /** Leases that would end before `until` are given until then, because the clock jumped or the daemon was away. */
  rebase?(tx: Tx, until: Instant, ctx: Context): void
}
