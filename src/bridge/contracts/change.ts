import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import type { Beside, Caller, Context, EventDef, Read, Tx } from '../../protocol/method.js'
import { type Instant, later } from '../../protocol/time.js'
import { attemptFailed, canceled, failed, progressed, releasedContract } from './events.js'
import { type Attempt, type Contract, contracts, type Failure, isOpen } from './row.js'

// What every change of a contract has in common: who may make it, in which order it is refused, how an attempt ends.

/** @throws NOT_FOUND */
export const find = (read: Read, contractId: string): Contract =>
  read.get(contracts, contractId) ?? refuse('NOT_FOUND', 'No contract has that id in this workspace.', { contractId })

/** Writes the changed contract, one generation on. */
export function change(
  tx: Tx,
  def: EventDef<Contract>,
  contract: Contract,
  patch: Partial<Contract>,
  ctx: Context,
  beside?: Beside,
): Contract {
  return tx.put(def, { ...contract, ...patch, generation: contract.generation + 1, updatedAt: ctx.now }, beside)
}

/**
 * For what callers add. What the bridge itself adds is small and never refused: an attempt must be able to end.
 * @throws TOO_LARGE above `limits.contractBytes`, counted as UTF-8 JSON
 */
export function checkSize(contract: Contract): void {
  const text = JSON.stringify(contract)
  // A UTF-16 unit is at most three bytes: most contracts need no exact count.
  if (text.length * 3 <= limits.contractBytes) return
  const bytes = new TextEncoder().encode(text).length
  if (bytes > limits.contractBytes) {
    refuse('TOO_LARGE', `A contract is at most ${limits.contractBytes} bytes of JSON: give large results by uri.`, {
      bytes,
    })
  }
}

/**
 * What the caller says of its attempt, checked in the order in which refusals are due. Gives the contract as it is when
 * this attempt was already ended by this same verb: the call is answered as the first time.
 * @throws STALE_ATTEMPT, INVALID_TRANSITION, FORBIDDEN, GENERATION_MISMATCH
 */
export function asOwner(
  read: Read,
  { contractId, attempt, ifGeneration }: { contractId: string; attempt: number; ifGeneration?: number | undefined },
  caller: Caller,
  from: readonly Contract['status'][],
  outcome?: Attempt['outcome'],
): { contract: Contract; repeated: boolean } {
  const contract = find(read, contractId)
  const same = contract.attempts.find(({ n }) => n === attempt)
  if (outcome !== undefined && same?.outcome === outcome && same.owner === caller.agent)
    return { contract, repeated: true }
  if (!isOpen(contract.status) || contract.attempt !== attempt) refuseStale(contract, attempt)
  if (!from.includes(contract.status)) refuseTransition(contract)
  if (contract.owner !== caller.agent) refuse('FORBIDDEN', 'Only the owner of the attempt may do this.')
  checkGeneration(contract, ifGeneration)
  return { contract, repeated: false }
}

export function refuseStale({ id, status, attempt }: Contract, named: number): never {
  return refuse('STALE_ATTEMPT', `Attempt ${named} of contract ${id} is not open: stop working on it.`, {
    status,
    attempt,
  })
}

const NEXT: Record<Contract['status'], string> = {
  submitted: 'it has to be accepted first',
  accepted: 'start is what comes next, or release',
  working: 'complete, fail or release end the attempt',
  input_required: 'provideInput answers what its owner asks',
  completed: 'it has ended',
  failed: 'it has ended, and retry offers it again',
  canceled: 'it has ended',
  rejected: 'it has ended, and retry offers it again',
}

export function refuseTransition(contract: Contract): never {
  const { status } = contract
  return refuse('INVALID_TRANSITION', `The contract is ${status}: ${NEXT[status]}.`, { status })
}

/** The creator's verbs are also the operator's. */
export const isCreator = (contract: Contract, caller: Caller): boolean =>
  contract.createdBy === caller.agent || caller.role === 'admin'

/** @throws FORBIDDEN */
export function checkCreator(contract: Contract, caller: Caller): void {
  if (isCreator(contract, caller)) return
  refuse('FORBIDDEN', 'Only the creator of the contract, or an admin, may do this.')
}

