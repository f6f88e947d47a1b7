import { type Instant, toMs } from '../protocol/time.js'
import type { Random } from './ports.js'

/** Ids that sort in the order in which they were made: the instant, a count within it, and 40 random bits. */
export function createIds(random: Random) {
  let last = 0
  let count = 0
  return {
    /** `<prefix>_<9 characters of time><3 of count><8 random>`, base 36. */
    next(prefix: string, now: Instant): string {
      const ms = Math.max(toMs(now), last)
      count = ms === last ? count + 1 : 0
      last = ms
      const tail = [...random.bytes(5)].reduce((sum, byte) => sum * 256 + byte, 0)
      return `${prefix}_${base36(ms, 9)}${base36(count, 3)}${base36(tail, 8)}`
    },
  }
}

const base36 = (value: number, length: number): string => value.toString(36).padStart(length, '0')
