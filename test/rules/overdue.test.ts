import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf } from '../../src/bridge/index.js'
import { trimMessages } from '../../src/bridge/messages/settle.js'
import { limits } from '../../src/protocol/limits.js'
import { toInstant, toMs } from '../../src/protocol/time.js'
import { type Actor, refused, scenario, type World } from '../world.js'

// What a message comes to: expired, overdue, settled, removed; and how its sender sees it.

const publish = (actor: Actor, params: ParamsOf<'message.publish'>) => actor.call('message.publish', params)
const all = (world: World, ...names: string[]) => Promise.all(names.map((name) => world.as(name).opened))
const inbox = async (actor: Actor, state?: 'unread' | 'unacked' | 'all') =>
  (await actor.call('message.inbox', { state })).items.map(({ text }) => text)
const outbox = async (actor: Actor, state?: 'awaiting' | 'overdue' | 'all') =>
  (await actor.call('message.outbox', { state })).items.map(({ text }) => text)
const ack = (actor: Actor, messageId: string, state: 'injected' | 'read' | 'acked') =>
  actor.call('message.ack', { messageIds: [messageId], state })
const later = (world: World, ms: number) => toInstant(toMs(world.now()) + ms)

const expiry = suite('messages: expiry')

scenario(expiry, 'who has not had it in time gets it no more, and the sender is told', async (world) => {
  await all(world, 'codex', 'gemini', 'cursor')
  const [cursor, codex, gemini] = [world.as('cursor'), world.as('codex'), world.as('gemini')]
  const { messageId } = await publish(cursor, { to: ['codex', 'gemini'], text: 'now or never', ttlMs: 5_000 })
  assert.is((await cursor.call('message.get', { messageId })).expiresAt, later(world, 5_000))
  await ack(gemini, messageId, 'injected')
  await world.advance(4_999)
  assert.equal(await inbox(codex), ['now or never'])
  await world.advance(1)
  assert.equal(
    [await inbox(codex), await inbox(codex, 'unacked'), await inbox(codex, 'all')],
    [[], [], ['now or never']],
  )
  assert.equal(await inbox(gemini), ['now or never'], 'it had it in a turn')
  const [event] = world.events({ types: ['message.expired'] })
  assert.equal([event?.actor, event?.to, event?.data.agents], ['bridge', ['cursor'], ['codex']])
  const { receipts } = await cursor.call('message.get', { messageId })
  assert.equal(receipts?.codex, { state: 'expired', at: world.now() })
  assert.is(receipts?.gemini?.state, 'injected')
  assert.equal(await ack(codex, messageId, 'acked'), { changed: 0 }, 'nothing rises from it')
})

scenario(expiry, 'what everyone has had does not expire; without a time nothing does', async (world) => {
  await all(world, 'codex', 'cursor')
  const { messageId } = await publish(world.as('cursor'), { to: 'codex', text: 'a', ttlMs: 1_000 })
  await publish(world.as('cursor'), { to: 'codex', text: 'b' })
  await ack(world.as('codex'), messageId, 'injected')
  await world.advance(limits.messageTtlMsMax)
  assert.equal(world.events({ types: ['message.expired'] }), [])
  assert.equal(await inbox(world.as('codex')), ['a', 'b'])
})

scenario(expiry, 'it is noticed after a restart, though the time passed while the daemon was away', async (world) => {
  await all(world, 'codex', 'cursor')
  await publish(world.as('cursor'), { to: 'codex', text: 'a', ttlMs: 60_000 })
  await world.restart({ awayMs: 61_000 })
  assert.equal(await inbox(world.as('codex')), [])
  assert.is(world.events({ types: ['message.expired'] }).length, 1)
})

scenario(expiry, 'a wait for mail is not ended by mail that expires', async (world) => {
  await all(world, 'codex', 'cursor')
  await publish(world.as('cursor'), { to: 'codex', text: 'a', ttlMs: 1_000 })
  await world.advance(1_000)
  const waiting = world.as('codex').call('message.inbox', { waitMs: 10_000 })
  await world.advance(5_000)
  assert.not(waiting.answered())
  await publish(world.as('cursor'), { to: 'codex', text: 'b' })
  assert.equal(
    (await waiting).items.map(({ text }) => text),
    ['b'],
  )
})

