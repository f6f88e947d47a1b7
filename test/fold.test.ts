// Random commands, time, broken sockets and restarts; then the log folded into empty tables is the tables, and nothing
// is true of the workspace that must not be. A failure prints its seed and the command that repeats it:
// FOLD_SEED=<seed> FOLD_PATH=<path> npx tsx test/fold.test.ts; FOLD_RUNS=<runs> looks longer.

import fc from 'fast-check'
import { suite } from 'uvu'
import { type Contract, isOpen } from '../src/bridge/contracts/row.js'
import type { Lock } from '../src/bridge/locks/row.js'
import { BridgeError } from '../src/protocol/errors.js'
import { toInstant } from '../src/protocol/time.js'
import { checkAll, checkContracts, checkDeadlines, checkLocks, checkSecrets } from './rules/agree.js'
import { type Actor, type Asked, createWorld, type World } from './world.js'

const RUNS = Number(process.env.FOLD_RUNS ?? 30)
const STEPS = 80

const agents = ['ann', 'bob', 'cat', 'dan']

/** What stands in for ids and tokens, which are known only once the steps before have run. */
type Step =
  | Call
  | { do: 'burst'; calls: Call[] }
  | { do: 'advance'; ms: number }
  | { do: 'sleep'; ms: number }
  | { do: 'drop'; who: number; session: boolean }
  | { do: 'resume'; who: number }
  | { do: 'close'; who: number }
  | { do: 'break'; pick: number }
  | { do: 'restart'; awayMs: number; graceful: boolean }

interface Call {
  do: 'call'
  who: number
  session: boolean
  verb: Verb
  pick: number
  params: Record<string, unknown>
}

type Verb = keyof typeof verbs

const resource = fc.constantFrom(
  'file:a',
  'file:b',
  'file:src/**',
  'file:src/a.ts',
  'file:src/*/x',
  'file:**',
  'port:1',
)
const claims = fc.uniqueArray(fc.record({ resource, mode: fc.constantFrom('exclusive', 'shared') }), {
  minLength: 1,
  maxLength: 2,
  selector: ({ resource }) => resource,
})
const waitMs = fc.constantFrom(undefined, 0, 2_000, 60_000)
const ttlMs = fc.constantFrom(undefined, undefined, 1_000, 20_000)
const name = fc.constantFrom(...agents)
const params = (shape: Record<string, fc.Arbitrary<unknown>>) => fc.record(shape)
const note = fc.constantFrom(undefined, 'a note')
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const error = params({ reason: fc.constant('NO'), message: fc.constant('no'), retryable: maybe(fc.boolean()) })
const check = { name: 'tests', command: 'npm test' }
const terms = {
  title: fc.constant('a task'),
  assignee: fc.option(name, { nil: undefined, freq: 1 }),
  priority: maybe(fc.constantFrom('low', 'high')),
  tags: fc.subarray(['x', 'y']),
  resources: fc.option(claims, { nil: undefined, freq: 2 }),
  maxAttempts: maybe(fc.constantFrom(1, 5)),
  retryBackoffMs: maybe(fc.constantFrom(0, 3_000)),
  progressTimeoutMs: maybe(fc.constantFrom(1_000, 30_000)),
  notBefore: maybe(fc.constantFrom('2030-01-01T00:00:20.000Z', '2030-01-01T00:05:00.000Z')),
  checks: maybe(fc.constantFrom([check], [{ ...check, verifier: 'other' }])),
  // Ms from then on, and places among the contracts there are.
  dueInMs: fc.option(fc.constantFrom(1, 3_000, 60_000), { nil: undefined, freq: 2 }),
  dependsOn: fc.option(fc.array(fc.nat(9), { minLength: 1, maxLength: 3 }), { nil: undefined, freq: 2 }),
  parentId: fc.option(fc.nat(9), { nil: undefined, freq: 1 }),
}
const evidence = fc.constantFrom(undefined, [{ check: 'tests', command: 'npm test', exitCode: 0 }])
const question = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  prompt: fc.constant('?'),
  default: maybe(fc.constant(1)),
})
const questions = {
  requests: fc.uniqueArray(question, { minLength: 1, maxLength: 3, selector: ({ key }) => key }),
  deadlineMs: maybe(fc.constantFrom(1_000, 20_000)),
}

