import { limits } from '../protocol/limits.js'
import type { Clock, Store } from './ports.js'
import type { Outcome } from './waiting.js'

// The search index is brought up to date when nothing has happened for a while, or when somebody searches: a step at a
// time, each behind a batch, so that commands go on meanwhile.

/** Nothing has happened for so long, ms. */
const IDLE_MS = 1_000

/** Those who wait for the index, and whether it is time to go on with it. */
export interface Search {
  waiting: Array<(instead?: Outcome) => void>
  due: boolean
  busyMs: number
  stopTimer: (() => void) | undefined
}

export const createSearch = (): Search => ({ waiting: [], due: false, busyMs: 0, stopTimer: undefined })

/** Something happened: the index is behind, and goes on once it is quiet. */
export function fallBehind(search: Search, clock: Clock, goOn: () => void): void {
  search.busyMs = clock.monotonicMs()
  search.stopTimer ??= clock.after(IDLE_MS, function look() {
    const quietMs = clock.monotonicMs() - search.busyMs
    if (quietMs < IDLE_MS) {
      search.stopTimer = clock.after(IDLE_MS - quietMs, look)
      return
    }
    search.stopTimer = undefined
    search.due = true
    goOn()
  })
}

/** One step, if it is time for one; true when there is another to take. `fault` reports a bug, and tells what is said. */
export function catchUp(search: Search, store: Store, fault: (error: unknown) => Outcome): boolean {
  if (!search.due && search.waiting.length === 0) return false
  try {
    if (!store.catchUp(limits.searchStepEvents)) return true
    endWaiting(search)
  } catch (error) {
    endWaiting(search, fault(error))
  }
  search.due = false
  return false
}

/** Answers those who wait: by what they ask, or with something else. */
export function endWaiting(search: Search, instead?: Outcome): void {
  for (const run of search.waiting.splice(0)) run(instead)
}
