import { EventEmitter } from 'eventemitter3'
import type { LogBounds } from '../protocol/cursor.js'
import { BridgeError, refuse } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import {
  type Caller,
  type Command,
  type Context,
  type Happened,
  isParked,
  type Noun,
  type Parked,
  type Query,
  type QueryContext,
  type Read,
  type Tx,
} from '../protocol/method.js'
import { type Instant, later, toInstant, toMs } from '../protocol/time.js'
import { createIds } from './ids.js'
import type { Clock, Random, Store } from './ports.js'
import { type Answer, beginCommand, type CommandTx, type Held } from './transaction.js'
import { createWaiting, type Outcome, type WaitingCall } from './waiting.js'

export type { Outcome } from './waiting.js'

/** A command somebody asked for. */
export interface CommandCall {
  method: Command
  params: Record<string, unknown>
  caller: Caller
  idempotencyKey?: string | undefined
  /** Whose waiting ends when it goes. */
  owner: object
  /** False when its owner has as many calls waiting as it may. */
  mayWait(): boolean
  /** Its effect is committed, or refused, or it waits. */
  ran(waits: boolean): void
  done(outcome: Outcome): void
}

export interface QueryCall extends Omit<CommandCall, 'method' | 'idempotencyKey'> {
  method: Query
  context: Omit<QueryContext, 'now' | 'caller'>
}

/** Told in this process only, and only as a hint; what counts is in the log. */
interface Signals {
  committed: (events: readonly Happened[]) => void
  failed: (error: unknown) => void
}

/** The one writer of a workspace. */
export interface Engine {
  readonly signals: EventEmitter<Signals>
  bounds(): LogBounds
  read: Read
  command(call: CommandCall): void
  query(call: QueryCall): void
  /** A rule of the bridge's own, run as a command. */
  internal(rule: (tx: Tx, ctx: Context) => void): void
  /** Whoever asked has gone: its waiting calls are abandoned. */
  forget(owner: object): void
  /** Answers what waits with SHUTTING_DOWN, runs what is queued and held, and takes no more. */
  stop(): Promise<void>
}

export interface EngineOptions {
  store: Store
  nouns: readonly Noun[]
  clock: Clock
  random: Random
  workspace: string
  /** The database is another than the one last seen. */
  restored?: boolean
  /** A bug was met; the id is the one its caller was given. */
  report(fault: unknown, requestId: string): void
}

type Job = { call: CommandCall; again?: WaitingCall } | { rule: (tx: Tx, ctx: Context) => void }

const BRIDGE: Caller = { agent: 'bridge', role: 'admin', unverified: false }
const stopping = () => new BridgeError('SHUTTING_DOWN', 'The daemon is stopping: connect again in a moment.')

