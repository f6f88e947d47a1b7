import type { LockWatch } from './audit.js'
import type { Letter } from './mail.js'
import type { Contract } from './prompt.js'
import type { Shop } from './shop.js'
import type { LiveTurn } from './turn.js'

/** Why an attempt is ended from outside: its creator called it off, it is no longer ours, the worker is to stop. */
export type Halt = 'canceled' | 'lost' | 'left'

/** One attempt under way, and all that changes of it. */
export interface Ongoing {
  /** With the contract's own work tree in it, once there is one. */
  shop: Shop
  readonly contract: Contract
  readonly contractId: string
  readonly attempt: number
  /** Messages that the agent has not been shown. */
  readonly waiting: Letter[]
  /** The answers to its questions that the agent has been shown. */
  readonly told: Set<string>
  /** Called with the next event that concerns the contract, or when the attempt is to end. */
  readonly listeners: Set<() => void>
  halt?: Halt
  live?: LiveTurn
  watch?: LockWatch
}

/** Tells the bridge how it goes. A note that comes too late is of no use to anybody. */
export function tellNote({ shop, contractId, attempt }: Ongoing, note: string): void {
  shop.client.call('contract.update', { contractId, attempt, note }).catch(() => {})
}

/** The next event that concerns the contract, whatever it is. */
export const untilHeard = ({ listeners }: Ongoing): Promise<void> => new Promise((resolve) => listeners.add(resolve))

export function wake({ listeners }: Ongoing): void {
  const all = [...listeners]
  listeners.clear()
  for (const listener of all) listener()
}
