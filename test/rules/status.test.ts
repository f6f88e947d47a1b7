import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Status } from '../../src/bridge/contracts/row.js'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

// contract.setStatus: the verb that leads to the status wanted, with that verb's refusals and no rule of its own.

const offer = async (world: World) =>
  (await world.as('cursor').call('contract.create', { title: 'a task', retryBackoffMs: 0 })).id

const set = (actor: Actor, contractId: string, status: string, more: Record<string, unknown> = {}) =>
  actor.ask('contract.setStatus', { contractId, status, ...more }) as Promise<{
    status: Status
    attempt: number
    statusMessage?: string
    error?: { reason: string; message: string }
    result?: unknown
  }>

const test = suite('contract.setStatus')

scenario(test, 'goes the whole way, by one verb', async (world) => {
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const contractId = await offer(world)
  const head = world.head()
  await codex.opened
  assert.equal((await set(codex, contractId, 'accepted')).attempt, 1)
  assert.is((await set(codex, contractId, 'in_progress')).status, 'working')
  const requests = [{ key: 'a', prompt: '?' }]
  assert.is((await set(codex, contractId, 'input_required', { requests, note: 'stuck' })).statusMessage, 'stuck')
  assert.is((await set(cursor, contractId, 'working', { responses: { a: 1 } })).status, 'working')
  const done = await set(codex, contractId, 'completed', { result: { ok: true }, note: 'done' })
  assert.equal([done.status, done.result, done.statusMessage], ['completed', { ok: true }, 'done'])
  assert.equal(
    world.types(head).filter((type) => type.startsWith('contract.')),
    ['accepted', 'started', 'inputRequested', 'inputProvided', 'completed'].map((verb) => `contract.${verb}`),
  )
})

scenario(test, 'back and away: released, failed, rejected, retried, canceled', async (world) => {
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const contractId = await offer(world)
  await set(codex, contractId, 'accepted')
  const head = world.head()
  assert.is((await set(codex, contractId, 'proposed', { note: 'not mine' })).status, 'submitted')
  await set(codex, contractId, 'accepted')
  const error = { reason: 'NO', message: 'it cannot be', retryable: false }
  assert.equal((await set(codex, contractId, 'failed', { error })).error?.reason, 'NO')
  assert.is((await set(cursor, contractId, 'submitted')).status, 'submitted')
  assert.is((await set(cursor, contractId, 'cancelled', { note: 'enough' })).statusMessage, 'enough')
  assert.equal(
    world.types(head),
    ['released', 'accepted', 'failed', 'retried', 'canceled'].map((verb) => `contract.${verb}`),
  )
  const { id: named } = await cursor.call('contract.create', { title: 'a task', assignee: 'codex' })
  assert.is((await set(codex, named, 'rejected')).status, 'rejected')
})

scenario(
  test,
  'failed without an error says what the note says; with attempts left it is offered again',
  async (world) => {
    const codex = world.as('codex')
    const contractId = await offer(world)
    await set(codex, contractId, 'accepted')
    const again = await set(codex, contractId, 'failed', { note: 'no network' })
    assert.equal([again.status, again.error?.message], ['submitted', 'no network'])
  },
)

scenario(test, 'an owner that is asked to stop says that it has', async (world) => {
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const contractId = await offer(world)
  await set(codex, contractId, 'accepted')
  await refused(set(codex, contractId, 'canceled'), 'FORBIDDEN')
  assert.is((await set(cursor, contractId, 'canceled')).status, 'accepted')
  assert.is((await set(codex, contractId, 'canceled')).status, 'canceled')
  assert.is((await set(codex, contractId, 'canceled')).status, 'canceled')
  assert.is((await set(cursor, contractId, 'canceled')).status, 'canceled')
  // Who gave it out and also has it asks first, and then stops.
  const own = await offer(world)
  await set(cursor, own, 'accepted')
  assert.is((await set(cursor, own, 'canceled')).status, 'accepted')
  assert.is((await set(cursor, own, 'canceled')).status, 'canceled')
})

