import { BridgeError, refuse } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import { type Caller, type Happened, isParked, isSignalling, type Parked, type Signalling } from '../protocol/method.js'
import {
  type Batch,
  BRIDGE,
  type CommandCall,
  type Core,
  contextFor,
  type Job,
  type Rule,
  refusalOfFault,
} from './core.js'
import type { Answer, CommandTx } from './transaction.js'
import type { Outcome, WaitingCall } from './waiting.js'

// One command within a batch: run, settled, released; or refused, without a trace.

export const STOPPING = 'The daemon is stopping: connect again in a moment.'

interface Keyed {
  key: string
  hash: string
}

/** Runs a rule of the bridge's own. It has nobody to refuse, so whatever it throws is a bug. */
export function runRule(core: Core, batch: Batch, rule: Rule): void {
  attempt(core, batch, BRIDGE, (tx) => {
    try {
      rule(tx, contextFor(core, BRIDGE))
      settle(core, tx)
      release(core, batch, tx, new Map())
    } catch (error) {
      throw error instanceof BridgeError
        ? new Error(`The bridge refused itself: ${error.message}`, { cause: error })
        : error
    }
  })
}

/** Runs one call of the queue. */
export function runCall(core: Core, batch: Batch, { call, again }: Extract<Job, { call: CommandCall }>): void {
  if (again && !core.waiting.stillWaits(again)) return
  const refusal = attempt(core, batch, call.caller, (tx) => {
    for (const noun of core.options.nouns) noun.admit?.(tx, call.caller)
    const keyed = keyedOf(core, call)
    if (keyed && !again) {
      const known = recall(core, keyed)
      if (known !== undefined)
        return void batch.after.push((instead) => answer(core, call, instead ?? { result: known }))
      if (join(core, batch, call, keyed)) return
    }
    const result = call.method.run(tx, call.params, contextFor(core, call.caller))
    tx.actAsBridge()
    if (isParked(result)) waitFor(core, batch, tx, { call, result, keyed, again })
    else if (isSignalling(result)) signal(core, batch, tx, call, result)
    else finish(core, batch, tx, { call, result, keyed, again })
  })
  if (refusal) batch.after.push((instead) => answer(core, call, instead ?? refusal, again))
}

function attempt(
  core: Core,
  batch: Batch,
  { agent, unverified }: Caller,
  act: (tx: CommandTx) => void,
): Outcome | undefined {
  const { tx } = core
  tx.begin(batch.bounds, core.now, agent, unverified)
  try {
    act(tx)
    return undefined
  } catch (error) {
    // The database itself failed: what state the transaction is in cannot be known.
    if (error instanceof Error && error.name === 'SqliteError') throw error
    tx.undo()
    return error instanceof BridgeError ? { refusal: error } : refusalOfFault(core, error)
  }
}

interface Run {
  call: CommandCall
  result: unknown
  keyed: Keyed | undefined
  again: WaitingCall | undefined
}

function finish(core: Core, batch: Batch, tx: CommandTx, { call, result, keyed, again }: Run): void {
  const json = tx.jsonOf(result)
  // The answer is remembered with the command's own first event: a later one may be the answer to another's waiting.
  const first = tx.happened()[0]
  const isRow = first !== undefined && Object.values(first.data)[0] === result
  settle(core, tx)
  release(core, batch, tx, new Map(keyed && first ? [[first, { ...keyed, ...(!isRow && { result: json }) }]] : []))
  batch.after.push((instead) => answer(core, call, instead ?? { result: json }, again))
}

function waitFor(
  core: Core,
  batch: Batch,
  tx: CommandTx,
  { call, result, keyed, again }: Run & { result: Parked<unknown> },
): void {
  if (!again) checkMayWait(core, call)
  settle(core, tx)
  release(core, batch, tx, new Map())
  if (again) return core.waiting.keep(again, result)
  // Woken in the midst of a turn: the next one runs it.
  const runAgain = () => void core.queue.push({ call, again: waiting })
  const since = batch.bounds.head
  const waiting: WaitingCall = { parked: result, since, askers: [call], ...keyed, runAgain }
  // From now, not from the commit: a later command of this batch may be what it waits for, or its own retry.
  core.waiting.add(waiting)
  batch.after.push(() => call.ran(true))
}

