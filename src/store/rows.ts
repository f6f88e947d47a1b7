import type { Statement } from 'better-sqlite3'
import type { Rows } from '../engine/ports.js'
import type { StoredEvent } from '../protocol/event.js'
import { limits } from '../protocol/limits.js'
import type { Find, Table, Value } from '../protocol/method.js'
import type { Connection } from './open.js'

const EVENT = 'seq, command, type, topic, contract_id AS contractId, parties, body'

/** Reads rows and events through one connection. */
export function createRows(db: Connection): Rows {
  const statements = new Map<string, Statement<Value[]>>()
  function prepare(sql: string): Statement<Value[]> {
    const known = statements.get(sql)
    if (known) return known
    const made = db.prepare<Value[]>(sql)
    statements.set(sql, made)
    return made
  }

  return {
    get<Row extends object>(table: Table<Row>, id: string): Row | undefined {
      const found = prepare(`SELECT body FROM ${table.name} WHERE id = ?`).get(id) as { body: string } | undefined
      return found && (JSON.parse(found.body) as Row)
    },
    secret(table, id) {
      const found = prepare(`SELECT secret FROM ${table.name} WHERE id = ?`).get(id) as
        | { secret: string | null }
        | undefined
      return found?.secret ? JSON.parse(found.secret) : undefined
    },
    find<Row extends object>(table: Table<Row>, find: Find): Row[] {
      const { sql, values } = selectOf(table.name, find)
      const bodies = prepare(sql).iterate(...values) as IterableIterator<{ body: string }>
      return upToBytes(bodies, find.bytes).map(({ body }) => JSON.parse(body) as Row)
    },
    count(table, where, sum) {
      const condition = conditionOf({ where })
      const sql = `SELECT ${sum ? `coalesce(sum(${sum}), 0)` : 'count(*)'} AS n FROM ${table.name} ${condition.sql}`
      return (prepare(sql).get(...condition.values) as { n: number }).n
    },
    events(after, { contractId, limit = limits.pushEvents } = {}) {
      if (contractId !== undefined) {
        const sql = `SELECT ${EVENT} FROM events WHERE contract_id = ? AND seq > ? ORDER BY seq LIMIT ?`
        return upToBytes(
          prepare(sql).iterate(contractId, after, limit) as IterableIterator<StoredEvent>,
          limits.pageBytes,
        )
      }
      const sql = `SELECT ${EVENT} FROM events WHERE seq > ? ORDER BY seq LIMIT ?`
      // One more than wanted, to see whether the last command is there whole.
      const rows = prepare(sql).iterate(after, limit + 1) as IterableIterator<StoredEvent>
      return wholeCommands(upToBytes(rows, limits.pageBytes), limit)
    },
  }
}

/** The rows whose bodies together have that many characters, at least one; the statement is finished in any case. */
function upToBytes<Row extends { body: string }>(rows: IterableIterator<Row>, bytes = Number.POSITIVE_INFINITY): Row[] {
  const taken: Row[] = []
  let length = 0
  for (const row of rows) {
    taken.push(row)
    length += row.body.length
    if (length >= bytes) break
  }
  return taken
}

/** Leaves out a last command that may be cut off, unless it is the only one. */
function wholeCommands(events: StoredEvent[], limit: number): StoredEvent[] {
  const page = events.slice(0, limit)
  const next = events[limit]
  const last = page.at(-1)
  if (!last || !next || next.command !== last.command) return page
  const whole = page.filter(({ command }) => command !== last.command)
  return whole.length > 0 ? whole : page
}

/** A query in the words of a noun, as SQL. Names come from the nouns' declarations, values are always bound. */
function selectOf(table: string, find: Find): { sql: string; values: Value[] } {
  const order = (find.order ?? []).map((name) => ({ column: name.replace(/^-/, ''), descending: name.startsWith('-') }))
  if (order.at(-1)?.column !== 'id') order.push({ column: 'id', descending: false })
  const condition = conditionOf(find, table, order)
  const by = order.map(({ column, descending }) => `${column}${descending ? ' DESC' : ''}`).join(', ')
  const limit = find.limit === undefined ? '' : 'LIMIT ?'
  return {
    sql: `SELECT body FROM ${table} ${condition.sql} ORDER BY ${by} ${limit}`,
    values: find.limit === undefined ? condition.values : [...condition.values, find.limit],
  }
}

interface Condition {
  sql: string
  values: Value[]
}

interface Order {
  column: string
  descending: boolean
}

function conditionOf({ where = {}, key, after }: Find, table = '', order: Order[] = []): Condition {
  const terms: string[] = []
  const values: Value[] = []
  const add = (term: string, ...bound: Value[]) => {
    terms.push(term)
    values.push(...bound)
  }
  for (const [column, wanted] of Object.entries(where)) {
    if (wanted === null) add(`${column} IS NULL`)
    else if (isList(wanted)) add(`${column} IN (${wanted.map(() => '?').join(', ')})`, ...wanted)
    else if (typeof wanted === 'object') {
      if (wanted.from !== undefined) add(`${column} >= ?`, wanted.from)
      if (wanted.to !== undefined) add(`${column} < ?`, wanted.to)
      if (wanted.upTo !== undefined) add(`${column} <= ?`, wanted.upTo)
    } else add(`${column} = ?`, wanted)
  }
  if (typeof key === 'string') add(`id IN (SELECT id FROM ${table}_keys WHERE key = ?)`, key)
  else if (key) add(`id IN (SELECT id FROM ${table}_keys WHERE key >= ? AND key < ?)`, key.from, key.to)
  if (after) {
    const behind = behindOf(order, after)
    add(behind.sql, ...behind.values)
  }
  return { sql: terms.length > 0 ? `WHERE ${terms.join(' AND ')}` : '', values }
}

const isList = (wanted: unknown): wanted is readonly Value[] => Array.isArray(wanted)

/** Rows behind a place in a sort order: later in the first column, or level there and later in the next, and so on. */
function behindOf([first, ...rest]: Order[], [value = null, ...more]: readonly Value[]): Condition {
  if (!first) return { sql: '0', values: [] }
  const later = `${first.column} ${first.descending ? '<' : '>'} ?`
  if (rest.length === 0) return { sql: later, values: [value] }
  const level = behindOf(rest, more)
  return { sql: `(${later} OR (${first.column} = ? AND ${level.sql}))`, values: [value, value, ...level.values] }
}
