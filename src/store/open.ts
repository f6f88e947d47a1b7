import { existsSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { SetupError } from '../protocol/errors.js'

export type Connection = Database.Database

/** "abrg": marks a file as a database of agent-bridge. */
const APPLICATION_ID = 0x61627267
/** Of the tables that no noun declares; a noun's own are reshaped when their declaration changes. */
export const SCHEMA_VERSION = 1
/** From here on a WAL database cannot be corrupted by two connections at once (the "WAL-reset" bug). */
const SQLITE_MIN = [3, 51, 3]
/** WAL pages after which a commit also checkpoints. High: the idle checkpoint is meant to come first. */
const CHECKPOINT_PAGES = 16_384
/** `statfs` types of file systems that are on another machine, whose locks and syncs cannot be relied on. */
const NETWORK_TYPES = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
])

/** Opens the writer's connection. @throws SetupError when the file or this SQLite cannot be relied on */
export function openWriter(file: string): Connection {
  checkFileSystem(file)
  const isNew = !existsSync(file)
  const db = explain(file, () => new Database(file))
  try {
    explain(file, () => configure(db, file, isNew))
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Opens the queries' connection, which can only read. */
export function openReader(file: string): Connection {
  const db = new Database(file, { readonly: true })
  db.pragma('busy_timeout = 5000')
  return db
}

/**
 * Holds a file for this process alone, until the function returned is called or the process ends in whatever way.
 * @throws an error of code SQLITE_BUSY when another process holds it
 */
export function holdFile(file: string): () => void {
  const db = new Database(file, { timeout: 0 })
  try {
    db.pragma('journal_mode = DELETE')
    db.exec('BEGIN EXCLUSIVE')
    return () => db.close()
  } catch (error) {
    db.close()
    throw error
  }
}

function configure(db: Connection, file: string, isNew: boolean): void {
  checkLibrary(String(db.prepare('SELECT sqlite_version()').pluck().get()))
  const version = Number(db.pragma('user_version', { simple: true }))
  const marked = Number(db.pragma('application_id', { simple: true })) === APPLICATION_ID
  if (!isNew && !marked && Number(db.prepare('SELECT count(*) FROM sqlite_master').pluck().get()) > 0) {
    throw new SetupError(`${file} is a database of something else: move it away, or choose another home with --home.`)
  }
  if (version > SCHEMA_VERSION) {
    throw new SetupError(
      `${file} was written by a newer agent-bridge (schema ${version}, this one knows ${SCHEMA_VERSION}): run that version, or choose another home with --home.`,
    )
  }
  db.pragma(`application_id = ${APPLICATION_ID}`)
  db.pragma('journal_mode = WAL')
  // better-sqlite3 opens WAL databases with NORMAL, under which an acknowledged commit can vanish at a power loss.
  db.pragma('synchronous = FULL')
  db.pragma('fullfsync = 1') // macOS: without it a sync stops at the drive's cache.
  db.pragma('checkpoint_fullfsync = 1')
  db.pragma('busy_timeout = 5000')
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  const [journal, synchronous] = [
    db.pragma('journal_mode', { simple: true }),
    db.pragma('synchronous', { simple: true }),
  ]
  if (journal !== 'wal' || synchronous !== 2) {
    throw new SetupError(
      `${file} cannot be written safely here (journal ${journal}, synchronous ${synchronous}): choose a home on a local disk with --home.`,
    )
  }
}

/** @throws SetupError for an SQLite that can corrupt a database */
export function checkLibrary(version: string): void {
  const parts = version.split('.').map(Number)
  for (const [index, least] of SQLITE_MIN.entries()) {
    const part = parts[index] ?? 0
    if (part > least) return
    if (part < least) {
      throw new SetupError(
        `SQLite ${version} can corrupt a database; ${SQLITE_MIN.join('.')} or later is needed: reinstall with npm install.`,
      )
    }
  }
}

function checkFileSystem(file: string): void {
  const type = NETWORK_TYPES.get(statfsSync(dirname(file)).type)
  if (type && process.platform === 'linux') {
    throw new SetupError(
      `${dirname(file)} is on a network file system (${type}), which cannot keep a database safe: choose another home with --home.`,
    )
  }
}

function explain<Result>(file: string, act: () => Result): Result {
  try {
    return act()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_CORRUPT')) {
      throw new SetupError(
        `${file} is damaged or no database: put a backup in its place, or move it away to begin anew.`,
        error,
      )
    }
    if (code.startsWith('SQLITE_CANTOPEN') || code.startsWith('SQLITE_READONLY')) {
      throw new SetupError(
        `${file} cannot be opened for writing: check its permissions, or choose another home with --home.`,
        error,
      )
    }
    if (code.startsWith('SQLITE_BUSY')) {
      throw new SetupError(`${file} is in use by another process: stop it first.`, error)
    }
    throw error
  }
}
