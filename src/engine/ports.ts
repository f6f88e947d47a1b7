import type { LogBounds } from '../protocol/cursor.js'
import type { StoredEvent } from '../protocol/event.js'
import type { Read, Table } from '../protocol/method.js'

/** An event on its way into the log, with the part that never leaves the daemon. */
export interface LogRecord extends StoredEvent {
  /** JSON: the row's secret, and the answer to remember under an idempotency key. */
  private: string | null
  /** `<agent> <key>` of the answer remembered here. */
  idempotency: string | null
}

/** How far one agent's durable reader has acknowledged. */
export interface Reader {
  agent: string
  name: string
  cursor: string
}

/** Rows and events as one connection sees them. */
export type Rows = Omit<Read, 'bounds'>

/**
 * Where one workspace is kept. `begin` and `commit` may take time, as for a database elsewhere; between them one batch
 * runs synchronously. After `commit` has resolved everything of the batch is durable; when it rejects, nothing more is
 * asked of the store.
 */
export interface Store {
  /** The transaction's own view. */
  readonly writing: Rows
  /** Committed state only. */
  readonly committed: Rows
  bounds(): LogBounds
  begin(): Promise<void>
  /** Nested in the transaction: `savepoint`, then `release` or `undo`. */
  mark(step: 'savepoint' | 'release' | 'undo'): void
  /** `secret`: null forgets, undefined leaves what is there. */
  put(table: Table<object>, row: object, json: string, secret: string | null | undefined): void
  remove(table: Table<object>, id: string): void
  append(record: LogRecord): void
  commit(): Promise<void>
  /** Within the transaction: removes the events up to a seq, which is `earliest` from then on, unless that is later. */
  trim(upTo: number): void
  /**
   * Takes at most so many more events into the search index; true once it holds all that is committed. Called between
   * batches only.
   */
  catchUp(events: number): boolean
  /** The durable readers, each with its cursor. */
  readers(): Reader[]
  /** Within the transaction. Without a cursor it is forgotten. */
  putReader(reader: Partial<Reader> & Omit<Reader, 'cursor'>): void
  /** The answer remembered under a key, with the body of the event it is kept with. */
  remembered(key: string): { private: string; body: string } | undefined
  /** Bytes of the database that hold something. */
  usedBytes(): number
  /** Bytes on disk, and the guarantee under which a commit is durable. */
  stats(): { bytes: number; synchronous: string }
}

/** Time, and being woken. The real one is `systemClock`; tests have their own. */
export interface Clock {
  /** Milliseconds since 1970; may jump. */
  wallMs(): number
  /** Milliseconds that only rise, and stand still while the machine sleeps. */
  monotonicMs(): number
  /** Calls `run` once, `ms` from now; the function returned calls it off. */
  after(ms: number, run: () => void): () => void
}

/** Randomness and hashing. */
export interface Random {
  /** `bytes` random bytes. */
  bytes(bytes: number): Uint8Array
  /** SHA-256, hex. */
  hash(text: string): string
}
