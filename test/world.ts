// A workspace in one process, on a real SQLite file, behind the real door, with a clock that moves when it is told to.
// Given, when, then: `world.as('codex').call(...)`, `world.advance(ms)`, `world.restart()`, `world.events()`.
// Every result is read with its method's strict schema and every event with what its declaration promises; a fault the
// engine reports, a refusal a method does not declare and a call answered twice all fail the scenario they happen in.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { agentRow } from '../src/bridge/agents/row.js'
import { contractRow } from '../src/bridge/contracts/row.js'
import { eventSchema } from '../src/bridge/events.js'
import { type MethodName, methods, nouns, type ParamsOf, type ResultOf } from '../src/bridge/index.js'
import { lockRow } from '../src/bridge/locks/row.js'
import { messageRow, type Signal as SignalRow } from '../src/bridge/messages/row.js'
import { tokenRow } from '../src/bridge/tokens.js'
import type { Retention } from '../src/engine/core.js'
import { type Connection, createDoor, type Grant } from '../src/engine/door/door.js'
import { createEngine, type Engine, type Outcome } from '../src/engine/engine.js'
import type { Clock, Random, Store } from '../src/engine/ports.js'
import { createTail } from '../src/engine/tail.js'
import { BridgeError, type Reason } from '../src/protocol/errors.js'
import type { Event } from '../src/protocol/event.js'
import { rpcForm } from '../src/protocol/form.js'
import type { Noun, Role } from '../src/protocol/method.js'
import { type Instant, toInstant } from '../src/protocol/time.js'
import { openStore } from '../src/store/store.js'
import { checkAll } from './rules/agree.js'

/** Where the clock of every world begins. */
export const BEGINNING = Date.parse('2030-01-01T00:00:00.000Z')

export interface WorldOptions {
  nouns?: readonly Noun[]
  /** Stands between the engine and the real store. */
  wrap?(store: Store): Store
  seed?: number
  retention?: Retention
  /** False: the scenario ends in a state that need not agree with itself (a trimmed log, a broken store). */
  checked?: boolean
}

export interface ActorOptions {
  /** False: a one-shot caller, on whose life nothing depends. */
  session?: boolean
  role?: Role
  capabilities?: string[]
  graceMs?: number
  resume?: { session: string; resumeKey: string }
  /** What its token allows, beside the role. */
  grant?: Partial<Grant>
}

/** One event as the log keeps it. */
export interface Logged {
  seq: number
  command: number
  body: string
  private: string | null
  event: Event
}

/** A call that may not be answered yet. */
export interface Asked<Result> extends Promise<Result> {
  /** Has it been answered, or refused? */
  answered(): boolean
}

/** What a socket was pushed. */
export interface Frame {
  method: string
  params: { subscription: number; cursor: string; prev?: string; events?: Event[]; signals?: SignalRow[] }
}

/** An agent on one socket. */
export interface Actor {
  readonly agent: string
  readonly opened: Promise<ResultOf<'session.open'>>
  readonly frames: Frame[]
  /** Why the bridge closed the socket, once it has. */
  closedWith(): number | undefined
  call<N extends MethodName>(name: N, params: ParamsOf<N> & { idempotencyKey?: string }): Asked<ResultOf<N>>
  /** The same without the types' help, for what must be refused. */
  ask(name: string, params: Record<string, unknown>): Asked<unknown>
  /** Sent at once, whether or not the session is open yet. */
  pipeline(name: string, params: Record<string, unknown>, bytes?: number): Asked<unknown>
  /** The socket breaks. */
  drop(): Promise<void>
  /** False: the socket's buffer is full; true again: it has drained. */
  drains(writable: boolean): void
}

