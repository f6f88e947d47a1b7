import type { Clock } from './ports.js'

// Node fires a timer that is longer than this at once.
const TIMER_MS_MAX = 2 ** 31 - 1

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), TIMER_MS_MAX))
    timer.unref()
    return () => clearTimeout(timer)
  },
}
