import type { Context, Tx } from '../../protocol/method.js'
import { change, closeAttempt, failAttempt, tellHeld } from './change.js'
import { canceled, dueDatePassed, unblocked, updated } from './events.js'
import { expireInput } from './input.js'
import { type Contract, contracts, dueDateOf, isReady, openStatuses } from './row.js'

/** What the passing of time means for one contract. */
export function expire(tx: Tx, due: Contract, ctx: Context): void {
  const passed = (at: string | undefined) => at !== undefined && at <= ctx.now
  // Told first, for it is not done by then, whatever else ends at this moment.
  const contract = passed(dueDateOf(due)) ? change(tx, dueDatePassed, due, { overdue: true }, ctx) : due
  if (passed(contract.cancelDueAt)) forceCancel(tx, contract, ctx)
  else if (passed(contract.inputDueAt)) expireInput(tx, contract, ctx)
  else if (passed(contract.progressDueAt)) {
    const message = 'Nothing was heard of the attempt for too long.'
    failAttempt(tx, contract, 'lost', { reason: 'PROGRESS_TIMEOUT', message, retryable: true }, ctx)
  } else if (passed(contract.notBefore)) {
    const patch = { notBefore: undefined }
    change(tx, isReady({ ...contract, ...patch }) ? unblocked : updated, contract, patch, ctx)
  }
}

/** `forced`: the owner may still be writing, so its locks do not open at once. */
function forceCancel(tx: Tx, open: Contract, ctx: Context): void {
  const contract = tellHeld(tx, open, ctx)
  const note = 'The owner did not stop in time.'
  const patch = { ...closeAttempt(contract, 'canceled', ctx, note), status: 'canceled' as const, endedAt: ctx.now }
  change(tx, canceled, contract, patch, ctx, { data: { note, forced: true } })
}

/** Attempts get time after a jump of the clock; instants that a person named stay as they are. */
export function rebase(tx: Tx, until: string, ctx: Context): void {
  for (const contract of tx.find(contracts, { where: { deadline: { to: until }, status: openStatuses } })) {
    const late = leases.filter((name) => (contract[name] ?? until) < until)
    if (late.length > 0) change(tx, updated, contract, Object.fromEntries(late.map((name) => [name, until])), ctx)
  }
}

const leases = ['progressDueAt', 'cancelDueAt', 'inputDueAt'] as const
