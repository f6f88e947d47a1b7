import type { LogBounds } from '../protocol/cursor.js'
import type { Beside, Context, EventDef, Happened, Table, Tx } from '../protocol/method.js'
import type { Instant } from '../protocol/time.js'
import type { LogRecord, Store } from './ports.js'

/** A write that was put off, and when it is due. */
export interface Held {
  at: Instant
  values: Record<string, unknown>
  write(tx: Tx, ctx: Context): void
}

/** An answer to remember: under which key, for which parameters. The result is left out where it is the event's row. */
export interface Answer {
  key: string
  hash: string
  result?: string
}

/** What one command has done so far. It reaches the log, the head and memory only when the command is released. */
export interface CommandTx extends Tx {
  /** Forgets the command before, and begins one in the store's open transaction. */
  begin(bounds: LogBounds, now: Instant, actor: string, unverified: boolean): void
  happened(): readonly Happened[]
  /** Changes of what is held; null for what is held no longer. */
  holds(): ReadonlyMap<string, Held | null>
  /** Events from now on follow from others, and are the bridge's own. */
  actAsBridge(): void
  /** The JSON of a value; that of the row written last is at hand. */
  jsonOf(value: unknown): string
  /** Hands the events to the log, with the answers to remember, and keeps the rows. */
  release(answers: ReadonlyMap<Happened, Answer>): void
  /** Takes back every row. */
  undo(): void
}

interface Progress {
  bounds: LogBounds
  now: Instant
  actor: string
  unverified: boolean
  happened: Happened[]
  secrets: Map<Happened, object>
  holds: Map<string, Held | null>
  /** The store has a savepoint to go back to. A command that only reads, or only appends, needs none. */
  marked: boolean
  last: { row: object; json: string } | undefined
}

const BRIDGE_NAME = 'bridge'

/** The one transaction of a writer, begun anew for each command: commands run one behind the other. */
export function createTransaction(store: Store, held: ReadonlyMap<string, Held>): CommandTx {
  const fresh = (bounds: LogBounds, now: Instant, actor: string, unverified: boolean): Progress => ({
    bounds,
    now,
    actor,
    unverified,
    happened: [],
    secrets: new Map(),
    holds: new Map(),
    marked: false,
    last: undefined,
  })
  let progress = fresh(store.bounds(), '', BRIDGE_NAME, false)

  function mark(): void {
    if (!progress.marked) store.mark('savepoint')
    progress.marked = true
  }

  return {
    ...store.writing,
    begin(bounds, now, actor, unverified) {
      progress = fresh(bounds, now, actor, unverified)
    },
    happened: () => progress.happened,
    holds: () => progress.holds,
    bounds: () => progress.bounds,
    nextSeq: () => progress.bounds.head + 1 + progress.happened.length,
    actAsBridge() {
      progress.actor = BRIDGE_NAME
      progress.unverified = false
    },
    put(def, row, beside = {}) {
      const table = tableOf(def)
      const json = JSON.stringify(row)
      if (table.keeps?.(row) ?? true) {
        mark()
        store.put(table, row, json, beside.secret && JSON.stringify(beside.secret))
      }
      append(progress, def.type, table.id(row), table.about(row), { [table.noun]: row, ...beside.data }, beside, json)
      progress.last = { row, json }
      return row
    },
    drop(def, row, beside = {}) {
      const table = tableOf(def)
      mark()
      store.remove(table, table.id(row))
      const data = { [table.noun]: null, ...beside.data, last: row }
      append(progress, def.type, table.id(row), table.about(row), data, beside)
    },
    tell(def, subject, beside) {
      append(progress, def.type, subject, NOBODY, beside.data ?? {}, beside)
    },
    hold(name, at, values, write) {
      progress.holds.set(name, { at, values, write })
    },
    takeHeld(name) {
      const taken = progress.holds.has(name) ? progress.holds.get(name) : held.get(name)
      if (taken) progress.holds.set(name, null)
      return taken?.values ?? {}
    },
    jsonOf: (value) => (value === progress.last?.row ? (progress.last?.json ?? '') : JSON.stringify(value)),
    release(answers) {
      const { happened, secrets, marked } = progress
      for (const event of happened) store.append(recordOf(event, secrets.get(event), answers.get(event)))
      if (marked) store.mark('release')
    },
    undo() {
      if (progress.marked) store.mark('undo')
    },
  }
}

function tableOf<Row extends object>(def: EventDef<Row>): Table<Row> {
  if (!def.table) throw new Error(`${def.type} changes no row`)
  return def.table
}

type Data = Record<string, unknown>

function append(
  progress: Progress,
  type: string,
  id: string,
  about: About,
  data: Data,
  beside: Beside,
  rowJson?: string,
): void {
  const { bounds, now, happened, secrets, actor, unverified } = progress
  const { topic, to, subject = id } = beside
  const contractId = beside.contractId ?? about.contractId
  const head = { type, time: now, actor, unverified: unverified || undefined, subject, contractId, topic, to }
  const event: Happened = {
    seq: bounds.head + 1 + happened.length,
    command: bounds.head + 1,
    type,
    topic: topic ?? null,
    contractId: contractId ?? null,
    parties: partiesOf(about, to),
    body: `${JSON.stringify(head).slice(0, -1)},"data":${encodeData(data, rowJson)}}`,
    subject,
    data,
  }
  if (beside.secret) secrets.set(event, beside.secret)
  happened.push(event)
}

const NOBODY: About = { parties: [] }

function partiesOf({ parties }: About, to: readonly string[] = []): string | null {
  if (parties.length + to.length === 0) return null
  const names = [...new Set([...parties, ...to])].filter((name) => name !== undefined)
  return names.length > 0 ? `|${names.join('|')}|` : null
}

interface About {
  contractId?: string | undefined
  parties: readonly (string | undefined)[]
}

/** The row comes first, and is JSON already. */
function encodeData(data: Data, rowJson: string | undefined): string {
  if (rowJson === undefined) return JSON.stringify(data)
  const [noun, ...others] = Object.keys(data)
  const rest = others.length === 0 ? '' : JSON.stringify({ ...data, [noun as string]: undefined }).slice(1, -1)
  return `{"${noun}":${rowJson}${rest && ','}${rest}}`
}

function recordOf(event: Happened, secret: object | undefined, answer: Answer | undefined): LogRecord {
  const { seq, command, type, topic, contractId, parties, body } = event
  const stored = { seq, command, type, topic, contractId, parties, body }
  if (!secret && !answer) return { ...stored, private: null, idempotency: null }
  const { key, ...remembered } = answer ?? { key: null }
  const hidden = { ...(secret && { row: secret }), ...(answer && { answer: remembered }) }
  return { ...stored, private: JSON.stringify(hidden), idempotency: key }
}
