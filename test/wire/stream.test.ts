import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf } from '../../src/bridge/index.js'
import type { Event } from '../../src/protocol/event.js'
import { limits } from '../../src/protocol/limits.js'
import { connect, type Frame, type Message, seqOf, serve, until, type Wire } from '../socket.js'

const test = suite('the wire: the stream')
const daemon = await serve()
let wire: Wire
let names = 0

test.before.each(async () => {
  wire = await connect(daemon, { agent: `tester-${++names}` })
})
test.after.each(() => wire.close())
test.after(() => daemon.stop())

type Subscribing = ParamsOf<'event.subscribe'>

const subscribe = (params: Subscribing = {}, on = wire) => on.ask('event.subscribe', params)

/** How often a subscription was told that it has caught up, and where. */
const caughtUps = (id = 1, on = wire): string[] =>
  (on.inbox as Message[]).flatMap(({ method, params }) =>
    method === 'caughtUp' && params?.subscription === id ? params.cursor : [],
  )

const caughtUp = (id = 1, on = wire) => until(() => caughtUps(id, on).length > 0, 'it to catch up')

const headOf = async (on = wire) => (await on.ask('bridge.status')).head

/** Waits until a subscription has come as far as the log now is. */
async function reach(id = 1, on = wire, head?: string): Promise<void> {
  const goal = seqOf(head ?? (await headOf(on)))
  await until(() => seqOf(on.frames(id).at(-1)?.cursor ?? '0-0') >= goal, `subscription ${id} to reach ${goal}`)
}

/** The whole log after a cursor, by paging. */
async function readLog(after = 'earliest', on = wire): Promise<Event[]> {
  const log: Event[] = []
  for (let from = after; ; ) {
    const { events, cursor, head } = await on.ask('event.read', { after: from, limit: 1_000 })
    log.push(...(events as Event[]))
    if (cursor === head) return log
    from = cursor
  }
}

/** Each frame goes on where the one before ended; within one, cursors rise, and none is behind its end. */
function checkChain(frames: Frame[], from: string, unfiltered = true): void {
  let told = from
  for (const { prev, cursor, events } of frames) {
    assert.is(prev, told, 'prev is the cursor of the frame before')
    let last = seqOf(prev)
    for (const event of events) {
      const seq = seqOf(event.cursor)
      assert.ok(seq > last, `${event.cursor} comes behind ${last}`)
      if (unfiltered) assert.is(seq, last + 1, 'none is left out')
      last = seq
    }
    assert.ok(seqOf(cursor) >= last, 'the frame ends at or behind its last event')
    assert.ok(seqOf(cursor) > seqOf(prev), 'every frame leads on')
    if (unfiltered) assert.is(seqOf(cursor), last)
    told = cursor
  }
}

const textOf = ({ data }: Event) => (data.message as { text: string }).text

const publish = (topic: string, text = 'x', on = wire) => on.ask('message.publish', { topic, text })

test('a subscription begins at its cursor, and is told once that it has caught up', async () => {
  for (let n = 0; n < 5; n++) await publish('begin', String(n))
  const head = await headOf()
  const answer = await subscribe({ after: 'earliest' })
  assert.is(answer.subscription, 1)
  assert.is(answer.cursor, answer.earliest)
  assert.is(answer.head, head)
  await caughtUp()
  assert.equal(caughtUps(), [head])
  checkChain(wire.frames(), answer.cursor)
  assert.equal(wire.events(), await readLog())
  for (let n = 0; n < 5; n++) await publish('begin', `live ${n}`)
  await reach()
  checkChain(wire.frames(), answer.cursor)
  assert.equal(wire.events(), await readLog())
  assert.is(caughtUps().length, 1)
  const methods = (wire.inbox as Message[]).filter(({ method }) => method)
  assert.ok(methods.every((message) => !('id' in message)))
})

test('without a cursor it begins at the end', async () => {
  const head = await headOf()
  const answer = await subscribe()
  assert.is(answer.cursor, head)
  await caughtUp()
  assert.equal(wire.frames(), [])
  const { cursor } = await publish('end')
  await reach()
  assert.equal(
    wire.events().map((event) => event.cursor),
    [cursor],
  )
})

