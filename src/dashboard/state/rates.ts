/** Seconds that a plot shows. */
export const RATE_SECONDS = 120

/** Events a second as they reached this page, and how long after they happened, for the last two minutes. */
export interface Rates {
  /** An event came at `nowMs` that happened at `timeMs`. */
  add(nowMs: number, timeMs: number): void
  /** Of each second up to `nowMs`, the oldest first: events, and the longest delay in ms. */
  series(nowMs: number): { counts: number[]; delays: number[] }
}

export function createRates(): Rates {
  const counts = new Array<number>(RATE_SECONDS).fill(0)
  const delays = new Array<number>(RATE_SECONDS).fill(0)
  let newest = 0

  /** Empties the places of the seconds that have passed without an event. */
  function advance(second: number): void {
    for (let at = Math.max(newest + 1, second - RATE_SECONDS + 1); at <= second; at++) {
      counts[at % RATE_SECONDS] = 0
      delays[at % RATE_SECONDS] = 0
    }
    newest = Math.max(newest, second)
  }

  return {
    add(nowMs, timeMs) {
      const second = Math.floor(nowMs / 1_000)
      advance(second)
      // The clock was set back: that second is not on the plot any more.
      if (second <= newest - RATE_SECONDS) return
      const place = second % RATE_SECONDS
      counts[place] = counts[place]! + 1
      delays[place] = Math.max(delays[place]!, nowMs - timeMs)
    },
    series(nowMs) {
      advance(Math.floor(nowMs / 1_000))
      const order = Array.from({ length: RATE_SECONDS }, (_, index) => (newest + 1 + index) % RATE_SECONDS)
      return { counts: order.map((place) => counts[place]!), delays: order.map((place) => delays[place]!) }
    },
  }
}
