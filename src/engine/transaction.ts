import type { LogBounds } from '../protocol/cursor.js'
import { BridgeError } from '../protocol/errors.js'
import type { Beside, Context, EventDef, Happened, Table, Tx } from '../protocol/method.js'
import type { Instant } from '../protocol/time.js'
import type { LogRecord, Store } from './ports.js'

/** A write that was put off, and when it is due. */
export interface Held {
  at: Instant
  values: Record<string, unknown>
  write(tx: Tx, ctx: Context): void
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
  /** Hands the events to the log, the last one with the answer to remember, and keeps the rows. */
  release(answers: ReadonlyMap<Happened, Answer>): void
  /** Takes back every row. */
  undo(): void
}

/** An answer to remember: under which key, for which parameters. The result is left out where it is the event's row. */
export interface Answer {
  key: string
  hash: string
  result?: string
}

interface Begun {
  store: Store
  bounds: LogBounds
  now: Instant
  held: ReadonlyMap<string, Held>
}

/** Begins a command in the store's open transaction. */
export function beginCommand({ store, bounds, now, held }: Begun): CommandTx {
  const happened: Happened[] = []
  const secrets = new Map<Happened, object>()
  const holds = new Map<string, Held | null>()
  const first = bounds.head + 1
  let actor = 'bridge'
  let unverified = false
  let marked = false
  let last: { row: object; json: string } | undefined

  /** Nothing is marked for a command that only reads, or only appends. */
  function mark(): void {
    if (!marked) store.mark('savepoint')
    marked = true
  }

  function append(
    def: EventDef,
    subject: string,
    about: About,
    noun: string | undefined,
    json: string,
    data: object,
    beside: Beside,
  ) {
    const parties = [...new Set([...about.parties, ...(beside.to ?? [])])].filter((name) => name !== undefined)
    const contractId = beside.contractId ?? about.contractId
    const { topic, to } = beside
    const head = { type: def.type, time: now, actor, ...(unverified && { unverified }), subject, contractId, topic, to }
    const named = noun === undefined ? '' : `"${noun}":${json}`
    const rest = JSON.stringify(data).slice(1, -1)
    const event: Happened = {
      seq: first + happened.length,
      command: first,
      type: def.type,
      topic: topic ?? null,
      contractId: contractId ?? null,
      parties: parties.length > 0 ? `|${parties.join('|')}|` : null,
      body: `${JSON.stringify(head).slice(0, -1)},"data":{${named}${named && rest ? ',' : ''}${rest}}}`,
      subject,
      data: data as Record<string, unknown>,
    }
    if (beside.secret) secrets.set(event, beside.secret)
    happened.push(event)
    return event
  }

  return {
    ...store.writing,
    happened,
    holds,
    bounds: () => bounds,
    nextSeq: () => first + happened.length,
    actAs(name, chosen) {
      actor = name
      unverified = chosen
    },
    put<Row extends object>(def: EventDef<Row>, row: Row, beside: Beside = {}): Row {
      const table = tableOf(def)
      const json = JSON.stringify(row)
      const id = table.id(row)
      if (table.keeps?.(row) ?? true) {
        mark()
        store.put(table, row, json, beside.secret && JSON.stringify(beside.secret))
      }
      const event = append(
        def as EventDef,
        beside.subject ?? id,
        table.about(row),
        table.noun,
        json,
        beside.data ?? {},
        beside,
      )
      event.data = { [table.noun]: row, ...beside.data }
      last = { row, json }
      return row
    },
    drop<Row extends object>(def: EventDef<Row>, row: Row, beside: Beside = {}): void {
      const table = tableOf(def)
      const id = table.id(row)
      mark()
      store.remove(table, id)
      const data = { ...beside.data, last: row }
      const event = append(def as EventDef, beside.subject ?? id, table.about(row), table.noun, 'null', data, beside)
      event.data = { [table.noun]: null, ...data }
    },
    tell(def, subject, beside): void {
      append(def, subject, { parties: [] }, undefined, '', beside.data ?? {}, beside)
    },
    hold(name, at, values, write): void {
      holds.set(name, { at, values, write })
    },
    takeHeld(name) {
      const taken = holds.has(name) ? holds.get(name) : held.get(name)
      if (taken) holds.set(name, null)
      return taken?.values ?? {}
    },
    jsonOf: (value) => (last && value === last.row ? last.json : JSON.stringify(value)),
    release(answers): void {
      if (happened.length > 0)
        store.append(happened.map((event) => recordOf(event, secrets.get(event), answers.get(event))))
      if (marked) store.mark('release')
    },
    undo(): void {
      if (marked) store.mark('undo')
    },
  }
}

interface About {
  contractId?: string | undefined
  parties: readonly (string | undefined)[]
}

function tableOf<Row extends object>(def: EventDef<Row>): Table<Row> {
  if (!def.table) throw new Error(`${def.type} changes no row`)
  return def.table
}

function recordOf(event: Happened, secret: object | undefined, answer: Answer | undefined): LogRecord {
  const hidden = {
    ...(secret && { row: secret }),
    ...(answer && { answer: { hash: answer.hash, ...(answer.result !== undefined && { result: answer.result }) } }),
  }
  const { subject: _subject, data: _data, ...stored } = event
  return { ...stored, private: secret || answer ? JSON.stringify(hidden) : null, idempotency: answer?.key ?? null }
}

/** The bug behind an error that no rule meant, or the refusal as it is. */
export const asRefusal = (error: unknown): BridgeError | undefined => (error instanceof BridgeError ? error : undefined)
