import type { EventDef, Table } from '../protocol/method.js'
import { readSeen } from './history.js'
import { type Connection, checkMarked, checkOrigin, openReader } from './open.js'

// What can be found out about a workspace's database without changing it, also while a daemon has it open.

/** What an examination found. */
export interface Examined {
  /** `ok`, or what SQLite says is wrong. */
  integrity: string
  journal: string
  epoch: string | undefined
  earliest: number
  head: number
  /** Of the last event. */
  time: string | undefined
  /** Seqs that are missing between `earliest` and `head`. */
  missing: number
  /** Rows that are not what the log says, at most ten. */
  differing: string[]
  /** The epoch in the file beside the database. */
  seenEpoch: string | undefined
  /** The life of the daemon that began last, by its own name. */
  daemon: string | undefined
}

/** @throws SetupError for a file that is no database of ours, and whatever SQLite says of one it cannot read */
export function examine(file: string, tables: readonly Table<object>[], events: readonly EventDef[]): Examined {
  const db = openReader(file)
  try {
    checkOrigin(db, file)
    checkMarked(db, file)
    // One transaction, so that rows and log are of one moment.
    db.exec('BEGIN')
    return look(db, file, tables, events)
  } finally {
    db.close()
  }
}

function look(db: Connection, file: string, tables: readonly Table<object>[], events: readonly EventDef[]): Examined {
  const meta = db.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck()
  const bound = db.prepare<[], { count: number; head: number }>(
    'SELECT count(*) AS count, coalesce(max(seq), 0) AS head FROM events WHERE seq > ?',
  ) as unknown as { get(after: number): { count: number; head: number } }
  const base = Number(meta.get('base') ?? 0)
  const earliest = Number(meta.get('earliest') ?? base)
  const { count, head } = bound.get(earliest)
  const last = db.prepare<[], string>('SELECT body FROM events ORDER BY seq DESC LIMIT 1').pluck().get()
  const started = db
    .prepare<[], string>("SELECT body FROM events WHERE type = 'bridge.started' ORDER BY seq DESC LIMIT 1")
    .pluck()
    .get()
  return {
    integrity: String(db.pragma('integrity_check(1)', { simple: true })),
    journal: String(db.pragma('journal_mode', { simple: true })),
    epoch: meta.get('epoch'),
    earliest,
    head: Math.max(head, base),
    time: last && JSON.parse(last).time,
    missing: count === 0 ? 0 : head - earliest - count,
    differing: compare(db, tables, events),
    seenEpoch: readSeen(file.replace(/\.db$/, '.head'))?.epoch,
    daemon: started && JSON.parse(started).data.daemon,
  }
}

const DIFFERING_MAX = 10

/**
 * Folds the log into what the rows should be, and compares. Where the beginning of the log has been removed, a row of which
 * the log says nothing any more is taken as it is.
 */
function compare(db: Connection, tables: readonly Table<object>[], events: readonly EventDef[]): string[] {
  const tableOf = new Map(events.map(({ type, table }) => [type, table]))
  const folded = new Map<string, Map<string, string | null>>(tables.map(({ name }) => [name, new Map()]))
  const whole = db.prepare('SELECT coalesce(min(seq), 1) FROM events').pluck().get() === 1
  for (const { type, body } of db
    .prepare<[], { type: string; body: string }>('SELECT type, body FROM events ORDER BY seq')
    .iterate()) {
    const table = tableOf.get(type)
    if (!table) continue
    const { data } = JSON.parse(body)
    if (!(table.noun in data)) continue
    const row = data[table.noun]
    if (row === null) folded.get(table.name)?.set(table.id(data.last), null)
    else if (table.keeps?.(row) ?? true) folded.get(table.name)?.set(table.id(row), JSON.stringify(row))
  }
  // A table that a former release did not know is made when the workspace is opened next.
  const there = new Set(db.prepare<[], string>('SELECT name FROM sqlite_master').pluck().all())
  const differing: string[] = []
  for (const { name } of tables.filter((table) => there.has(table.name))) {
    const expected = folded.get(name)!
    for (const { id, body } of db.prepare<[], { id: string; body: string }>(`SELECT id, body FROM ${name}`).iterate()) {
      const said = expected.get(id)
      if (said === undefined ? whole : said !== body) differing.push(`${name}: ${id}`)
      expected.delete(id)
      if (differing.length >= DIFFERING_MAX) return differing
    }
    for (const [id, said] of expected) if (said !== null) differing.push(`${name}: ${id}`)
  }
  return differing.slice(0, DIFFERING_MAX)
}

/** The sessions that are connected, each with the life of the daemon it is connected to. */
export function connectedSessions(file: string): Array<{ agent: string; daemon: string }> {
  const db = openReader(file)
  try {
    const bodies = db.prepare<[], string>('SELECT body FROM agents WHERE connected > 0 ORDER BY id').pluck().all()
    return bodies.flatMap((body) => {
      const { agent, sessions } = JSON.parse(body) as {
        agent: string
        sessions: Array<{ state: string; daemon: string }>
      }
      return sessions.filter(({ state }) => state === 'connected').map(({ daemon }) => ({ agent, daemon }))
    })
  } finally {
    db.close()
  }
}
