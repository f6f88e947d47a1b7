import { EventEmitter } from 'eventemitter3'
import type { LogBounds } from '../protocol/cursor.js'
import { BridgeError } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import { type Happened, isParked, type Query, type QueryContext, type Read } from '../protocol/method.js'
import { toInstant, toMs } from '../protocol/time.js'
import { answer, checkMayWait, runCall, runRule, STOPPING } from './command.js'
import {
  type Batch,
  type CommandCall,
  type Core,
  createCore,
  type EngineOptions,
  type Job,
  type Rule,
  refusalOfFault,
  type Sent,
} from './core.js'
import { createTrimmer } from './retention.js'
import { catchUp, endWaiting, fallBehind } from './search.js'
import { beginLife, nextDeadline, passTime } from './time.js'
import type { Outcome, WaitingCall } from './waiting.js'

export type { CommandCall, EngineOptions } from './core.js'
export type { Outcome } from './waiting.js'

export interface QueryCall extends Omit<CommandCall, 'method' | 'idempotencyKey'> {
  method: Query
  context: Omit<QueryContext, 'now' | 'caller' | 'readers'>
}

/** One batch, as it turned out. */
export interface Turn {
  commands: number
  happened: readonly Happened[]
  /** How long the commit took. */
  commitMs: number
}

/** Told in this process only, and only as a hint; what counts is in the log. */
interface Signals {
  committed: (events: readonly Happened[]) => void
  /** Whoever pushes them adds the sinks that were reached. */
  signalled: (sent: readonly Sent[]) => void
  failed: (error: unknown) => void
  /** A batch was committed: for those who measure. */
  turned: (turn: Turn) => void
}

/** The one writer of a workspace. */
export interface Engine {
  readonly signals: EventEmitter<Signals>
  /** Committed state. */
  readonly read: Read
  bounds(): LogBounds
  /** Commands that wait for the writer. */
  queued(): number
  /** Calls that wait for something to happen. */
  waiting(): number
  command(call: CommandCall): void
  query(call: QueryCall): void
  /** A rule of the bridge's own, run as a command. */
  internal(rule: Rule): void
  /** Whoever asked has gone: its waiting calls are abandoned. */
  forget(owner: object): void
  /** Answers what waits with SHUTTING_DOWN, runs what is queued and held, and takes no more. */
  stop(): Promise<void>
}

/** Opens a workspace: what its former life left is put in order before the first call is served. */
export function createEngine(options: EngineOptions): Engine {
  const core = createCore(options, (write) => submit({ write }))
  const signals = new EventEmitter<Signals>()
  const schedule = () => {
    if (core.scheduled || core.failure !== undefined) return
    core.scheduled = true
    setImmediate(() => {
      turn(core, signals, schedule).catch((error) => fail(core, signals, undefined, error))
    })
  }
  const submit = (job: Job) => {
    core.queue.push(job)
    core.queuedBytes += bytesOf(job)
    schedule()
  }
  const trimmer = createTrimmer(core, options.retention ?? KEPT, (job) => {
    if (!core.stopped && core.failure === undefined) submit(job)
  })
  signals.on('committed', trimmer.committed)
  const internal = (rule: Rule) => {
    if (!core.stopped && core.failure === undefined) submit({ rule })
  }
  // Queued, so that it runs before whatever is asked for.
  internal((tx, ctx) => beginLife(core, tx, ctx))
  return {
    signals,
    read: core.committed,
    bounds: () => core.bounds,
    queued: () => core.queue.length,
    waiting: core.waiting.count,
    internal,
    command(call) {
      const refusal = refusalOf(core, call)
      if (refusal) answer(core, call, refusal)
      else submit({ call })
    },
    query(call) {
      if (call.method.searches && !core.stopped && core.failure === undefined) {
        core.search.waiting.push((instead) => (instead ? answer(core, call, instead) : runQuery(core, call)))
        return schedule()
      }
      // A deadline that has passed is a fact, whether or not the timer has fired: its events come first.
      const due = core.dueAt !== undefined && toMs(core.dueAt) <= options.clock.wallMs()
      if (!due || core.stopped || core.failure !== undefined) return runQuery(core, call)
      core.postponed.push(() => runQuery(core, call))
      schedule()
    },
    forget(owner) {
      for (const rule of core.waiting.forget(owner)) internal(rule)
    },
    async stop() {
      if (core.stopped) return
      core.stopped = true
      core.stopTimer()
      core.search.stopTimer?.()
      core.waiting.end({ refusal: stopping() })
      endWaiting(core.search, { refusal: stopping() })
      core.readers.flush()
      trimmer.stop()
      schedule()
      while (core.scheduled && core.failure === undefined) await new Promise(setImmediate)
    },
  }
}

const stopping = () => new BridgeError('SHUTTING_DOWN', STOPPING)

/** Of a call that has yet to run: one that waited and is run again counts as waiting. */
const bytesOf = (job: Job): number => ('call' in job && !job.again ? (job.call.bytes ?? 0) : 0)

/** Why no command is taken now, if none is. */
function refusalOf(core: Core, { bytes = 0 }: CommandCall): Outcome | undefined {
  if (core.failure !== undefined) return refusalOfFault(core, core.failure)
  if (core.stopped) return { refusal: stopping() }
  if (core.queue.length < limits.queuedCommands && core.queuedBytes + bytes <= limits.queuedBytes) return undefined
  return { refusal: new BridgeError('OVERLOADED', 'Too many commands wait for the writer: try again in a moment.') }
}

/** So often in a row another process may have kept the writer from its database; then nobody is kept waiting for it. */
const BEGIN_TRIES = 3

