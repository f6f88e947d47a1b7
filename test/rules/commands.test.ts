import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nouns } from '../../src/bridge/index.js'
import type { Store } from '../../src/engine/ports.js'
import { limits } from '../../src/protocol/limits.js'
import type { Noun } from '../../src/protocol/method.js'
import { refused, scenario, type World } from '../world.js'

// What holds for every command, whatever it does: once or not at all, remembered, in order, never half.

const resources = [{ resource: 'file:a' }]
const hold = (world: World, agent: string) => world.as(agent).call('lock.acquire', { resources })

const keys = suite('commands: idempotency')

scenario(keys, 'the same key and parameters: one effect, the same answer, also after a restart', async (world) => {
  const cursor = world.as('cursor')
  const params = { title: 'a task', idempotencyKey: 'k1' }
  const first = await cursor.call('contract.create', params)
  const codex = world.as('codex')
  await codex.call('contract.accept', { contractId: first.id, idempotencyKey: 'k1' })
  const head = world.head()
  assert.equal(await cursor.call('contract.create', params), first)
  assert.is(world.head(), head)
  await world.restart({ awayMs: 86_400_000 - 1 })
  const after = world.head()
  assert.equal(await world.connect('cursor', { session: false }).call('contract.create', params), first)
  assert.is(world.head(), after)
})

scenario(keys, 'for every kind of answer: the row, a part of it, and what is no row', async (world) => {
  const codex = world.as('codex')
  const { id: contractId } = await codex.call('contract.create', { title: 'a task', resources })
  const calls: Array<[string, Record<string, unknown>]> = [
    ['contract.next', {}],
    ['contract.start', { contractId, attempt: 1 }],
    ['contract.update', { contractId, attempt: 1, progress: 0.5 }],
    ['message.publish', { to: 'codex', text: 'note to self', contract: { title: 'another' } }],
    ['agent.update', { note: 'here' }],
    ['contract.complete', { contractId, attempt: 1 }],
    ['lock.acquire', { resources, ttlMs: 5_000 }],
  ]
  for (const [name, params] of calls) {
    const call = () => codex.ask(name, { ...params, idempotencyKey: name })
    const first = await call()
    const head = world.head()
    assert.equal(await call(), first, name)
    assert.is(world.head(), head, name)
  }
  const lock = (await codex.call('lock.list', {})).items[0]!
  const release = { lockId: lock.lockId, token: lock.token!, idempotencyKey: 'r' }
  assert.equal(await codex.call('lock.release', release), await codex.call('lock.release', release))
})

scenario(keys, 'the same key for something else: IDEMPOTENCY_CONFLICT', async (world) => {
  const cursor = world.as('cursor')
  await cursor.call('contract.create', { title: 'one', idempotencyKey: 'k' })
  const head = world.head()
  await refused(cursor.call('contract.create', { title: 'two', idempotencyKey: 'k' }), 'IDEMPOTENCY_CONFLICT')
  await refused(
    cursor.call('message.publish', { topic: 'a', text: 'one', idempotencyKey: 'k' }),
    'IDEMPOTENCY_CONFLICT',
  )
  assert.is(world.head(), head)
})

scenario(keys, 'keys are per agent', async (world) => {
  const one = await world.as('cursor').call('contract.create', { title: 'a', idempotencyKey: 'k' })
  const two = await world.as('codex').call('contract.create', { title: 'b', idempotencyKey: 'k' })
  assert.is.not(one.id, two.id)
})

scenario(keys, 'a refusal is not remembered', async (world) => {
  const held = await hold(world, 'codex')
  const params = { resources, idempotencyKey: 'k' }
  await refused(world.as('gemini').call('lock.acquire', params), 'LOCK_CONFLICT')
  await world.as('codex').call('lock.release', { lockId: held.lockId, token: held.token! })
  assert.is((await world.as('gemini').call('lock.acquire', params)).state, 'held')
})

scenario(keys, 'queries take none', async (world) => {
  await refused(world.as('codex').ask('lock.list', { idempotencyKey: 'k' }), 'INVALID_PARAMS')
})

scenario(keys, 'a retry while the first waits joins it; both are answered, and it is granted once', async (world) => {
  const held = await hold(world, 'codex')
  const [one, two] = [world.connect('gemini'), world.connect('gemini')]
  await Promise.all([one.opened, two.opened])
  const params = { resources, waitMs: 60_000, idempotencyKey: 'k' }
  const first = one.call('lock.acquire', params)
  await world.idle()
  const second = two.call('lock.acquire', params)
  await refused(two.call('lock.acquire', { ...params, waitMs: 1_000 }), 'IDEMPOTENCY_CONFLICT')
  await world.as('codex').call('lock.release', { lockId: held.lockId, token: held.token! })
  assert.equal(await second, await first)
  assert.is(world.events({ types: ['lock.queued'] }).length, 1)
})

