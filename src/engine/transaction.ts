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
  readonly happened: Happened[]
  /** Changes of what is held; null for what is held no longer. */
  readonly holds: Map<string, Held | null>
  /** Events from now on are caused by this agent. */
  actAs(actor: string, unverified: boolean): void
  /** The JSON of a value; that of the row written last is at hand. */
  jsonOf(value: unknown): string
  /** Hands the events to the log, with the answers to remember, and keeps the rows. */
  release(answers: ReadonlyMap<Happened, Answer>): void
  /** Takes back every row. */
  undo(): void
}

interface Begun {
  store: Store
  bounds: LogBounds
  now: Instant
  held: ReadonlyMap<string, Held>
}

interface Progress {
  readonly now: Instant
  readonly first: number
  readonly happened: Happened[]
  readonly secrets: Map<Happened, object>
  actor: string
  unverified: boolean
  marked: boolean
  last?: { row: object; json: string }
}

/** Begins a command in the store's open transaction. */
export function beginCommand({ store, bounds, now, held }: Begun): CommandTx {
  const progress: Progress = {
    now,
    first: bounds.head + 1,
    happened: [],
    secrets: new Map(),
    actor: 'bridge',
    unverified: false,
    marked: false,
  }
  const { happened, secrets } = progress
  const holds = new Map<string, Held | null>()

  /** Nothing is marked for a command that only reads, or only appends. */
  function mark(): void {
    if (!progress.marked) store.mark('savepoint')
    progress.marked = true
  }

  return {
    ...store.writing,
    happened,
    holds,
    bounds: () => bounds,
    nextSeq: () => progress.first + happened.length,
    actAs(name, chosen) {
      progress.actor = name
      progress.unverified = chosen
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
      append(progress, def.type, subject, { parties: [] }, beside.data ?? {}, beside)
    },
    hold(name, at, values, write) {
      holds.set(name, { at, values, write })
    },
    takeHeld(name) {
      const taken = holds.has(name) ? holds.get(name) : held.get(name)
      if (taken) holds.set(name, null)
      return taken?.values ?? {}
    },
    jsonOf: (value) => (value === progress.last?.row ? (progress.last?.json ?? '') : JSON.stringify(value)),
    release(answers) {
      if (happened.length > 0)
        store.append(happened.map((event) => recordOf(event, secrets.get(event), answers.get(event))))
      if (progress.marked) store.mark('release')
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
  const { now, first, happened, secrets, actor, unverified } = progress
  const { topic, to, subject = id } = beside
  const contractId = beside.contractId ?? about.contractId
  const parties = [...new Set([...about.parties, ...(to ?? [])])].filter((name) => name !== undefined)
  const head = { type, time: now, actor, ...(unverified && { unverified }), subject, contractId, topic, to }
  const event: Happened = {
    seq: first + happened.length,
    command: first,
    type,
    topic: topic ?? null,
    contractId: contractId ?? null,
    parties: parties.length > 0 ? `|${parties.join('|')}|` : null,
    body: `${JSON.stringify(head).slice(0, -1)},"data":${encodeData(data, rowJson)}}`,
    subject,
    data,
  }
  if (beside.secret) secrets.set(event, beside.secret)
  happened.push(event)
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
  const { subject: _subject, data: _data, ...stored } = event
  if (!secret && !answer) return { ...stored, private: null, idempotency: null }
  const { key, ...remembered } = answer ?? { key: null }
  return {
    ...stored,
    private: JSON.stringify({ ...(secret && { row: secret }), ...(answer && { answer: remembered }) }),
    idempotency: key,
  }
}