const message = {
  requireAck: maybe(fc.constant(true)),
  ttlMs: maybe(fc.constantFrom(1_000, 30_000)),
}

const wanted = ['submitted', 'accepted', 'working', 'completed', 'failed', 'canceled', 'rejected']

/** Each with what it needs beside an id, and where it finds that. */
const verbs = {
  'contract.create': ['', params(terms)],
  'contract.accept': ['contract', params({})],
  'contract.next': ['', params({ waitMs, tags: maybe(fc.constant(['x'])) })],
  'contract.start': ['attempt', params({ waitMs })],
  'contract.update': ['attempt', params({ progress: fc.constantFrom(undefined, 0.5), note })],
  'contract.requestInput': ['attempt', params({ ...questions, note })],
  'contract.provideInput': ['asked', params({ note })],
  'contract.verify': ['contract', params({ evidence: fc.constant([{ check: 'tests', command: 'x', exitCode: 0 }]) })],
  'contract.complete': ['attempt', params({ note, evidence })],
  'contract.fail': ['attempt', params({ error })],
  'contract.release': ['attempt', params({ note })],
  'contract.reject': ['contract', params({})],
  'contract.cancel': ['contract', params({ note })],
  'contract.acknowledgeCancel': ['attempt', params({})],
  'contract.retry': ['contract', params({})],
  'contract.setStatus': ['attempt', params({ status: fc.constantFrom(...wanted), note, evidence })],
  'lock.acquire': ['', params({ resources: claims, waitMs, ttlMs })],
  'lock.renew': ['lock', params({ ttlMs })],
  'lock.release': ['lock', params({})],
  'lock.downgrade': ['lock', params({})],
  'message.publish': ['', params({ to: name, text: fc.constant('hello'), contract: maybe(params(terms)), ...message })],
  'message.ack': ['message', params({ state: fc.constantFrom('injected', 'read', 'acked') })],
  'agent.update': ['', params({ note, capabilities: maybe(fc.subarray(['x', 'y'])) })],
} as const

/** How often each is tried, where it is not once: what begins a life is more frequent than what ends it. */
const weights: Partial<Record<Verb, number>> = {
  'contract.create': 10,
  'contract.accept': 12,
  'contract.next': 6,
  'contract.start': 14,
  'contract.update': 4,
  'contract.requestInput': 10,
  'contract.provideInput': 6,
  'contract.complete': 6,
  'contract.setStatus': 4,
  'lock.acquire': 5,
  'lock.release': 4,
}

const call = fc
  .constantFrom(...(Object.keys(verbs) as Verb[]).flatMap((verb) => Array<Verb>(weights[verb] ?? 1).fill(verb)))
  .chain((verb) =>
    fc.record({
      do: fc.constant('call' as const),
      who: fc.nat(agents.length - 1),
      session: fc.constantFrom(true, true, true, false),
      verb: fc.constant(verb),
      pick: fc.nat(9),
      params: verbs[verb][1] as fc.Arbitrary<Record<string, unknown>>,
    }),
  )

const who = fc.nat(agents.length - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: call },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('burst' as const),
      calls: fc.array(call, { minLength: 2, maxLength: 5, size: 'max' }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 900, 3_000, 31_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('sleep' as const), ms: fc.constantFrom(-5_000, 4_000, 100_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), who, session: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resume' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('break' as const), pick: fc.nat(9) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('restart' as const),
      awayMs: fc.constantFrom(0, 50_000),
      graceful: fc.boolean(),
    }),
  },
)

const rowsOf = <Row>(world: World, table: string): Row[] =>
  world.sql<{ body: string }>(`SELECT body FROM ${table} ORDER BY id DESC`).map(({ body }) => JSON.parse(body))