test('a replay from every earlier cursor equals the rest of the log', async () => {
  const log = await readLog()
  const { epoch } = await subscribe()
  const stride = Math.max(1, Math.floor(log.length / 200))
  for (let seq = 0; seq <= log.length; seq += stride) {
    const on = await connect(daemon, { agent: 'replayer', open: { oneShot: true } })
    const { cursor } = await subscribe({ after: `${epoch}-${seq}` }, on)
    await caughtUp(1, on)
    checkChain(on.frames(), cursor)
    assert.equal(on.events().slice(0, log.length - seq), log.slice(seq), `after ${seq}`)
    await on.close()
  }
})

test('readers who join at any moment, while others publish, miss nothing and see nothing twice', async () => {
  const publishers = await Promise.all(
    Array.from({ length: 4 }, (_, n) => connect(daemon, { agent: `publisher-${n}` })),
  )
  const readers = await Promise.all(Array.from({ length: 12 }, (_, n) => connect(daemon, { agent: `reader-${n}` })))
  const { epoch } = await subscribe()
  const began = seqOf(await headOf())
  let published = 0
  const work = publishers.map(async (publisher, n) => {
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 50 }, (_, k) => publish(`live.p${n}`, `${n} ${round * 50 + k}`, publisher)),
      )
      published += 50
    }
  })
  const joins = readers.map(async (reader, n) => {
    await until(() => published >= n * 250, 'its moment')
    const head = seqOf(await headOf(reader))
    // From the end, from the beginning, and from somewhere between.
    const after = ['latest', `${epoch}-${began}`, `${epoch}-${Math.floor((began + head) / 2)}`, 'earliest'][n % 4] ?? ''
    return (await subscribe({ after }, reader)).cursor
  })
  await Promise.all(work)
  const starts = await Promise.all(joins)
  const head = await headOf()
  const log = await readLog()
  for (const [index, reader] of readers.entries()) {
    const start = starts[index] as string
    await reach(1, reader, head)
    checkChain(reader.frames(), start)
    assert.equal(reader.events(), log.slice(seqOf(start)), `reader ${index}`)
    assert.is(caughtUps(1, reader).length, 1)
  }
  for (const [n] of publishers.entries()) {
    const own = log.filter(({ topic }) => topic === `live.p${n}`).map(textOf)
    assert.equal(
      own,
      Array.from({ length: 1_000 }, (_, k) => `${n} ${k}`),
      'in the order published',
    )
  }
  await Promise.all([...publishers, ...readers].map((each) => each.close()))
})

/** Checks that no command's events are spread over frames: what follows at once from one event is in its frame. */
function checkAtomic(frames: Frame[], commands: string[][]): void {
  const frameOf = new Map(frames.flatMap(({ events }, index) => events.map(({ cursor }) => [cursor, index] as const)))
  for (const command of commands) {
    const places = new Set(command.map((cursor) => frameOf.get(cursor)))
    assert.is(places.size, 1, `${command.join(' and ')} travel together`)
    assert.not(places.has(undefined))
  }
}

test('the events of one command travel in one frame, live and in a replay of whatever size', async () => {
  await subscribe({ after: 'latest' })
  const start = await headOf()
  const sized: number[] = []
  wire.socket.on('message', (data) => sized.push((data as Buffer).length))
  // Two events each, of sizes that do not go evenly into frames or pages.
  const commands = await Promise.all(
    Array.from({ length: 120 }, async (_, n) => {
      const description = 'd'.repeat(5_000 + ((n * 7_919) % 27_000))
      const { cursor } = await wire.ask('message.publish', { topic: 'pairs', contract: { title: `${n}`, description } })
      const [epoch, seq] = cursor.split('-')
      return [`${epoch}-${Number(seq) - 1}`, cursor]
    }),
  )
  await reach()
  checkChain(wire.frames(), start)
  checkAtomic(wire.frames(), commands)
  const { subscription } = await subscribe({ after: start })
  await reach(subscription)
  checkChain(wire.frames(subscription), start)
  checkAtomic(wire.frames(subscription), commands)
  assert.equal(wire.events(subscription), wire.events(1))
  for (const bytes of sized) assert.ok(bytes <= limits.pushBytes + 1_024, `a frame of ${bytes} bytes`)
})

