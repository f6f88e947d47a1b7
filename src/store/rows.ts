import type { Statement } from 'better-sqlite3'
import type { Rows } from '../engine/ports.js'
import type { StoredEvent } from '../protocol/event.js'
import { limits } from '../protocol/limits.js'
import type { Find, Table, Value } from '../protocol/method.js'
import type { Connection } from './open.js'
import { searchRows } from './search.js'

const EVENT = 'seq, command, type, topic, contract_id AS contractId, parties, body'
/** Prepared statements kept; what queries ask for differs by the terms that callers give. */
const STATEMENTS_MAX = 256

/** Reads rows and events through one connection. */
export function createRows(db: Connection): Rows {
  const statements = new Map<string, Statement<Value[]>>()
  function prepare(sql: string): Statement<Value[]> {
    const known = statements.get(sql)
    if (known) return known
    const made = db.prepare<Value[]>(sql)
    if (statements.size >= STATEMENTS_MAX) statements.clear()
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
      const bodies =
        find.bytes === undefined
          ? (prepare(sql).all(...values) as Body[])
          : upToBytes(prepare(sql).iterate(...values) as IterableIterator<Body>, find.bytes)
      return bodies.map(({ body }) => JSON.parse(body) as Row)
    },
    count(table, where, sum) {
      if (sum !== undefined && where === undefined && table.totals?.includes(sum)) {
        return (prepare(`SELECT total AS n FROM ${table.name}_totals WHERE name = ?`).get(sum) as { n: number }).n
      }
      const condition = allOf(termsOf(where))
      const sql = `SELECT ${sum ? `coalesce(sum(${sum}), 0)` : 'count(*)'} AS n FROM ${table.name} ${condition.sql}`
      return (prepare(sql).get(...condition.values) as { n: number }).n
    },
    search: (table, words, page) => searchRows(db, table, words, page),
    events(after, { contractId, limit = limits.pushEvents } = {}) {
      if (contractId !== undefined) {
        const sql = `SELECT ${EVENT} FROM events WHERE contract_id = ? AND seq > ? ORDER BY seq LIMIT ?`
        return upToBytes(prepare(sql).iterate(contractId, after, limit) as EventRows, limits.pageBytes)
      }
      const sql = `SELECT ${EVENT} FROM events WHERE seq > ? ORDER BY seq LIMIT ?`
      // One more than wanted, to see whether the last command is there whole.
      return wholeCommands(prepare(sql).iterate(after, limit + 1) as EventRows, limit)
    },
  }
}

interface Body {
  body: string
}

type EventRows = IterableIterator<StoredEvent>

// Both loops below run to the end or `break`, which finishes the statement: one left open would pin the WAL.

/** The rows whose bodies together have that many characters, at least one. */
function upToBytes<Row extends Body>(rows: IterableIterator<Row>, bytes: number): Row[] {
  const taken: Row[] = []
  let length = 0
  for (const row of rows) {
    taken.push(row)
    length += row.body.length
    if (length >= bytes) break
  }
  return taken
}

/** A page of at most `limit` events. It leaves out a last command that it would cut off, unless it is the only one. */
function wholeCommands(rows: EventRows, limit: number): StoredEvent[] {
  const page: StoredEvent[] = []
  let length = 0
  for (const event of rows) {
    if (page.length < limit && length < limits.pageBytes) {
      page.push(event)
      length += event.body.length
      continue
    }
    const begun = page.findIndex(({ command }) => command === event.command)
    if (begun > 0) page.length = begun
    break
  }
  return page
}

/** SQL, and what its question marks stand for. */
interface Fragment {
  sql: string
  values: readonly Value[]
}

interface Order {
  column: string
  descending: boolean
}

/** A query in the words of a noun, as SQL. Names come from the nouns' declarations, values are always bound. */
function selectOf(table: string, { where, key, order = [], after, limit }: Find): Fragment {
  const keys = `${table}_keys`
  const terms = termsOf(where)
  let [from, id] = [table, 'id']
  if (typeof key === 'string' && order.every((column) => /^-?id$/.test(column))) {
    // Read in the order of the keys, a page of many rows costs no more than a page of few.
    ;[from, id] = [`${keys} CROSS JOIN ${table} ON id = row_id`, 'row_id']
    terms.push({ sql: 'key = ?', values: [key] })
  } else if (typeof key === 'string') {
    // Read in the order wanted, up to the limit, asking each row for the key.
    terms.push({ sql: `EXISTS (SELECT 1 FROM ${keys} WHERE key = ? AND row_id = id)`, values: [key] })
  } else if (key) {
    terms.push({ sql: `id IN (SELECT row_id FROM ${keys} WHERE key >= ? AND key < ?)`, values: [key.from, key.to] })
  }
  const by = orderOf(order, id)
  if (after) terms.push(behindOf(by, after))
  const condition = allOf(terms)
  const columns = by.map(({ column, descending }) => `${column}${descending ? ' DESC' : ''}`)
  const sql = `SELECT body FROM ${from} ${condition.sql} ORDER BY ${columns.join(', ')}`
  if (limit === undefined) return { sql, values: condition.values }
  return { sql: `${sql} LIMIT ?`, values: [...condition.values, limit] }
}

/** The columns to sort by, the one of the id last. */
function orderOf(names: readonly string[], id: string): Order[] {
  const order = names.map((name) => ({ column: name.replace(/^-/, ''), descending: name.startsWith('-') }))
  if (order.at(-1)?.column !== 'id') order.push({ column: 'id', descending: false })
  return order.map(({ column, descending }) => ({ column: column === 'id' ? id : column, descending }))
}

function termsOf(where: Find['where'] = {}): Fragment[] {
  return Object.entries(where).flatMap(([column, wanted]) => {
    if (wanted === null) return { sql: `${column} IS NULL`, values: [] }
    if (isList(wanted)) return { sql: `${column} IN (${wanted.map(() => '?').join(', ')})`, values: wanted }
    if (typeof wanted !== 'object') return { sql: `${column} = ?`, values: [wanted] }
    const ends = Object.entries(wanted).filter(([, value]) => value !== undefined)
    return ends.map(([end, value]) => ({ sql: `${column} ${comparison[end as End]} ?`, values: [value] }))
  })
}

const comparison = { from: '>=', to: '<', upTo: '<=' } as const
type End = keyof typeof comparison

const isList = (wanted: unknown): wanted is readonly Value[] => Array.isArray(wanted)

const allOf = (terms: readonly Fragment[]): Fragment => ({
  sql: terms.length > 0 ? `WHERE ${terms.map(({ sql }) => sql).join(' AND ')}` : '',
  values: terms.flatMap(({ values }) => values),
})

/**
 * Rows behind a place in a sort order: later in the first column, or level there and later in the next, and so on. No
 * row may have null in a column that is sorted by. "Not before" comes first because an index can begin there.
 */
function behindOf([first, ...rest]: Order[], [value = null, ...more]: readonly Value[]): Fragment {
  if (!first) return { sql: '0', values: [] }
  const { column, descending } = first
  const later = descending ? '<' : '>'
  if (rest.length === 0) return { sql: `${column} ${later} ?`, values: [value] }
  const level = behindOf(rest, more)
  return {
    sql: `${column} ${later}= ? AND (${column} ${later} ? OR (${level.sql}))`,
    values: [value, value, ...level.values],
  }
}
