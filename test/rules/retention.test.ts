import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

const test = suite('retention')

const DAY_MS = 86_400_000
const FEW = { ms: 30 * DAY_MS, events: 10 }

const at = (world: World, seq: number) => `${world.engine.bounds().epoch}-${seq}`
const seqs = (world: World) => world.log().map(({ seq }) => seq)
const earliest = (world: World) => world.engine.bounds().earliest

/** A caller without a session: nothing of it needs time. */
const writer = (world: World): Actor => world.as('writer', { session: false })

async function say(world: World, count: number): Promise<void> {
  const asked = Array.from({ length: count }, (_, n) =>
    writer(world).call('message.publish', { topic: 't', text: `${n}` }),
  )
  await Promise.all(asked)
}

/** Long enough for some steps, and for nothing else. */
const steps = (world: World) => world.advance(1_000)

const unchecked = { checked: false }

scenario(
  test,
  'what is too old goes, a command at a time, and `earliest` with it; the last command stays',
  async (world) => {
    await say(world, 3)
    const first = world.head()
    await world.advance(10 * DAY_MS)
    await say(world, 2)
    const second = world.head()
    await world.advance(20 * DAY_MS - 1_000)
    assert.is(earliest(world), 0)
    await steps(world)
    await steps(world)
    assert.is(earliest(world), first)
    assert.equal(seqs(world)[0], first + 1)
    await world.advance(11 * DAY_MS)
    assert.equal(seqs(world), [second], 'the head is kept, however old')
    assert.is(world.head(), second)
    await say(world, 1)
    await world.advance(40 * DAY_MS)
    assert.equal(seqs(world), [second + 1])
  },
  unchecked,
)

scenario(
  test,
  'what is too much goes, but never of the last 24 hours',
  async (world) => {
    await say(world, 40)
    await steps(world)
    assert.is(earliest(world), 0)
    await world.advance(DAY_MS)
    await say(world, 1)
    await steps(world)
    assert.is(world.head() - earliest(world), FEW.events)
    await say(world, 30)
    await steps(world)
    assert.is(world.head() - earliest(world), 31, 'one of a day ago was among the last ten')
  },
  { retention: FEW, ...unchecked },
)

scenario(
  test,
  'more than a step holds goes in steps, between which commands go on',
  async (world) => {
    const much = limits.trimEvents * 2 + 500
    await say(world, much)
    await world.advance(DAY_MS)
    const seen: number[] = []
    world.engine.signals.on('committed', () => seen.push(earliest(world)))
    for (let n = 0; n < 8; n++) {
      await say(world, 1)
      await world.advance(50)
    }
    const moves = new Set(seen)
    assert.ok(moves.size >= 3, `${[...moves]}`)
    const sorted = [...moves].sort((a, b) => a - b)
    for (const [index, seq] of sorted.slice(1).entries()) assert.ok(seq - sorted[index]! <= limits.trimEvents)
    assert.is(world.head() - earliest(world), FEW.events)
  },
  { retention: FEW, ...unchecked },
)

scenario(
  test,
  'the events of one command go together',
  async (world) => {
    const codex = world.as('codex', { session: false })
    await world.advance(1)
    for (let n = 0; n < 4; n++) await codex.call('message.publish', { to: 'codex', contract: { title: 'two events' } })
    const commands = world.log()
    await world.advance(DAY_MS)
    const firsts = new Set<number>()
    for (let n = 0; n < FEW.events; n++) {
      await say(world, 1)
      await world.advance(61_000)
      const [first] = world.log()
      assert.is(first?.seq, first?.command, 'it begins with a whole command')
      firsts.add(first!.seq)
    }
    const pairs = commands.filter(({ seq, command }) => seq > command).map(({ command }) => command)
    assert.ok(pairs.filter((seq) => firsts.has(seq)).length >= 3, `${[...firsts]} of ${pairs}`)
  },
  { retention: FEW, ...unchecked },
)

scenario(
  test,
  'above the bytes that are allowed even the youngest go, while the last command stays',
  async (world) => {
    const text = 'x'.repeat(100_000)
    for (let n = 0; n < 40; n++) await writer(world).call('message.publish', { topic: 't', text })
    await steps(world)
    await steps(world)
    assert.ok(earliest(world) > 20, `${earliest(world)}`)
    assert.ok(seqs(world).length < 20)
    assert.is(seqs(world).at(-1), world.head())
  },
  { retention: { ...FEW, events: 1_000_000, bytes: 2_000_000 }, ...unchecked },
)