test('frames stay within their limits, whatever script the texts are in', async () => {
  const start = await headOf()
  const sized: Array<{ bytes: number; events: number }> = []
  wire.socket.on('message', (data) => {
    const { method, params }: Message = JSON.parse(data.toString())
    if (method === 'events') sized.push({ bytes: (data as Buffer).length, events: params?.events.length ?? 0 })
  })
  await subscribe()
  await Promise.all(Array.from({ length: 300 }, () => publish('small')))
  // Three bytes a character.
  await Promise.all(Array.from({ length: 12 }, () => publish('large', '語'.repeat(60_000))))
  // Larger than a frame by itself.
  await publish('huge', '語'.repeat(limits.textLength))
  await reach()
  await subscribe({ after: start })
  await reach(2)
  for (const id of [1, 2]) checkChain(wire.frames(id), start)
  assert.equal(wire.events(2), wire.events(1))
  assert.ok(
    sized.some(({ events }) => events > 1),
    'some frames hold several',
  )
  for (const { bytes, events } of sized) {
    assert.ok(events <= limits.pushEvents)
    assert.ok(events === 1 || bytes <= limits.pushBytes + 1_024, `${events} events in a frame of ${bytes} bytes`)
  }
})

test('a command with more events than a frame may hold is told in several, live and in a replay', async () => {
  const hoarder = await connect(daemon, { agent: 'hoarder' })
  for (let n = 0; n < limits.agentResources; n += 1) {
    hoarder.send({
      jsonrpc: '2.0',
      method: 'lock.acquire',
      params: { resources: [{ resource: `port:${n}` }] },
    })
  }
  await hoarder.ask('bridge.status')
  await subscribe()
  await caughtUp()
  const start = await headOf()
  await hoarder.ask('session.close')
  await reach()
  await subscribe({ after: start })
  await reach(2)
  const log = await readLog(start)
  assert.ok(log.length > limits.pushEvents, `${log.length} events of one command`)
  for (const id of [1, 2]) {
    checkChain(wire.frames(id), start)
    assert.equal(wire.events(id), log)
    for (const { events } of wire.frames(id)) assert.ok(events.length <= limits.pushEvents)
  }
})

test('filters: types, topics, a contract, and any of several', async () => {
  const start = await headOf()
  const { id: contractId } = await wire.ask('contract.create', { title: 'mine' })
  await wire.ask('contract.create', { title: 'another' })
  for (const topic of ['tasks', 'tasks.api', 'tasks.api.v1', 'tasksx', 'other.api']) await publish(topic)
  await wire.ask('contract.accept', { contractId })
  await wire.ask('contract.start', { contractId, attempt: 1 })
  const log = await readLog(start)
  const seen = (filter: Subscribing, passes: (event: Event) => boolean) => ({ filter, passes })
  const topicIs =
    (...topics: string[]) =>
    ({ topic }: Event) =>
      topics.includes(topic ?? '')
  for (const { filter, passes } of [
    seen({ types: ['contract.*'] }, ({ type }) => type.startsWith('contract.')),
    seen({ types: ['contract.created', 'message.*'] }, ({ type }) => /^(contract.created|message\..*)$/.test(type)),
    seen({ types: ['*'] }, () => true),
    seen({ types: ['contract.rejected'] }, () => false),
    seen({ topics: ['tasks.>'] }, topicIs('tasks.api', 'tasks.api.v1')),
    seen({ topics: ['tasks.*'] }, topicIs('tasks.api')),
    seen({ topics: ['*.api'] }, topicIs('tasks.api', 'other.api')),
    seen({ topics: ['tasks'] }, topicIs('tasks')),
    seen({ topics: ['>'] }, ({ topic }) => topic !== undefined),
    seen({ contractId }, (event) => event.contractId === contractId),
    seen({ contractId, types: ['contract.started'] }, ({ type }) => type === 'contract.started'),
    seen({ contractId, topics: ['tasks'] }, () => false),
    seen(
      { filters: [{ contractId }, { topics: ['tasks'] }] },
      (event) => event.contractId === contractId || event.topic === 'tasks',
    ),
    seen({ topics: ['tasks'], filters: [{ topics: ['tasksx'] }] }, topicIs('tasks', 'tasksx')),
    seen({ filters: [{}] }, () => true),
  ]) {
    const { subscription } = await subscribe({ after: start, ...filter })
    await caughtUp(subscription)
    assert.equal(wire.events(subscription), log.filter(passes), JSON.stringify(filter))
    checkChain(wire.frames(subscription), start, false)
    const last = wire.frames(subscription).at(-1)
    assert.is(last?.cursor, log.at(-1)?.cursor, 'it is told how far the log has come')
    await wire.ask('event.unsubscribe', { subscription })
    if (filter.filters) continue
    const read = await wire.ask('event.read', { after: start, limit: 1_000, ...filter })
    assert.equal(read.events, log.filter(passes), `read ${JSON.stringify(filter)}`)
  }
})