scenario(test, 'said twice it is answered as the first time', async (world) => {
  const codex = world.as('codex')
  for (const status of ['completed', 'failed', 'submitted'] as const) {
    const contractId = await offer(world)
    await set(codex, contractId, 'accepted')
    await set(codex, contractId, 'accepted')
    if (status === 'completed') await set(codex, contractId, 'working')
    const first = await set(codex, contractId, status)
    const head = world.head()
    assert.equal(await set(codex, contractId, status), first)
    assert.equal(await set(codex, contractId, status, { attempt: 1 }), first)
    assert.is(world.head(), head)
  }
})

scenario(test, 'the transition is checked first, whatever else is wrong', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  const contractId = await offer(world)
  const wanted = ['working', 'input_required', 'completed', 'failed', 'submitted']
  for (const status of wanted) {
    await refused(set(gemini, contractId, status, { attempt: 7, ifGeneration: 9 }), 'INVALID_TRANSITION')
  }
  await set(codex, contractId, 'accepted')
  await refused(set(gemini, contractId, 'completed', { attempt: 7 }), 'INVALID_TRANSITION')
  await refused(set(gemini, contractId, 'accepted', { attempt: 7 }), 'CLAIM_LOST')
  await refused(set(gemini, contractId, 'working', { attempt: 7 }), 'STALE_ATTEMPT')
  await refused(set(gemini, contractId, 'working', { ifGeneration: 9 }), 'FORBIDDEN')
  await refused(set(codex, contractId, 'working', { ifGeneration: 9 }), 'GENERATION_MISMATCH')
  await refused(set(codex, 'ctr_none', 'working'), 'NOT_FOUND')
})

scenario(test, 'a condition that holds lets each verb through', async (world) => {
  const codex = world.as('codex')
  const contractId = await offer(world)
  await set(codex, contractId, 'accepted', { ifGeneration: 1 })
  await set(codex, contractId, 'working', { ifGeneration: 2 })
  await refused(set(codex, contractId, 'completed', { ifGeneration: 2 }), 'GENERATION_MISMATCH')
  await set(codex, contractId, 'completed', { ifGeneration: 3 })
})

scenario(test, "the verbs' own refusals: locks, checks, and what is missing", async (world) => {
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const resources = [{ resource: 'file:a' }]
  const checks = [{ name: 'tests', command: 'npm test' }]
  const { id: contractId } = await cursor.call('contract.create', { title: 'a task', resources, checks })
  const { lockId, token } = await world.as('gemini').call('lock.acquire', { resources })
  await set(codex, contractId, 'accepted')
  await refused(set(codex, contractId, 'working'), 'LOCK_CONFLICT')
  await world.as('gemini').call('lock.release', { lockId, token: token! })
  await set(codex, contractId, 'working')
  await refused(set(codex, contractId, 'completed'), 'CHECKS_FAILED')
  await refused(set(codex, contractId, 'input_required'), 'INVALID_PARAMS')
  await set(codex, contractId, 'input_required', { requests: [{ key: 'a', prompt: '?' }] })
  await refused(set(cursor, contractId, 'working'), 'INVALID_PARAMS')
  await refused(set(codex, contractId, 'working', { responses: { a: 1 } }), 'FORBIDDEN')
  await refused(set(codex, contractId, 'completed'), 'INVALID_TRANSITION')
  const blocked = await cursor.call('contract.create', { title: 'later', dependsOn: [contractId] })
  await refused(set(codex, blocked.id, 'accepted'), 'NOT_READY')
})

scenario(test, 'what is no status is refused', async (world) => {
  const contractId = await offer(world)
  const head = world.head()
  for (const status of ['', 'done', 'Completed', 'constructor', null, 1, ['accepted']]) {
    const call = world.as('cursor').ask('contract.setStatus', { contractId, status })
    await refused(call, 'INVALID_PARAMS')
  }
  const note = 'x'.repeat(limits.noteLength + 1)
  await refused(set(world.as('cursor'), contractId, 'canceled', { note }), 'INVALID_PARAMS')
  assert.is(world.head(), head)
})

test.run()
