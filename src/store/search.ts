import { limits } from '../protocol/limits.js'
import type { Found, Table } from '../protocol/method.js'
import { product } from '../protocol/version.js'
import type { Connection } from './open.js'

// Rows found by their words. The index follows the log like any other reader, with a place of its own in it, and can be
// made anew from log and rows at any time; nothing of it is in the path of a commit.

/** JSON of events that one step takes in, at most: larger ones end it early. */
const STEP_BYTES = 2 * 1024 * 1024

/** How far the index of one table has come. */
interface Progress {
  /** By which release it was made: another's functions may give other texts. */
  version: string
  /** The last seq taken in. */
  upTo: number
  /** Rows older than the log are still to be filed, at places behind this one. */
  fill: number | null
  /** Entries without a row are removed up to this seq: their events are gone. */
  pruned: number
}

export interface SearchIndex {
  /** Takes in at most so many events; true once there is nothing left to do. Called between transactions. */
  catchUp(events: number, bounds: { earliest: number; head: number }): boolean
}

const declared = (tables: readonly Table<object>[]) => tables.filter(({ search }) => search !== undefined)

/** Creates the indexes that are declared, empty if they are new or of another release. */
export function createSearch(db: Connection, reader: Connection, tables: readonly Table<object>[]): SearchIndex {
  const indexes = declared(tables).map((table) => {
    prepare(db, table)
    return indexOf(db, reader, table)
  })
  return {
    catchUp: (events, bounds) => indexes.map((catchUp) => catchUp(events, bounds)).every((done) => done),
  }
}

const meta = ({ name }: Table<object>): string => `search ${name}`

function prepare(db: Connection, table: Table<object>): void {
  const { name } = table
  const known = progressOf(db, table)
  if (known?.version === product.version) return
  // Without content of its own: the texts are in the rows and the log.
  db.transaction(() => {
    db.exec(`
      DROP TABLE IF EXISTS ${name}_words;
      DROP TABLE IF EXISTS ${name}_found;
      CREATE VIRTUAL TABLE ${name}_words
        USING fts5(text, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 2");
      CREATE TABLE ${name}_found (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kept INTEGER NOT NULL);
      CREATE INDEX ${name}_found_kept ON ${name}_found (kept, place);
    `)
    db.prepare('DELETE FROM meta WHERE name = ?').run(meta(table))
  }).immediate()
}

function progressOf(db: Connection, table: Table<object>): Progress | undefined {
  const text = db.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck().get(meta(table))
  return text === undefined ? undefined : JSON.parse(text)
}

/** One step of one index. */
function indexOf(db: Connection, reader: Connection, table: Table<object>): SearchIndex['catchUp'] {
  const { take, fill, prune } = stepsOf(db, reader, table)
  const save = db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
  const step = db.transaction((from: Progress, events: number, earliest: number, head: number): Progress => {
    const upTo = take(from.upTo, Math.min(from.upTo + events, head))
    const filled = from.fill !== null && upTo === head ? fill(from.fill, events) : from.fill
    const pruned = from.pruned < earliest && prune(earliest, events) ? earliest : from.pruned
    const to = { ...from, upTo, fill: filled, pruned }
    save.run(meta(table), JSON.stringify(to))
    return to
  })
  let progress: Progress | undefined
  return (events, { earliest, head }) => {
    progress ??= progressOf(db, table) ?? { version: product.version, upTo: 0, fill: 0, pruned: earliest }
    // Whose events were removed before they were taken in are filed by their rows.
    if (progress.upTo < earliest) progress = { ...progress, upTo: earliest, fill: progress.fill ?? progress.upTo }
    const done = (at: Progress) => at.upTo >= head && at.fill === null && at.pruned >= earliest
    if (!done(progress)) progress = step.immediate(progress, events, earliest, head)
    return done(progress)
  }
}