expiry.run()

const acks = suite('messages: requireAck')

scenario(acks, 'the sender sees who owes it, and is told when it is overdue', async (world) => {
  await all(world, 'codex', 'gemini', 'cursor')
  const [cursor, codex, gemini] = [world.as('cursor'), world.as('codex'), world.as('gemini')]
  const { messageId } = await publish(cursor, { to: ['codex', 'gemini'], text: 'rebase', requireAck: true })
  await publish(cursor, { to: 'codex', text: 'by the way' })
  const [item] = (await codex.call('message.inbox', {})).items
  assert.equal([item?.requireAck, item?.ackDueAt], [true, later(world, limits.ackWithinMs)])
  assert.equal([await outbox(cursor), await outbox(cursor, 'awaiting')], [['by the way', 'rebase'], ['rebase']])
  await ack(codex, messageId, 'acked')
  await ack(gemini, messageId, 'read')
  await world.advance(limits.ackWithinMs - 1)
  assert.equal(await outbox(cursor, 'overdue'), [])
  await world.advance(1)
  assert.equal([await outbox(cursor, 'overdue'), await outbox(gemini, 'overdue')], [['rebase'], []])
  const [event] = world.events({ types: ['message.ackDuePassed'] })
  assert.equal([event?.to, event?.data.agents], [['cursor'], ['gemini']])
  const overdueAt = world.now()
  await world.advance(60_000)
  assert.is(world.events({ types: ['message.ackDuePassed'] }).length, 1, 'it is told once')
  await ack(gemini, messageId, 'acked')
  assert.equal([await outbox(cursor, 'overdue'), await outbox(cursor, 'awaiting')], [[], []])
  assert.is((await cursor.call('message.get', { messageId })).overdueAt, overdueAt)
})

scenario(acks, 'within the time the sender gives; acknowledged in time it is never overdue', async (world) => {
  await all(world, 'codex', 'cursor')
  const params = { to: 'codex', text: 'a', requireAck: true, ackWithinMs: 2_000 }
  const { messageId } = await publish(world.as('cursor'), params)
  await publish(world.as('cursor'), { ...params, text: 'b' })
  await ack(world.as('codex'), messageId, 'acked')
  await world.advance(2_001)
  assert.equal(
    world.events({ types: ['message.ackDuePassed'] }).map(({ data }) => (data.message as { text: string }).text),
    ['b'],
  )
})

scenario(acks, 'one that expires first is owed by nobody', async (world) => {
  await all(world, 'codex', 'cursor')
  const times = { ttlMs: 1_000, ackWithinMs: 1_000, requireAck: true }
  await publish(world.as('cursor'), { to: 'codex', text: 'a', ...times })
  await world.advance(2_000)
  assert.equal(world.types(world.head() - 1), ['message.expired'])
  assert.equal(await outbox(world.as('cursor'), 'awaiting'), [])
})

scenario(acks, 'times have their bounds and are for agents', async (world) => {
  await all(world, 'codex')
  const codex = world.as('codex')
  const head = world.head()
  for (const ms of [0, -1, 999, 1_000.5, limits.messageTtlMsMax + 1, '1000', null]) {
    const [ttlMs, ackWithinMs] = [ms, ms] as never[]
    await refused(publish(codex, { to: 'codex', text: 'x', ttlMs: ttlMs! }), 'INVALID_PARAMS')
    const withAck = { to: 'codex', text: 'x', requireAck: true, ackWithinMs: ackWithinMs! }
    await refused(publish(codex, withAck), 'INVALID_PARAMS')
  }
  await refused(publish(codex, { to: 'codex', text: 'x', ackWithinMs: 1_000 }), 'INVALID_PARAMS')
  await refused(publish(codex, { topic: 'a', text: 'x', ttlMs: 1_000 }), 'INVALID_PARAMS')
  await refused(publish(codex, { topic: 'a', text: 'x', requireAck: true }), 'INVALID_PARAMS')
  await refused(codex.ask('message.publish', { to: 'codex', text: 'x', requireAck: 'yes' }), 'INVALID_PARAMS')
  await refused(codex.ask('message.outbox', { state: 'unread' }), 'INVALID_PARAMS')
  assert.is(world.head(), head)
})

