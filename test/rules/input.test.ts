import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Contract } from '../../src/bridge/contracts/row.js'
import { meets, schemaProblem } from '../../src/bridge/contracts/schema.js'
import type { ParamsOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { between, later } from '../../src/protocol/time.js'
import { refused, scenario, type World } from '../world.js'

// contract.requestInput and provideInput: an owner that cannot decide asks, and waits.

type Terms = Partial<ParamsOf<'contract.create'>>
type Requests = ParamsOf<'contract.requestInput'>['requests']

const branch = { key: 'branch', prompt: 'On which branch?' }
const force = { key: 'force', prompt: 'May I force?', schema: { type: 'boolean' }, default: false }

async function work(world: World, terms: Terms = {}): Promise<{ contractId: string; attempt: number }> {
  const { id: contractId } = await world.as('cursor').call('contract.create', { title: 'a task', ...terms })
  return workAt(world, contractId)
}

async function workAt(world: World, contractId: string): Promise<{ contractId: string; attempt: number }> {
  const { attempt } = await world.as('codex').call('contract.accept', { contractId })
  await world.as('codex').call('contract.start', { contractId, attempt })
  return { contractId, attempt }
}

/** codex works, and asks. */
async function ask(world: World, requests: Requests = [branch, force], terms: Terms = {}, deadlineMs?: number) {
  const own = await work(world, terms)
  await world.as('codex').call('contract.requestInput', { ...own, requests, deadlineMs })
  return own
}

const get = (world: World, contractId: string): Promise<Contract> =>
  world.as('cursor').call('contract.get', { contractId })

const answer = (world: World, contractId: string, responses: ParamsOf<'contract.provideInput'>['responses']) =>
  world.as('cursor').call('contract.provideInput', { contractId, responses })

const asks = suite('contracts: questions')

scenario(asks, 'asked, it waits; answered in full, it works again and the owner reads the answers', async (world) => {
  const own = await work(world)
  const head = world.head()
  const asked = await world
    .as('codex')
    .call('contract.requestInput', { ...own, requests: [branch, force], note: 'stuck' })
  assert.equal([asked.status, asked.statusMessage], ['input_required', 'stuck'])
  assert.is(between(world.now(), asked.inputDueAt!), limits.inputDeadlineMs)
  assert.equal(asked.inputRequests, [
    { ...branch, attempt: 1, requestedAt: world.now() },
    { ...force, attempt: 1, requestedAt: world.now() },
  ])
  await world.advance(1_000)
  const half = await answer(world, own.contractId, { branch: 'main' })
  assert.equal([half.status, half.inputDueAt], ['input_required', asked.inputDueAt])
  const whole = await answer(world, own.contractId, { force: true })
  assert.equal([whole.status, whole.inputDueAt], ['working', undefined])
  const said = { answeredBy: 'cursor', answeredAt: world.now() }
  assert.equal(
    whole.inputRequests.map(({ key, answer, answeredBy, answeredAt }) => ({ key, answer, answeredBy, answeredAt })),
    [
      { key: 'branch', answer: 'main', ...said },
      { key: 'force', answer: true, ...said },
    ],
  )
  const events = world.events({ after: head, types: ['contract.inputRequested', 'contract.inputProvided'] })
  assert.equal(
    events.map(({ type, data }) => [type, data.keys, data.note]),
    [
      ['contract.inputRequested', ['branch', 'force'], 'stuck'],
      ['contract.inputProvided', ['branch'], undefined],
      ['contract.inputProvided', ['force'], undefined],
    ],
  )
  assert.is((await world.as('codex').call('contract.complete', own)).status, 'completed')
})

scenario(asks, 'a question of the same key replaces the one before; the last 32 are kept', async (world) => {
  const own = await ask(world, [branch])
  await answer(world, own.contractId, { branch: 'main' })
  const codex = world.as('codex')
  const again = await codex.call('contract.requestInput', { ...own, requests: [{ ...branch, prompt: 'Sure?' }] })
  assert.equal(
    again.inputRequests.map(({ prompt, answer }) => [prompt, answer]),
    [['Sure?', undefined]],
  )
  await answer(world, own.contractId, { branch: 'dev' })
  const many = Array.from({ length: limits.inputRequests }, (_, n) => ({ key: `k${n}`, prompt: '?', default: n }))
  const kept = await codex.call('contract.requestInput', { ...own, requests: many })
  assert.equal(
    kept.inputRequests.map(({ key }) => key),
    many.map(({ key }) => key),
  )
  const { items } = await codex.call('contract.history', { contractId: own.contractId })
  assert.ok(items.some(({ changes }) => JSON.stringify(changes).includes('"answer":"main"')))
})

scenario(asks, 'while it waits the owner may tell more, be canceled, release and fail', async (world) => {
  const codex = world.as('codex')
  const own = await ask(world)
  const told = await codex.call('contract.update', { ...own, note: 'still waiting', progress: 0.4 })
  assert.equal([told.status, told.progressDueAt], ['input_required', undefined])
  await world.as('cursor').call('contract.cancel', { contractId: own.contractId })
  assert.is((await codex.call('contract.acknowledgeCancel', own)).status, 'canceled')
  const two = await ask(world)
  const released = await codex.call('contract.release', two)
  assert.equal([released.status, released.inputRequests, released.inputDueAt], ['submitted', [], undefined])
  await refused(answer(world, two.contractId, { branch: 'main' }), 'INVALID_TRANSITION')
  const three = await ask(world)
  await world.as('cursor').call('contract.cancel', { contractId: three.contractId })
  await world.advance(limits.cancelGraceMs + 1)
  assert.is((await get(world, three.contractId)).status, 'canceled')
})

scenario(asks, 'what was answered to one attempt is there for the next', async (world) => {
  const own = await ask(world, [branch, force], { retryBackoffMs: 0 })
  await answer(world, own.contractId, { branch: 'main' })
  await world.as('codex').call('session.close', {})
  const { status, inputRequests } = await get(world, own.contractId)
  assert.equal([status, inputRequests.map(({ key, answer }) => [key, answer])], ['submitted', [['branch', 'main']]])
})

scenario(
  asks,
  'the history shows every question, answer and piece of evidence, though the row forgets',
  async (world) => {
    const checks = [{ name: 'tests', command: 'c', verifier: 'other' as const }]
    const own = await ask(world, [branch], { checks, dueAt: later(world.now(), 5_000) })
    await world.advance(6_000)
    await answer(world, own.contractId, { branch: 'main' })
    const evidence = [{ check: 'tests', command: 'c', exitCode: 3 }]
    await world.as('gemini').call('contract.verify', { contractId: own.contractId, evidence, note: 'broken' })
    await world.as('codex').call('contract.release', own)
    assert.equal((await world.as('codex').call('contract.accept', { contractId: own.contractId })).evidence, [])
    const { items } = await world.as('cursor').call('contract.history', { contractId: own.contractId })
    const changes = items.map(({ type, actor, changes }) => [
      type.replace('contract.', ''),
      actor,
      Object.keys(changes),
    ])
    const told = new Map(changes.map(([type, actor, names]) => [type, { actor, names: names as string[] }]))
    assert.ok(told.get('inputRequested')?.names.includes('inputRequests'))
    assert.equal(told.get('dueDatePassed'), { actor: 'bridge', names: ['generation', 'updatedAt', 'overdue'] })
    assert.equal([told.get('inputProvided')?.actor, told.get('verified')?.actor], ['cursor', 'gemini'])
    assert.equal(items.find(({ type }) => type === 'contract.verified')?.note, 'broken')
    assert.ok(told.get('verified')?.names.includes('evidence'))
    assert.ok(items.some(({ changes }) => JSON.stringify(changes).includes('"exitCode":3')))
  },
)

scenario(asks, 'its locks are held while it waits', async (world) => {
  const resources = [{ resource: 'file:a' }]
  const { contractId } = await ask(world, [branch], { resources })
  await refused(world.as('gemini').call('lock.acquire', { resources }), 'LOCK_CONFLICT')
  await answer(world, contractId, { branch: 'main' })
  await refused(world.as('gemini').call('lock.acquire', { resources }), 'LOCK_CONFLICT')
})

asks.run()

const deadlines = suite('contracts: the deadline of questions')

scenario(deadlines, 'declared defaults become the answers that are missing', async (world) => {
  const { contractId } = await ask(world, [{ ...branch, default: null }, force, { key: 'why', prompt: 'Why?' }])
  await answer(world, contractId, { why: 'because' })
  await world.advance(limits.inputDeadlineMs - 1)
  assert.is((await get(world, contractId)).status, 'input_required')
  const head = world.head()
  await world.advance(2)
  const { status, inputRequests, inputDueAt, failures } = await get(world, contractId)
  assert.equal([status, inputDueAt, failures], ['working', undefined, 0])
  assert.equal(
    inputRequests.map(({ key, answer, answeredBy }) => [key, answer, answeredBy]),
    [
      ['branch', null, 'bridge'],
      ['force', false, 'bridge'],
      ['why', 'because', 'cursor'],
    ],
  )
  const [told] = world.events({ after: head })
  assert.equal([told?.type, told?.actor, told?.data.keys], ['contract.inputProvided', 'bridge', ['branch', 'force']])
})

scenario(deadlines, 'without a default the attempt fails, and is offered again', async (world) => {
  const own = await ask(world, [branch, force], { resources: [{ resource: 'file:a' }] }, 60_000)
  const head = world.head()
  await world.advance(60_001)
  assert.equal(world.types(head), ['contract.attemptFailed', 'lock.released'])
  const failed = await get(world, own.contractId)
  assert.equal([failed.status, failed.error?.reason, failed.failures], ['submitted', 'INPUT_TIMEOUT', 1])
  assert.equal([failed.inputRequests, failed.attempts[0]?.outcome], [[], 'failed'])
  await refused(world.as('codex').call('contract.complete', own), 'STALE_ATTEMPT')
})

scenario(deadlines, 'progress is not asked for meanwhile, and anew afterwards', async (world) => {
  const own = await ask(world, [branch], { progressTimeoutMs: 60_000 })
  await world.advance(600_000)
  assert.is((await get(world, own.contractId)).status, 'input_required')
  const on = await answer(world, own.contractId, { branch: 'main' })
  assert.is(on.progressDueAt, later(world.now(), 60_000))
  await world.advance(60_001)
  assert.equal((await get(world, own.contractId)).error?.reason, 'PROGRESS_TIMEOUT')
})

scenario(deadlines, 'a word that was held back is written while it waits, and starts no clock', async (world) => {
  const own = await work(world, { progressTimeoutMs: 60_000 })
  const codex = world.as('codex')
  await codex.call('contract.update', { ...own, progress: 0.1 })
  await codex.call('contract.update', { ...own, progress: 0.2, note: 'held' })
  await codex.call('contract.requestInput', { ...own, requests: [branch] })
  await world.advance(2_000)
  const { statusMessage, progressDueAt } = await get(world, own.contractId)
  assert.equal([statusMessage, progressDueAt], ['held', undefined])
})

scenario(deadlines, 'outlives a restart, and gets time after a sleep', async (world) => {
  const own = await ask(world, [branch], {}, 60_000)
  const { session, resumeKey } = await world.as('codex').opened
  await world.restart({ awayMs: 59_000 })
  await world.connect('codex', { resume: { session, resumeKey: resumeKey! } }).opened
  const { inputDueAt } = await get(world, own.contractId)
  assert.is(between(world.now(), inputDueAt!), limits.rebaseMs)
  await world.advance(limits.rebaseMs + 1)
  assert.is((await get(world, own.contractId)).error?.reason, 'INPUT_TIMEOUT')
})

deadlines.run()

const edges = suite('contracts: what is asked and answered badly')

scenario(edges, 'questions that cannot be asked', async (world) => {
  const own = await work(world)
  const codex = world.as('codex')
  const head = world.head()
  const bad: unknown[] = [
    [],
    [branch, branch],
    [{ prompt: 'no key' }],
    [{ key: '', prompt: '?' }],
    [{ key: 'k'.repeat(limits.nameLength + 1), prompt: '?' }],
    [{ key: 'k', prompt: '' }],
    [{ key: 'k', prompt: '?', schema: 'boolean' }],
    [{ key: 'k', prompt: '?', schema: { type: 'text' } }],
    [{ key: 'k', prompt: '?', schema: { type: 'string', pattern: '(a+)+$' } }],
    [{ key: 'k', prompt: '?', schema: { type: 'integer' }, default: 'one' }],
    [{ key: 'k', prompt: '?', answer: 'mine' }],
    Array.from({ length: limits.inputRequests + 1 }, (_, n) => ({ key: `k${n}`, prompt: '?' })),
    'k',
    null,
  ]
  for (const requests of bad) {
    await refused(codex.ask('contract.requestInput', { ...own, requests }), 'INVALID_PARAMS')
  }
  for (const deadlineMs of [0, 999, -1, 1.5, limits.inputDeadlineMsMax + 1, '1 h']) {
    await refused(codex.ask('contract.requestInput', { ...own, requests: [branch], deadlineMs }), 'INVALID_PARAMS')
  }
  const huge = { key: 'k', prompt: '?', default: 'x'.repeat(33_000) }
  await refused(codex.call('contract.requestInput', { ...own, requests: [huge] }), 'TOO_LARGE')
  assert.is(world.head(), head)
})

scenario(edges, 'answers that are none', async (world) => {
  const { contractId } = await ask(world)
  await answer(world, contractId, { branch: 'main' })
  const cursor = world.as('cursor')
  const head = world.head()
  for (const responses of [{}, null, [], 'yes', { unknown: 1 }, { branch: 'dev' }, { force: 'yes' }, { force: null }]) {
    await refused(cursor.ask('contract.provideInput', { contractId, responses }), 'INVALID_PARAMS')
  }
  const unknown = await refused(answer(world, contractId, { other: 1, force: true }), 'INVALID_PARAMS')
  assert.equal(unknown.facts, { unknown: ['other'], open: ['force'] })
  const wrong = await refused(answer(world, contractId, { force: 1 }), 'INVALID_PARAMS')
  assert.equal(wrong.facts, { wrong: [{ key: 'force', schema: { type: 'boolean' } }] })
  assert.is(world.head(), head)
})

scenario(
  edges,
  'a contract that is full still ends, waits and is blocked: what the bridge adds is never refused',
  async (world) => {
    const full = { metadata: { fill: 'x'.repeat(limits.contractBytes - 1_600) } }
    const { id: first } = await world.as('cursor').call('contract.create', { title: 'first' })
    const terms = { title: 'full', ...full, dependsOn: [first], dueAt: later(world.now(), 5_000), maxAttempts: 1 }
    const { id: contractId } = await world.as('cursor').call('contract.create', terms)
    await refused(
      world.as('cursor').call('contract.update', { contractId, description: 'x'.repeat(1_600) }),
      'TOO_LARGE',
    )
    await world.as('cursor').call('contract.cancel', { contractId: first })
    await world.advance(6_000)
    const { stuckOn, overdue } = await get(world, contractId)
    assert.equal([stuckOn?.[0]?.status, overdue], ['canceled', true])
    const { id: second } = await world.as('cursor').call('contract.create', { title: 'full', ...full, maxAttempts: 1 })
    const own = await workAt(world, second)
    const big = { key: 'k', prompt: 'p'.repeat(2_000) }
    await refused(world.as('codex').call('contract.requestInput', { ...own, requests: [big] }), 'TOO_LARGE')
    await world.as('codex').call('contract.requestInput', { ...own, requests: [branch], deadlineMs: 1_000 })
    await world.advance(1_001)
    assert.is((await get(world, second)).error?.reason, 'INPUT_TIMEOUT')
  },
)

scenario(edges, 'an answer too large for the contract is refused, and it waits on', async (world) => {
  const { contractId } = await ask(world, [branch])
  await refused(answer(world, contractId, { branch: 'é'.repeat(33_000) }), 'TOO_LARGE')
  assert.is((await get(world, contractId)).status, 'input_required')
})

edges.run()

const schemas = suite('the form of an answer')

const accepts: Array<[schema: Record<string, unknown>, yes: unknown[], no: unknown[]]> = [
  [{}, [null, 1, 'a', [], {}], []],
  [{ type: 'string', minLength: 1, maxLength: 2 }, ['a', '😀😀'], ['', 'abc', 1, null]],
  [{ type: 'integer', minimum: 1, maximum: 3 }, [1, 3], [0, 4, 1.5, '1']],
  [{ type: ['number', 'null'] }, [1.5, null], ['a', true]],
  [{ enum: ['a', 1, null] }, ['a', 1, null], ['b', false]],
  [{ const: true }, [true], [false, 1]],
  [{ type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 2 }, [['a'], ['a', 'b']], [[], [1], {}]],
  [
    { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false },
    [{ a: 'b' }],
    [{}, { a: 1 }, { a: 'b', c: 1 }, []],
  ],
  [{ anyOf: [{ type: 'string' }, { minimum: 5 }] }, ['a', 5, null], [4]],
  [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, [1.5], [1, 'a']],
  [{ allOf: [{ type: 'integer' }, { minimum: 5 }] }, [5], [4, 5.5]],
  [{ type: 'string', title: 'A', description: 'b', format: 'email', default: 'c', examples: ['d'] }, ['not mail'], [1]],
]

schemas('accepts what JSON Schema accepts', () => {
  for (const [schema, yes, no] of accepts) {
    assert.is(schemaProblem(schema), undefined, JSON.stringify(schema))
    for (const value of yes) assert.ok(meets(schema, value), `${JSON.stringify(schema)} takes ${JSON.stringify(value)}`)
    for (const value of no) {
      assert.not.ok(meets(schema, value), `${JSON.stringify(schema)} refuses ${JSON.stringify(value)}`)
    }
  }
})

schemas('says what is wrong with a schema, in words of its own', () => {
  const bad: unknown[] = [
    null,
    true,
    [],
    { pattern: 'a' },
    { $ref: '#' },
    { type: 'date' },
    { type: [] },
    { enum: [] },
    { enum: [{}] },
    { required: 'a' },
    { items: true },
    { anyOf: [] },
    { anyOf: [{ anyOf: [{ nonsense: 1 }] }] },
    { properties: { evil: { type: 'evil' } } },
    { minLength: -1 },
    { minimum: '1' },
    { constructor: 1 },
    { enum: Array.from({ length: limits.schemaTerms + 1 }, (_, n) => n) },
  ]
  for (const schema of bad) {
    const problem = schemaProblem(schema)
    assert.ok(problem, JSON.stringify(schema))
    assert.not.ok(/evil|nonsense/.test(problem), problem)
  }
})

schemas('any JSON at all is looked at without a fault', () => {
  const property = fc.property(fc.jsonValue(), fc.jsonValue(), (schema, value) => {
    const taken = { items: schema, properties: { a: schema }, anyOf: [schema] }
    if (schemaProblem(taken) === undefined) meets(taken, value)
    if (schemaProblem(schema) === undefined) meets(schema as Record<string, unknown>, value)
  })
  fc.assert(property, { numRuns: 2_000 })
})

schemas.run()
