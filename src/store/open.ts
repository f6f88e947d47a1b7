import { statfsSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { SetupError } from '../protocol/errors.js'

export type Connection = Database.Database

/** "abrg": marks a file as a database of agent-bridge. */
const APPLICATION_ID = 0x61627267
/** Of the tables that no noun declares; a noun's own are reshaped when their declaration changes. */
const SCHEMA_VERSION = 1
/** From here on a WAL database cannot be corrupted by two connections at once (the "WAL-reset" bug). */
const SQLITE_MIN = [3, 51, 3]
/** How long another process's lock is waited for, ms. */
const BUSY_MS = 5_000
/** `statfs` types of file systems that are on another machine, whose locks and syncs cannot be relied on. */
const NETWORK_TYPES = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
])

/** Opens the writer's connection. @throws SetupError when this is no file, or no SQLite, that can be relied on */
export function openWriter(file: string): Connection {
  checkFileSystem(file)
  createPrivate(file)
  const db = new Database(file, { timeout: BUSY_MS })
  try {
    checkLibrary(String(db.prepare('SELECT sqlite_version()').pluck().get()))
    checkOrigin(db, file)
    makeDurable(db, file)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Opens the queries' connection, which can only read. */
export const openReader = (file: string): Connection => new Database(file, { readonly: true, timeout: BUSY_MS })

/**
 * Holds a file for this process alone, until the function returned is called or the process ends in whatever way.
 * @throws an error of code SQLITE_BUSY when another process holds it
 */
export function holdFile(file: string): () => void {
  createPrivate(file)
  const db = new Database(file, { timeout: 0 })
  try {
    db.pragma('journal_mode = MEMORY') // Nothing is ever written to it.
    db.exec('BEGIN EXCLUSIVE')
    return () => db.close()
  } catch (error) {
    db.close()
    throw error
  }
}

/** Marks a file as ours, and of this version; part of the transaction that makes its tables. */
export function mark(db: Connection): void {
  db.pragma(`application_id = ${APPLICATION_ID}`)
  db.pragma(`user_version = ${SCHEMA_VERSION}`)
}

/** Of the SQLite that is built in. */
export function libraryVersion(): string {
  const db = new Database(':memory:')
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get())
  } finally {
    db.close()
  }
}

/** @throws SetupError for an SQLite that can corrupt a database */
export function checkLibrary(version: string): void {
  const parts = version.split('.').map(Number)
  const differing = SQLITE_MIN.findIndex((least, index) => parts[index] !== least)
  if (differing < 0 || (parts[differing] ?? 0) > (SQLITE_MIN[differing] ?? 0)) return
  throw new SetupError(
    `SQLite ${version} can corrupt a database; ${SQLITE_MIN.join('.')} or later is needed: reinstall with npm install.`,
  )
}

/** SQLite gives a database's other files the mode of the database. */
function createPrivate(file: string): void {
  try {
    writeFileSync(file, '', { flag: 'ax', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** The network file system that a folder is on, if it is on one. */
export function networkTypeOf(folder: string): string | undefined {
  return process.platform === 'linux' ? NETWORK_TYPES.get(statfsSync(folder).type) : undefined
}

function checkFileSystem(file: string): void {
  const type = networkTypeOf(dirname(file))
  if (type) {
    throw new SetupError(
      `${dirname(file)} is on a network file system (${type}), which cannot keep a database safe: choose another home with --home.`,
    )
  }
}

/** Nothing is written to a database of something else, or of a later version, not even the mark of a journal mode. */
export function checkOrigin(db: Connection, file: string): void {
  const version = Number(db.pragma('user_version', { simple: true }))
  const marked = db.pragma('application_id', { simple: true }) === APPLICATION_ID
  if (!marked && Number(db.prepare('SELECT count(*) FROM sqlite_master').pluck().get()) > 0) {
    throw new SetupError(`${file} is a database of something else: move it away, or choose another home with --home.`)
  }
  if (version > SCHEMA_VERSION) {
    throw new SetupError(
      `${file} was written by a newer agent-bridge (schema ${version}, this one knows ${SCHEMA_VERSION}): run that version, or choose another home with --home.`,
    )
  }
}

/** @throws SetupError for a database that is nobody's yet, and so no copy of ours */
export function checkMarked(db: Connection, file: string): void {
  if (db.pragma('application_id', { simple: true }) === APPLICATION_ID) return
  throw new SetupError(`${file} is no backup of agent-bridge: name a file that agent-bridge backup has written.`)
}

/** Sets what makes a commit outlast a power loss, and reads it back. */
function makeDurable(db: Connection, file: string): void {
  const journal = db.pragma('journal_mode = WAL', { simple: true })
  // better-sqlite3 opens WAL databases with NORMAL, under which an acknowledged commit can vanish at a power loss.
  db.pragma('synchronous = FULL')
  db.pragma('fullfsync = 1') // macOS: without it a sync stops at the drive's cache.
  db.pragma('checkpoint_fullfsync = 1')
  const synchronous = db.pragma('synchronous', { simple: true })
  if (journal === 'wal' && synchronous === 2) return
  throw new SetupError(
    `${file} cannot be written safely here (journal ${journal}, synchronous ${synchronous}): choose a home on a local disk with --home.`,
  )
}
