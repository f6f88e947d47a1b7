import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Contract } from '../../src/bridge/contracts/row.js'
import type { ParamsOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { later } from '../../src/protocol/time.js'
import { refused, scenario, type World } from '../world.js'

// What has to be done before, what belongs together, and by when.

type Terms = Partial<ParamsOf<'contract.create'>>

const create = (world: World, terms: Terms = {}) =>
  world.as('cursor').call('contract.create', { title: 'a task', ...terms })

const get = (world: World, contractId: string) => world.as('cursor').call('contract.get', { contractId })

const readyIds = async (world: World) =>
  (await world.as('cursor').call('contract.list', { ready: true })).items.map(({ id }) => id)

/** codex takes it and works at it. */
async function work(world: World, contractId: string) {
  const { attempt } = await world.as('codex').call('contract.accept', { contractId })
  await world.as('codex').call('contract.start', { contractId, attempt })
  return { contractId, attempt }
}

const complete = async (world: World, contractId: string) =>
  world.as('codex').call('contract.complete', await work(world, contractId))

const fail = async (world: World, contractId: string) =>
  world.as('codex').call('contract.fail', {
    ...(await work(world, contractId)),
    error: { reason: 'NO', message: 'no', retryable: false },
  })

const depends = suite('contracts: dependencies')

scenario(depends, 'it is offered when the last of them is completed, in the same command', async (world) => {
  const [one, two] = [await create(world), await create(world)]
  const dependsOn = [one.id, two.id, one.id]
  const after = await create(world, { dependsOn, priority: 'critical' })
  assert.equal(
    [after.dependsOn, after.blockedBy],
    [
      [one.id, two.id],
      [one.id, two.id],
    ],
  )
  assert.equal(await readyIds(world), [one.id, two.id])
  const refusal = await refused(world.as('codex').call('contract.accept', { contractId: after.id }), 'NOT_READY')
  assert.equal(refusal.facts, { blockedBy: [one.id, two.id], notBefore: undefined })
  const waiting = world.as('gemini').call('contract.next', { tags: ['none'], waitMs: 60_000 })

  let head = world.head()
  await complete(world, one.id)
  assert.equal(world.types(head).slice(-4), [
    'contract.accepted',
    'contract.started',
    'contract.completed',
    'contract.updated',
  ])
  assert.equal((await get(world, after.id)).blockedBy, [two.id])
  await refused(world.as('codex').call('contract.accept', { contractId: after.id }), 'NOT_READY')

  const work2 = await work(world, two.id)
  head = world.head()
  await world.as('codex').call('contract.complete', work2)
  assert.equal(world.types(head), ['contract.completed', 'contract.unblocked'])
  assert.is(new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size, 1)
  assert.not.ok(waiting.answered())
  assert.is((await world.as('gemini').call('contract.next', {}))?.id, after.id)
})

scenario(depends, 'one that waits for work is given what became ready', async (world) => {
  const first = await create(world)
  const after = await create(world, { dependsOn: [first.id] })
  const working = await work(world, first.id)
  const next = world.as('gemini').call('contract.next', { waitMs: 60_000 })
  await world.idle()
  assert.not.ok(next.answered())
  await world.as('codex').call('contract.complete', working)
  assert.is((await next)?.id, after.id)
})

scenario(depends, 'what is completed already blocks nothing', async (world) => {
  const first = await create(world)
  await complete(world, first.id)
  const after = await create(world, { dependsOn: [first.id] })
  assert.equal([after.dependsOn, after.blockedBy], [[first.id], []])
  await complete(world, after.id)
})

scenario(depends, 'they exist when it is created, or nothing is', async (world) => {
  const first = await create(world)
  const head = world.head()
  const refusal = await refused(create(world, { dependsOn: [first.id, 'ctr_none'] }), 'NOT_FOUND')
  assert.equal(refusal.facts, { contractId: 'ctr_none' })
  await refused(create(world, { parentId: 'ctr_none' }), 'NOT_FOUND')
  const cursor = world.as('cursor')
  const message = { to: 'cursor', text: 'do it', contract: { title: 'a task', dependsOn: ['ctr_none'] } }
  await refused(cursor.call('message.publish', message), 'NOT_FOUND')
  const many = Array.from({ length: limits.dependencies + 1 }, () => first.id)
  await refused(create(world, { dependsOn: many }), 'INVALID_PARAMS')
  assert.is(world.head(), head)
  await refused(cursor.ask('contract.update', { contractId: first.id, dependsOn: [] }), 'INVALID_PARAMS')
})

for (const end of ['failed', 'canceled', 'rejected'] as const) {
  scenario(depends, `one that is ${end} leaves it blocked, and visible`, async (world) => {
    const first = await create(world, { assignee: 'codex' })
    const after = await create(world, { dependsOn: [first.id] })
    const head = world.head()
    if (end === 'failed') await fail(world, first.id)
    else if (end === 'canceled') await world.as('cursor').call('contract.cancel', { contractId: first.id })
    else await world.as('codex').call('contract.reject', { contractId: first.id })
    const [told] = world.events({ after: head, types: ['contract.blocked'] })
    assert.equal([told?.subject, told?.data.dependency, told?.data.status], [after.id, first.id, end])
    const { blockedBy, stuckOn } = await get(world, after.id)
    const since = (await get(world, first.id)).endedAt!
    assert.equal([blockedBy, stuckOn], [[first.id], [{ contractId: first.id, status: end, since }]])
    const { items } = await world.as('cursor').call('attention.list', {})
    const [item] = items.filter(({ kind }) => kind === 'blocked')
    assert.equal([item?.contractId, item?.since], [after.id, since])
    assert.ok(item?.text.includes(`${first.id}, which is ${end}`))
    const blocked = await world.as('cursor').call('contract.list', { ready: false, status: ['submitted'] })
    assert.equal(
      blocked.items.map(({ id }) => id),
      [after.id],
    )
    await refused(world.as('codex').call('contract.accept', { contractId: after.id }), 'NOT_READY')
    if (end === 'canceled') return
    await world.as('cursor').call('contract.retry', { contractId: first.id })
    assert.not.ok('stuckOn' in (await get(world, after.id)))
    await complete(world, first.id)
    assert.equal(await readyIds(world), [after.id])
  })
}

scenario(depends, 'one that has failed already is told at once, also when it is offered anew', async (world) => {
  const first = await create(world)
  await fail(world, first.id)
  const head = world.head()
  const after = await create(world, { dependsOn: [first.id], assignee: 'gemini' })
  assert.equal(world.types(head), ['contract.created', 'contract.blocked'])
  await world.as('gemini').call('contract.reject', { contractId: after.id })
  await world.as('cursor').call('contract.retry', { contractId: after.id })
  assert.equal(world.types(head).slice(-3), ['contract.rejected', 'contract.retried', 'contract.blocked'])
})

scenario(
  depends,
  'what was completed while it was rejected blocks no longer when it is offered again',
  async (world) => {
    const first = await create(world)
    const after = await create(world, { dependsOn: [first.id], assignee: 'gemini' })
    await world.as('gemini').call('contract.reject', { contractId: after.id })
    await complete(world, first.id)
    assert.equal((await get(world, after.id)).status, 'rejected')
    const again = await world.as('cursor').call('contract.retry', { contractId: after.id })
    assert.equal([again.status, again.blockedBy], ['submitted', []])
  },
)

scenario(depends, 'it waits for an instant and for others: for the later of the two', async (world) => {
  const first = await create(world)
  const notBefore = later(world.now(), 60_000)
  const after = await create(world, { dependsOn: [first.id], notBefore })
  const refusal = await refused(world.as('codex').call('contract.accept', { contractId: after.id }), 'NOT_READY')
  assert.equal(refusal.facts, { blockedBy: [first.id], notBefore })
  let head = world.head()
  await world.advance(60_001)
  assert.equal(world.types(head), ['contract.updated'])
  assert.equal(await readyIds(world), [first.id])
  head = world.head()
  await complete(world, first.id)
  assert.is(world.types(head).at(-1), 'contract.unblocked')
})

scenario(depends, 'a canceled one is left alone', async (world) => {
  const first = await create(world)
  const after = await create(world, { dependsOn: [first.id] })
  const canceled = await world.as('cursor').call('contract.cancel', { contractId: after.id })
  await complete(world, first.id)
  assert.equal(await get(world, after.id), canceled)
})

scenario(depends, 'tags and ids are told apart', async (world) => {
  const first = await create(world)
  const tagged = await create(world, { tags: [first.id, `<${first.id}`] })
  const head = world.head()
  await complete(world, first.id)
  assert.equal(world.events({ after: head, types: ['contract.unblocked', 'contract.updated'] }), [])
  const { items } = await world.as('cursor').call('contract.list', { tag: first.id })
  assert.equal(
    items.map(({ id }) => id),
    [tagged.id],
  )
})

depends.run()

const parts = suite('contracts: parts of another')

scenario(parts, 'the parent shows how its parts stand; its own end is its own', async (world) => {
  const parent = await create(world)
  assert.not.ok('children' in (await get(world, parent.id)))
  const parts = [await create(world, { parentId: parent.id }), await create(world, { parentId: parent.id })]
  const deeper = await create(world, { parentId: parts[0]!.id })
  assert.equal((await get(world, parent.id)).children, { submitted: 2 })
  await complete(world, parts[0]!.id)
  assert.equal((await get(world, parent.id)).children, { submitted: 1, completed: 1 })
  const { items } = await world.as('cursor').call('contract.list', { parentId: parent.id })
  assert.equal(
    items.map(({ id }) => id),
    [parts[1]!.id, parts[0]!.id],
  )
  const one = await world.as('cursor').call('contract.list', { parentId: parent.id, status: ['completed'] })
  assert.equal(one.items.length, 1)
  await world.as('cursor').call('contract.cancel', { contractId: parent.id })
  assert.equal((await get(world, deeper.id)).status, 'submitted')
  assert.equal((await world.as('cursor').call('contract.list', { parentId: 'ctr_none' })).items, [])
})

parts.run()

const due = suite('contracts: dueAt')

const passedAfter = (world: World, head: number) =>
  world.events({ after: head, types: ['contract.dueDatePassed'] }).length

scenario(due, 'is told once when it has passed, whatever the status', async (world) => {
  const dueAt = later(world.now(), 60_000)
  const offered = await create(world, { dueAt })
  const working = await work(world, (await create(world, { dueAt })).id)
  const done = await complete(world, (await create(world, { dueAt })).id)
  const head = world.head()
  await world.advance(60_001)
  assert.is(passedAfter(world, head), 2)
  assert.equal((await get(world, offered.id)).overdue, true)
  const { overdue, status } = await get(world, working.contractId)
  assert.equal([overdue, status], [true, 'working'])
  assert.equal(await get(world, done.id), done)
  await world.advance(600_000)
  await world.restart({ awayMs: 600_000 })
  assert.is(passedAfter(world, head), 2)
  // The order of the work queue has nothing to do with it.
  const urgent = await create(world, { priority: 'high' })
  assert.equal(await readyIds(world), [urgent.id, offered.id])
})

scenario(due, 'neither a failed attempt nor a retry tells it a second time', async (world) => {
  const { id: contractId } = await create(world, { dueAt: later(world.now(), 60_000) })
  const head = world.head()
  await world.advance(60_001)
  const error = { reason: 'NO', message: 'not yet' }
  await world.as('codex').call('contract.fail', { ...(await work(world, contractId)), error })
  await world.advance(limits.retryBackoffMs + 1)
  await fail(world, contractId)
  await world.as('cursor').call('contract.retry', { contractId })
  await world.advance(60_000)
  assert.is(passedAfter(world, head), 1)
  assert.is((await get(world, contractId)).overdue, true)
})

scenario(due, 'one that had ended by then is told when it is offered again', async (world) => {
  const { id: contractId } = await create(world, { dueAt: later(world.now(), 60_000) })
  await fail(world, contractId)
  const head = world.head()
  await world.advance(60_001)
  assert.is(passedAfter(world, head), 0)
  await world.as('cursor').call('contract.retry', { contractId })
  await world.advance(1_100)
  assert.is(passedAfter(world, head), 1)
})

scenario(due, 'the creator moves it and takes it away', async (world) => {
  const { id: contractId } = await create(world, { dueAt: later(world.now(), 60_000) })
  const cursor = world.as('cursor')
  await world.advance(60_001)
  const dueAt = later(world.now(), 60_000)
  const moved = await cursor.call('contract.update', { contractId, dueAt })
  assert.equal([moved.dueAt, moved.overdue], [dueAt, undefined])
  const head = world.head()
  await world.advance(60_001)
  assert.is(passedAfter(world, head), 1)
  await cursor.call('contract.update', { contractId, dueAt: later(world.now(), 60_000) })
  const none = await cursor.call('contract.update', { contractId, dueAt: null })
  assert.equal(['dueAt' in none, 'overdue' in none], [false, false])
  await world.advance(600_000)
  assert.is(passedAfter(world, head), 1)
})

scenario(due, 'one that has passed already is refused', async (world) => {
  const contract = await create(world)
  const head = world.head()
  for (const dueAt of [world.now(), '2001-01-01T00:00:00.000Z']) {
    const refusal = await refused(create(world, { dueAt }), 'INVALID_PARAMS')
    assert.equal(refusal.facts, { now: world.now() })
    await refused(world.as('cursor').call('contract.update', { contractId: contract.id, dueAt }), 'INVALID_PARAMS')
  }
  for (const dueAt of ['soon', '', 5, '2031-01-01']) {
    await refused(world.as('cursor').ask('contract.create', { title: 'a task', dueAt }), 'INVALID_PARAMS')
  }
  assert.is(world.head(), head)
})

scenario(due, 'follows the wall clock: a sleep gives it no time, as it does a lease', async (world) => {
  const codex = world.as('codex')
  const terms: Terms = { dueAt: later(world.now(), 60_000), progressTimeoutMs: 60_000 }
  const { contractId } = await work(world, (await create(world, terms)).id)
  await world.sleep(600_000)
  let head = world.head()
  await world.advance(1)
  const { overdue, status } = (await codex.call('contract.get', { contractId })) as Contract
  assert.equal([overdue, status, passedAfter(world, head)], [true, 'working', 1])
  // Nor is anything written of one that only its due date is ahead of.
  const patient = await work(world, (await create(world, { dueAt: later(world.now(), 10_000) })).id)
  head = world.head()
  await world.sleep(limits.clockJumpMs + 1)
  await codex.call('agent.update', { note: 'awake' })
  const written = world.events({ after: head }).filter(({ subject }) => subject === patient.contractId)
  assert.equal(written, [])
})

scenario(due, 'when it passes with the attempt, both are told, the date first', async (world) => {
  const terms: Terms = { dueAt: later(world.now(), 60_000), progressTimeoutMs: 60_000 }
  await work(world, (await create(world, terms)).id)
  const head = world.head()
  await world.advance(60_000)
  await world.advance(1)
  assert.equal(world.types(head), ['contract.dueDatePassed', 'contract.attemptFailed'])
})

due.run()
