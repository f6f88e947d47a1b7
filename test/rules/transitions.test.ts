import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Contract, type Status, statuses } from '../../src/bridge/contracts/row.js'
import type { Reason } from '../../src/protocol/errors.js'
import { type Actor, type Asked, refused, scenario, type World } from '../world.js'

// Every status with every verb, and in which order refusals are due.

/** cursor offers it to codex; what attempt there is, is codex's first. */
async function offer(world: World): Promise<string> {
  const checks = [{ name: 'tests', command: 'npm test' }]
  const { id } = await world.as('cursor').call('contract.create', { title: 'a task', assignee: 'codex', checks })
  return id
}

const bring: Record<Status, (world: World) => Promise<string>> = {
  submitted: offer,
  async accepted(world) {
    const contractId = await offer(world)
    await world.as('codex').call('contract.accept', { contractId })
    return contractId
  },
  async working(world) {
    const contractId = await bring.accepted(world)
    await world.as('codex').call('contract.start', { contractId, attempt: 1 })
    return contractId
  },
  async input_required(world) {
    const contractId = await bring.working(world)
    await world.as('codex').call('contract.requestInput', { contractId, attempt: 1, requests: [question] })
    return contractId
  },
  async completed(world) {
    const contractId = await bring.working(world)
    await world.as('codex').call('contract.complete', { contractId, attempt: 1, result: { done: true }, evidence })
    return contractId
  },
  async failed(world) {
    const contractId = await bring.working(world)
    const error = { reason: 'BROKEN', message: 'it cannot be done', retryable: false }
    await world.as('codex').call('contract.fail', { contractId, attempt: 1, error })
    return contractId
  },
  async canceled(world) {
    const contractId = await bring.working(world)
    await world.as('cursor').call('contract.cancel', { contractId })
    await world.as('codex').call('contract.acknowledgeCancel', { contractId, attempt: 1 })
    return contractId
  },
  async rejected(world) {
    const contractId = await offer(world)
    await world.as('codex').call('contract.reject', { contractId })
    return contractId
  },
}

const question = { key: 'branch', prompt: 'On which branch?', default: 'main' }
const evidence = [{ check: 'tests', command: 'npm test', exitCode: 0 }]

type Verb = (cursor: Actor, codex: Actor, contractId: string) => Asked<unknown>
/** A status: it succeeds and leads there. `same`: answered as it is, and nothing changes. */
type Cell = Status | 'same' | Reason

const attempt = 1
const error = { reason: 'BROKEN', message: 'it went wrong' }
const ended = { completed: 'STALE_ATTEMPT', failed: 'STALE_ATTEMPT', canceled: 'STALE_ATTEMPT' } as const
const stale = { ...ended, submitted: 'STALE_ATTEMPT', rejected: 'STALE_ATTEMPT' } as const
const nowhere = { completed: 'INVALID_TRANSITION', failed: 'INVALID_TRANSITION' } as const
const over = { ...nowhere, canceled: 'INVALID_TRANSITION', rejected: 'INVALID_TRANSITION' } as const
const nobodyAsked = {
  submitted: 'INVALID_TRANSITION',
  accepted: 'INVALID_TRANSITION',
  working: 'INVALID_TRANSITION',
} as const

