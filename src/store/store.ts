import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import type { LogRecord, Store } from '../engine/ports.js'
import type { Table } from '../protocol/method.js'
import { openHistory, writeSeen } from './history.js'
import { type Connection, openReader, openWriter } from './open.js'
import { createRows } from './rows.js'
import { migrate, type RowWriter, rowRemover, rowWriter } from './schema.js'

/** When nothing was committed for so long, ms, the WAL is copied into the database; and the head file is written. */
const IDLE_MS = 500
const HEAD_MS = 1_000
/** SQLite's names for the values of PRAGMA synchronous. */
const SYNCHRONOUS = ['off', 'normal', 'full', 'extra']

export interface SqliteStore extends Store {
  /** The database was restored or rolled back since it was last open: a new epoch has begun. */
  readonly anew: boolean
  close(): void
}

/** Opens, or creates, the database of one workspace. @throws SetupError */
export function openStore(file: string, tables: readonly Table<object>[]): SqliteStore {
  const db = openWriter(file)
  migrate(db, tables)
  const headFile = file.replace(/\.db$/, '.head')
  const { anew, ...bounds } = openHistory(db, headFile, newEpoch)
  const reader = openReader(file)
  const marks = {
    savepoint: db.prepare('SAVEPOINT command'),
    release: db.prepare('RELEASE command'),
    undo: db.prepare('ROLLBACK TO command'),
  }
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const writers = new Map<string, RowWriter>(tables.map((table) => [table.name, rowWriter(db, table)]))
  const removers = new Map(tables.map((table) => [table.name, rowRemover(db, table)]))
  const append = eventWriter(db)
  const remembered = db.prepare<[string], { private: string; body: string }>(
    'SELECT private, body FROM events WHERE idempotency = ? ORDER BY seq DESC LIMIT 1',
  )
  const upkeep = createUpkeep(db, headFile, bounds)
  let head = bounds.head

  return {
    anew,
    writing: createRows(db),
    committed: createRows(reader),
    bounds: () => ({ ...bounds, head }),
    async begin() {
      begin.run()
    },
    mark(step) {
      marks[step].run()
      if (step === 'undo') marks.release.run()
    },
    put: (table, row, json, secret) => writers.get(table.name)?.(row, json, secret),
    remove: (table, id) => removers.get(table.name)?.(id),
    append(record) {
      append(record)
      head = record.seq
    },
    async commit() {
      commit.run()
      upkeep.committed(head)
    },
    remembered: (key) => remembered.get(key),
    stats: () => ({
      bytes: sizeOf(file) + sizeOf(`${file}-wal`),
      synchronous: SYNCHRONOUS[Number(db.pragma('synchronous', { simple: true }))] ?? '',
    }),
    close() {
      upkeep.stop()
      reader.close()
      if (db.inTransaction) db.exec('ROLLBACK')
      db.pragma('wal_checkpoint(TRUNCATE)')
      db.close()
    },
  }
}

/** 40 random bits, as base 36. */
const newEpoch = (): string => Number(`0x${randomBytes(5).toString('hex')}`).toString(36)

function eventWriter(db: Connection): (record: LogRecord) => void {
  const insert = db.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
  return ({ seq, command, type, topic, contractId, parties, body, private: hidden, idempotency }) =>
    insert.run(seq, command, type, topic, contractId, parties, body, hidden, idempotency)
}

/** What is done beside the commits: nothing here is needed for what was committed to be safe. */
function createUpkeep(db: Connection, headFile: string, bounds: { epoch: string; head: number }) {
  let idle: NodeJS.Timeout | undefined
  let lazily: NodeJS.Timeout | undefined
  let head = bounds.head
  const writeHead = () => {
    lazily = undefined
    writeSeen(headFile, { epoch: bounds.epoch, head })
  }
  return {
    committed(upTo: number): void {
      if (upTo === head) return
      head = upTo
      lazily ??= setTimeout(writeHead, HEAD_MS).unref()
      // PASSIVE waits for nobody; left to itself SQLite would checkpoint inside some unlucky commit.
      if (idle) idle.refresh()
      else
        idle = setTimeout(() => db.open && !db.inTransaction && db.pragma('wal_checkpoint(PASSIVE)'), IDLE_MS).unref()
    },
    stop(): void {
      clearTimeout(idle)
      clearTimeout(lazily)
      writeHead()
    },
  }
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0
