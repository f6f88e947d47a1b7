const FIRST_MS = 100
const LONGEST_MS = 10_000

/**
 * How long to wait before the try of that number, from 1. Full jitter: anything up to a bound that doubles, so that
 * clients which lost their sockets together do not come back together. `random` is in [0, 1).
 */
export const backoffMs = (tries: number, random: number): number =>
  Math.floor(random * Math.min(LONGEST_MS, FIRST_MS * 2 ** (tries - 1)))

/** A wait that can be cut short. */
export interface Pause {
  wait(ms: number): Promise<void>
  end(): void
}

export function createPause(): Pause {
  let end = () => {}
  return {
    wait: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms)
        end = () => {
          clearTimeout(timer)
          resolve()
        }
      }),
    end: () => end(),
  }
}
