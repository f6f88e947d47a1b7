import { type Fields, isFields } from '../protocol/fields.js'
import { printable, printableJson } from './text.js'

// Values as people read them, on one line. What they mean is told by their names and shapes, never by the method.

/** Nothing worth a line: absent, or an empty list or object. */
export const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) && value.length === 0) ||
  (isFields(value) && Object.values(value).every((inner) => inner === undefined))

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
export const isInstant = (value: unknown): value is string => typeof value === 'string' && INSTANT.test(value)
const two = (value: number): string => String(value).padStart(2, '0')

/** An instant by the local clock: its time today, its date too on another day. */
export function briefTime(instant: string, now = new Date()): string {
  const at = new Date(instant)
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  if (at.toDateString() === now.toDateString()) return time
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`
}

/** Milliseconds in the largest units that tell them. */
export function briefDuration(ms: number): string {
  if (ms < 1_000) return `${ms}ms`
  const seconds = ms / 1_000
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${two(Math.floor(seconds % 60))}s`
  return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`
}

/** A resource as it was asked for; exclusive unless it says otherwise. */
const briefClaim = ({ resource, mode, literal }: Fields): string =>
  `${resource}${mode === 'shared' ? ' (shared)' : ''}${literal ? ' (literal)' : ''}`

/** A value inside another: an object is told by its resource, or else by its first text. */
function briefInner(value: unknown): string {
  if (Array.isArray(value)) return value.map(briefInner).join(', ')
  if (!isFields(value)) return String(value)
  if (typeof value.resource === 'string') return briefClaim(value)
  const text = Object.values(value).find((inner) => typeof inner === 'string')
  if (text !== undefined) return text as string
  return Object.entries(value)
    .map(([name, inner]) => `${name} ${briefInner(inner)}`)
    .join(', ')
}

/** A field's value on one printable line; durations and fractions by the name's word, such as `ageMs`. */
export function brief(name: string, value: unknown): string {
  if (isEmpty(value)) return ''
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number' && name.endsWith('Ms')) return briefDuration(value)
  if (typeof value === 'number' && name === 'progress') return `${Math.round(value * 100)}%`
  if (isInstant(value)) return briefTime(value)
  return printable(briefInner(value))
}

/** A value in full on one printable line: instants to the millisecond, objects as JSON. */
export function whole(name: string, value: unknown): string {
  if (typeof value === 'string') return printable(value)
  if (typeof value === 'number' && name.endsWith('Ms') && value >= 1_000) return `${value} (${briefDuration(value)})`
  if (Array.isArray(value) && value.every((item) => !isFields(item) && !Array.isArray(item))) {
    return printable(value.map(String).join(', '))
  }
  return printableJson(value)
}