const KEPT = { ms: limits.retainMs, events: limits.retainEvents }

/** How long the writer waits before it tries again what went wrong, ms. */
const RETRY_MS = 1_000

/** One batch: a transaction, its commit, then the answers, then whoever follows the log. */
async function turn(core: Core, signals: EventEmitter<Signals>, schedule: () => void): Promise<void> {
  const { store, clock } = core.options
  const batch: Batch = { bounds: core.bounds, happened: [], after: [], sent: [] }
  try {
    await store.begin()
  } catch (error) {
    // Nothing has begun, so nothing is lost: somebody else holds the database for a moment.
    const outcome = refusalOfFault(core, error)
    core.failedBegins++
    if (core.failedBegins >= BEGIN_TRIES) refuseQueued(core, outcome)
    core.scheduled = false
    core.stopTimer()
    core.stopTimer = clock.after(RETRY_MS, schedule)
    return
  }
  let commands = 0
  let commitMs = 0
  core.failedBegins = 0
  try {
    passTime(core, batch)
    const beganMs = clock.monotonicMs()
    for (; commands < limits.batchCommands && core.queue.length > 0; commands++) {
      // It leaves the queue when it has run: should the database fail under it, it is answered with the rest.
      const job = core.queue[0] as Job
      if ('rule' in job) runRule(core, batch, job.rule)
      else if ('write' in job) job.write(batch)
      else runCall(core, batch, job)
      core.queue.shift()
      core.queuedBytes -= bytesOf(job)
      if (clock.monotonicMs() - beganMs > limits.batchMs) break
    }
    const dueAt = nextDeadline(core)
    commitMs = -clock.monotonicMs()
    await store.commit()
    commitMs += clock.monotonicMs()
    core.dueAt = dueAt
  } catch (error) {
    return fail(core, signals, batch, error)
  }
  core.bounds = batch.bounds
  for (const act of batch.after) act()
  core.waiting.committed(batch.happened)
  if (batch.happened.length > 0) signals.emit('committed', batch.happened)
  signals.emit('turned', { commands, happened: batch.happened, commitMs })
  if (batch.sent.length > 0) signals.emit('signalled', batch.sent)
  for (const { answer } of batch.sent) answer()
  for (const act of core.postponed.splice(0)) act()
  const behind = !core.stopped && catchUp(core.search, store, (error) => refusalOfFault(core, error))
  core.scheduled = false
  core.stopTimer()
  if (batch.happened.length > 0 && !core.stopped) fallBehind(core.search, clock, schedule)
  if (core.queue.length > 0 || core.postponed.length > 0 || behind) schedule()
  else if (core.dueAt !== undefined && !core.stopped) {
    // What is still due after a turn met a bug: it is tried again, but not at once.
    const pauseMs = core.dueAt <= core.now ? RETRY_MS : toMs(core.dueAt) - clock.wallMs() + 1
    core.stopTimer = clock.after(pauseMs, schedule)
  }
}

/** Calls that have yet to run are answered; what waits for something, and what is the bridge's own, waits on. */
function refuseQueued(core: Core, outcome: Outcome): void {
  const calls = core.queue.filter((job) => 'call' in job && !job.again) as Array<Extract<Job, { call: CommandCall }>>
  core.queue.splice(0, core.queue.length, ...core.queue.filter((job) => !('call' in job) || job.again))
  core.queuedBytes = 0
  const { requestId } = 'refusal' in outcome ? outcome.refusal.facts : {}
  const message = 'Another process holds the database: try again in a moment.'
  for (const { call } of calls) answer(core, call, { refusal: new BridgeError('OVERLOADED', message, { requestId }) })
  for (const act of core.postponed.splice(0)) act()
}

/** From an unknown state nothing goes on: the batch is answered with a fault, and so is all that follows. */
function fail(core: Core, signals: EventEmitter<Signals>, batch: Batch | undefined, error: unknown): void {
  core.failure = error
  core.stopTimer()
  core.search.stopTimer?.()
  signals.emit('failed', error)
  const outcome = refusalOfFault(core, error)
  for (const act of batch?.after ?? []) act(outcome)
  for (const job of core.queue.splice(0)) if ('call' in job) answer(core, job.call, outcome, job.again)
  core.waiting.end(outcome)
  endWaiting(core.search, outcome)
  for (const act of core.postponed.splice(0)) act()
}

function runQuery(core: Core, call: QueryCall, again?: WaitingCall): void {
  const { clock } = core.options
  if (again && !core.waiting.stillWaits(again)) return
  try {
    const now = toInstant(Math.max(clock.wallMs(), toMs(core.now)))
    for (const noun of core.options.nouns) noun.admit?.(core.committed, call.caller)
    const result = call.method.run(core.committed, call.params, {
      now,
      caller: call.caller,
      readers: core.readers,
      ...call.context,
    })
    if (!isParked(result)) return answer(core, call, { result: JSON.stringify(result) }, again)
    if (again) return core.waiting.keep(again, result)
    checkMayWait(core, call)
    // Woken in the midst of a turn, it runs once that is over.
    const next = { ...call, params: { ...call.params, ...(result.parked === 'run-again' && result.params) } }
    const runAgain = () => void core.postponed.push(() => runQuery(core, next, waiting))
    const waiting: WaitingCall = { parked: result, since: core.bounds.head, askers: [call], runAgain }
    core.waiting.add(waiting)
    call.ran(true)
  } catch (error) {
    const outcome = error instanceof BridgeError ? { refusal: error } : refusalOfFault(core, error)
    answer(core, call, outcome, again)
  }
}
