import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import type { LogRecord, Reader, Store } from '../engine/ports.js'
import type { LogBounds } from '../protocol/cursor.js'
import type { Table } from '../protocol/method.js'
import { explain } from './file.js'
import { openHistory, writeSeen } from './history.js'
import { type Connection, openReader, openWriter } from './open.js'
import { createRows } from './rows.js'
import { migrate, rowRemover, rowWriter } from './schema.js'
import { createSearch } from './search.js'

/**
 * When nothing was committed for so long, ms, the WAL is copied into the database. Under a load that never pauses SQLite
 * does it inside a commit, once the WAL has this many pages: 64 MiB, which took 55 ms at 45,000 events/s. Doing it
 * every 500 ms instead stalled as long each time, and did not keep the WAL smaller.
 */
const IDLE_MS = 500
const WAL_PAGES = 16_384
/** The head file is at most this much behind, ms. */
const HEAD_MS = 1_000
/** SQLite's names for the values of PRAGMA synchronous. */
const SYNCHRONOUS = ['off', 'normal', 'full', 'extra']

export interface SqliteStore extends Store {
  /** The database was restored or rolled back: a new epoch has begun, in which nothing has happened yet. */
  readonly anew: boolean
  close(): void
}

/** Opens, or creates, the database of one workspace. @throws SetupError */
export function openStore(file: string, tables: readonly Table<object>[]): SqliteStore {
  return explain(file, () => {
    const db = openWriter(file)
    let reader: Connection | undefined
    try {
      reader = openReader(file)
      migrate(db, reader, tables)
      return createStore(file, tables, db, reader)
    } catch (error) {
      reader?.close()
      db.close()
      throw error
    }
  })
}

function createStore(file: string, tables: readonly Table<object>[], db: Connection, reader: Connection): SqliteStore {
  const headFile = `${file.replace(/\.db$/, '')}.head`
  db.pragma(`wal_autocheckpoint = ${WAL_PAGES}`)
  const { anew, ...bounds } = openHistory(db, headFile, newEpoch)
  const marks = {
    savepoint: db.prepare('SAVEPOINT command'),
    release: db.prepare('RELEASE command'),
    undo: db.prepare('ROLLBACK TO command'),
  }
  // A deferred BEGIN that reads first is refused at once when it then writes and another process is writing.
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const put = byTable(tables, (table) => rowWriter(db, table))
  const remove = byTable(tables, (table) => rowRemover(db, table))
  const append = eventWriter(db)
  const remembered = db.prepare<[string], { private: string; body: string }>(
    'SELECT private, body FROM events WHERE idempotency = ? ORDER BY seq DESC LIMIT 1',
  )
  const search = createSearch(db, reader, tables)
  const readers = db.prepare<[], Reader>('SELECT agent, name, cursor FROM readers ORDER BY agent, name')
  const putReader = db.prepare('INSERT OR REPLACE INTO readers VALUES (?, ?, ?)')
  const dropReader = db.prepare('DELETE FROM readers WHERE agent = ? AND name = ?')
  const upkeep = createUpkeep(db, headFile, bounds)
  const trim = db.prepare('DELETE FROM events WHERE seq <= ?')
  const setEarliest = db.prepare("INSERT OR REPLACE INTO meta VALUES ('earliest', ?)")
  let { head, earliest } = bounds
  let [appended, trimmed] = [head, earliest]

  return {
    anew,
    writing: createRows(db),
    committed: createRows(reader),
    bounds: () => ({ ...bounds, earliest, head }),
    async begin() {
      begin.run()
    },
    mark(step) {
      marks[step].run()
      if (step === 'undo') marks.release.run()
    },
    put: (table, row, json, secret) => put(table)(row, json, secret),
    remove: (table, id) => remove(table)(id),
    append(record) {
      append(record)
      appended = record.seq
    },
    async commit() {
      commit.run()
      earliest = trimmed
      if (appended === head) return
      head = appended
      upkeep.committed(head)
    },
    catchUp: (events) => search.catchUp(events, { earliest, head }),
    trim(upTo) {
      trim.run(upTo)
      trimmed = Math.max(trimmed, upTo)
      setEarliest.run(String(trimmed))
    },
    readers: () => readers.all(),
    putReader({ agent, name, cursor }) {
      if (cursor === undefined) dropReader.run(agent, name)
      else putReader.run(agent, name, cursor)
    },
    remembered: (key) => remembered.get(key),
    usedBytes: () => {
      const [pages, free, size] = ['page_count', 'freelist_count', 'page_size'].map((name) => pragma(db, name))
      return (pages! - free!) * size!
    },
    stats: () => ({
      bytes: sizeOf(file) + sizeOf(`${file}-wal`),
      synchronous: SYNCHRONOUS[Number(db.pragma('synchronous', { simple: true }))] ?? '',
    }),
    close() {
      upkeep.stop()
      reader.close()
      // Takes back a batch under way, copies the WAL into the database and removes it.
      db.close()
    },
  }
}

function byTable<Made>(tables: readonly Table<object>[], make: (table: Table<object>) => Made) {
  const made = new Map(tables.map((table) => [table.name, make(table)]))
  return ({ name }: Table<object>): Made => {
    const found = made.get(name)
    if (found === undefined) throw new Error(`No noun declares the table ${name}.`)
    return found
  }
}

/** 40 random bits, as base 36. */
const newEpoch = (): string => Number(`0x${randomBytes(5).toString('hex')}`).toString(36)

function eventWriter(db: Connection): (record: LogRecord) => void {
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
  return ({ seq, command, type, topic, contractId, parties, body, private: hidden, idempotency }) =>
    insert.run(seq, command, type, topic, contractId, parties, body, hidden, idempotency)
}

/**
 * What is done beside the commits. Nothing here is needed for what was committed to be safe, so what fails (a full
 * disk) is left until the next time, and does not end the daemon.
 */
function createUpkeep(db: Connection, headFile: string, { epoch, head: from }: LogBounds) {
  let idle: NodeJS.Timeout | undefined
  let lazily: NodeJS.Timeout | undefined
  let head = from
  const writeHead = attempting(() => {
    lazily = undefined
    writeSeen(headFile, { epoch, head })
  })
  // PASSIVE waits for nobody; left to itself SQLite would checkpoint inside some unlucky commit.
  const checkpoint = attempting(() => db.pragma('wal_checkpoint(PASSIVE)'))
  return {
    committed(upTo: number): void {
      head = upTo
      lazily ??= setTimeout(writeHead, HEAD_MS).unref()
      if (idle) idle.refresh()
      else idle = setTimeout(checkpoint, IDLE_MS).unref()
    },
    stop(): void {
      clearTimeout(idle)
      clearTimeout(lazily)
      writeHead()
    },
  }
}

const attempting = (act: () => unknown) => (): void => {
  try {
    act()
  } catch {}
}

const pragma = (db: Connection, name: string): number => Number(db.pragma(name, { simple: true }))

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0