export interface World {
  readonly clock: FakeClock
  readonly engine: Engine
  readonly file: string
  /** The faults reported so far; a test that means them takes them out. */
  readonly faults: unknown[]
  /** The actor of that name and kind: made at the first mention, the same one afterwards. */
  as(agent: string, options?: ActorOptions): Actor
  /** A new socket, whatever others the agent has. */
  connect(agent: string, options?: ActorOptions): Actor
  /** Time passes: every timer fires when it is due. */
  advance(ms: number): Promise<void>
  /** The machine sleeps: the wall clock goes on, nothing else does. Negative: somebody sets the clock back. */
  sleep(ms: number): Promise<void>
  /** Until nothing is under way. */
  idle(): Promise<void>
  /** The daemon dies where it stands and another takes its place on the same file; `between` may touch the file. */
  restart(options?: { awayMs?: number; between?(file: string): void }): Promise<void>
  /** The daemon stops as it should. */
  stop(): Promise<void>
  log(): Logged[]
  /** The events so far, each checked; those after the first `after`, of these types only. */
  events(filter?: { after?: number; types?: string[] }): Event[]
  /** Types of the events after a seq. */
  types(after?: number): string[]
  head(): number
  now(): Instant
  sql<Row>(query: string): Row[]
  end(): Promise<void>
}

export interface FakeClock extends Clock {
  /** Moves both clocks. */
  move(ms: number): void
  /** Moves the wall clock only. */
  jump(ms: number): void
  /** Moves to the next timer that is due within `ms` and gives it. */
  nextTimer(ms: number): (() => void) | undefined
  clear(): void
}

export function createFakeClock(): FakeClock {
  let wallMs = BEGINNING
  let monotonicMs = 0
  const timers = new Set<{ at: number; run(): void }>()
  const move = (ms: number) => {
    wallMs += ms
    monotonicMs += ms
  }
  return {
    wallMs: () => wallMs,
    monotonicMs: () => monotonicMs,
    after(ms, run) {
      const timer = { at: monotonicMs + Math.max(0, ms), run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    move,
    jump(ms) {
      wallMs += ms
    },
    nextTimer(ms) {
      const [next] = [...timers].sort((a, b) => a.at - b.at)
      if (!next || next.at > monotonicMs + ms) return undefined
      timers.delete(next)
      move(Math.max(0, next.at - monotonicMs))
      return next.run
    },
    clear: () => timers.clear(),
  }
}

/** Bytes that are the same in every run, and SHA-256. */
function createRandom(seed: number): Random {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) & 0xff
  }
  return {
    bytes: (count) => Uint8Array.from({ length: count }, next),
    hash: (text) => createHash('sha256').update(text).digest('hex'),
  }
}

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'agent-bridge-world-'))
  const file = join(folder, 'default.db')
  const clock = createFakeClock()
  const random = createRandom(options.seed ?? 1)
  const faults: unknown[] = []
  const actors = new Map<string, Actor>()
  let begun = 0
  let life = beginLife()

  function beginLife() {
    const store = openStore(
      file,
      nouns.flatMap((noun) => noun.tables),
    )
    const inner = options.wrap?.(store) ?? store
    const counted: Store = {
      ...inner,
      begin() {
        begun++
        return inner.begin()
      },
    }
    const current = { alive: true }
    const engine = createEngine({
      store: counted,
      nouns: options.nouns ?? nouns,
      clock,
      random,
      workspace: 'default',
      restored: store.anew,
      retention: options.retention,
      report: (fault) => faults.push(fault),
    })
    const tail = createTail(engine.read, clock, (fault) => faults.push(fault))
    const runtime = {
      version: '0',
      workspace: 'default',
      uptimeMs: () => Math.round(clock.monotonicMs()),
      subscriptions: tail.count,
      store: store.stats,
    }
    const door = createDoor({
      clock,
      workspace: () => ({ engine, tail, runtime }),
      fault(error) {
        throw error
      },
    })
    engine.signals.on('committed', door.committed)
    engine.signals.on('committed', tail.committed)
    engine.signals.on('signalled', tail.signalled)
    return { store, engine, tail, door, current }
  }

  async function idle(): Promise<void> {
    for (let seen = -1; seen !== begun; ) {
      seen = begun
      for (let round = 0; round < 3; round++) await new Promise(setImmediate)
    }
  }

  function connect(agent: string, actorOptions: ActorOptions = {}): Actor {
    const { current, door } = life
    return createActor(agent, actorOptions, { door, alive: () => current.alive, idle, faults })
  }

  function sql<Row>(query: string): Row[] {
    const db = new Database(file, { readonly: true })
    try {
      return db.prepare<[], Row>(query).all()
    } finally {
      db.close()
    }
  }

  const log = (): Logged[] =>
    sql<Omit<Logged, 'event'>>('SELECT seq, command, body, private FROM events ORDER BY seq').map((row) => ({
      ...row,
      event: JSON.parse(`{"cursor":"e-${row.seq}",${row.body.slice(1)}`),
    }))

  function endLife(): void {
    life.current.alive = false
    life.tail.stop()
    clock.clear()
    life.store.close()
    actors.clear()
  }

  const world: World = {
    clock,
    get engine() {
      return life.engine
    },
    file,
    faults,
    as(agent, actorOptions = {}) {
      const key = `${agent} ${JSON.stringify(actorOptions)}`
      const known = actors.get(key) ?? connect(agent, actorOptions)
      actors.set(key, known)
      return known
    },
    connect,
    async advance(ms) {
      await idle()
      const until = clock.monotonicMs() + ms
      for (let fired = 0; ; fired++) {
        const run = clock.nextTimer(until - clock.monotonicMs())
        if (!run) break
        if (fired > 1_000) throw new Error('The timers never come to rest.')
        run()
        await idle()
      }
      clock.move(until - clock.monotonicMs())
      await idle()
    },
    async sleep(ms) {
      await idle()
      clock.jump(ms)
    },
    idle,
    async restart({ awayMs = 0, between } = {}) {
      await idle()
      endLife()
      clock.move(awayMs)
      between?.(file)
      life = beginLife()
      await idle()
    },
    async stop() {
      await life.engine.stop()
      await idle()
    },
    log,
    events({ after = 0, types } = {}) {
      return log()
        .filter(({ seq }) => seq > after)
        .map(({ event }) => checkEvent(event))
        .filter(({ type }) => !types || types.includes(type))
    },
    types: (after) => world.events(after === undefined ? {} : { after }).map(({ type }) => type),
    head: () => life.engine.bounds().head,
    now: () => toInstant(clock.wallMs()),
    sql,
    async end() {
      await idle()
      endLife()
      rmSync(folder, { recursive: true, force: true })
      if (faults.length > 0) throw faults[0]
    },
  }
  await idle()
  return world
}