/** Opens a workspace: what its former life left is put in order before the first call is served. */
export function createEngine(options: EngineOptions): Engine {
  const { store, nouns, clock, random, workspace } = options
  const tables = nouns.flatMap((noun) => noun.tables).filter((table) => table.deadline)
  const expirers = Object.assign({}, ...nouns.map((noun) => noun.expire ?? {})) as NonNullable<Noun['expire']>
  const signals = new EventEmitter<Signals>()
  const waiting = createWaiting(clock)
  const held = new Map<string, Held>()
  const queue: Job[] = []
  const ids = createIds(random)
  const daemon = ids.next('dmn', toInstant(clock.wallMs()))
  let bounds = store.bounds()
  let now: Instant = lastInstant(store, bounds) ?? toInstant(0)
  let wallMs = clock.wallMs()
  let monotonicMs = clock.monotonicMs()
  let dueAt: Instant | undefined
  let stopTimer = () => {}
  let scheduled = false
  let stopped = false
  let failure: unknown
  let afterTurn: Array<() => void> = []

  const committed: Read = { ...store.committed, bounds: () => bounds }
  const contextFor = (caller: Caller): Context => ({
    now,
    caller,
    daemon,
    workspace,
    newId: (prefix) => ids.next(prefix, now),
    newSecret: () => Buffer.from(random.bytes(32)).toString('base64url'),
    hash: random.hash,
  })

  function schedule(): void {
    if (scheduled || failure !== undefined) return
    scheduled = true
    setImmediate(() => void turn())
  }

  /** One batch: a transaction, its commit, then the answers, then whoever follows the log. */
  async function turn(): Promise<void> {
    const batch: Batch = { bounds, happened: [], after: [] }
    try {
      await store.begin()
      passTime(batch)
      const began = clock.monotonicMs()
      for (let run = 0; run < limits.batchCommands && queue.length > 0; run++) {
        runJob(batch, queue.shift() as Job)
        if (clock.monotonicMs() - began > limits.batchMs) break
      }
      await store.commit()
    } catch (error) {
      fail(error, batch)
      return
    }
    bounds = batch.bounds
    dueAt = nextDeadline()
    for (const act of batch.after) act()
    waiting.committed(batch.happened)
    if (batch.happened.length > 0) signals.emit('committed', batch.happened)
    scheduled = false
    const postponed = afterTurn
    afterTurn = []
    for (const act of postponed) act()
    if (queue.length > 0) schedule()
    else arm()
  }

  /** From an unknown state nothing goes on: the batch is answered with a fault, and so is all that follows. */
  function fail(error: unknown, batch: Batch): void {
    failure = error
    options.report(error, 'commit')
    signals.emit('failed', error)
    for (const act of batch.after) act(refusalOfFault(error))
    for (const job of queue.splice(0)) if ('call' in job) answer(job, refusalOfFault(error))
    waiting.end(refusalOfFault(error))
    for (const act of afterTurn.splice(0)) act()
  }

  /** The first commands of every batch: what the passing of time has brought about. */
  function passTime(batch: Batch): void {
    const [wall, monotonic] = [clock.wallMs(), clock.monotonicMs()]
    const jumped = wall - wallMs - (monotonic - monotonicMs) > limits.clockJumpMs
    ;[wallMs, monotonicMs] = [wall, monotonic]
    const wallNow = toInstant(wall)
    if (wallNow > now) now = wallNow
    if (jumped) runRule(batch, (tx, ctx) => rebase(tx, ctx))
    if (isDue()) runRule(batch, tick)
    for (const [name, { at, write }] of [...held]) {
      if (at > now && !stopped) continue
      held.delete(name)
      runRule(batch, write)
    }
  }

  const rebase = (tx: Tx, ctx: Context) => {
    for (const noun of nouns) noun.rebase?.(tx, later(ctx.now, limits.rebaseMs), ctx)
  }

  /** Every deadline that has passed becomes events; a table at a time, the earliest first. */
  function tick(tx: Tx, ctx: Context): void {
    for (const table of tables) {
      for (const row of tx.find(table, { where: { deadline: { upTo: ctx.now } }, order: ['deadline'] })) {
        // A row before it may have changed or removed this one.
        const fresh = tx.get(table, table.id(row))
        if (fresh && (table.deadline?.(fresh) ?? '~') <= ctx.now) expirers[table.name]?.(tx, fresh as never, ctx)
      }
    }
  }

  function runRule(batch: Batch, rule: (tx: Tx, ctx: Context) => void): void {
    const tx = beginCommand({ store, bounds: batch.bounds, now, held })
    attempt(tx, () => {
      rule(tx, contextFor(BRIDGE))
      settle(tx)
      release(tx, batch, new Map())
    })
  }

  function runJob(batch: Batch, job: Job): void {
    if ('rule' in job) return runRule(batch, job.rule)
    const { call, again } = job
    const tx = beginCommand({ store, bounds: batch.bounds, now, held })
    const refusal = attempt(tx, () => runCall(tx, batch, call, again))
    if (refusal) batch.after.push((instead) => answer(job, instead ?? refusal))
  }

  function runCall(tx: CommandTx, batch: Batch, call: CommandCall, again: WaitingCall | undefined): void {
    const { method, params, caller, idempotencyKey } = call
    const keyed =
      idempotencyKey === undefined ? undefined : { key: `${caller.agent} ${idempotencyKey}`, hash: hashOf(call) }
    if (keyed && !again) {
      const known = recall(keyed)
      if (known !== undefined) return void batch.after.push((instead) => answer({ call }, instead ?? { result: known }))
      if (join(batch, call, keyed)) return
    }
    tx.actAs(caller.agent, caller.unverified)
    const result = method.run(tx, params, contextFor(caller))
    tx.actAs(BRIDGE.agent, false)
    if (isParked(result)) {
      if (!again && !call.mayWait()) refuse('OVERLOADED', `At most ${limits.parkedCalls} calls of a socket may wait.`)
      settle(tx)
      release(tx, batch, new Map())
      batch.after.push((instead) => (instead ? answer({ call }, instead) : park(call, result, keyed, again)))
      return
    }
    const json = tx.jsonOf(result)
    settle(tx)
    // The answer is remembered with the command's own first event: a later one may be the answer to another's waiting.
    const first = tx.happened[0]
    const isRow = first !== undefined && Object.values(first.data)[0] === result
    const answers = new Map(keyed && first ? [[first, { ...keyed, ...(!isRow && { result: json }) }]] : [])
    release(tx, batch, answers)
    batch.after.push((instead) => answer({ call, ...(again && { again }) }, instead ?? { result: json }))
  }

  /** Runs nouns' `settle` until nothing follows any more from what happened. */
  function settle(tx: CommandTx): void {
    for (let seen = 0; seen < tx.happened.length; ) {
      const fresh = tx.happened.slice(seen)
      seen = tx.happened.length
      for (const noun of nouns) noun.settle?.(tx, fresh, contextFor(BRIDGE))
    }
  }

  function release(tx: CommandTx, batch: Batch, answers: Map<Happened, Answer>): void {
    for (const event of tx.happened) {
      for (const { call, result } of waiting.answeredBy(event)) {
        if (!answers.has(event))
          answers.set(event, { key: call.key as string, hash: call.hash as string, result: JSON.stringify(result) })
      }
    }
    tx.release(answers)
    batch.bounds = { ...batch.bounds, head: batch.bounds.head + tx.happened.length }
    for (const event of tx.happened) batch.happened.push(event)
    for (const [name, hold] of tx.holds) {
      if (hold) held.set(name, hold)
      else held.delete(name)
    }
  }

  /** Runs one command; when it is refused, or fails for a bug, no trace of it is left. */
  function attempt(tx: CommandTx, act: () => void): Outcome | undefined {
    try {
      act()
      return undefined
    } catch (error) {
      // The database itself failed: what state the transaction is in cannot be known.
      if (error instanceof Error && error.name === 'SqliteError') throw error
      tx.undo()
      return error instanceof BridgeError ? { refusal: error } : refusalOfFault(error)
    }
  }

  const refusalOfFault = (fault: unknown): Outcome => {
    const requestId = ids.next('req', now)
    options.report(fault, requestId)
    return {
      refusal: new BridgeError('INTERNAL', `A fault of the bridge: its log has more under ${requestId}.`, {
        requestId,
      }),
    }
  }

  const hashOf = ({ method, params }: CommandCall): string => random.hash(`${method.name} ${JSON.stringify(params)}`)

  /** @throws IDEMPOTENCY_CONFLICT */
  function recall({ key, hash }: { key: string; hash: string }): string | undefined {
    const found = store.remembered(key)
    if (!found) return undefined
    const { answer } = JSON.parse(found.private) as { answer: Answer }
    checkHash(answer.hash, hash)
    return answer.result ?? JSON.stringify(Object.values(JSON.parse(found.body).data)[0])
  }

  function join(batch: Batch, call: CommandCall, { key, hash }: { key: string; hash: string }): boolean {
    const first = waiting.byKey(key)
    if (!first) return false
    checkHash(first.hash, hash)
    if (!call.mayWait()) refuse('OVERLOADED', `At most ${limits.parkedCalls} calls of a socket may wait.`)
    first.askers.push(call)
    batch.after.push((instead) => (instead ? answer({ call }, instead) : call.ran(true)))
    return true
  }

  function checkHash(known: string | undefined, hash: string): void {
    if (known === hash) return
    refuse(
      'IDEMPOTENCY_CONFLICT',
      'This idempotency key was used for another call: take a new one for each thing to do.',
    )
  }

  function park(
    call: CommandCall,
    parked: Parked<unknown>,
    keyed: { key: string; hash: string } | undefined,
    again?: WaitingCall,
  ) {
    if (again) return waiting.keep(again, parked)
    const entry: WaitingCall = {
      parked,
      askers: [call],
      ...keyed,
      running: false,
      runAgain() {
        queue.push({ call, again: entry })
        schedule()
      },
    }
    waiting.add(entry)
    call.ran(true)
  }

  function answer({ call, again }: { call: CommandCall; again?: WaitingCall }, outcome: Outcome): void {
    if (again) return waiting.settle(again, outcome)
    call.ran(false)
    call.done(outcome)
  }

  const isDue = (): boolean => dueAt !== undefined && dueAt <= now

  function nextDeadline(): Instant | undefined {
    const first = (table: (typeof tables)[number]) =>
      store.committed.find(table, { where: { deadline: { from: '' } }, order: ['deadline'], limit: 1 })[0]
    const deadlines = tables.map((table) => {
      const row = first(table)
      return row && table.deadline?.(row)
    })
    return [...deadlines, ...[...held.values()].map(({ at }) => at)].filter((at) => at !== undefined).sort()[0]
  }

  function arm(): void {
    stopTimer()
    if (dueAt !== undefined && !stopped) stopTimer = clock.after(toMs(dueAt) - clock.wallMs() + 1, schedule)
  }

  function runQuery(call: QueryCall, again?: WaitingCall): void {
    const settled = (outcome: Outcome) => {
      if (again) return waiting.settle(again, outcome)
      call.ran(false)
      call.done(outcome)
    }
    try {
      const at = toInstant(Math.max(clock.wallMs(), toMs(now)))
      const result = call.method.run(committed, call.params, { now: at, caller: call.caller, ...call.context })
      if (!isParked(result)) return settled({ result: JSON.stringify(result) })
      if (again) return waiting.keep(again, result)
      if (!call.mayWait()) refuse('OVERLOADED', `At most ${limits.parkedCalls} calls of a socket may wait.`)
      const entry: WaitingCall = {
        parked: result,
        askers: [call],
        running: false,
        runAgain: () => afterCommit(() => runQuery(call, entry)),
      }
      waiting.add(entry)
      call.ran(true)
    } catch (error) {
      settled(error instanceof BridgeError ? { refusal: error } : refusalOfFault(error))
    }
  }

  /** Within a turn, once it is over; else now. */
  function afterCommit(act: () => void): void {
    if (scheduled) afterTurn.push(act)
    else act()
  }

  const engine: Engine = {
    signals,
    bounds: () => bounds,
    read: committed,
    command(call) {
      if (failure !== undefined) return answer({ call }, refusalOfFault(failure))
      if (stopped) return answer({ call }, { refusal: stopping() })
      if (queue.length >= limits.queuedCommands) {
        return answer(
          { call },
          { refusal: new BridgeError('OVERLOADED', 'Too many commands wait for the writer: try again in a moment.') },
        )
      }
      queue.push({ call })
      schedule()
    },
    query(call) {
      // A deadline that has passed is a fact, whether or not the timer has fired: its events come first.
      if (dueAt !== undefined && toMs(dueAt) <= clock.wallMs() && failure === undefined && !stopped) {
        schedule()
        afterTurn.push(() => runQuery(call))
      } else runQuery(call)
    },
    internal(rule) {
      if (stopped || failure !== undefined) return
      queue.push({ rule })
      schedule()
    },
    forget(owner) {
      for (const rule of waiting.forget(owner)) engine.internal(rule)
    },
    async stop() {
      if (stopped) return
      stopped = true
      stopTimer()
      waiting.end({ refusal: stopping() })
      schedule()
      while (scheduled && failure === undefined) await new Promise(setImmediate)
    },
  }
  // The first command of a life. It is queued, so it runs before whatever is asked for.
  engine.internal((tx, ctx) => {
    for (const noun of nouns) {
      if (options.restored) noun.restored?.(tx, ctx)
      noun.started?.(tx, ctx)
    }
    rebase(tx, ctx)
  })
  return engine
}

interface Batch {
  bounds: LogBounds
  happened: Happened[]
  /** The answers, once all is committed; with an outcome, that one instead. */
  after: Array<(instead?: Outcome) => void>
}

/** The instant of the last event: time never runs backwards within a log. */
function lastInstant(store: Store, { head }: LogBounds): Instant | undefined {
  const [last] = store.committed.events(head - 1, { limit: 1 })
  return last && JSON.parse(last.body).time
}
