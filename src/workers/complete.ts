import type { ParamsOf } from '../bridge/index.js'
import { CallError } from '../client/node.js'
import type { Fault } from './agents/adapter.js'
import { type Ongoing, tellNote, untilHeard } from './ongoing.js'

/** False when the contract has no room for what the call adds to it. @throws any other refusal */
export async function fits(call: Promise<unknown>): Promise<boolean> {
  try {
    await call
    return true
  } catch (error) {
    if (error instanceof CallError && error.reason === 'TOO_LARGE') return false
    throw error
  }
}

type Completion = Omit<ParamsOf<'contract.complete'>, 'contractId' | 'attempt'>

const FULL: Fault = {
  reason: 'CONTRACT_FULL',
  message: 'The work is done, and the contract has no room left to say so: give it out again with less in it.',
  retryable: false,
}

/**
 * Completes the contract, with the first of these accounts that it has room for. What another agent has to verify first is waited for: the work itself is done. Gives the fault
 * that a verifier found, or nothing when the attempt was halted meanwhile.
 */
export async function complete(
  ongoing: Ongoing,
  accounts: readonly Completion[],
): Promise<'completed' | Fault | undefined> {
  const { shop, contractId, attempt } = ongoing
  for (let told = false; ongoing.halt === undefined; told = true) {
    // Begun before it is asked: a verdict that comes in between is not missed.
    const heard = untilHeard(ongoing)
    try {
      for (const account of accounts)
        if (await fits(shop.client.call('contract.complete', { contractId, attempt, ...account }))) return 'completed'
      return FULL
    } catch (error) {
      const { failing, unverified } = verdictIn(error)
      if (failing.length > 0) {
        const message = `Another agent ran what it was to verify, and it failed: ${failing.join(', ')}.`
        return { reason: 'CHECKS_FAILED', message, retryable: true }
      }
      if (!told) tellNote(ongoing, `done, and waits for another agent to verify: ${unverified.join(', ')}`)
      await heard
    }
  }
  return undefined
}

interface Verdict {
  failing: string[]
  unverified: string[]
}

/** What a refusal to complete says of the checks that are another agent's. @throws any other refusal */
function verdictIn(error: unknown): Verdict {
  if (!(error instanceof CallError) || error.reason !== 'CHECKS_FAILED') throw error
  const { missing, failing, unverified } = error.data as unknown as Verdict & { missing: string[] }
  if (missing.length > 0) throw error
  return { failing, unverified }
}