interface Surroundings {
  door: ReturnType<typeof createDoor>
  alive(): boolean
  idle(): Promise<void>
  faults: unknown[]
}

function createActor(agent: string, options: ActorOptions, { door, alive, idle, faults }: Surroundings): Actor {
  const frames: Frame[] = []
  let closedWith: number | undefined
  let writable = true
  const connection: Connection = door.connect(
    { role: options.role ?? 'agent', operator: false, ...options.grant },
    {
      form: rpcForm,
      takesSignals: true,
      push: (head, rest = Buffer.alloc(0)) => void frames.push(JSON.parse(head + rest.toString())),
      writable: () => writable,
      close: (code) => {
        closedWith = code
        connection.closed()
      },
    },
  )

  function send(name: string, params: Record<string, unknown>, bytes?: number): Asked<unknown> {
    let answered = 0
    const promise = new Promise((resolve, reject) => {
      connection.call(
        name,
        params,
        (outcome) => {
          if (!alive()) return
          if (answered++ > 0) faults.push(new Error(`${name} was answered twice`))
          try {
            resolve(read(name, outcome))
          } catch (error) {
            if (!(error instanceof BridgeError)) faults.push(error)
            reject(error)
          }
        },
        bytes,
      )
    })
    // A call that is refused after its test has lost interest is no fault.
    promise.catch(() => {})
    return Object.assign(promise, { answered: () => answered > 0 })
  }

  const { session = true, capabilities, graceMs, resume } = options
  const opened = send('session.open', { agent, capabilities, graceMs, resume, ...(!session && { oneShot: true }) })
  let isOpen = false
  opened.then(
    () => (isOpen = true),
    () => {},
  )
  /** Once the session is open, at once: calls are made in the order in which a test writes them. */
  function sendOpened(name: string, params: Record<string, unknown>): Asked<unknown> {
    if (isOpen) return send(name, params)
    let asked: Asked<unknown> | undefined
    const promise = opened.then(() => (asked = send(name, params)))
    promise.catch(() => {})
    return Object.assign(promise, { answered: () => asked?.answered() ?? false })
  }
  return {
    agent,
    opened: opened as Promise<ResultOf<'session.open'>>,
    frames,
    closedWith: () => closedWith,
    call: (name, params) => sendOpened(name, params) as Asked<never>,
    ask: sendOpened,
    pipeline: send,
    async drop() {
      connection.closed()
      await idle()
    },
    drains(now) {
      writable = now
      if (now) connection.drained()
    },
  }
}

