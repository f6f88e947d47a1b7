import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Grant } from '../engine/door/door.js'
import { refuse } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import { type Instant, toInstant } from '../protocol/time.js'

/** Whom the dashboard acts as. */
const AGENT = 'human'
const FORM = /^abd_([0-9a-z]{1,12})_([\w-]{43})$/

export interface Pass {
  token: string
  expiresAt: Instant
}

/** How the dashboard is let in: the operator asks for a code, and whoever brings it first gets a pass. */
export interface Passes {
  /** A code that is good once, within `codeMs`. */
  invite(): string
  /** @throws UNAUTHENTICATED for a code that was used, is too old, or was never given out */
  redeem(code: string): Pass
  /** What a pass allows; nothing when it is none, or has run out. */
  grant(token: string): Grant | undefined
}

/**
 * A code is 256 random bits and lives in memory. A pass is kept nowhere: it says until when it is good, signed with the
 * operator's token, so that it outlives the daemon's restarts and ends with a new operator's token.
 */
export function createPasses({ token: secret, wallMs }: { token: string; wallMs(): number }): Passes {
  /** Until when each code is good, the oldest first. */
  const codes = new Map<string, number>()

  const sign = (expires: string): string =>
    createHmac('sha256', secret).update(`dashboard ${expires}`).digest('base64url')

  return {
    invite() {
      const code = randomBytes(32).toString('base64url')
      codes.set(code, wallMs() + limits.codeMs)
      for (const oldest of codes.keys()) if (codes.size > limits.codes) codes.delete(oldest)
      return code
    },
    redeem(code) {
      const until = codes.get(code)
      codes.delete(code)
      const nowMs = wallMs()
      if (until === undefined || until <= nowMs) {
        refuse('UNAUTHENTICATED', 'The code was used, or is too old: agent-bridge dashboard makes another.')
      }
      const expiresMs = nowMs + limits.passMs
      const expires = expiresMs.toString(36)
      return { token: `abd_${expires}_${sign(expires)}`, expiresAt: toInstant(expiresMs) }
    },
    grant(token) {
      const [, expires = '', signature = ''] = FORM.exec(token) ?? []
      if (expires === '' || Number.parseInt(expires, 36) <= wallMs()) return undefined
      if (!timingSafeEqual(Buffer.from(signature), Buffer.from(sign(expires)))) return undefined
      return { role: 'admin', operator: false, agent: AGENT }
    },
  }
}