function stepsOf(db: Connection, reader: Connection, table: Table<object>) {
  const { name, noun, search } = table
  if (!search) throw new Error(`${name} declares no search`)
  const { enters, leaves, text } = search
  const events = reader.prepare<[number, number, string, string], { seq: number; type: string; body: string }>(
    'SELECT seq, type, body FROM events WHERE seq > ? AND seq <= ? AND type IN (?, ?) ORDER BY seq',
  )
  const file = db.prepare(`INSERT OR IGNORE INTO ${name}_found VALUES (?, ?, ?)`)
  const addWords = db.prepare(`INSERT INTO ${name}_words (rowid, text) VALUES (?, ?)`)
  const unfile = db.prepare<[string], number>(`DELETE FROM ${name}_found WHERE id = ? RETURNING place`).pluck()
  const removeWords = db.prepare(`DELETE FROM ${name}_words WHERE rowid = ?`)
  const unfiled = db
    .prepare<[number], string>(
      `SELECT body FROM ${name} WHERE id NOT IN (SELECT id FROM ${name}_found) ORDER BY id LIMIT ?`,
    )
    .pluck()
  const stale = db
    .prepare<[number, number], string>(`SELECT id FROM ${name}_found WHERE kept = 0 AND place <= ? LIMIT ?`)
    .pluck()

  function add(place: number, row: object): void {
    const kept = table.keeps?.(row) ?? true
    if (file.run(place, table.id(row), kept ? 1 : 0).changes > 0) addWords.run(place, text(row))
  }
  function remove(id: string): void {
    const place = unfile.get(id)
    if (place !== undefined) removeWords.run(place)
  }
  return {
    /** Gives the seq it came to. */
    take(after: number, upTo: number): number {
      let bytes = 0
      // Read through the other connection: this one can do nothing else while it reads.
      for (const { seq, type, body } of events.iterate(after, upTo, enters, leaves)) {
        const { subject, data } = JSON.parse(body)
        if (type === enters) add(seq, data[noun])
        else remove(subject)
        bytes += body.length
        if (bytes > STEP_BYTES) return seq
      }
      return upTo
    },
    /** Rows whose events are gone are older than the log, and had a seq each. Gives where to go on; null at the end. */
    fill(after: number, count: number): number | null {
      const bodies = unfiled.all(count)
      for (const [index, body] of bodies.entries()) add(after + 1 + index, JSON.parse(body))
      return bodies.length < count ? null : after + bodies.length
    },
    /** False when there are more. */
    prune(upTo: number, count: number): boolean {
      const ids = stale.all(upTo, count)
      for (const id of ids) remove(id)
      return ids.length < count
    },
  }
}

/** The rows of a table that hold all the words, the newest first, placed before `before`. */
export function searchRows<Row extends object>(
  db: Connection,
  table: Table<Row>,
  words: string,
  { before, limit }: { before: number; limit: number },
): Found<Row>[] {
  const match = matchOf(words)
  if (match === undefined) return []
  const { name } = table
  const hits = db
    .prepare<[string, number, number], { place: number; row: string | null; event: string | null }>(
      `SELECT place, ${name}.body AS row, events.body AS event
       FROM ${name}_words CROSS JOIN ${name}_found ON place = ${name}_words.rowid
       LEFT JOIN ${name} ON kept = 1 AND ${name}.id = ${name}_found.id
       LEFT JOIN events ON kept = 0 AND seq = place
       WHERE ${name}_words MATCH ? AND ${name}_words.rowid < ? ORDER BY ${name}_words.rowid DESC LIMIT ?`,
    )
    .iterate(match, before, limit)
  const found: Found<Row>[] = []
  let length = 0
  for (const { place, row, event } of hits) {
    const body = row ?? event
    // It has gone since the index was last brought up to date.
    if (body === null) continue
    found.push({ place, row: row === null ? JSON.parse(body).data[table.noun] : JSON.parse(body) })
    length += body.length
    if (length >= limits.pageBytes) break
  }
  return found
}

/**
 * Words in the language of FTS5, each quoted, so that nothing in them is an operator of it: all must be there, in any
 * order; `"words in quotes"` in this order; `begin*` as the beginning of a word. Undefined when there is none.
 */
function matchOf(words: string): string | undefined {
  const terms = words.replaceAll('\0', ' ').match(/"[^"]*"\*?|\S+/g) ?? []
  const quoted = terms.flatMap((term) => {
    const word = term.replace(/\*+$/, '').replaceAll('"', ' ').trim()
    return word === '' ? [] : `"${word}"${term.endsWith('*') ? '*' : ''}`
  })
  return quoted.length > 0 ? quoted.join(' ') : undefined
}