/** The parameters that name what is there: the caller's own two times in three, so that most calls succeed. */
function namesFor(world: World, kind: string, agent: string, pick: number): Record<string, unknown> {
  const choose = <Row>(rows: Row[], own: (row: Row) => boolean): Row | undefined => {
    const mine = rows.filter(own)
    const from = pick % 3 > 0 && mine.length > 0 ? mine : rows
    return from[pick % from.length]
  }
  if (kind === 'asked') {
    const asked = rowsOf<Contract>(world, 'contracts').filter(({ status }) => status === 'input_required')
    const contract = asked[pick % Math.max(1, asked.length)]
    const open = contract?.inputRequests.filter(({ answeredAt }) => answeredAt === undefined) ?? []
    const keys = open.length === 0 ? ['none'] : open.map(({ key }) => key).slice(0, 1 + (pick % 3))
    return { contractId: contract?.id ?? 'ctr_none', responses: Object.fromEntries(keys.map((key) => [key, pick])) }
  }
  if (kind === 'contract' || kind === 'attempt') {
    const contract = choose(rowsOf<Contract>(world, 'contracts'), ({ owner, status }) =>
      kind === 'attempt' ? owner === agent && isOpen(status) : status === 'submitted',
    )
    const contractId = contract?.id ?? 'ctr_none'
    return kind === 'attempt' ? { contractId, attempt: Math.max(1, contract?.attempt ?? 1) } : { contractId }
  }
  if (kind === 'lock') {
    const lock = choose(rowsOf<Lock>(world, 'locks'), ({ holder, state }) => holder === agent && state === 'held')
    return { lockId: lock?.lockId ?? 'lck_none', token: lock?.token ?? 0 }
  }
  if (kind !== 'message') return {}
  const message = choose(rowsOf<{ messageId: string; to: string[] }>(world, 'messages'), ({ to }) => to.includes(agent))
  return { messageIds: [message?.messageId ?? 'msg_none'] }
}

type Terms = Record<string, unknown> & { dueInMs?: number; dependsOn?: number[]; parentId?: number }

/** Terms with the instants and ids that they stand for. */
function termsNow(world: World, { dueInMs, dependsOn, parentId, ...others }: Terms): Record<string, unknown> {
  const named = dependsOn !== undefined || parentId !== undefined
  const ids = named ? rowsOf<Contract>(world, 'contracts').map(({ id }) => id) : []
  const idAt = (place: number) => ids[place % ids.length]
  return {
    ...others,
    ...(dueInMs !== undefined && { dueAt: toInstant(world.clock.wallMs() + dueInMs) }),
    ...(ids.length > 0 && {
      dependsOn: dependsOn?.map(idAt),
      parentId: parentId === undefined ? undefined : idAt(parentId),
    }),
  }
}

/** Three times in four, one who may make such a call: most calls would be refused otherwise. */
function whose(world: World, kind: string, pick: number): string | undefined {
  if (pick % 4 === 0 || (kind !== 'attempt' && kind !== 'asked')) return undefined
  const open = rowsOf<Contract>(world, 'contracts').filter(({ status, owner }) =>
    kind === 'asked' ? status === 'input_required' : owner !== undefined && isOpen(status),
  )
  const contract = open[pick % Math.max(1, open.length)]
  return kind === 'asked' ? contract?.createdBy : contract?.owner
}

interface Player {
  actor: Actor
  session: string
  resumeKey: string
}

