// The contract machine against a model of it: several agents, every verb, questions, checks, dependencies, time. A failure
// prints its steps and the command that repeats it: MACHINE_SEED=<seed> MACHINE_PATH=<path> npx tsx
// test/rules/machine.test.ts; MACHINE_RUNS=<runs> looks longer.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Contract, priorities, type Status } from '../../src/bridge/contracts/row.js'
import { BridgeError } from '../../src/protocol/errors.js'
import { toInstant, toMs } from '../../src/protocol/time.js'
import { type Actor, createWorld, type World } from '../world.js'
import { checkAll } from './agree.js'
import * as model from './machine.js'

const RUNS = Number(process.env.MACHINE_RUNS ?? 40)
const STEPS = 60

const agents: model.Agent[] = [
  { name: 'ann' },
  { name: 'bob', capable: true },
  { name: 'cat', visitor: true },
  { name: 'eve', admin: true },
]
model.visitors.add('cat')

type VerbName = keyof typeof model.verbs

type Step =
  | { do: 'create'; who: number; terms: Record<string, number | string | number[] | undefined> }
  | { do: 'next'; who: number }
  | { do: 'verb'; verb: VerbName | 'on'; who: number; place: number; odd: number; more: More }
  | { do: 'advance'; ms: number }
  | { do: 'goodbye'; who: number }

interface More {
  keys: string[]
  defaults: boolean
  passed: boolean | undefined
  retryable: boolean
}

const who = fc.nat(agents.length - 1)
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 1 })
const seldom = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value })

const terms = fc.record({
  assignee: maybe(fc.constantFrom('ann', 'bob', 'cat')),
  capability: seldom(fc.constant('x')),
  priority: fc.nat(priorities.length - 1),
  maxAttempts: fc.constantFrom(1, 2, 3),
  retryBackoffMs: fc.constantFrom(0, 0, 1_000, 700_000),
  progressTimeoutMs: maybe(fc.constantFrom(1_000, 40_000)),
  notBeforeIn: seldom(fc.constantFrom(-5, 0, 1, 10_000)),
  dueIn: maybe(fc.constantFrom(0, 1, 1_000, 60_000)),
  dependsOn: fc.array(fc.nat(5), { maxLength: 2 }),
  check: maybe(fc.constantFrom('own', 'other', 'other')),
})

const names = Object.keys(model.verbs) as VerbName[]
const more = fc.record({
  keys: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 2 }),
  defaults: fc.boolean(),
  passed: fc.constantFrom(undefined, true, true, false),
  retryable: fc.constantFrom(true, true, false),
})

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('create' as const), who, terms }) as fc.Arbitrary<Step> },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('next' as const), who }) },
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('verb' as const),
      verb: fc.constantFrom(...names, ...names.map(() => 'on' as const)),
      who,
      place: fc.nat(5),
      odd: fc.nat(19),
      more,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 999, 1_000, 1_001, 30_001, 60_000, 900_000, 2_000_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('goodbye' as const), who }) },
)

interface Stage {
  world: World
  machine: model.Machine
  actors: Map<string, Actor>
  ids: string[]
  /** How often each came to what: a test of nothing would show here. */
  tally: Map<string, number>
}

function actorOf({ world, actors }: Stage, { name, admin, capable, visitor }: model.Agent): Actor {
  const known = actors.get(name)
  if (known) return known
  const actor = world.connect(name, {
    role: admin ? 'admin' : 'agent',
    session: !visitor,
    capabilities: capable ? ['x'] : [],
  })
  actors.set(name, actor)
  return actor
}

const checks = { own: [{ name: 't', command: 'c' }], other: [{ name: 't', command: 'c', verifier: 'other' }] }
const ran = (passed: boolean) => [{ check: 't', command: 'c', exitCode: passed ? 0 : 1 }]

/** The terms as the model knows them, and as the bridge is given them. */
function termsOf({ machine, ids }: Stage, drawn: Extract<Step, { do: 'create' }>['terms']) {
  const { notBeforeIn, dueIn, dependsOn, check, priority, ...same } = drawn
  const at = (ms: unknown) => (ms === undefined ? undefined : machine.now + (ms as number))
  const places = (dependsOn as number[]).filter((place) => place < ids.length)
  const known = { ...same, priority, check, notBefore: at(notBeforeIn), dueAt: at(dueIn), dependsOn: places }
  const instant = (ms: number | undefined) => (ms === undefined ? undefined : toInstant(ms))
  const given = {
    ...same,
    title: 'a task',
    priority: priorities[priority as number],
    checks: check === undefined ? [] : checks[check as 'own' | 'other'],
    notBefore: instant(known.notBefore),
    dueAt: instant(known.dueAt),
    dependsOn: places.map((place) => ids[place]),
  }
  return { known: defined(known) as unknown as model.Terms, given: defined(given) }
}