test('mine: what is addressed to, owned by, assigned to, created by or held by the caller', async () => {
  const me = await connect(daemon, { agent: 'me' })
  const other = await connect(daemon, { agent: 'other' })
  await subscribe({ mine: true }, me)
  await caughtUp(1, me)
  const start = await headOf()
  const toMe = await other.ask('message.publish', { to: 'me', text: 'hello' })
  await other.ask('message.publish', { to: 'other', text: 'to myself' })
  await publish('topic')
  const assigned = await other.ask('contract.create', { title: 'for me', assignee: 'me' })
  const foreign = await other.ask('contract.create', { title: 'for anyone' })
  const created = await me.ask('contract.create', { title: 'by me' })
  await other.ask('contract.accept', { contractId: created.id })
  await me.ask('contract.accept', { contractId: foreign.id })
  const lock = await me.ask('lock.acquire', { resources: [{ resource: 'db:me' }] })
  const theirs = await other.ask('lock.acquire', { resources: [{ resource: 'db:other' }] })
  await reach(1, me)
  const log = await readLog(start)
  const mine = new Set([toMe.messageId, assigned.id, created.id, lock.lockId])
  const expected = log.filter(
    ({ subject, type }) => mine.has(subject) || (subject === foreign.id && type === 'contract.accepted'),
  )
  assert.equal(me.events(), expected)
  assert.not(me.events().some(({ subject }) => subject === theirs.lockId))
  await me.close()
  await other.close()
})

test('a reader whose filter lets nothing pass is told how far the log has come: after so many events', async () => {
  await subscribe({ types: ['contract.rejected'] })
  await caughtUp()
  const start = await headOf()
  await Promise.all(Array.from({ length: 4_000 }, () => publish('noise')))
  await reach()
  const frames = wire.frames()
  checkChain(frames, start, false)
  for (const { prev, cursor, events } of frames) {
    assert.equal(events, [])
    const behind = seqOf(cursor) - seqOf(prev)
    // A batch is told of whole, so it is behind by one at most.
    assert.ok(behind < limits.bookmarkEvents + limits.batchCommands, `${behind} events without a word`)
  }
  assert.ok(frames.length >= 3)
})

test('and, when there are few, after a while', async () => {
  const { subscription } = await subscribe({ types: ['contract.rejected'] })
  await caughtUp(subscription)
  const { cursor } = await publish('noise')
  await until(() => wire.frames(subscription).length > 0, 'a bookmark, with nothing else going on')
  assert.equal(
    wire.frames(subscription).map((frame) => [frame.cursor, frame.events]),
    [[cursor, []]],
  )
})

