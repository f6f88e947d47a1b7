import { type Fields, isFields } from '../../protocol/fields.js'
import { limits } from '../../protocol/limits.js'

// Answers as models get them: small, for whatever a tool says stays in the turn and is paid for again and again.

/** The bridge's own bookkeeping, and instants that no decision hangs on. */
const SILENT = new Set([
  ...['session', 'sessions', 'generation', 'connects', 'daemon', 'starts', 'unverified', 'receipts', 'at'],
  ...['retryBackoffMs', 'progressTimeoutMs', 'progressDueAt', 'progressedAt', 'cancelDueAt', 'graceMs'],
  ...['createdAt', 'updatedAt', 'acceptedAt', 'startedAt', 'endedAt', 'requestedAt', 'acquiredAt', 'registeredAt'],
])

/** Whether a field of that name is told at all. */
export const isTold = (name: string): boolean => !SILENT.has(name)

/** Rows that stand inside answers, each to be cut like one that stands alone. */
const ROWS = new Set(['items', 'contract', 'contracts', 'lock', 'locks', 'heldBy', 'messages', 'events'])

/** An answer cut to size; what is no object is put in one, as `result`. */
export function shape(answer: unknown, whole: boolean): Fields {
  if (!isFields(answer)) return { result: condense(answer, limits.toolTextLength) ?? null }
  const row = whole ? (wholeRow(answer) as Fields) : briefRow(answer)
  return row
}

const wholeRow = (value: unknown): unknown => condense(value, limits.toolTextLength)

/** A row's texts and numbers, what it is about, and the rows in it; texts cut short. */
export function briefRow(row: Fields): Fields {
  const kept = Object.entries(row).flatMap(([name, value]): [string, unknown][] => {
    if (!isTold(name) || isEmpty(value)) return []
    if (ROWS.has(name)) return [[name, Array.isArray(value) ? value.map(briefInner) : briefInner(value)]]
    if (isFields(value) && name !== 'error') return []
    if (Array.isArray(value) && value.some(isFields) && !LISTED.has(name)) return []
    return [[name, condense(value, limits.toolNoteLength)]]
  })
  return Object.fromEntries(kept)
}

/** Lists of objects that are told even in short. */
const LISTED = new Set(['resources', 'recipients', 'inputRequests', 'blockers', 'parts'])

const briefInner = (value: unknown): unknown => (isFields(value) ? briefRow(value) : value)

/** Without what is empty or silent, and no text longer than `textMax`. Undefined when nothing is left. */
function condense(value: unknown, textMax: number): unknown {
  if (typeof value === 'string') return cutText(value, textMax)
  if (Array.isArray(value)) return value.map((item) => condense(item, textMax))
  if (!isFields(value)) return value
  const kept = Object.entries(value).filter(([name, inner]) => isTold(name) && !isEmpty(inner))
  return Object.fromEntries(kept.map(([name, inner]) => [name, condense(inner, textMax)]))
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) && value.length === 0) ||
  (isFields(value) && Object.keys(value).length === 0)

/** A surrogate pair is not cut in two. */
export const cutText = (text: string, max: number): string =>
  text.length <= max
    ? text
    : `${text.slice(0, max).replace(/[\uD800-\uDBFF]$/, '')}… (${text.length - max} more characters)`