scenario(keys, 'also when the retry comes in the same breath', async (world) => {
  await hold(world, 'codex')
  const [one, two] = [world.connect('gemini'), world.connect('gemini')]
  await Promise.all([one.opened, two.opened])
  const params = { resources, waitMs: 60_000, idempotencyKey: 'k' }
  one.call('lock.acquire', params)
  two.call('lock.acquire', params)
  await world.idle()
  assert.is(world.events({ types: ['lock.queued'] }).length, 1)
})

scenario(keys, 'who joined is served when the first has gone', async (world) => {
  const held = await hold(world, 'codex')
  const [one, two] = [world.connect('gemini'), world.connect('gemini')]
  await Promise.all([one.opened, two.opened])
  const params = { resources, waitMs: 600_000, ttlMs: 60_000, idempotencyKey: 'k' }
  one.call('lock.acquire', params)
  await world.idle()
  const second = two.call('lock.acquire', params)
  await world.idle()
  await one.drop()
  await world.advance(limits.graceMs + 1)
  assert.not.ok(second.answered())
  await world.as('codex').call('lock.release', { lockId: held.lockId, token: held.token! })
  assert.is((await second).state, 'held')
})

scenario(keys, 'the answer of a call that waited is remembered over a restart', async (world) => {
  const held = await hold(world, 'codex')
  const params = { resources, waitMs: 60_000, ttlMs: 90_000, idempotencyKey: 'k' }
  const call = world.as('gemini').call('lock.acquire', params)
  await world.idle()
  await world.as('codex').call('lock.release', { lockId: held.lockId, token: held.token!, idempotencyKey: 'r' })
  const granted = await call
  await world.restart()
  const head = world.head()
  assert.equal(await world.connect('gemini', { session: false }).call('lock.acquire', params), granted)
  assert.is(world.head(), head)
})

scenario(keys, 'so is that of one that was granted in the breath in which it began to wait', async (world) => {
  const held = await hold(world, 'codex')
  const gemini = world.as('gemini')
  await gemini.opened
  const params = { resources, waitMs: 60_000, ttlMs: 90_000, idempotencyKey: 'k' }
  const call = gemini.call('lock.acquire', params)
  void world.as('codex').call('lock.release', { lockId: held.lockId, token: held.token! })
  assert.equal(await gemini.call('lock.acquire', params), await call)
  assert.equal((await gemini.call('lock.list', {})).items.length, 1)
})

scenario(keys, 'so is that of a start that waited', async (world) => {
  const held = await hold(world, 'codex')
  const { id: contractId } = await world.as('cursor').call('contract.create', { title: 'a', resources })
  await world.as('gemini').call('contract.accept', { contractId })
  const params = { contractId, attempt: 1, waitMs: 60_000, idempotencyKey: 'k' }
  const call = world.as('gemini').call('contract.start', params)
  await world.idle()
  await world.as('codex').call('lock.release', { lockId: held.lockId, token: held.token! })
  const started = await call
  await world.restart()
  assert.equal(await world.connect('gemini', { session: false }).call('contract.start', params), started)
})

keys.run()

const faultless = suite('commands: whole or not at all')

scenario(faultless, 'a refused command leaves no event, no row, no id and no answer', async (world) => {
  const codex = world.as('codex')
  const { id: contractId } = await codex.call('contract.create', { title: 'a' })
  await codex.opened
  const rows = () => ['agents', 'contracts', 'locks', 'messages'].map((name) => world.sql(`SELECT * FROM ${name}`))
  const [before, head] = [rows(), world.head()]
  // The contract is created before its message is found wanting.
  const reply = { to: 'codex', contract: { title: 'b' }, replyTo: 'msg_none', idempotencyKey: 'k' }
  await refused(codex.call('message.publish', reply), 'NOT_FOUND')
  await refused(codex.call('contract.complete', { contractId, attempt: 1 }), 'STALE_ATTEMPT')
  await refused(codex.call('lock.acquire', { resources: [...resources, { resource: 'x' }] }), 'BAD_RESOURCE')
  assert.equal([rows(), world.head()], [before, head])
  const sent = await codex.call('message.publish', { to: 'codex', text: 'c', idempotencyKey: 'k' })
  assert.is(sent.contract, undefined)
})

scenario(faultless, 'one that is refused does not touch those of the same batch', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  const head = world.head()
  const calls = [
    codex.call('contract.create', { title: 'one' }),
    codex.call('message.publish', { to: 'codex', contract: { title: 'not' }, replyTo: 'msg_none' }),
    codex.call('contract.create', { title: 'two' }),
  ]
  const settled = await Promise.allSettled(calls)
  assert.equal(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal(world.types(head), ['contract.created', 'contract.created'])
})

const breaking: Noun = {
  tables: [],
  events: [],
  methods: [],
  settle(_tx, happened) {
    if (happened.some(({ topic }) => topic === 'break')) throw new TypeError('a bug that holds a secret')
  },
}

