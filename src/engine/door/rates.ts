import { refuse } from '../../protocol/errors.js'
import type { Clock } from '../ports.js'
import type { Grant } from './grant.js'

const MINUTE_MS = 60_000

/** Holds the holders of tokens to the calls a minute that were set for each, over all their sockets together. */
export interface Rates {
  /** Counts one call. @throws RATE_LIMITED with `{ retryAfterMs }` */
  take(grant: Grant): void
  forget(tokenId: string): void
}

/** A bucket each, full at first: a minute's calls may come at once, and then only as it fills again. */
export function createRates(clock: Clock): Rates {
  const buckets = new Map<string, { calls: number; atMs: number }>()
  return {
    take({ tokenId, ratePerMinute }) {
      if (tokenId === undefined || ratePerMinute === undefined) return
      const nowMs = clock.monotonicMs()
      const { calls, atMs } = buckets.get(tokenId) ?? { calls: ratePerMinute, atMs: nowMs }
      const filled = Math.min(ratePerMinute, calls + ((nowMs - atMs) * ratePerMinute) / MINUTE_MS)
      if (filled < 1) {
        const retryAfterMs = Math.ceil(((1 - filled) * MINUTE_MS) / ratePerMinute)
        refuse('RATE_LIMITED', `This token is held to ${ratePerMinute} calls a minute: try again a little later.`, {
          retryAfterMs,
        })
      }
      buckets.set(tokenId, { calls: filled - 1, atMs: nowMs })
    },
    forget: (tokenId) => void buckets.delete(tokenId),
  }
}