/** It changed nothing, so there is nothing to settle or to remember under a key. */
function signal(core: Core, batch: Batch, tx: CommandTx, call: CommandCall, told: Signalling<unknown>): void {
  release(core, batch, tx, new Map())
  const readers = new Set<object>()
  const done = () => answer(core, call, { result: JSON.stringify(told.answer(readers.size)) })
  batch.after.push((instead) => {
    if (instead) answer(core, call, instead)
    else batch.sent.push({ signal: told.signal, readers, answer: done })
  })
}

/** @throws SHUTTING_DOWN, OVERLOADED */
export function checkMayWait(core: Core, call: Pick<CommandCall, 'mayWait'>): void {
  if (core.stopped) refuse('SHUTTING_DOWN', STOPPING)
  if (!call.mayWait()) refuse('OVERLOADED', `At most ${limits.parkedCalls} calls of a socket may wait.`)
}

/** Tells a call's end to whoever asked. */
export function answer(
  core: Core,
  call: Pick<CommandCall, 'ran' | 'done'>,
  outcome: Outcome,
  again?: WaitingCall,
): void {
  if (again) return core.waiting.settle(again, outcome)
  call.ran(false)
  call.done(outcome)
}

/** Runs the nouns' `settle` until nothing follows any more from what happened. */
function settle(core: Core, tx: CommandTx): void {
  if (tx.happened().length === 0) return
  const ctx = contextFor(core, BRIDGE)
  for (let seen = 0; seen < tx.happened().length; ) {
    const fresh = tx.happened().slice(seen)
    seen += fresh.length
    for (const noun of core.options.nouns) noun.settle?.(tx, fresh, ctx)
  }
}

/** Hands the command over to the log, and only now to memory. */
function release(core: Core, batch: Batch, tx: CommandTx, answers: Map<Happened, Answer>): void {
  const happened = tx.happened()
  for (const event of happened) {
    for (const { call, result } of core.waiting.answeredBy(event)) {
      const { key = '', hash = '' } = call
      if (!answers.has(event)) answers.set(event, { key, hash, result: JSON.stringify(result) })
    }
  }
  tx.release(answers)
  batch.bounds = { ...batch.bounds, head: batch.bounds.head + happened.length }
  for (const event of happened) batch.happened.push(event)
  for (const [name, hold] of tx.holds()) {
    if (hold) core.held.set(name, hold)
    else core.held.delete(name)
  }
}

function keyedOf(core: Core, { method, params, caller, idempotencyKey }: CommandCall): Keyed | undefined {
  if (idempotencyKey === undefined) return undefined
  const hash = core.options.random.hash(`${method.name} ${JSON.stringify(params)}`)
  return { key: `${caller.agent} ${idempotencyKey}`, hash }
}

/** The answer remembered for the key, if there is one. @throws IDEMPOTENCY_CONFLICT */
function recall(core: Core, { key, hash }: Keyed): string | undefined {
  const found = core.options.store.remembered(key)
  if (!found) return undefined
  const { answer } = JSON.parse(found.private) as { answer: Answer }
  checkHash(answer.hash, hash)
  return answer.result ?? JSON.stringify(Object.values(JSON.parse(found.body).data)[0])
}

/** A retry while the first call waits is answered with it. @throws IDEMPOTENCY_CONFLICT */
function join(core: Core, batch: Batch, call: CommandCall, { key, hash }: Keyed): boolean {
  const first = core.waiting.byKey(key)
  if (!first) return false
  checkHash(first.hash, hash)
  checkMayWait(core, call)
  first.askers.push(call)
  batch.after.push(() => call.ran(true))
  return true
}

function checkHash(known: string | undefined, hash: string): void {
  if (known === hash) return
  refuse('IDEMPOTENCY_CONFLICT', 'This idempotency key was used for another call: take a new one for each thing to do.')
}