scenario(
  faultless,
  'a bug is INTERNAL with an id, tells nothing more, and leaves no trace',
  async (world) => {
    const codex = world.as('codex')
    await codex.opened
    const head = world.head()
    const call = codex.call('message.publish', {
      topic: 'break',
      text: 'x',
      contract: { title: 'a' },
      idempotencyKey: 'k',
    })
    const after = codex.call('message.publish', { topic: 'fine', text: 'x' })
    const refusal = await refused(call, 'INTERNAL')
    assert.equal(Object.keys(refusal.facts), ['requestId'])
    assert.match(refusal.message, refusal.facts.requestId as string)
    assert.not.match(refusal.message, 'secret')
    await after
    assert.equal(world.types(head), ['message.published'])
    assert.equal((await codex.call('contract.list', {})).items, [])
    assert.match(String(world.faults.pop()), 'a bug that holds a secret')
    const again = { topic: 'fine', text: 'y', idempotencyKey: 'k' }
    assert.ok((await codex.call('message.publish', again)).messageId)
  },
  { nouns: [...nouns, breaking] },
)

let failing = false
const failingCommit = (store: Store): Store => ({
  ...store,
  commit: () => (failing ? Promise.reject(new Error('disk full')) : store.commit()),
})

scenario(
  faultless,
  'a COMMIT that fails fails the whole batch, tells nobody, and stops the workspace',
  async (world) => {
    const [codex, gemini] = [world.as('codex'), world.as('gemini')]
    await Promise.all([codex.opened, gemini.opened])
    await codex.call('lock.acquire', { resources })
    const waiting = gemini.call('lock.acquire', { resources, waitMs: 60_000 })
    await codex.call('event.subscribe', {})
    await world.idle()
    const [head, frames] = [world.head(), codex.frames.length]
    failing = true
    const calls = [
      codex.call('contract.create', { title: 'a' }),
      gemini.call('message.publish', { topic: 'a', text: 'b' }),
      gemini.call('lock.release', { lockId: 'lck_none', token: 1 }),
    ]
    for (const call of calls) await refused(call, 'INTERNAL')
    await refused(waiting, 'INTERNAL')
    failing = false
    await refused(codex.call('contract.create', { title: 'a' }), 'INTERNAL')
    assert.equal([world.head(), codex.frames.length], [head, frames])
    assert.ok(world.faults.splice(0).some((fault) => String(fault).includes('disk full')))
    await world.restart()
    assert.equal((await world.as('codex').call('contract.list', {})).items, [])
    assert.equal(
      world.types().filter((type) => type === 'contract.created'),
      [],
    )
  },
  { wrap: failingCommit },
)

faultless.run()

const order = suite('commands: order and parking')

scenario(order, 'calls of one socket take effect in the order sent, queries too', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  const seen: Array<Promise<number>> = []
  for (let n = 1; n <= 20; n++) {
    void codex.call('contract.create', { title: `${n}` })
    if (n % 4 === 0) seen.push(codex.call('contract.list', {}).then(({ items }) => items.length))
  }
  assert.equal(await Promise.all(seen), [4, 8, 12, 16, 20])
})

scenario(order, 'a call that waits counts as done: those behind it go on', async (world) => {
  await hold(world, 'codex')
  const gemini = world.as('gemini')
  await gemini.opened
  const waiting = gemini.call('lock.acquire', { resources, waitMs: 60_000 })
  const behind = gemini.call('agent.update', { note: 'still alive' })
  const { items } = await gemini.call('lock.list', { state: 'waiting' })
  await behind
  assert.equal([items.length, waiting.answered()], [1, false])
})

scenario(order, 'a daemon that stops answers what waits, and what comes, with SHUTTING_DOWN', async (world) => {
  await hold(world, 'codex')
  const gemini = world.as('gemini')
  await gemini.opened
  const waiting = gemini.call('lock.acquire', { resources, waitMs: 60_000 })
  const next = gemini.call('contract.next', { waitMs: 60_000 })
  const poll = gemini.call('event.read', { after: 'latest', waitMs: 50_000 })
  await world.idle()
  const stopped = world.stop()
  for (const call of [waiting, next, poll]) await refused(call, 'SHUTTING_DOWN')
  await stopped
  await refused(gemini.call('agent.update', { note: 'late' }), 'SHUTTING_DOWN')
})

scenario(order, 'also what is on its way to wait when the daemon stops', async (world) => {
  await hold(world, 'codex')
  const gemini = world.as('gemini')
  await gemini.opened
  const effect = gemini.call('agent.update', { note: 'in time' })
  const waiting = gemini.call('lock.acquire', { resources, waitMs: 60_000 })
  await world.stop()
  assert.is((await effect).note, 'in time')
  assert.ok(waiting.answered(), 'it is answered')
  await refused(waiting, 'SHUTTING_DOWN')
})

order.run()
