import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { LogBounds } from '../protocol/cursor.js'
import type { Connection } from './open.js'

// Which history of a workspace a database holds. Beside it stands a small file that says how far the log had come: a
// database that has come less far was restored or rolled back, and must not give out its cursors a second time.

interface Seen {
  epoch: string
  head: number
}

/** The log's bounds; `anew` when a new epoch had to begin because the database is not the one last seen here. */
export function openHistory(db: Connection, headFile: string, newEpoch: () => string): LogBounds & { anew: boolean } {
  const meta = (name: string) => db.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck().get(name)
  const set = db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
  const stored = Number(db.prepare('SELECT coalesce(max(seq), 0) FROM events').pluck().get())
  const epoch = meta('epoch')
  const base = Number(meta('base') ?? 0)
  const head = Math.max(stored, base)
  const seen = readSeen(headFile)
  const same = epoch !== undefined && seen?.epoch === epoch && seen.head <= head
  if (same) return { epoch, earliest: Number(meta('earliest') ?? base), head, anew: false }
  // No seq that a client may have seen is given out again; the old events stay, but no cursor leads to them.
  const first = Math.max(head, seen?.head ?? 0)
  const begun = newEpoch()
  db.transaction(() => {
    set.run('epoch', begun)
    set.run('base', String(first))
    set.run('earliest', String(first))
  }).immediate()
  writeSeen(headFile, { epoch: begun, head: first })
  return { epoch: begun, earliest: first, head: first, anew: epoch !== undefined }
}

function readSeen(headFile: string): Seen | undefined {
  if (!existsSync(headFile)) return undefined
  const [epoch = '', head = ''] = readFileSync(headFile, 'utf8').trim().split('-')
  return /^[a-z0-9]+$/.test(epoch) && /^\d+$/.test(head) ? { epoch, head: Number(head) } : undefined
}

/** Replaces the file in one step, so that it is never seen half written. */
export function writeSeen(headFile: string, { epoch, head }: Seen): void {
  writeFileSync(`${headFile}.new`, `${epoch}-${head}\n`, { mode: 0o600 })
  renameSync(`${headFile}.new`, headFile)
}
