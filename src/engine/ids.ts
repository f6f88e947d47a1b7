import { type Instant, toMs } from '../protocol/time.js'
import type { Random } from './ports.js'

const RANDOM_BYTES = 5
/** What three characters can count. */
const COUNT_MAX = 36 ** 3

/** Ids that sort in the order in which they were made: the instant, a count within it, and 40 random bits. */
export function createIds(random: Random) {
  let last = 0
  let count = 0
  // Drawn many at a time: one call for a few bytes costs as much as for a thousand.
  let pool = random.bytes(RANDOM_BYTES * 200)
  let used = 0
  function draw(): number {
    if (used === pool.length) {
      pool = random.bytes(pool.length)
      used = 0
    }
    let drawn = 0
    for (const end = used + RANDOM_BYTES; used < end; used++) drawn = drawn * 256 + (pool[used] ?? 0)
    return drawn
  }
  return {
    /** `<prefix>_<9 characters of time><3 of count><8 random>`, base 36. */
    next(prefix: string, now: Instant): string {
      const ms = Math.max(toMs(now), last)
      count = ms === last ? count + 1 : 0
      last = ms
      if (count === COUNT_MAX) {
        last++
        count = 0
      }
      return `${prefix}_${base36(last, 9)}${base36(count, 3)}${base36(draw(), 8)}`
    },
  }
}

const base36 = (value: number, length: number): string => value.toString(36).padStart(length, '0')