/** Through JSON, so that what is absent is absent. */
const defined = (value: object): Record<string, unknown> => JSON.parse(JSON.stringify(value))

/** What a verb is given beside the contract: to the model, and to the bridge. */
function moreOf(verb: string, { keys, defaults, passed, retryable }: More): [known: unknown, given: object] {
  const asked = keys.map((key) => ({ key, ...(defaults && { default: 'no' }) }))
  const error = { reason: 'NO', message: 'no', retryable }
  const shown = passed === undefined ? {} : { evidence: ran(passed) }
  const params: Record<string, [unknown, object]> = {
    update: [{}, { metadata: { at: 1 } }],
    requestInput: [
      { questions: asked, deadlineMs: 20_000 },
      { requests: asked.map((one) => ({ ...one, prompt: '?' })), deadlineMs: 20_000 },
    ],
    provideInput: [{ keys }, { responses: Object.fromEntries(keys.map((key) => [key, 'yes'])) }],
    verify: [{ passed: passed ?? true }, { evidence: ran(passed ?? true) }],
    complete: [{ shown: passed }, shown],
    fail: [{ retryable }, { error }],
  }
  return params[verb] ?? [{}, {}]
}

const suits: Partial<Record<VerbName, (task: model.Task) => boolean>> = {
  accept: ({ status }) => status === 'submitted',
  start: ({ status }) => status === 'accepted',
  requestInput: ({ status }) => status === 'working',
  provideInput: ({ status }) => status === 'input_required',
  verify: ({ status, check }) => status === 'working' && check !== undefined,
  complete: ({ status }) => status === 'working',
  release: ({ owner, status }) => owner !== undefined && status !== 'completed',
  acknowledgeCancel: ({ cancelDueAt }) => cancelDueAt !== undefined,
  reject: ({ status, assignee }) => status === 'submitted' && assignee !== undefined,
  retry: ({ status }) => status === 'failed' || status === 'rejected',
}

/** What leads on from each status. */
const goesOnBy: Partial<Record<Status, [VerbName, VerbName, VerbName]>> = {
  submitted: ['accept', 'accept', 'reject'],
  accepted: ['start', 'start', 'release'],
  working: ['requestInput', 'verify', 'complete'],
  input_required: ['provideInput', 'provideInput', 'update'],
  failed: ['retry', 'retry', 'retry'],
  rejected: ['retry', 'retry', 'retry'],
}
const goesOn = ({ status }: model.Task) => status in goesOnBy

/** The answers to what is asked. */
function answering({ questions, status }: model.Task, more: More): More {
  const open = questions.filter((question) => !('answer' in question)).map(({ key }) => key)
  return status === 'input_required' ? { ...more, keys: open.slice(0, more.keys.length) } : more
}

const withoutAttempt = new Set(['accept', 'provideInput', 'verify', 'reject', 'cancel', 'retry'])

async function take(stage: Stage, step: Step): Promise<void> {
  const { world, machine, ids } = stage
  model.tick(machine)
  if (step.do === 'advance') {
    await world.advance(step.ms)
    return model.advance(machine, step.ms)
  }
  const agent = agents[step.who]!
  if (step.do === 'goodbye') {
    if (agent.visitor) return
    await actorOf(stage, agent).call('session.close', {})
    stage.actors.delete(agent.name)
    return model.goodbye(machine, agent)
  }
  if (step.do === 'create') {
    const { known, given } = termsOf(stage, step.terms)
    return compare(stage, agent, 'create', model.create(machine, agent, known), given)
  }
  if (step.do === 'next') return compare(stage, agent, 'next', model.next(machine, agent), {})
  // Four times in five one that the verb is made for: most calls would be refused otherwise.
  const suited = machine.tasks.filter((task) => (step.verb === 'on' ? goesOn : suits[step.verb])?.(task) ?? true)
  const among = step.odd % 5 > 0 && suited.length > 0 ? suited : machine.tasks
  const task = among[step.place % Math.max(1, among.length)]
  if (!task) return
  const place = machine.tasks.indexOf(task)
  const name = step.verb === 'on' ? (goesOnBy[task.status]?.[step.odd % 3] ?? 'update') : step.verb
  // Three times in four by one who may, of the attempt that is open.
  const settles = ['provideInput', 'cancel', 'retry'].includes(name)
  const likely = agents.find(({ name }) => name === (settles ? task.creator : (task.owner ?? task.assignee)))
  const by = step.odd % 4 > 0 && name !== 'verify' ? (likely ?? agent) : agent
  const attempt = Math.max(1, step.odd === 0 ? task.attempt - 1 : task.attempt)
  const call = { place, attempt, stale: step.odd === 1 }
  const [known, given] = moreOf(name, step.odd % 4 > 0 ? answering(task, step.more) : step.more)
  const verb = model.verbs[name] as (...given: unknown[]) => model.Outcome | undefined
  const outcome = verb(machine, task, by, call, known) ?? place
  await compare(stage, by, name, outcome, {
    contractId: ids[place],
    ...given,
    ...(!withoutAttempt.has(name) && { attempt }),
    ...(call.stale && { ifGeneration: 99_999 }),
  })
}

