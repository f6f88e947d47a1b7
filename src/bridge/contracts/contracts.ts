import type { Context, Happened, Noun, Tx } from '../../protocol/method.js'
import { lost as agentLost, disconnected } from '../agents/row.js'
import { acquired, type Lock, broken as lockBroken, expired as lockExpired, lost as lockLost } from '../locks/row.js'
import { failAttempt } from './change.js'
import { verify } from './checks.js'
import { createContract } from './create.js'
import { settleDependants, settleOffered } from './dependencies.js'
import { acknowledgeCancel, cancel, complete, fail, reject, release, retry } from './end.js'
import * as events from './events.js'
import { provideInput, requestInput } from './input.js'
import { get, history, list } from './read.js'
import * as row from './row.js'
import { setStatus } from './status.js'
import { expire, rebase } from './time.js'
import { update } from './update.js'
import { accept, begin, next, start } from './work.js'

/** What follows for contracts from what happened to sessions, to locks and to the contracts they depend on. */
function settle(tx: Tx, happened: readonly Happened[], ctx: Context): void {
  for (const { type, data } of happened) {
    if (type === agentLost.type)
      loseSession(tx, data.session as string, 'The worker was lost: its session did not come back.', ctx)
    else if (type === disconnected.type && data.ended)
      loseSession(tx, data.session as string, 'The worker said goodbye.', ctx)
    else if (type === acquired.type) startGranted(tx, data.lock as Lock, ctx)
    else if (losesLock.has(type)) loseLock(tx, data.last as Lock, ctx)
    else if (offers.has(type)) settleOffered(tx, data.contract as row.Contract, ctx)
    else if (ends.has(type)) settleDependants(tx, data.contract as row.Contract, ctx)
  }
}

const losesLock: ReadonlySet<string> = new Set([lockExpired.type, lockLost.type, lockBroken.type])
const offers: ReadonlySet<string> = new Set([events.created.type, events.retried.type])
const ends: ReadonlySet<string> = new Set(
  [events.completed, events.failed, events.canceled, events.rejected].map(({ type }) => type),
)

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
  const isOfAttempt = lock.state === 'held' && lock.contractId !== undefined
  const contract = isOfAttempt ? tx.get(row.contracts, lock.contractId as string) : undefined
  if (!contract || !row.isOpen(contract.status) || contract.attempt !== lock.attempt) return
  const message = 'A lock of the attempt was lost, so its work is no longer protected.'
  failAttempt(tx, contract, 'lost', { reason: row.LOCK_LOST, message, retryable: true }, ctx)
}

export const contractNoun = {
  tables: [row.contracts],
  events: [
    events.created,
    events.accepted,
    events.started,
    events.progressed,
    events.updated,
    events.inputRequested,
    events.inputProvided,
    events.verified,
    events.completed,
    events.failed,
    events.attemptFailed,
    events.releasedContract,
    events.rejected,
    events.cancelRequested,
    events.canceled,
    events.retried,
    events.blocked,
    events.unblocked,
    events.dueDatePassed,
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
    requestInput,
    provideInput,
    verify,
    complete,
    fail,
    release,
    reject,
    cancel,
    acknowledgeCancel,
    retry,
    setStatus,
  ] as const,
  settle,
  expire: { contracts: expire },
  rebase,
} satisfies Noun
