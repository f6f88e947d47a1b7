import { rmSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

const test = suite('durable readers')

const at = (world: World, seq: number) => `${world.engine.bounds().epoch}-${seq}`
const seqOf = (cursor: string) => Number(cursor.split('-')[1])

/** What a subscription was pushed: seqs of events, and how it ended. */
const pushed = (actor: Actor, subscription = 1) =>
  actor.frames
    .filter(({ params }) => params.subscription === subscription)
    .flatMap(({ params }) => (params.events ?? []).map(({ cursor }) => seqOf(cursor)))
const endings = (actor: Actor) =>
  actor.frames.filter(({ method }) => method === 'ended').map(({ params }) => params as unknown as { reason: string })

const stored = (world: World) => world.sql<{ agent: string; name: string; cursor: string }>('SELECT * FROM readers')

/** So many events that everyone sees. */
async function happen(world: World, count: number): Promise<number[]> {
  const before = world.head()
  for (let n = 0; n < count; n++)
    await world.as('writer', { session: false }).call('message.publish', { topic: 't', text: `${n}` })
  return Array.from({ length: world.head() - before }, (_, index) => before + index + 1)
}

scenario(test, 'a name goes on behind what was acknowledged, on another socket and after a restart', async (world) => {
  const first = world.connect('codex', { session: false })
  await first.opened
  await first.call('event.subscribe', { durable: 'worker', types: ['message.*'] })
  const events = await happen(world, 4)
  assert.equal(pushed(first), events.slice(-4))
  const [, second] = events.slice(-4)
  assert.equal(await first.call('event.ack', { subscription: 1, cursor: at(world, second!) }), {
    cursor: at(world, second!),
  })
  await first.drop()

  const again = world.connect('codex', { session: false })
  const { cursor } = await again.call('event.subscribe', { durable: 'worker', types: ['message.*'] })
  assert.is(cursor, at(world, second!))
  await world.idle()
  assert.equal(pushed(again), events.slice(-2))

  await world.advance(limits.readerMs)
  await world.restart()
  const later = world.connect('codex', { session: false })
  const resumed = await later.call('event.subscribe', { durable: 'worker', types: ['message.*'] })
  assert.is(resumed.cursor, at(world, second!))
})

scenario(
  test,
  'acknowledgements make no event, and are written once a second or when the daemon stops',
  async (world) => {
    const codex = world.as('codex')
    await codex.call('event.subscribe', { durable: 'worker' })
    await world.advance(limits.readerMs)
    const events = await happen(world, 5)
    const head = world.head()
    const before = stored(world)
    for (const seq of events) await codex.call('event.ack', { subscription: 1, cursor: at(world, seq) })
    assert.equal(stored(world), before, 'not yet')
    await world.advance(limits.readerMs - 1)
    assert.equal(stored(world), before, 'not yet')
    await world.advance(1)
    const written = { agent: 'codex', name: 'worker' }
    assert.equal(stored(world), [{ ...written, cursor: at(world, events.at(-1)!) }])
    assert.is(world.head(), head)
    const [next] = await happen(world, 1)
    await codex.call('event.ack', { subscription: 1, cursor: at(world, next!) })
    await world.stop()
    assert.equal(stored(world), [{ ...written, cursor: at(world, next!) }])
  },
)

scenario(
  test,
  'a crash takes back a second at most: what was acknowledged in it is told once more, none is left out',
  async (world) => {
    const codex = world.connect('codex', { session: false })
    const { cursor } = await codex.call('event.subscribe', { durable: 'worker', types: ['message.*'] })
    await world.advance(limits.readerMs)
    const events = (await happen(world, 3)).slice(-3)
    await codex.call('event.ack', { subscription: 1, cursor: at(world, events[1]!) })
    await world.restart()
    const again = world.connect('codex', { session: false })
    assert.is((await again.call('event.subscribe', { durable: 'worker', types: ['message.*'] })).cursor, cursor)
    await world.idle()
    assert.equal(pushed(again), events)
  },
)

scenario(test, 'an acknowledgement covers all before it, and never goes back', async (world) => {
  const codex = world.as('codex')
  await codex.call('event.subscribe', { durable: 'worker', after: 'earliest' })
  const events = await happen(world, 3)
  const last = at(world, events.at(-1)!)
  await codex.call('event.ack', { subscription: 1, cursor: last })
  for (const cursor of [at(world, 1), 'earliest', last]) {
    assert.equal(await codex.call('event.ack', { subscription: 1, cursor }), { cursor: last })
  }
})

scenario(
  test,
  'a newer subscription takes the name over, and the older one is told that it has ended',
  async (world) => {
    const old = world.connect('codex', { session: false })
    const next = world.connect('codex', { session: false })
    const other = world.connect('cursor', { session: false })
    await old.call('event.subscribe', { durable: 'worker', types: ['message.*'] })
    await other.call('event.subscribe', { durable: 'worker', types: ['message.*'] })
    await world.idle()
    await next.call('event.subscribe', { durable: 'worker', types: ['message.*'] })
    assert.equal(
      endings(old).map(({ reason }) => reason),
      ['TAKEN_OVER'],
    )
    assert.equal([endings(next), endings(other)], [[], []], "another agent's is another name")
    await happen(world, 1)
    assert.equal([pushed(old).length, pushed(next).length, pushed(other).length], [0, 1, 1])
    await refused(old.call('event.ack', { subscription: 1, cursor: 'latest' }), 'NOT_FOUND')
    await refused(old.call('event.unsubscribe', { subscription: 1 }), 'NOT_FOUND')
    assert.is((await next.call('bridge.status', {})).subscriptions, 2)
    // On one socket too, and the place of the old one is free again.
    for (let again = 0; again <= limits.subscriptions; again++)
      await next.call('event.subscribe', { durable: 'worker' })
    assert.is((await next.call('bridge.status', {})).subscriptions, 2)
  },
)

scenario(
  test,
  'where a name is new `after` says where it begins; later a cursor counts when it is further on',
  async (world) => {
    const events = await happen(world, 5)
    const begin = async (durable: string, after: string) => {
      const actor = world.connect('codex', { session: false })
      const { cursor } = await actor.call('event.subscribe', { durable, after })
      return { actor, seq: seqOf(cursor) }
    }
    assert.is((await begin('a', 'earliest')).seq, 0)
    assert.is((await begin('a', 'latest')).seq, 0, 'it is not new any more')
    assert.is((await begin('a', at(world, events[1]!))).seq, events[1])
    assert.is((await begin('a', 'latest')).seq, 0, 'being sent on acknowledges nothing')
    const { actor } = await begin('a', 'latest')
    await actor.call('event.ack', { subscription: 1, cursor: at(world, events[3]!) })
    assert.is((await begin('a', at(world, events[1]!))).seq, events[3])
    assert.is((await begin('b', 'latest')).seq, world.head())
  },
)

scenario(test, 'a name is forgotten when it is told to be, and only then', async (world) => {
  const codex = world.as('codex')
  await codex.call('event.subscribe', { durable: 'worker', after: 'earliest' })
  await codex.call('event.unsubscribe', { subscription: 1 })
  assert.is(seqOf((await codex.call('event.subscribe', { durable: 'worker' })).cursor), 0)
  await codex.call('event.unsubscribe', { subscription: 2, forget: true })
  await world.advance(limits.readerMs)
  assert.equal(stored(world), [])
  assert.is(seqOf((await codex.call('event.subscribe', { durable: 'worker' })).cursor), world.head())
})

scenario(
  test,
  'in another history its place is refused, until it is told where to go on',
  async (world) => {
    const codex = world.connect('codex', { session: false })
    await codex.call('event.subscribe', { durable: 'worker' })
    await world.advance(limits.readerMs)
    await world.stop()
    await world.restart({ between: (file) => rmSync(file.replace(/\.db$/, '.head')) })
    const again = world.connect('codex', { session: false })
    const { facts } = await refused(again.call('event.subscribe', { durable: 'worker' }), 'EPOCH_CHANGED')
    const { at: head } = await again.call('contract.list', {})
    assert.is(facts.head, head)
    assert.is((await again.call('event.subscribe', { durable: 'worker', after: head })).cursor, head)
    const third = world.connect('codex', { session: false })
    assert.is((await third.call('event.subscribe', { durable: 'worker' })).cursor, head)
  },
  { checked: false },
)

scenario(test, 'what cannot be is refused, and changes nothing', async (world) => {
  const codex = world.as('codex')
  for (const durable of ['', ' ', 'a b', '-a', 'a'.repeat(65), 'a/b', 'é', 1, null, ['a']]) {
    await refused(codex.ask('event.subscribe', { durable }), 'INVALID_PARAMS')
  }
  await codex.call('event.subscribe', {})
  await refused(codex.call('event.ack', { subscription: 1, cursor: 'latest' }), 'INVALID_PARAMS')
  await refused(codex.call('event.unsubscribe', { subscription: 1, forget: true }), 'INVALID_PARAMS')
  await refused(codex.call('event.ack', { subscription: 2, cursor: 'latest' }), 'NOT_FOUND')
  await codex.call('event.subscribe', { durable: 'worker', after: 'earliest' })
  const wrong = [
    { subscription: 2 },
    { cursor: 'latest' },
    { subscription: 0, cursor: 'latest' },
    { subscription: 2, cursor: 'now' },
    { subscription: 2, cursor: '', more: 1 },
  ]
  for (const params of wrong) await refused(codex.ask('event.ack', params), 'INVALID_PARAMS')
  await refused(codex.call('event.ack', { subscription: 2, cursor: at(world, world.head() + 1) }), 'CURSOR_AHEAD')
  await refused(codex.call('event.ack', { subscription: 2, cursor: 'other-1' }), 'EPOCH_CHANGED')
  await codex.call('event.unsubscribe', { subscription: 2 })
  assert.is(seqOf((await codex.call('event.subscribe', { durable: 'worker' })).cursor), 0)
  const cursor = world.connect('cursor')
  for (let n = 0; n < limits.agentReaders; n++) {
    await cursor.call('event.subscribe', { durable: `r${n}` })
    await cursor.call('event.unsubscribe', { subscription: n + 1 })
  }
  await refused(cursor.call('event.subscribe', { durable: 'one-more' }), 'OVERLOADED')
  await cursor.call('event.subscribe', { durable: 'r1' })
  await codex.call('event.subscribe', { durable: 'own' })
})

test.run()