scenario(
  test,
  'a cursor behind what was removed is refused everywhere, never skipped over',
  async (world) => {
    const codex = world.as('codex', { session: false })
    const { id } = await codex.call('contract.create', { title: 'a task' })
    for (let n = 0; n < 5; n++) await codex.call('contract.update', { contractId: id, metadata: { n } })
    const { nextPage } = await codex.call('contract.history', { contractId: id, limit: 2 })
    await codex.call('event.subscribe', { durable: 'worker', after: at(world, 1) })
    const cursor = at(world, 1)
    await world.advance(DAY_MS)
    await say(world, 20)
    await steps(world)
    const { facts } = await refused(codex.call('event.read', { after: cursor }), 'CURSOR_EXPIRED')
    assert.is(facts.earliest, at(world, earliest(world)))
    await refused(codex.call('event.subscribe', { after: cursor }), 'CURSOR_EXPIRED')
    await refused(world.connect('codex').call('event.subscribe', { durable: 'worker' }), 'CURSOR_EXPIRED')
    await refused(codex.call('contract.history', { contractId: id, page: nextPage! }), 'CURSOR_EXPIRED')
    const history = await codex.call('contract.history', { contractId: id })
    assert.equal([history.items, typeof history.truncatedBefore], [[], 'string'])
    assert.is((await codex.call('contract.get', { contractId: id })).generation, 6, 'the row stays')
    const { events } = await codex.call('event.read', { after: 'earliest' })
    assert.is(events[0]?.cursor, at(world, earliest(world) + 1))
    assert.is((await codex.call('bridge.status', {})).earliest, at(world, earliest(world)))
  },
  { retention: FEW, ...unchecked },
)

scenario(
  test,
  'a reader so slow that it is overtaken is told, and its place is free; one that keeps up never is',
  async (world) => {
    const [slow, quick] = [world.connect('slow'), world.connect('quick')]
    await slow.call('event.subscribe', {})
    await quick.call('event.subscribe', { types: ['agent.updated'] })
    await world.idle()
    slow.drains(false)
    await say(world, 30)
    await world.advance(DAY_MS)
    await say(world, 1)
    await steps(world)
    const ends = (actor: Actor) => actor.frames.filter(({ method }) => method === 'ended')
    assert.equal(ends(slow), [])
    slow.drains(true)
    await world.idle()
    const [end] = ends(slow)
    const { epoch, head } = world.engine.bounds()
    assert.equal(end?.params as object, {
      subscription: 1,
      reason: 'CURSOR_EXPIRED',
      epoch,
      earliest: at(world, earliest(world)),
      head: at(world, head),
    })
    assert.is(slow.frames.at(-1), end)
    await refused(slow.call('event.unsubscribe', { subscription: 1 }), 'NOT_FOUND')
    assert.equal(ends(quick), [])
    assert.is((await quick.call('bridge.status', {})).subscriptions, 1)
  },
  { retention: FEW, ...unchecked },
)

scenario(
  test,
  'an idempotency key is known for a day at least',
  async (world) => {
    const call = { topic: 't', text: 'once', idempotencyKey: 'k' }
    const answer = await writer(world).call('message.publish', call)
    await say(world, 30)
    await world.advance(DAY_MS - 2_000)
    await say(world, 30)
    await steps(world)
    assert.equal(await writer(world).call('message.publish', call), answer)
    await world.advance(2_000)
    await say(world, 1)
    await steps(world)
    assert.not.equal(await writer(world).call('message.publish', call), answer, 'it went with its event')
  },
  { retention: FEW, ...unchecked },
)

scenario(
  test,
  'messages that are settled go once they are old; those that are not stay',
  async (world) => {
    const codex = world.as('codex', { session: false })
    await codex.opened
    const read = await writer(world).call('message.publish', { to: 'codex', text: 'read' })
    const unread = await writer(world).call('message.publish', { to: 'codex', text: 'unread' })
    await codex.call('message.ack', { messageIds: [read.messageId] })
    await world.advance(31 * DAY_MS)
    await refused(codex.call('message.get', { messageId: read.messageId }), 'NOT_FOUND')
    assert.is((await codex.call('message.get', { messageId: unread.messageId })).text, 'unread')
  },
  unchecked,
)

scenario(
  test,
  'after a restart `earliest` is where it was, and trimming goes on',
  async (world) => {
    await say(world, 30)
    await world.advance(DAY_MS)
    await say(world, 1)
    await steps(world)
    const before = world.engine.bounds()
    await world.restart()
    assert.equal([world.engine.bounds().earliest, world.engine.bounds().epoch], [before.earliest, before.epoch])
    await world.advance(DAY_MS)
    await say(world, 1)
    await steps(world)
    assert.ok(earliest(world) > before.earliest)
  },
  { retention: FEW, ...unchecked },
)

scenario(
  test,
  'a log of which all but the head is gone is the same history after a restart',
  async (world) => {
    await say(world, 5)
    const { epoch, head } = world.engine.bounds()
    await world.advance(40 * DAY_MS)
    assert.is(seqs(world).length, 1)
    await world.stop()
    await world.restart()
    assert.is(world.engine.bounds().epoch, epoch)
    assert.is(seqs(world)[0], head)
  },
  unchecked,
)

test.run()
