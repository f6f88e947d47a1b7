import type { BridgeError } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'

/** How tools reach the bridge as one agent. */
export interface Port {
  /** Who the caller is; known once a call was answered. */
  agent(): string
  /**
   * Calls a method. `signal`: nobody waits for the answer any longer.
   * @throws BridgeError for a refusal, Unreachable when there is nobody to refuse
   */
  call(method: string, params: object, options?: { signal?: AbortSignal }): Promise<unknown>
  /** Calls go on after the tool that made them has answered: there is a session on which they hang. */
  lasting: boolean
}

/** There is no bridge to talk to, for now; the message says what to do about it. */
export class Unreachable extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'Unreachable'
  }
}

/** An answer that came after its tool had said that it would be a while. */
export interface Late {
  tool: string
  answer: Record<string, unknown> | BridgeError
}

/** What one agent has been told, and what it still has to be. In memory: to be told again does no harm. */
export interface Desk {
  /** The news up to here have been told; none yet without it. */
  cursor?: string
  /** Messages given to the model, which show that it has read them by going on. */
  given: Set<string>
  /** Offers told by `wait`: they are not told again and again. */
  offered: Set<string>
  late: Late[]
  /** How long a call is waited for before its answer is to be told later, ms. */
  patienceMs: number
  /** A pending call was answered. */
  wake: () => void
}

export const createDesk = (patienceMs: number = limits.toolWaitMs): Desk => ({
  patienceMs,
  given: new Set(),
  offered: new Set(),
  late: [],
  wake: () => {},
})
