import { readFileSync } from 'node:fs'
import type { LogBounds } from '../protocol/cursor.js'
import { replaceFile } from './file.js'
import type { Connection } from './open.js'

// Which history of a workspace a database holds. Beside it stands a small file that says how far the log had come: a
// database that has come less far was restored or rolled back, and must not give out its cursors a second time.

/** More events than can have been committed since the head file was last written. */
export const UNSEEN_MAX = 1_000_000

interface Seen {
  epoch: string
  head: number
}

/**
 * The log's bounds, in a new epoch when the database is not the one last seen here. `anew`: rows of an earlier epoch
 * may still claim to be in force. That is so until the epoch's first event, whatever crashes before.
 */
export function openHistory(db: Connection, headFile: string, newEpoch: () => string): LogBounds & { anew: boolean } {
  const meta = (name: string) => db.prepare<[string], string>('SELECT value FROM meta WHERE name = ?').pluck().get(name)
  const set = db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
  const base = Number(meta('base') ?? 0)
  const head = Math.max(base, Number(db.prepare('SELECT coalesce(max(seq), 0) FROM events').pluck().get()))
  const epoch = meta('epoch')
  const seen = readSeen(headFile)
  if (epoch !== undefined && seen?.epoch === epoch && seen.head <= head) {
    if (seen.head < head) writeSeen(headFile, { epoch, head })
    return { epoch, earliest: Number(meta('earliest') ?? base), head, anew: head === base && base > 0 }
  }
  // No seq that a client may have seen is given out again; the old events stay, but no cursor leads to them.
  const known = Math.max(head, seen?.head ?? 0)
  const first = known === 0 ? 0 : known + UNSEEN_MAX
  const begun = newEpoch()
  db.transaction(() => {
    set.run('epoch', begun)
    set.run('base', String(first))
    set.run('earliest', String(first))
  }).immediate()
  writeSeen(headFile, { epoch: begun, head: first })
  return { epoch: begun, earliest: first, head: first, anew: first > 0 }
}

/** What stands in the file; undefined when it is missing or damaged, so that nothing can be known from it. */
export function readSeen(headFile: string): Seen | undefined {
  let text: string
  try {
    text = readFileSync(headFile, 'utf8')
  } catch {
    return undefined
  }
  const [, epoch, head] = /^([a-z0-9]+)-(\d{1,15})\n$/.exec(text) ?? []
  return epoch === undefined ? undefined : { epoch, head: Number(head) }
}

export const writeSeen = (headFile: string, { epoch, head }: Seen): void => replaceFile(headFile, `${epoch}-${head}\n`)