/** @throws GENERATION_MISMATCH */
export function checkGeneration(contract: Contract, ifGeneration: number | undefined): void {
  if (ifGeneration === undefined || ifGeneration === contract.generation) return
  refuse('GENERATION_MISMATCH', 'The contract changed since: read it again and decide anew.', {
    generation: contract.generation,
  })
}

/**
 * When an attempt that is not heard of again counts as lost. Callers without a session have nothing else to be lost by.
 * Who waits for an answer cannot get on, and is not asked to.
 */
export function progressDueAt(contract: Contract, now: Instant): Instant | undefined {
  if (contract.status === 'input_required') return undefined
  const timeout = contract.progressTimeoutMs ?? (contract.session === undefined ? limits.progressTimeoutMs : undefined)
  return timeout === undefined ? undefined : later(now, timeout)
}

/** The name under which an attempt's progress is held back. */
export const heldName = ({ id, attempt }: Contract): string => `${id}/${attempt}`

/** Writes what the owner said and was held back: the attempt is about to end, and the next one has this to go by. */
export function tellHeld(tx: Tx, contract: Contract, ctx: Context): Contract {
  const { progress, note } = tx.takeHeld(heldName(contract)) as { progress?: number; note?: string }
  if (progress === undefined && note === undefined) return contract
  const said = { ...(progress !== undefined && { progress }), ...(note !== undefined && { statusMessage: note }) }
  return change(tx, progressed, contract, { ...said, progressedAt: ctx.now }, ctx, { data: { note } })
}

/** The fields of an attempt that is open no more. What it asked and nobody answered is not asked any longer. */
export function closeAttempt(
  contract: Contract,
  outcome: Attempt['outcome'],
  ctx: Context,
  note?: string,
): Partial<Contract> {
  const ended = { endedAt: ctx.now, outcome, ...(note !== undefined && { note: note.slice(0, limits.reasonLength) }) }
  const attempts = contract.attempts.map((entry) => (entry.n === contract.attempt ? { ...entry, ...ended } : entry))
  return {
    attempts,
    session: undefined,
    progressDueAt: undefined,
    cancelDueAt: undefined,
    inputDueAt: undefined,
    inputRequests: contract.inputRequests.filter(({ answeredAt }) => answeredAt !== undefined),
    ...(note !== undefined && { statusMessage: note }),
  }
}

const offeredAgain = {
  status: 'submitted',
  owner: undefined,
  progress: undefined,
  progressedAt: undefined,
  acceptedAt: undefined,
  startedAt: undefined,
} as const satisfies Partial<Contract>

/** An attempt failed or was lost: the contract is offered again after a pause, or has failed for good. */
export function failAttempt(
  tx: Tx,
  open: Contract,
  outcome: 'failed' | 'lost',
  error: Failure,
  ctx: Context,
): Contract {
  const contract = tellHeld(tx, open, ctx)
  const closed = { ...closeAttempt(contract, outcome, ctx, error.message), error, failures: contract.failures + 1 }
  if (contract.cancelRequestedAt !== undefined) {
    return change(tx, canceled, contract, { ...closed, status: 'canceled', endedAt: ctx.now }, ctx)
  }
  if (!error.retryable || closed.failures >= contract.maxAttempts) {
    return change(tx, failed, contract, { ...closed, status: 'failed', endedAt: ctx.now }, ctx)
  }
  const backoff = Math.min(contract.retryBackoffMs * 2 ** (closed.failures - 1), limits.retryBackoffMsMax)
  const notBefore = backoff > 0 ? later(ctx.now, backoff) : undefined
  return change(tx, attemptFailed, contract, { ...closed, ...offeredAgain, notBefore }, ctx)
}

/** The owner gives the contract back, uncounted; one that was to be canceled is. */
export function releaseAttempt(tx: Tx, open: Contract, note: string | undefined, ctx: Context): Contract {
  const contract = tellHeld(tx, open, ctx)
  const closed = closeAttempt(contract, 'released', ctx, note)
  const beside = { data: { note } }
  if (contract.cancelRequestedAt !== undefined) {
    return change(tx, canceled, contract, { ...closed, status: 'canceled', endedAt: ctx.now }, ctx, beside)
  }
  return change(tx, releasedContract, contract, { ...closed, ...offeredAgain }, ctx, beside)
}