scenario(acks, 'an outbox is paged, the newest first', async (world) => {
  await all(world, 'codex', 'cursor')
  for (const text of ['a', 'b', 'c']) await publish(world.as('cursor'), { to: 'codex', text, requireAck: true })
  for (const state of ['all', 'awaiting'] as const) {
    const first = await world.as('cursor').call('message.outbox', { state, limit: 2 })
    const second = await world.as('cursor').call('message.outbox', { state, limit: 2, page: first.nextPage! })
    assert.equal(
      [...first.items, ...second.items].map(({ text }) => text),
      ['c', 'b', 'a'],
    )
    assert.is(second.nextPage, undefined)
  }
})

acks.run()

const trims = suite('messages: retention')

/** What retention would remove now. */
async function trim(world: World, before: string, limit = 100): Promise<number> {
  let count = 0
  world.engine.internal((tx) => {
    count = trimMessages(tx, before, limit)
  })
  await world.idle()
  return count
}

scenario(
  trims,
  'a message is settled once it is read, or acknowledged where that was wanted, or expired',
  async (world) => {
    await all(world, 'codex', 'gemini', 'cursor')
    const [cursor, codex, gemini] = [world.as('cursor'), world.as('codex'), world.as('gemini')]
    const sent = async (params: ParamsOf<'message.publish'>) => (await publish(cursor, params)).messageId
    const read = await sent({ to: 'codex', text: 'read' })
    const half = await sent({ to: ['codex', 'gemini'], text: 'half' })
    const unread = await sent({ to: 'codex', text: 'unread' })
    const owed = await sent({ to: 'codex', text: 'owed', requireAck: true })
    const acked = await sent({ to: 'codex', text: 'acked', requireAck: true })
    const expired = await sent({ to: 'codex', text: 'expired', ttlMs: 1_000 })
    for (const messageId of [read, half, owed]) await ack(codex, messageId, 'read')
    await ack(codex, acked, 'acked')
    await world.advance(2_000)
    assert.is(await trim(world, world.now()), 3)
    for (const messageId of [read, acked, expired])
      await refused(cursor.call('message.get', { messageId }), 'NOT_FOUND')
    for (const messageId of [half, unread, owed]) await cursor.call('message.get', { messageId })
    const gone = world.events({ types: ['message.removed'] })
    assert.equal(
      gone.map(({ subject, data }) => [subject, data.message, (data.last as { text?: string }).text]),
      [read, acked, expired].map((id) => [id, null, undefined]),
    )
    await ack(gemini, half, 'read')
    await world.advance(1)
    assert.is(await trim(world, world.now()), 1)
  },
)

scenario(trims, 'the longest settled go first, none that was settled since, and no more than told', async (world) => {
  await all(world, 'codex', 'cursor')
  const ids = []
  for (const text of ['a', 'b', 'c']) ids.push((await publish(world.as('cursor'), { to: 'codex', text })).messageId)
  for (const messageId of [...ids].reverse()) {
    await ack(world.as('codex'), messageId, 'read')
    await world.advance(1_000)
  }
  const between = later(world, -1_000)
  assert.is(await trim(world, between, 1), 1)
  assert.equal(await inbox(world.as('codex'), 'all'), ['a', 'b'])
  assert.is(await trim(world, between), 1)
  assert.equal(await inbox(world.as('codex'), 'all'), ['a'])
  assert.is(await trim(world, between), 0)
})

trims.run()

const threads = suite('messages: threads')