/** What any method may be refused for, whatever it declares. */
const anywhere: readonly Reason[] = [
  'INVALID_REQUEST',
  'METHOD_NOT_FOUND',
  'INVALID_PARAMS',
  'INTERNAL',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'IDEMPOTENCY_CONFLICT',
  'OVERLOADED',
  'RATE_LIMITED',
  'SHUTTING_DOWN',
]

function read(name: string, outcome: Outcome): unknown {
  const method = methods.get(name)
  if ('refusal' in outcome) {
    const { reason } = outcome.refusal
    if (method && !method.errors.includes(reason) && !anywhere.includes(reason)) {
      throw new Error(`${name} was refused with ${reason}, which it does not declare`)
    }
    throw outcome.refusal
  }
  const parsed = method?.result.safeParse(JSON.parse(outcome.result))
  if (!parsed?.success) throw new Error(`${name}: its result is not as documented: ${parsed?.error.message}`)
  return parsed.data
}

const rows = { contract: contractRow, lock: lockRow, message: messageRow, agent: agentRow, token: tokenRow }
const declared = new Map(nouns.flatMap((noun) => noun.events).map((def) => [def.type, def]))

/** An event as its declaration promises: the whole row, or null and what it was; beside it what is declared, no more. */
export function checkEvent(event: Event): Event {
  const { type, data } = eventSchema.parse(event)
  const def = declared.get(type)
  if (!def) throw new Error(`${type} is not declared`)
  const noun = def.table?.noun as keyof typeof rows | undefined
  const beside = Object.keys(data).filter((name) => name !== noun && !(name in def.data))
  if (noun && data[noun] === null) {
    rows[noun].parse(data.last)
    beside.splice(beside.indexOf('last'), 1)
  } else if (noun && data[noun] !== undefined) rows[noun].parse(data[noun])
  if (beside.length > 0) throw new Error(`${type} holds ${beside.join(', ')}, which it does not declare`)
  return event
}

/** The refusal a call ends with. @throws when it succeeds, or is refused for another reason */
export async function refused(call: Promise<unknown>, reason: Reason): Promise<BridgeError> {
  const outcome = await call.then(
    (value) => value,
    (error: unknown) => error,
  )
  if (!(outcome instanceof BridgeError)) {
    if (outcome instanceof Error) throw outcome
    throw new Error(`Expected ${reason}, but the call succeeded: ${JSON.stringify(outcome)}`)
  }
  assert.is(outcome.reason, reason, outcome.message)
  return outcome
}

const PATIENCE_MS = 10_000

/** Without it a call that is never answered would end the process without a word. */
async function inTime(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('The scenario waits for what does not come.')), PATIENCE_MS)
  })
  await Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** A test in a world of its own. */
export function scenario(
  test: ReturnType<typeof suite>,
  name: string,
  run: (world: World) => Promise<void>,
  options?: WorldOptions,
): void {
  test(name, async () => {
    const world = await createWorld(options)
    try {
      await inTime(run(world))
      await world.idle()
      if (options?.checked ?? true) checkAll(world)
    } catch (error) {
      // What the engine reported says more than what its caller was told.
      const [fault = error] = world.faults.splice(0)
      await world.end()
      throw fault
    }
    await world.end()
  })
}
