import { CallError, type Client } from '../client/node.js'
import type { Contract } from './prompt.js'

/** How long one call waits for work, ms; it is then made again. */
const NEXT_WAIT_MS = 10 * 60_000

/** The contracts that come to a worker, one at a time. */
export interface Queue {
  /** What there is now. */
  look(): Promise<Contract | undefined>
  /** Settles when it is time to look again. A contract that comes is this worker's from then on. @throws CallError, ConnectionError */
  come(): Promise<void>
  /** What has come and was not looked at. */
  taken(): Contract | undefined
}

/** A call that waits is never given up before `signal`: the bridge might be giving it a contract, which nobody would do. */
export function createQueue(client: Client, signal: AbortSignal): Queue {
  let came: Contract | undefined
  let waiting: Promise<void> | undefined

  function taken(): Contract | undefined {
    const contract = came
    came = undefined
    return contract
  }

  async function wait(): Promise<void> {
    came = await next(client, NEXT_WAIT_MS, signal)
    waiting = undefined
  }

  return {
    async look() {
      if (!waiting && !came) came = await next(client, 0, signal)
      return taken()
    },
    come() {
      waiting ??= wait()
      // It is heard by whoever comes back to it.
      waiting.catch(() => {})
      return waiting
    },
    taken,
  }
}

async function next(client: Client, waitMs: number, signal: AbortSignal): Promise<Contract | undefined> {
  try {
    return (await client.call('contract.next', { waitMs }, { signal })) ?? undefined
  } catch (error) {
    if (signal.aborted) return undefined
    // Whoever is told to come back later does.
    if (error instanceof CallError && error.retry) return undefined
    throw error
  }
}