async function play(world: World, steps: readonly Step[], keys: string[]): Promise<void> {
  const players = new Map<string, Player>()
  const visitors = new Map<string, Actor>()

  async function enter(agent: string, former?: Player): Promise<Player> {
    const resume = former && { session: former.session, resumeKey: former.resumeKey }
    const actor = world.connect(agent, { capabilities: ['x'], ...(resume && { resume }) })
    const { session, resumeKey = '' } = await actor.opened
    keys.push(resumeKey)
    const player = { actor, session, resumeKey }
    players.set(agent, player)
    return player
  }
  async function actorOf(agent: string, session: boolean): Promise<Actor> {
    if (session) return (players.get(agent) ?? (await enter(agent))).actor
    const visitor = visitors.get(agent) ?? world.connect(agent, { session: false })
    visitors.set(agent, visitor)
    return visitor
  }

  async function prepare({ who, session, verb, pick, params }: Call): Promise<() => Asked<unknown>> {
    const actor = await actorOf(whose(world, verbs[verb][0], pick) ?? agents[who]!, session)
    await actor.opened
    const ids = namesFor(world, verbs[verb][0], actor.agent, pick)
    const { contract } = params
    const brought = contract !== undefined && { contract: termsNow(world, contract as Terms) }
    // Through JSON, so that what is absent is absent.
    return () => actor.ask(verb, JSON.parse(JSON.stringify({ ...termsNow(world, params), ...brought, ...ids })))
  }
  /** In one breath. Refusals are as good as answers here; only bugs are not. A call that waits is left waiting. */
  async function tryCalls(calls: Array<() => Asked<unknown>>): Promise<void> {
    const asked = calls.map((make) => make())
    await world.idle()
    for (const call of asked.filter((call) => call.answered())) {
      await call.catch((error: unknown) => {
        const bugs = ['INTERNAL', 'UNAUTHENTICATED', 'METHOD_NOT_FOUND']
        // What the schema refuses is this test's own mistake; what a rule refuses may have been right a moment ago.
        if (!(error instanceof BridgeError) || bugs.includes(error.reason) || 'problems' in error.facts) throw error
      })
    }
  }

  for (const agent of agents) await enter(agent)
  for (const step of steps) {
    const agent = 'who' in step ? agents[step.who]! : ''
    const player = players.get(agent)
    if (step.do === 'advance') await world.advance(step.ms)
    else if (step.do === 'sleep') await world.sleep(step.ms)
    else if (step.do === 'drop') {
      await (await actorOf(agent, step.session)).drop()
      ;(step.session ? players : visitors).delete(agent)
      if (step.session && player) players.set(`${agent} before`, player)
    } else if (step.do === 'resume') {
      await enter(agent, player ?? players.get(`${agent} before`))
    } else if (step.do === 'close' && player) {
      await player.actor.call('session.close', {})
      players.delete(agent)
    } else if (step.do === 'break') {
      const rows = rowsOf<Lock>(world, 'locks')
      const lockId = rows[step.pick % Math.max(1, rows.length)]?.lockId
      const admin = world.as('root', { role: 'admin' })
      await admin.opened
      if (lockId !== undefined) await tryCalls([() => admin.ask('lock.break', { lockId, reason: 'none' })])
    } else if (step.do === 'restart') {
      if (step.graceful) await world.stop()
      await world.restart({ awayMs: step.awayMs })
      for (const [name, known] of players) if (!name.endsWith(' before')) players.set(`${name} before`, known)
      for (const name of agents) players.delete(name)
      visitors.clear()
    } else if (step.do === 'call') await tryCalls(await Promise.all([prepare(step)]))
    else if (step.do === 'burst') await tryCalls(await Promise.all(step.calls.map(prepare)))
    await world.idle()
    checkLocks(world)
    checkContracts(world)
  }
}

const test = suite('the folded log equals the rows')

test('over random commands, time, drops and restarts', async () => {
  const { FOLD_SEED, FOLD_PATH } = process.env
  const seed = FOLD_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(FOLD_SEED)
  const property = fc.asyncProperty(
    fc.noBias(fc.array(step, { minLength: 1, maxLength: STEPS, size: 'max' })),
    async (steps) => {
      const world = await createWorld()
      const keys: string[] = []
      try {
        await play(world, steps, keys)
        await world.advance(1)
        await world.as('watcher', { session: false }).call('lock.list', {})
        await world.advance(1)
        checkAll(world)
        checkDeadlines(world)
        checkSecrets(world, keys)
        world.events()
      } catch (error) {
        const [fault = error] = world.faults.splice(0)
        await world.end()
        throw fault
      }
      await world.end()
    },
  )
  const details = await fc.check(property, { seed, numRuns: RUNS, ...(FOLD_PATH !== undefined && { path: FOLD_PATH }) })
  if (!details.failed) return
  const again = `FOLD_SEED=${details.seed} FOLD_PATH=${details.counterexamplePath} npx tsx test/fold.test.ts`
  const [steps] = details.counterexample ?? []
  const cause = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance)
  console.log(`Repeat it with: ${again}\n${steps?.map((one) => JSON.stringify(one)).join('\n')}\n${cause}`)
  throw details.errorInstance
})

test.run()
