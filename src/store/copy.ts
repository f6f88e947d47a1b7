import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { SetupError } from '../protocol/errors.js'
import { explain } from './file.js'
import { readSeen, writeSeen } from './history.js'
import { checkMarked, checkOrigin, openReader } from './open.js'

// A workspace's database as one file: copied while it is in service, and put back while it is not.

/** What a copy holds. */
export interface Copied {
  epoch: string
  head: number
  bytes: number
}

/**
 * Copies a database, as it is at one moment, to a file that does not exist yet; a daemon may go on writing meanwhile. The
 * file appears whole or not at all. @throws SetupError
 */
export async function copyOut(databaseFile: string, target: string): Promise<Copied> {
  if (existsSync(target)) throw new SetupError(`${target} exists: name another file.`)
  return copy(databaseFile, target)
}

/** Reads everything of a file that is to be put back. @throws SetupError when it is no backup, or a damaged one */
function inspect(file: string): Copied {
  if (!existsSync(file))
    throw new SetupError(`${file} does not exist: name a file that agent-bridge backup has written.`)
  return explain(file, () => {
    const db = openReader(file)
    try {
      checkOrigin(db, file)
      checkMarked(db, file)
      const integrity = db.pragma('integrity_check(1)', { simple: true })
      if (integrity !== 'ok') throw new SetupError(`${file} is damaged (${integrity}): take another backup.`)
      const meta = db.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck()
      const last = Number(db.prepare('SELECT coalesce(max(seq), 0) FROM events').pluck().get())
      const bytes = Number(db.pragma('page_count', { simple: true })) * Number(db.pragma('page_size', { simple: true }))
      return { epoch: meta.get('epoch') ?? '', head: Math.max(last, Number(meta.get('base') ?? 0)), bytes }
    } finally {
      db.close()
    }
  })
}

/**
 * Puts a copy in the place of a workspace's database, which no daemon may have open. What was there is kept beside it under
 * the name given back. The daemon begins a new epoch above all that either has seen. @throws SetupError
 */
export async function copyIn(source: string, databaseFile: string): Promise<{ copied: Copied; replaced?: string }> {
  const { head } = inspect(source)
  const headFile = databaseFile.replace(/\.db$/, '.head')
  const seen = Math.max(head, readSeen(headFile)?.head ?? 0)
  const draft = `${databaseFile}.new`
  rmSync(draft, { force: true })
  const copied = await copy(source, draft)
  const replaced = existsSync(databaseFile) ? `${databaseFile}.replaced` : undefined
  if (replaced) {
    // With its WAL, under the name that SQLite looks for: a daemon that was killed left commits in it.
    for (const part of ['', '-wal']) {
      rmSync(`${replaced}${part}`, { force: true })
      if (existsSync(`${databaseFile}${part}`)) renameSync(`${databaseFile}${part}`, `${replaced}${part}`)
    }
    rmSync(`${databaseFile}-shm`, { force: true })
  }
  renameSync(draft, databaseFile)
  // An epoch that no database has: however far the copy had come, it is another history from here on.
  writeSeen(headFile, { epoch: 'restored', head: seen })
  return { copied, ...(replaced && { replaced }) }
}

async function copy(from: string, target: string): Promise<Copied> {
  const draft = `${target}.part`
  rmSync(draft, { force: true })
  try {
    const db = explain(from, () => openReader(from))
    try {
      // In one step, so of one moment. Page by page it would begin anew whenever the daemon commits.
      await db.backup(draft, { progress: () => 2 ** 31 - 1 })
    } finally {
      db.close()
    }
    settle(draft)
    const copied = inspect(draft)
    renameSync(draft, target)
    sync(dirname(target))
    return copied
  } catch (error) {
    for (const part of ['', '-wal', '-shm', '-journal']) rmSync(`${draft}${part}`, { force: true })
    return explain(target, () => {
      throw error
    })
  }
}

/** One file that depends on no other, on the disk, for its owner's eyes. */
function settle(file: string): void {
  const db = new Database(file)
  try {
    db.pragma('journal_mode = DELETE')
  } finally {
    db.close()
  }
  chmodSync(file, 0o600)
  sync(file)
}

function sync(path: string): void {
  if (process.platform === 'win32') return
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
