import type { Context, Happened, Noun, Tx } from '../../protocol/method.js'
import { lost as agentLost, disconnected } from '../agents/row.js'
import { acquired, type Lock, expired as lockExpired, lost as lockLost } from '../locks/row.js'
import { change, closeAttempt, failAttempt, tellHeld } from './change.js'
import { createContract } from './create.js'
import { acknowledgeCancel, cancel, complete, fail, reject, release, retry } from './end.js'
import { get, history, list } from './read.js'
import * as row from './row.js'
import { update } from './update.js'
import { accept, begin, next, start } from './work.js'

/** What follows for contracts from what happened to sessions and locks. */
function settle(tx: Tx, happened: readonly Happened[], ctx: Context): void {
  for (const { type, data } of happened) {
    if (type === agentLost.type)
      loseSession(tx, data.session as string, 'The worker was lost: its session did not come back.', ctx)
    else if (type === disconnected.type && data.ended)
      loseSession(tx, data.session as string, 'The worker said goodbye.', ctx)
    else if (type === acquired.type) startGranted(tx, data.lock as Lock, ctx)
    else if (type === lockExpired.type || type === lockLost.type) loseLock(tx, data.last as Lock, ctx)
  }
}

function loseSession(tx: Tx, session: string, message: string, ctx: Context): void {
  for (const contract of tx.find(row.contracts, { where: { session } })) {
    failAttempt(tx, contract, 'lost', { reason: 'WORKER_LOST', message, retryable: true }, ctx)
  }
}

/** A `start` that waited in line has its locks: it happens now. */
function startGranted(tx: Tx, lock: Lock, ctx: Context): void {
  if (!lock.starts || lock.contractId === undefined) return
  const contract = tx.get(row.contracts, lock.contractId)
  if (contract?.status === 'accepted' && contract.attempt === lock.attempt) begin(tx, contract, [lock], ctx)
}

/** An attempt works only while it has all its locks. */
function loseLock(tx: Tx, lock: Lock, ctx: Context): void {
  const contract = lock.contractId === undefined ? undefined : tx.get(row.contracts, lock.contractId)
  if (!contract || !row.isOpen(contract.status) || contract.attempt !== lock.attempt) return
  const message = 'A lock of the attempt was lost, so its work is no longer protected.'
  failAttempt(tx, contract, 'lost', { reason: 'LOCK_LOST', message, retryable: true }, ctx)
}

/** What the passing of time means for one contract. */
function expire(tx: Tx, due: row.Contract, ctx: Context): void {
  const passed = (at: string | undefined) => at !== undefined && at <= ctx.now
  if (passed(due.cancelDueAt)) {
    const contract = tellHeld(tx, due, ctx)
    const note = 'The owner did not stop in time.'
    const patch = { ...closeAttempt(contract, 'canceled', ctx, note), status: 'canceled' as const, endedAt: ctx.now }
    change(tx, row.canceled, contract, patch, ctx, { data: { note } })
  } else if (passed(due.progressDueAt)) {
    const message = 'Nothing was heard of the attempt for too long.'
    failAttempt(tx, due, 'lost', { reason: 'PROGRESS_TIMEOUT', message, retryable: true }, ctx)
  } else if (passed(due.notBefore)) {
    change(tx, row.unblocked, due, { notBefore: undefined }, ctx)
  }
}

/** Attempts get time after a jump of the clock; instants that a person named stay as they are. */
function rebase(tx: Tx, until: string, ctx: Context): void {
  for (const contract of tx.find(row.contracts, { where: { deadline: { to: until }, status: row.openStatuses } })) {
    const given = (at: string | undefined) => (at !== undefined && at < until ? until : at)
    const patch = { progressDueAt: given(contract.progressDueAt), cancelDueAt: given(contract.cancelDueAt) }
    change(tx, row.updated, contract, patch, ctx)
  }
}

export const contractNoun = {
  tables: [row.contracts],
  events: [
    row.created,
    row.accepted,
    row.started,
    row.progressed,
    row.updated,
    row.completed,
    row.failed,
    row.attemptFailed,
    row.releasedContract,
    row.rejected,
    row.cancelRequested,
    row.canceled,
    row.retried,
    row.unblocked,
  ],
  methods: [
    createContract,
    get,
    list,
    history,
    accept,
    next,
    start,
    update,
    complete,
    fail,
    release,
    reject,
    cancel,
    acknowledgeCancel,
    retry,
  ] as const,
  settle,
  expire: { contracts: expire },
  rebase,
} satisfies Noun