const table: Record<string, [Verb, Record<Status, Cell>]> = {
  accept: [
    (_, codex, contractId) => codex.call('contract.accept', { contractId }),
    { ...over, submitted: 'accepted', accepted: 'same', working: 'same', input_required: 'same' },
  ],
  start: [
    (_, codex, contractId) => codex.call('contract.start', { contractId, attempt }),
    { ...stale, accepted: 'working', working: 'INVALID_TRANSITION', input_required: 'INVALID_TRANSITION' },
  ],
  "the owner's update": [
    (_, codex, contractId) => codex.call('contract.update', { contractId, attempt, progress: 0.5 }),
    { ...stale, accepted: 'accepted', working: 'working', input_required: 'input_required' },
  ],
  "the creator's update of the priority": [
    (cursor, _, contractId) => cursor.call('contract.update', { contractId, priority: 'high' }),
    { ...over, submitted: 'submitted', accepted: 'accepted', working: 'working', input_required: 'input_required' },
  ],
  "the creator's update of the title": [
    (cursor, _, contractId) => cursor.call('contract.update', { contractId, title: 'another' }),
    {
      ...over,
      submitted: 'submitted',
      accepted: 'INVALID_TRANSITION',
      working: 'INVALID_TRANSITION',
      input_required: 'INVALID_TRANSITION',
    },
  ],
  requestInput: [
    (_, codex, contractId) => codex.call('contract.requestInput', { contractId, attempt, requests: [question] }),
    { ...stale, accepted: 'INVALID_TRANSITION', working: 'input_required', input_required: 'INVALID_TRANSITION' },
  ],
  provideInput: [
    (cursor, _, contractId) => cursor.call('contract.provideInput', { contractId, responses: { branch: 'dev' } }),
    { ...over, ...nobodyAsked, input_required: 'working' },
  ],
  verify: [
    (cursor, _, contractId) => cursor.call('contract.verify', { contractId, evidence }),
    {
      ...over,
      submitted: 'INVALID_TRANSITION',
      accepted: 'INVALID_TRANSITION',
      working: 'working',
      input_required: 'input_required',
    },
  ],
  complete: [
    (_, codex, contractId) => codex.call('contract.complete', { contractId, attempt, evidence }),
    {
      ...stale,
      accepted: 'INVALID_TRANSITION',
      working: 'completed',
      input_required: 'INVALID_TRANSITION',
      completed: 'same',
    },
  ],
  fail: [
    (_, codex, contractId) => codex.call('contract.fail', { contractId, attempt, error }),
    { ...stale, accepted: 'submitted', working: 'submitted', input_required: 'submitted', failed: 'same' },
  ],
  release: [
    (_, codex, contractId) => codex.call('contract.release', { contractId, attempt }),
    { ...stale, accepted: 'submitted', working: 'submitted', input_required: 'submitted' },
  ],
  reject: [
    (_, codex, contractId) => codex.call('contract.reject', { contractId }),
    {
      ...over,
      submitted: 'rejected',
      accepted: 'INVALID_TRANSITION',
      working: 'INVALID_TRANSITION',
      input_required: 'INVALID_TRANSITION',
      rejected: 'same',
    },
  ],
  cancel: [
    (cursor, _, contractId) => cursor.call('contract.cancel', { contractId }),
    {
      ...over,
      submitted: 'canceled',
      accepted: 'accepted',
      working: 'working',
      input_required: 'input_required',
      canceled: 'same',
    },
  ],
  acknowledgeCancel: [
    (_, codex, contractId) => codex.call('contract.acknowledgeCancel', { contractId, attempt }),
    {
      ...stale,
      accepted: 'INVALID_TRANSITION',
      working: 'INVALID_TRANSITION',
      input_required: 'INVALID_TRANSITION',
      canceled: 'same',
    },
  ],
  retry: [
    (cursor, _, contractId) => cursor.call('contract.retry', { contractId }),
    {
      ...over,
      submitted: 'INVALID_TRANSITION',
      accepted: 'INVALID_TRANSITION',
      working: 'INVALID_TRANSITION',
      input_required: 'INVALID_TRANSITION',
      failed: 'submitted',
      rejected: 'submitted',
    },
  ],
}

const test = suite('contracts: every status with every verb')

const isStatus = (cell: Cell): cell is Status => (statuses as readonly string[]).includes(cell)

for (const [name, [verb, cells]] of Object.entries(table)) {
  scenario(test, name, async (world) => {
    const [cursor, codex] = [world.as('cursor'), world.as('codex')]
    for (const status of statuses) {
      const contractId = await bring[status](world)
      const before = await cursor.call('contract.get', { contractId })
      const head = world.head()
      const cell = cells[status]
      const call = verb(cursor, codex, contractId)
      if (isStatus(cell)) {
        const answer = (await call) as Contract | { contract: Contract }
        const after = 'contract' in answer ? answer.contract : answer
        assert.is(after.status, cell, `from ${status}`)
        assert.is(after.generation, before.generation + 1, `from ${status}`)
        assert.equal(await cursor.call('contract.get', { contractId }), after)
        continue
      }
      if (cell === 'same') assert.equal(await call, before, `from ${status}`)
      else await refused(call, cell)
      assert.equal(await cursor.call('contract.get', { contractId }), before, `from ${status}`)
      assert.is(world.head(), head, `nothing is written from ${status}`)
    }
  })
}

test.run()

const order = suite('contracts: the order of refusals')

