// Numbers, times and texts as people read them. Nothing here knows what time it is.

/** At most so many characters; what was cut off shows as an ellipsis. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text
  // Not through the middle of a character that takes two code units.
  return `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, '')}…`
}

/** A length of time in its largest unit, such as `4 min`; never negative. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`
  if (seconds < 36 * 3_600) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** How long since an instant, by a clock in ms. */
export const age = (instant: string, nowMs: number): string => duration(nowMs - Date.parse(instant))

/** Time of day, in the reader's zone; with the date, unless it is today. */
export function clockTime(instant: string, nowMs: number): string {
  const date = new Date(instant)
  if (Number.isNaN(date.getTime())) return instant
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return new Date(nowMs).toDateString() === date.toDateString() ? time : `${day} ${time}`
}

const two = (number: number): string => String(number).padStart(2, '0')

const numbers = new Intl.NumberFormat('en')
export const count = (number: number): string => numbers.format(number)

/** `1 lock`, `2 locks`. */
export const counted = (number: number, noun: string): string => `${count(number)} ${noun}${number === 1 ? '' : 's'}`

/** A share of one, such as a progress. */
export const percentOf = (share: number): string => `${Math.round(share * 100)}%`

export function bytes(number: number): string {
  const unit = ['B', 'KB', 'MB', 'GB', 'TB'] as const
  let [value, at] = [number, 0]
  while (value >= 1_000 && at < unit.length - 1) {
    value /= 1_000
    at++
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${unit[at]}`
}

/** A status, presence or state in words: `input_required` is `input required`. */
export const words = (name: string): string => name.replaceAll('_', ' ')

/** A value that may be anything, as text. */
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value, null, 2))
