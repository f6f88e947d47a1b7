import type { Context, Read, Tx } from '../../protocol/method.js'
import { change, find } from './change.js'
import { blocked, unblocked, updated } from './events.js'
import { type Contract, contracts, dependantKey, isReady } from './row.js'

// A contract that depends on others is offered once all of them are completed. They are fixed when it is created and
// exist before it, so no circle can come about; what is completed stays so, so nothing that was ready is blocked again.

/** Those that are not completed. @throws NOT_FOUND */
export const openDependencies = (read: Read, dependsOn: readonly string[]): string[] =>
  dependsOn.filter((contractId) => find(read, contractId).status !== 'completed')

/** What follows from a contract's end for those that wait for it. */
export function settleDependants(tx: Tx, ended: Contract, ctx: Context): void {
  for (const waiting of tx.find(contracts, { key: dependantKey(ended.id) })) {
    if (ended.status === 'completed') freeOf(tx, waiting, ended, ctx)
    else tellBlocked(tx, waiting, ended, ctx)
  }
}

function freeOf(tx: Tx, waiting: Contract, { id }: Contract, ctx: Context): void {
  const blockedBy = waiting.blockedBy.filter((dependency) => dependency !== id)
  change(tx, isReady({ ...waiting, blockedBy }) ? unblocked : updated, waiting, { blockedBy }, ctx)
}

/** Nothing becomes of it by itself: whoever gave it out retries what ended, or cancels. */
const tellBlocked = (tx: Tx, waiting: Contract, { id, status }: Contract, ctx: Context): Contract =>
  change(tx, blocked, waiting, {}, ctx, { data: { dependency: id, status } })

/** One that is offered, or offered again, while something it depends on has already ended badly. */
export function settleOffered(tx: Tx, { id, blockedBy }: Contract, ctx: Context): void {
  for (const dependency of blockedBy.map((contractId) => find(tx, contractId))) {
    if (over.has(dependency.status)) tellBlocked(tx, find(tx, id), dependency, ctx)
  }
}

const over: ReadonlySet<string> = new Set(['failed', 'canceled', 'rejected'])