async function compare(
  stage: Stage,
  agent: model.Agent,
  verb: string,
  outcome: model.Outcome,
  params: Record<string, unknown>,
): Promise<void> {
  const { tally, ids } = stage
  const ends = `${verb} ${typeof outcome === 'number' ? 'done' : outcome}`
  tally.set(ends, (tally.get(ends) ?? 0) + 1)
  const call = actorOf(stage, agent).ask(`contract.${verb}`, params)
  const answer = await call.then(
    (result) => ((result as { contract?: Contract } | null)?.contract ?? result) as Contract | null,
    (error: unknown) => {
      if (error instanceof BridgeError) return error
      throw error
    },
  )
  const got = answer instanceof BridgeError ? answer.reason : (answer?.id ?? null)
  if (verb === 'create' && typeof outcome === 'number') ids.push(got as string)
  assert.is(got, typeof outcome === 'number' ? ids[outcome] : outcome, `${verb} by ${agent.name}`)
}

/** All that the model knows of a task. */
const known = ({ ids }: Stage, task: model.Task) => ({
  status: task.status,
  owner: task.owner,
  attempt: task.attempt,
  attempts: task.attempts.map(({ owner, outcome }) => [owner, outcome]),
  failures: task.failures,
  maxAttempts: task.maxAttempts,
  blockedBy: task.blockedBy.map((place) => ids[place]),
  overdue: task.overdue,
  questions: task.questions.map(({ key, answer }) => [key, answer]),
  evidence: task.evidence.map(({ by, passed }) => [by, passed]),
  deadlines: [task.notBefore, task.cancelDueAt, task.inputDueAt, task.progressDueAt],
})

const kept = (contract: Contract) => ({
  status: contract.status,
  owner: contract.owner,
  attempt: contract.attempt,
  attempts: contract.attempts.map(({ owner, outcome }) => [owner, outcome]),
  failures: contract.failures,
  maxAttempts: contract.maxAttempts,
  blockedBy: contract.blockedBy,
  overdue: contract.overdue ?? false,
  questions: contract.inputRequests.map(({ key, answer }) => [key, answer]),
  evidence: contract.evidence.map(({ by, exitCode }) => [by, exitCode === 0]),
  deadlines: [contract.notBefore, contract.cancelDueAt, contract.inputDueAt, contract.progressDueAt].map(
    (at) => at && toMs(at),
  ),
})

async function compareAll(stage: Stage): Promise<void> {
  const { world, machine, ids } = stage
  const { items } = await world.as('watcher', { session: false }).call('contract.list', { limit: 1_000 })
  // A query that finds a deadline passed lets time pass first.
  model.tick(machine)
  assert.equal(
    items.map(({ id }) => id),
    [...ids].reverse(),
  )
  for (const [place, task] of machine.tasks.entries()) {
    assert.equal(kept(items.at(-1 - place)!), known(stage, task), `contract ${place}`)
  }
}

const test = suite('the contract machine and a model of it')

test('agree over random verbs and time', async () => {
  const { MACHINE_SEED, MACHINE_PATH } = process.env
  const seed = MACHINE_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(MACHINE_SEED)
  const tally = new Map<string, number>()
  const steps = fc.noBias(fc.array(step, { minLength: 1, maxLength: STEPS, size: 'max' }))
  const property = fc.asyncProperty(steps, async (steps) => {
    const world = await createWorld()
    const stage: Stage = { world, machine: { now: world.clock.wallMs(), tasks: [] }, actors: new Map(), ids: [], tally }
    try {
      for (const agent of agents) await actorOf(stage, agent).opened
      for (const step of steps) {
        await take(stage, step)
        await compareAll(stage)
      }
      checkAll(world)
    } catch (error) {
      const [fault = error] = world.faults.splice(0)
      await world.end()
      throw fault
    }
    await world.end()
  })
  const options = { seed, numRuns: RUNS, ...(MACHINE_PATH !== undefined && { path: MACHINE_PATH }) }
  const details = await fc.check(property, options)
  if (details.failed) {
    const again = `MACHINE_SEED=${details.seed} MACHINE_PATH=${details.counterexamplePath} npx tsx test/rules/machine.test.ts`
    const [least] = details.counterexample ?? []
    console.log(`Repeat it with: ${again}\n${least?.map((one) => JSON.stringify(one)).join('\n')}`)
    throw details.errorInstance
  }
  if (RUNS < 40 || MACHINE_PATH !== undefined) return
  const effective = names.filter((verb) => tally.has(`${verb} done`))
  assert.ok(effective.length > names.length / 2, `Only ${effective} ever had an effect: the steps show nothing.`)
})

test.run()