scenario(order, 'NOT_FOUND for every verb', async (world) => {
  const codex = world.as('codex')
  const contractId = 'ctr_of_no_form_at_all'
  const verbs = ['accept', 'start', 'update', 'complete', 'fail', 'release', 'reject', 'cancel', 'acknowledgeCancel']
  const ofAttempt = { start: {}, complete: {}, fail: { error }, release: {}, acknowledgeCancel: {} }
  for (const verb of [...verbs, 'retry', 'get', 'history']) {
    const more = verb in ofAttempt ? { attempt: 1, ...ofAttempt[verb as keyof typeof ofAttempt] } : {}
    const refusal = await refused(codex.ask(`contract.${verb}`, { contractId, ...more }), 'NOT_FOUND')
    assert.equal(refusal.facts, { contractId }, verb)
  }
})

scenario(order, 'FORBIDDEN by role before the same answer', async (world) => {
  const contractId = await bring.completed(world)
  const observer = world.as('codex', { role: 'observer' })
  await refused(observer.call('contract.complete', { contractId, attempt: 1 }), 'FORBIDDEN')
  assert.is((await observer.call('contract.get', { contractId })).status, 'completed')
})

scenario(order, 'the same answer before STALE_ATTEMPT, also when another attempt is open since', async (world) => {
  const contractId = await bring.working(world)
  await world.as('codex').call('contract.release', { contractId, attempt: 1 })
  const again = await world.as('codex').call('contract.release', { contractId, attempt: 1 })
  assert.is(again.status, 'submitted')
  await world.as('codex').call('contract.accept', { contractId })
  const head = world.head()
  const later = await world.as('codex').call('contract.release', { contractId, attempt: 1 })
  assert.equal([later.attempt, later.status], [2, 'accepted'])
  assert.is(world.head(), head)
  // Another verb, another owner or another attempt is not the same.
  await refused(world.as('codex').call('contract.complete', { contractId, attempt: 1 }), 'STALE_ATTEMPT')
  await refused(world.as('gemini').call('contract.release', { contractId, attempt: 1 }), 'STALE_ATTEMPT')
})

scenario(order, 'STALE_ATTEMPT before INVALID_TRANSITION', async (world) => {
  const contractId = await bring.accepted(world)
  const refusal = await refused(
    world.as('codex').call('contract.complete', { contractId, attempt: 2 }),
    'STALE_ATTEMPT',
  )
  assert.equal(refusal.facts, { status: 'accepted', attempt: 1 })
})

scenario(order, 'CLAIM_LOST before INVALID_TRANSITION and before FORBIDDEN', async (world) => {
  const contractId = await bring.working(world)
  const refusal = await refused(world.as('gemini').call('contract.accept', { contractId }), 'CLAIM_LOST')
  assert.equal(refusal.facts, { owner: 'codex' })
})

scenario(order, "the owner's repeated accept before GENERATION_MISMATCH", async (world) => {
  const contractId = await bring.working(world)
  const again = await world.as('codex').call('contract.accept', { contractId, ifGeneration: 99 })
  assert.is(again.status, 'working')
})

scenario(order, 'INVALID_TRANSITION before FORBIDDEN to who is not the owner', async (world) => {
  const contractId = await bring.accepted(world)
  const gemini = world.as('gemini')
  await refused(gemini.call('contract.complete', { contractId, attempt: 1 }), 'INVALID_TRANSITION')
  await refused(gemini.call('contract.reject', { contractId }), 'INVALID_TRANSITION')
  await world.as('codex').call('contract.start', { contractId, attempt: 1 })
  await refused(gemini.call('contract.complete', { contractId, attempt: 1 }), 'FORBIDDEN')
  const done = await bring.completed(world)
  await refused(gemini.call('contract.accept', { contractId: done }), 'INVALID_TRANSITION')
})

scenario(order, 'FORBIDDEN before GENERATION_MISMATCH', async (world) => {
  const contractId = await bring.submitted(world)
  const gemini = world.as('gemini')
  await refused(gemini.call('contract.accept', { contractId, ifGeneration: 99 }), 'FORBIDDEN')
  await refused(gemini.call('contract.update', { contractId, title: 'mine', ifGeneration: 99 }), 'FORBIDDEN')
})

