import type { Context, Read, Tx } from '../../protocol/method.js'
import { change, find } from './change.js'
import { blocked, unblocked, updated } from './events.js'
import { type Contract, contracts, dependantKey, isOver, isReady } from './row.js'

// A contract that depends on others is offered once all of them are completed. They are fixed when it is created and
// exist before it, so no circle can come about; what is completed stays so, so nothing that was ready is blocked again.

/** Those that are not completed. @throws NOT_FOUND */
export const openDependencies = (read: Read, dependsOn: readonly string[]): string[] =>
  dependsOn.filter((contractId) => find(read, contractId).status !== 'completed')

const dependantsOf = (read: Read, { id }: Contract): Contract[] => read.find(contracts, { key: dependantKey(id) })

/** What follows from a contract's end for those that wait for it. */
export function settleDependants(tx: Tx, ended: Contract, ctx: Context): void {
  for (const waiting of dependantsOf(tx, ended)) {
    if (ended.status === 'completed') freeOf(tx, waiting, ended, ctx)
    else tellBlocked(tx, waiting, ended, ctx)
  }
}

function freeOf(tx: Tx, waiting: Contract, { id }: Contract, ctx: Context): void {
  const blockedBy = waiting.blockedBy.filter((dependency) => dependency !== id)
  change(tx, isReady({ ...waiting, blockedBy }) ? unblocked : updated, waiting, { blockedBy }, ctx)
}

/** Nothing becomes of it by itself: whoever gave it out retries what ended, or cancels. */
function tellBlocked(tx: Tx, waiting: Contract, { id: contractId, status, endedAt }: Contract, ctx: Context): void {
  const stuckOn = [...(waiting.stuckOn ?? []), { contractId, status, since: endedAt ?? ctx.now }]
  change(tx, blocked, waiting, { stuckOn }, ctx, { data: { dependency: contractId, status } })
}

/** A contract is offered, or offered again: for those that wait for it there is hope, but perhaps not for itself. */
export function settleOffered(tx: Tx, offered: Contract, ctx: Context): void {
  for (const waiting of dependantsOf(tx, offered)) {
    const stuckOn = waiting.stuckOn?.filter(({ contractId }) => contractId !== offered.id) ?? []
    change(tx, updated, waiting, { stuckOn: stuckOn.length > 0 ? stuckOn : undefined }, ctx)
  }
  for (const contractId of offered.blockedBy) {
    const dependency = find(tx, contractId)
    if (isOver(dependency.status)) tellBlocked(tx, find(tx, offered.id), dependency, ctx)
  }
}