scenario(threads, 'hold what was answered, whoever asks, the oldest first, a page at a time', async (world) => {
  await all(world, 'codex', 'cursor')
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const { messageId: threadId } = await publish(cursor, { to: 'codex', text: '1' })
  const { messageId: second } = await publish(codex, { to: 'cursor', text: '2', replyTo: threadId })
  await publish(cursor, { to: 'codex', text: 'elsewhere' })
  await publish(cursor, { to: 'codex', text: '3', replyTo: second })
  const observer = world.as('human', { role: 'observer' })
  const whole = await observer.call('message.thread', { threadId })
  assert.equal(
    whole.items.map(({ text }) => text),
    ['1', '2', '3'],
  )
  const first = await observer.call('message.thread', { threadId, limit: 2 })
  const rest = await observer.call('message.thread', { threadId, limit: 2, page: first.nextPage! })
  assert.equal(
    rest.items.map(({ text }) => text),
    ['3'],
  )
  await refused(observer.call('message.thread', { threadId: second }), 'NOT_FOUND')
  await refused(observer.call('message.thread', { threadId: '' }), 'NOT_FOUND')
  await refused(observer.call('message.thread', { threadId: 'x'.repeat(limits.idLength + 1) }), 'INVALID_PARAMS')
})

threads.run()

const names = suite('messages: names')

scenario(names, 'a name that nobody has is refused with those written nearly like it', async (world) => {
  await all(world, 'codex', 'codex-2', 'gemini', 'cursor')
  const cursor = world.as('cursor')
  const near = async (to: string | string[]) => (await refused(publish(cursor, { to, text: 'x' }), 'NOT_FOUND')).facts
  assert.equal(await near('codx'), { agents: ['codx'], near: { codx: ['codex'] } })
  assert.equal(await near('codex-3'), { agents: ['codex-3'], near: { 'codex-3': ['codex-2', 'codex'] } })
  assert.equal(await near('gem'), { agents: ['gem'], near: { gem: ['gemini'] } })
  assert.equal(await near(['cursor', 'claude']), { agents: ['claude'], near: { claude: [] } })
  assert.match((await refused(publish(cursor, { to: 'codx', text: 'x' }), 'NOT_FOUND')).message, /Did you mean codex\?/)
})

scenario(names, 'an admin makes an agent known beforehand, and mail waits for it', async (world) => {
  const admin = world.as('human', { role: 'admin' })
  await admin.opened
  const made = await admin.call('agent.register', { agent: 'claude', kind: 'claude', capabilities: ['review'] })
  assert.equal([made.presence, made.sessions, made.kind], ['offline', [], 'claude'])
  const sent = await publish(admin, { to: 'claude', text: 'welcome' })
  assert.equal(sent.recipients, [{ agent: 'claude', live: false }])
  await publish(admin, { capability: 'review', text: 'you can' })
  assert.equal(await inbox(world.as('claude')), ['welcome', 'you can'])
  const { lastSeenAt } = (await admin.call('agent.list', {})).items.find(({ agent }) => agent === 'claude')!
  await world.advance(5_000)
  const head = world.head()
  await admin.call('agent.register', { agent: 'claude', kind: 'claude' })
  assert.is(world.head(), head, 'nothing new is no event')
  const changed = await admin.call('agent.register', { agent: 'claude', capabilities: [] })
  assert.equal([changed.capabilities, changed.kind, changed.lastSeenAt], [[], 'claude', lastSeenAt])
})

scenario(names, 'only an admin does, and only by a name that an agent can have', async (world) => {
  await refused(world.as('codex').call('agent.register', { agent: 'other' }), 'FORBIDDEN')
  const admin = world.as('human', { role: 'admin' })
  await admin.opened
  const head = world.head()
  await refused(admin.call('agent.register', { agent: 'bridge' }), 'FORBIDDEN')
  for (const agent of ['', 'Codex', 'a b', '-a', 'x'.repeat(65), null, 1]) {
    await refused(admin.ask('agent.register', { agent }), 'INVALID_PARAMS')
  }
  const capabilities = Array.from({ length: limits.capabilities + 1 }, (_, n) => `c${n}`)
  await refused(admin.call('agent.register', { agent: 'a', capabilities }), 'INVALID_PARAMS')
  await refused(admin.call('agent.register', { agent: 'a', kind: 'x'.repeat(65) }), 'INVALID_PARAMS')
  assert.is(world.head(), head)
})

names.run()