scenario(order, 'GENERATION_MISMATCH before NOT_READY', async (world) => {
  const notBefore = '2030-01-02T00:00:00.000Z'
  const { id: contractId } = await world.as('cursor').call('contract.create', { title: 'later', notBefore })
  const codex = world.as('codex')
  const refusal = await refused(codex.call('contract.accept', { contractId, ifGeneration: 2 }), 'GENERATION_MISMATCH')
  assert.equal(refusal.facts, { generation: 1 })
  const early = await refused(codex.call('contract.accept', { contractId, ifGeneration: 1 }), 'NOT_READY')
  assert.is(early.facts.notBefore, notBefore)
})

scenario(order, 'STALE_ATTEMPT, INVALID_TRANSITION and FORBIDDEN before LOCK_CONFLICT', async (world) => {
  const resources = [{ resource: 'file:src/**' }]
  const { id: contractId } = await world.as('cursor').call('contract.create', { title: 'locked', resources })
  await world.as('claude').call('lock.acquire', { resources })
  await world.as('codex').call('contract.accept', { contractId })
  await refused(world.as('codex').call('contract.start', { contractId, attempt: 2 }), 'STALE_ATTEMPT')
  await refused(world.as('gemini').call('contract.start', { contractId, attempt: 1 }), 'FORBIDDEN')
  const conflict = await refused(world.as('codex').call('contract.start', { contractId, attempt: 1 }), 'LOCK_CONFLICT')
  assert.is((conflict.facts.blockers as Array<{ holder: string }>)[0]?.holder, 'claude')
  assert.is((await world.as('codex').call('contract.get', { contractId })).status, 'accepted')
})

order.run()

const who = suite('contracts: who may do what')

scenario(who, 'one with the capability accepts, unless an assignee is named', async (world) => {
  const cursor = world.as('cursor')
  const { id: contractId } = await cursor.call('contract.create', { title: 'types', capability: 'typescript' })
  await refused(world.as('gemini').call('contract.accept', { contractId }), 'FORBIDDEN')
  await world.as('claude', { capabilities: ['typescript'] }).call('contract.accept', { contractId })
  const terms = { title: 'types', capability: 'typescript', assignee: 'gemini' }
  const { id: named } = await cursor.call('contract.create', terms)
  await refused(
    world.as('claude', { capabilities: ['typescript'] }).call('contract.accept', { contractId: named }),
    'FORBIDDEN',
  )
  await world.as('gemini').call('contract.accept', { contractId: named })
})

scenario(
  who,
  'the creator changes what is asked for only while nobody has it, and how urgent it is until it ends',
  async (world) => {
    const contractId = await bring.submitted(world)
    const update = (terms: object) => world.as('cursor').ask('contract.update', { contractId, ...terms })
    const resources = [{ resource: 'file:src/**' }]
    const asked = { title: 'another', description: 'in other words', resources, assignee: 'codex' }
    const urgency = { priority: 'high', dueAt: '2031-01-01T00:00:00.000Z', note: 'soon', metadata: { a: 1 } }
    for (const [name, value] of Object.entries(asked)) await update({ [name]: value })
    await world.as('codex').call('contract.accept', { contractId })
    const head = world.head()
    for (const [name, value] of Object.entries(asked)) await refused(update({ [name]: value }), 'INVALID_TRANSITION')
    assert.is(world.head(), head)
    for (const [name, value] of Object.entries(urgency)) await update({ [name]: value })
    await world.as('codex').call('contract.start', { contractId, attempt })
    await world.as('codex').call('contract.complete', { contractId, attempt, evidence })
    for (const [name, value] of Object.entries(urgency)) await refused(update({ [name]: value }), 'INVALID_TRANSITION')
  },
)

scenario(who, 'an observer reads and changes nothing', async (world) => {
  const observer = world.as('watcher', { role: 'observer' })
  const head = (await observer.opened).cursor
  await refused(observer.call('contract.create', { title: 'mine' }), 'FORBIDDEN')
  await refused(observer.call('lock.acquire', { resources: [{ resource: 'file:a' }] }), 'FORBIDDEN')
  await refused(observer.call('message.publish', { topic: 'a', text: 'b' }), 'FORBIDDEN')
  await refused(observer.call('agent.update', { note: 'here' }), 'FORBIDDEN')
  await refused(observer.call('contract.next', {}), 'FORBIDDEN')
  assert.is((await observer.call('bridge.status', {})).head, head)
})

who.run()
