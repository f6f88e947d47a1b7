import { refuse } from './errors.js'

/** A place in a workspace's log, written `<epoch>-<seq>`: exclusive, so `after` it begins with seq + 1. */
export interface Cursor {
  epoch: string
  seq: number
}

/** What a caller may write where a cursor is wanted. */
export const cursorForm = /^(earliest|latest|[a-z0-9]{1,16}-[0-9]{1,16})$/

export const formatCursor = (epoch: string, seq: number): string => `${epoch}-${seq}`

/** The bounds of a log. `earliest` and `head` are seqs: readable are the events after `earliest`, up to `head`. */
export interface LogBounds {
  epoch: string
  earliest: number
  head: number
}

/** Parses `<epoch>-<seq>`. @throws INVALID_PARAMS for any other text or a seq above 2^53 - 1 */
function parseCursor(text: string): Cursor {
  const dash = text.indexOf('-')
  const seq = Number(text.slice(dash + 1))
  if (!cursorForm.test(text) || dash < 0 || !Number.isSafeInteger(seq)) {
    refuse('INVALID_PARAMS', 'A cursor is "earliest", "latest" or one that the bridge gave out, "<epoch>-<seq>".')
  }
  return { epoch: text.slice(0, dash), seq }
}

/** Whether a kept cursor is one of this log, from which it can be read. */
export function continues(kept: string | undefined, { epoch, earliest, head }: LogBounds): boolean {
  if (kept === undefined) return false
  const cursor = parseCursor(kept)
  return cursor.epoch === epoch && cursor.seq >= earliest && cursor.seq <= head
}

/**
 * Where a durable reader goes on: behind what it has acknowledged (`kept`), or behind `after` where that is a cursor and
 * further on. `earliest` and `latest` are for a name that is new. @throws as `resolveCursor` does
 */
export function resumeCursor(kept: string | undefined, after: string, bounds: LogBounds): number {
  if (kept === undefined) return resolveCursor(after, bounds)
  if (after === 'earliest' || after === 'latest') return resolveCursor(kept, bounds)
  const given = resolveCursor(after, bounds)
  const { epoch, seq } = parseCursor(kept)
  return epoch === bounds.epoch ? Math.max(seq, given) : given
}

/**
 * The seq after which to read. A cursor that cannot be continued is refused, never skipped over.
 * @throws EPOCH_CHANGED, CURSOR_AHEAD, CURSOR_EXPIRED, each with `{ epoch, earliest, head }`
 */
export function resolveCursor(text: string, bounds: LogBounds): number {
  if (text === 'earliest') return bounds.earliest
  if (text === 'latest') return bounds.head
  const { epoch, seq } = parseCursor(text)
  const facts = {
    epoch: bounds.epoch,
    earliest: formatCursor(bounds.epoch, bounds.earliest),
    head: formatCursor(bounds.epoch, bounds.head),
  }
  const cure = 'List the rows and follow from the list\'s "at".'
  if (epoch !== bounds.epoch) {
    refuse('EPOCH_CHANGED', `The cursor is of another history (the database was restored). ${cure}`, facts)
  }
  if (seq > bounds.head) refuse('CURSOR_AHEAD', `The cursor is ahead of the log. ${cure}`, facts)
  if (seq < bounds.earliest) refuse('CURSOR_EXPIRED', `Events after the cursor have been removed. ${cure}`, facts)
  return seq
}