test('a cursor that cannot be continued is refused with the bounds of the log', async () => {
  const { epoch, earliest, head } = await subscribe()
  const facts = { epoch, earliest, head }
  for (const [after, reason] of [
    [`${epoch}-${seqOf(head) + 1}`, 'CURSOR_AHEAD'],
    [`${epoch}-9007199254740991`, 'CURSOR_AHEAD'],
    [`0${epoch}-1`, 'EPOCH_CHANGED'],
    ['another-1', 'EPOCH_CHANGED'],
  ] as const) {
    for (const method of ['event.subscribe', 'event.read'] as const) {
      const { error } = await wire.call(method, { after })
      assert.equal(error?.data, { reason, ...facts }, `${method} ${after}`)
    }
  }
  const malformed = [
    '',
    'x',
    `${epoch}`,
    `${epoch}-`,
    `${epoch}--1`,
    `-1`,
    `${epoch}-1-1`,
    `${epoch}-1.5`,
    `${epoch}-x`,
  ]
  malformed.push(`${epoch}-1 `, ` ${epoch}-1`, `${epoch}-99999999999999999`, `${epoch}-9999999999999999`, 'Latest')
  malformed.push(`${epoch.toUpperCase()}x-1`, `${'e'.repeat(17)}-1`, `${epoch}-٣`, '__proto__', `${epoch}-1\n`)
  for (const after of malformed) {
    assert.is(await wire.refused('event.subscribe', { after }), 'INVALID_PARAMS', after)
    assert.is(await wire.refused('event.read', { after }), 'INVALID_PARAMS', after)
  }
  const { subscription } = await subscribe()
  assert.is(subscription, 2, 'what was refused has no number')
})

test('after event.unsubscribe nothing more comes, and others go on', async () => {
  await subscribe({ after: 'earliest' })
  await subscribe({ after: 'earliest' })
  await wire.ask('event.unsubscribe', { subscription: 1 })
  const before = wire.frames(1).length
  const { cursor } = await publish('after')
  await reach(2, wire, cursor)
  assert.is(wire.frames(1).length, before)
  assert.is(await wire.refused('event.unsubscribe', { subscription: 1 }), 'NOT_FOUND')
})

test('a socket has many subscriptions, each with its own place and number, but not more than the limit', async () => {
  const start = await headOf()
  const ids: number[] = []
  for (let n = 0; n < limits.subscriptions; n++) {
    ids.push((await subscribe(n % 2 === 0 ? { after: start } : { after: start, topics: [`many.${n}`] })).subscription)
  }
  assert.equal(
    ids,
    ids.map((_, n) => n + 1),
  )
  assert.is(await wire.refused('event.subscribe', {}), 'OVERLOADED')
  for (let n = 0; n < limits.subscriptions; n++) await publish(`many.${n}`, String(n))
  const log = await readLog(start)
  for (const [n, id] of ids.entries()) {
    await reach(id)
    checkChain(wire.frames(id), start, n % 2 === 0)
    assert.equal(wire.events(id), n % 2 === 0 ? log : log.filter(({ topic }) => topic === `many.${n}`))
  }
  await wire.ask('event.unsubscribe', { subscription: 7 })
  assert.is((await subscribe()).subscription, limits.subscriptions + 1, 'a number is not given twice')
})

test('event.read pages through the log, and waits at its end when told to', async () => {
  const log = await readLog()
  const pages: Event[] = []
  for (let from = 'earliest'; ; ) {
    const { events, cursor, head } = await wire.ask('event.read', { after: from, limit: 7 })
    pages.push(...(events as Event[]))
    if (cursor === head) break
    from = cursor
  }
  assert.equal(pages, log)
  const head = await headOf()
  const empty = await wire.ask('event.read', { after: head, waitMs: 1 })
  assert.equal(empty, { events: [], cursor: head, head })
  const other = await connect(daemon, { agent: 'other' })
  for (const after of [await headOf(), 'latest']) {
    const waiting = other.ask('event.read', { after, topics: ['awaited'], waitMs: 50_000 })
    await other.ask('bridge.status')
    await publish('not.this')
    const { cursor } = await publish('awaited')
    const { events } = await waiting
    assert.equal(
      events.map((event) => event.cursor),
      [cursor],
      after,
    )
  }
  await other.close()
})

test.run()
