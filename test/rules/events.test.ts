import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

type Filter = Omit<ParamsOf<'event.read'>, 'after' | 'limit' | 'waitMs'>

const at = (world: World, seq: number) => `${world.engine.bounds().epoch}-${seq}`

/** Types, or topics, of the events that pass. */
async function read(actor: Actor, filter: Filter, after = 'earliest'): Promise<string[]> {
  const { events } = await actor.call('event.read', { after, ...filter, limit: 1_000 })
  return events.map(({ type, topic }) => topic ?? type)
}

const setMeta = (name: string, value: string) => (file: string) => {
  const db = new Database(file)
  db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(name, value)
  db.close()
}

const cursors = suite('events: cursors')

scenario(cursors, 'are exclusive; `cursor` equal to `head` is the end', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  const { events, cursor, head } = await codex.call('event.read', { after: 'earliest' })
  assert.equal(
    events.map(({ type }) => type),
    ['bridge.started', 'agent.registered', 'agent.connected'],
  )
  assert.equal([cursor, head], [at(world, 3), at(world, 3)])
  assert.equal((await codex.call('event.read', { after: at(world, 1) })).events, events.slice(1))
  assert.equal(await codex.call('event.read', { after: 'latest' }), { events: [], cursor, head })
  assert.equal(await codex.call('event.read', { after: cursor }), { events: [], cursor, head })
})

scenario(cursors, 'pages look at so many events, whether or not they pass', async (world) => {
  const codex = world.as('codex')
  for (let n = 0; n < 5; n++) await codex.call('agent.update', { note: `${n}` })
  let after = 'earliest'
  const found: unknown[] = []
  for (let pages = 0; ; pages++) {
    assert.ok(pages < 10)
    const page = await codex.call('event.read', { after, types: ['agent.updated'], limit: 2 })
    found.push(...page.events.map(({ data }) => (data.agent as { note: string }).note))
    after = page.cursor
    if (page.cursor === page.head) break
  }
  assert.equal(found, ['0', '1', '2', '3', '4'])
})

scenario(cursors, 'a page never ends within a command, unless the command is longer', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  await codex.call('message.publish', { to: 'codex', contract: { title: 'a' } })
  const page = await codex.call('event.read', { after: at(world, 1), limit: 3 })
  assert.equal(
    page.events.map(({ type }) => type),
    ['agent.registered', 'agent.connected'],
  )
  const one = await codex.call('event.read', { after: at(world, 3), limit: 1 })
  assert.equal(
    one.events.map(({ type }) => type),
    ['contract.created'],
  )
})

scenario(cursors, 'ahead of the log, of another epoch, or no cursor: refused, with the bounds', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  const bounds = { epoch: world.engine.bounds().epoch, earliest: at(world, 0), head: at(world, 3) }
  const tries = (after: string) => [
    codex.call('event.read', { after }),
    codex.call('event.subscribe', { after }),
    codex.call('event.read', { after, waitMs: 1_000 }),
  ]
  for (const call of tries(at(world, 4))) assert.equal((await refused(call, 'CURSOR_AHEAD')).facts, bounds)
  for (const call of tries('other-1')) assert.equal((await refused(call, 'EPOCH_CHANGED')).facts, bounds)
  for (const after of ['', 'first', 'e', `${bounds.epoch}-`, `${bounds.epoch}-x`, `E-1`, `${bounds.epoch}-1-1`]) {
    for (const call of tries(after)) await refused(call, 'INVALID_PARAMS')
  }
})

scenario(
  cursors,
  'before what is kept: CURSOR_EXPIRED, and `earliest` begins with what is there',
  async (world) => {
    const cursor = world.as('cursor')
    const { id: contractId } = await cursor.call('contract.create', { title: 'a task' })
    for (let n = 0; n < 5; n++) await cursor.call('contract.update', { contractId, note: `${n}` })
    await world.restart({
      between(file) {
        const db = new Database(file)
        db.exec('DELETE FROM events WHERE seq <= 6')
        db.close()
        setMeta('earliest', '6')(file)
      },
    })
    const codex = world.as('codex')
    await codex.opened
    for (const seq of [0, 5]) {
      const facts = { epoch: world.engine.bounds().epoch, earliest: at(world, 6), head: at(world, world.head()) }
      const refusal = await refused(codex.call('event.read', { after: at(world, seq) }), 'CURSOR_EXPIRED')
      assert.equal(refusal.facts, facts)
      await refused(codex.call('event.subscribe', { after: at(world, seq) }), 'CURSOR_EXPIRED')
    }
    const { events } = await codex.call('event.read', { after: 'earliest' })
    assert.is(events[0]?.cursor, at(world, 7))
    assert.equal((await codex.call('event.read', { after: at(world, 6) })).events, events)
    const history = await codex.call('contract.history', { contractId })
    assert.equal([history.truncatedBefore, history.items.length], [at(world, 6), 3])
    assert.is((await codex.opened).earliest, at(world, 6))
  },
  { checked: false },
)

scenario(
  cursors,
  'a restored database: a new epoch above any seq seen; sessions, locks and attempts of the old one are over',
  async (world) => {
    const [cursor, codex] = [world.as('cursor'), world.as('codex')]
    const { id: contractId } = await cursor.call('contract.create', { title: 'a', resources: [{ resource: 'file:a' }] })
    await codex.call('contract.accept', { contractId })
    await codex.call('contract.start', { contractId, attempt: 1 })
    await world.as('human', { session: false }).call('lock.acquire', { resources: [{ resource: 'file:b' }] })
    // Without a session only its lock says that an attempt is of the former history.
    const visitor = world.as('visitor', { session: false })
    const other = await cursor.call('contract.create', { title: 'b', resources: [{ resource: 'port:1' }] })
    await visitor.call('contract.accept', { contractId: other.id })
    await visitor.call('contract.start', { contractId: other.id, attempt: 1 })
    const { session, resumeKey } = await codex.opened
    const former = { ...world.engine.bounds() }
    // The file comes from elsewhere: its epoch is not the one last seen beside it.
    await world.restart({ between: setMeta('epoch', 'elsewhere') })
    const { epoch, earliest, head } = world.engine.bounds()
    assert.not.ok([former.epoch, 'elsewhere'].includes(epoch))
    assert.ok(earliest >= former.head && head > earliest)
    const back = world.connect('codex', { resume: { session, resumeKey: resumeKey! } })
    assert.is((await back.opened).resumed, false)
    await refused(back.call('event.read', { after: `${former.epoch}-1` }), 'EPOCH_CHANGED')
    const left = (await back.call('lock.list', {})).items
    assert.equal(
      left.map(({ state }) => state),
      ['cooling', 'cooling'],
    )
    assert.is((await back.call('contract.get', { contractId })).status, 'submitted')
    const { status, error } = await back.call('contract.get', { contractId: other.id })
    assert.equal([status, error?.reason], ['submitted', 'LOCK_LOST'])
  },
  { checked: false },
)

cursors.run()

const filters = suite('events: filters')

/** Contracts and messages of cursor, codex and gemini. */
async function given(world: World): Promise<string> {
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  await Promise.all([cursor.opened, codex.opened])
  await world.as('gemini').opened
  const { id } = await cursor.call('contract.create', {
    title: 'a',
    assignee: 'codex',
    resources: [{ resource: 'p:1' }],
  })
  await codex.call('contract.accept', { contractId: id })
  await codex.call('contract.start', { contractId: id, attempt: 1 })
  for (const topic of ['tasks', 'tasks.api', 'tasks.api.v2', 'builds.api']) {
    await cursor.call('message.publish', { topic, text: 'x' })
  }
  await codex.call('message.publish', { to: 'gemini', text: 'y', contractId: id })
  return id
}

scenario(filters, 'by types: one, all of a noun, all', async (world) => {
  await given(world)
  const codex = world.as('codex')
  assert.equal(await read(codex, { types: ['contract.accepted'] }), ['contract.accepted'])
  const contracts = ['contract.created', 'contract.accepted', 'contract.started']
  assert.equal(await read(codex, { types: ['contract.*'] }), contracts)
  assert.equal(await read(codex, { types: ['lock.acquired', 'contract.started'] }), [
    'lock.acquired',
    'contract.started',
  ])
  assert.is((await read(codex, { types: ['*'] })).length, world.head())
  for (const type of ['unknown.*', 'contract.complete']) {
    const refusal = await refused(codex.call('event.read', { after: 'earliest', types: [type] }), 'INVALID_PARAMS')
    assert.equal(refusal.facts.unknown, [type])
  }
  await refused(codex.call('event.read', { after: 'earliest', types: ['contract'] }), 'INVALID_PARAMS')
  await refused(codex.call('event.read', { after: 'earliest', types: [] }), 'INVALID_PARAMS')
})

scenario(filters, 'by topics, as NATS has them', async (world) => {
  await given(world)
  const codex = world.as('codex')
  const cases: Array<[string[], string[]]> = [
    [['tasks'], ['tasks']],
    [['tasks.>'], ['tasks.api', 'tasks.api.v2']],
    [['tasks.*'], ['tasks.api']],
    [['*.api'], ['tasks.api', 'builds.api']],
    [['*.*.*'], ['tasks.api.v2']],
    [['>'], ['tasks', 'tasks.api', 'tasks.api.v2', 'builds.api']],
    [['*'], ['tasks']],
    [['tasks.*.>'], ['tasks.api.v2']],
    [
      ['tasks', 'builds.>'],
      ['tasks', 'builds.api'],
    ],
  ]
  for (const [topics, expected] of cases) assert.equal(await read(codex, { topics }), expected, topics.join())
  for (const topic of ['', 'a..b', '>.a', 'a.>.b', 'a b']) {
    await refused(codex.call('event.read', { after: 'earliest', topics: [topic] }), 'INVALID_PARAMS')
  }
})

scenario(filters, 'by contract: its own events, its locks and what is said about it', async (world) => {
  const contractId = await given(world)
  const expected = ['contract.created', 'contract.accepted', 'lock.acquired', 'contract.started', 'message.published']
  assert.equal(await read(world.as('codex'), { contractId }), expected)
  assert.equal(await read(world.as('codex'), { contractId: 'ctr_other' }), [])
})

scenario(filters, 'mine: addressed to, owned, assigned, created or held by the caller', async (world) => {
  await given(world)
  const works = ['contract.created', 'contract.accepted', 'contract.started']
  const own = ['agent.registered', 'agent.connected']
  assert.equal(await read(world.as('cursor'), { mine: true }), [...own, ...works])
  assert.equal((await read(world.as('codex'), { mine: true })).sort(), [...own, ...works, 'lock.acquired'].sort())
  assert.equal(await read(world.as('gemini'), { mine: true }), [...own, 'message.published'])
})

scenario(filters, 'a name is not found within another', async (world) => {
  await Promise.all([world.as('code').opened, world.as('codex').opened])
  await world.as('codex').call('agent.update', { note: 'x' })
  assert.equal(await read(world.as('code'), { mine: true, types: ['agent.updated'] }), [])
})

scenario(filters, 'all terms of one have to be met, and any of several filters', async (world) => {
  const contractId = await given(world)
  const codex = world.as('codex')
  assert.equal(await read(codex, { contractId, types: ['lock.*'] }), ['lock.acquired'])
  assert.equal(await read(codex, { contractId, topics: ['>'] }), [])
  const { subscription } = await codex.call('event.subscribe', {
    after: 'earliest',
    topics: ['tasks.api'],
    filters: [{ types: ['contract.started'] }, { contractId, types: ['lock.*'] }],
  })
  await world.idle()
  const passed = codex.frames.flatMap(({ params }) =>
    params.subscription === subscription ? (params.events ?? []) : [],
  )
  assert.equal(
    passed.map(({ type, topic }) => topic ?? type),
    ['lock.acquired', 'contract.started', 'tasks.api'],
  )
})

filters.run()

const waits = suite('events: read waits')

scenario(waits, 'at the end of the log, for an event that passes', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  const call = codex.call('event.read', { after: 'latest', topics: ['a'], waitMs: 50_000 })
  await world.as('cursor').call('message.publish', { topic: 'b', text: 'x' })
  await world.idle()
  assert.not.ok(call.answered())
  await world.as('cursor').call('message.publish', { topic: 'a', text: 'x' })
  const { events, cursor, head } = await call
  assert.equal([events.map(({ topic }) => topic), cursor], [['a'], head])
})

scenario(waits, 'in vain: an empty page; and not at all before the end', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  const call = codex.call('event.read', { after: 'latest', waitMs: 1_000 })
  await world.advance(1_001)
  assert.equal((await call).events, [])
  const early = await codex.call('event.read', { after: 'earliest', types: ['lock.*'], limit: 1, waitMs: 50_000 })
  assert.equal([early.events, early.cursor], [[], at(world, 1)])
})

waits.run()

const follows = suite('events: subscriptions')

const framesOf = (actor: Actor, subscription: number) =>
  actor.frames.filter(({ params }) => params.subscription === subscription)

scenario(
  follows,
  'replay, one caughtUp, then live: ordered, unique, each frame where the last ended',
  async (world) => {
    const codex = world.as('codex')
    const cursor = world.as('cursor')
    for (let n = 0; n < 30; n++) await cursor.call('agent.update', { note: `${n}` })
    const { subscription, cursor: begin, head } = await codex.call('event.subscribe', { after: at(world, 2) })
    assert.equal([subscription, begin, head], [1, at(world, 2), at(world, world.head())])
    const busy = Array.from({ length: 20 }, (_, n) => cursor.call('agent.update', { note: `live ${n}` }))
    await Promise.all(busy)
    await world.advance(limits.bookmarkMs)
    const frames = framesOf(codex, subscription)
    assert.is(frames.filter(({ method }) => method === 'caughtUp').length, 1)
    let told = begin
    const seen: string[] = []
    for (const { method, params } of frames) {
      if (method !== 'events') continue
      assert.is(params.prev, told)
      told = params.cursor
      seen.push(...params.events!.map((event) => event.cursor))
    }
    assert.equal(
      seen,
      Array.from({ length: world.head() - 2 }, (_, n) => at(world, n + 3)),
    )
    assert.is(told, at(world, world.head()))
  },
)

scenario(follows, 'the events of one command travel in one frame, live and replayed', async (world) => {
  const [codex, cursor] = [world.as('codex'), world.as('cursor')]
  await codex.opened
  await codex.call('event.subscribe', { types: ['contract.*', 'message.*'] })
  // Two of them fit into a frame, and the beginning of a third would.
  const contract = { title: 'a task', description: 'x'.repeat(30_000) }
  const params = { to: 'codex', text: 'x'.repeat(60_000), contract }
  await Promise.all([1, 2, 3].map(() => cursor.call('message.publish', params)))
  await codex.call('event.subscribe', { after: 'earliest', types: ['contract.*', 'message.*'] })
  await world.idle()
  for (const subscription of [1, 2]) {
    const events = framesOf(codex, subscription).flatMap(({ params }) => (params.events?.length ? [params.events] : []))
    assert.is(events.flat().length, 6)
    assert.is(events.length, 2)
    for (const frame of events) {
      const types = frame.map(({ type }) => type)
      assert.equal([types[0], types.at(-1)], ['contract.created', 'message.published'])
    }
  }
})

scenario(
  follows,
  'one that nothing passes to has a bookmark within a second, and within 1,000 events',
  async (world) => {
    const [codex, cursor] = [world.as('codex'), world.as('cursor')]
    await Promise.all([codex.opened, cursor.opened])
    await codex.call('event.subscribe', { topics: ['nothing'] })
    await world.idle()
    const before = codex.frames.length
    await cursor.call('agent.update', { note: 'x' })
    assert.is(codex.frames.length, before)
    await world.advance(limits.bookmarkMs)
    const bookmark = codex.frames.at(-1)
    assert.equal([bookmark?.params.events, bookmark?.params.cursor], [[], at(world, world.head())])
    await Promise.all(Array.from({ length: 1_001 }, (_, n) => cursor.call('agent.update', { note: `${n}` })))
    assert.equal(codex.frames.at(-1)?.params.events, [])
    assert.ok(codex.frames.length > before + 1)
  },
)

scenario(follows, 'a replay in which nothing passes is bookmarked too, up to where it goes live', async (world) => {
  const [codex, cursor] = [world.as('codex'), world.as('cursor')]
  await Promise.all([codex.opened, cursor.opened])
  await Promise.all(Array.from({ length: 2_100 }, (_, n) => cursor.call('agent.update', { note: `${n}` })))
  await codex.call('event.subscribe', { after: 'earliest', topics: ['nothing'] })
  await world.idle()
  const frames = framesOf(codex, 1)
  assert.equal([frames.at(-1)?.method, frames.at(-1)?.params.cursor], ['caughtUp', at(world, world.head())])
  const told = frames.slice(0, -1).map(({ params }) => Number(params.cursor.split('-')[1]))
  assert.is(told.at(-1), world.head(), 'the last bookmark is where it goes live')
  assert.ok(
    told.every((seq, n) => seq - (told[n - 1] ?? 0) <= limits.bookmarkEvents + 1),
    `${told}`,
  )
})

scenario(follows, 'a slow reader is not pushed to, and is served from the log when it has drained', async (world) => {
  const [codex, cursor] = [world.as('codex'), world.as('cursor')]
  await Promise.all([codex.opened, cursor.opened])
  const { cursor: begin } = await codex.call('event.subscribe', { types: ['agent.updated'] })
  await world.idle()
  codex.drains(false)
  const before = codex.frames.length
  for (let n = 0; n < 10; n++) await cursor.call('agent.update', { note: `${n}` })
  await world.advance(limits.bookmarkMs * 3)
  assert.is(codex.frames.length, before)
  codex.drains(true)
  await world.idle()
  await cursor.call('agent.update', { note: 'live again' })
  const frames = codex.frames.slice(before).filter(({ method }) => method === 'events')
  assert.is(frames[0]?.params.prev, begin)
  const notes = frames.flatMap(({ params }) => params.events!).map(({ data }) => (data.agent as { note: string }).note)
  assert.equal(notes, [...Array.from({ length: 10 }, (_, n) => `${n}`), 'live again'])
  assert.is(codex.frames.filter(({ method }) => method === 'caughtUp').length, 1)
})

scenario(follows, 'unsubscribed: nothing more; unknown: NOT_FOUND; at most 64 a socket', async (world) => {
  const codex = world.as('codex')
  for (let n = 1; n <= limits.subscriptions; n++) {
    assert.is((await codex.call('event.subscribe', {})).subscription, n)
  }
  await refused(codex.call('event.subscribe', {}), 'OVERLOADED')
  await world.idle()
  for (let n = 1; n < limits.subscriptions; n++) await codex.call('event.unsubscribe', { subscription: n })
  await refused(codex.call('event.unsubscribe', { subscription: 1 }), 'NOT_FOUND')
  const before = codex.frames.length
  await codex.call('agent.update', { note: 'x' })
  await world.idle()
  assert.equal(
    codex.frames.slice(before).map(({ params }) => params.subscription),
    [limits.subscriptions],
  )
  assert.is((await codex.call('bridge.status', {})).subscriptions, 1)
})

scenario(follows, 'it begins in the same place whoever else is writing', async (world) => {
  const [codex, cursor] = [world.as('codex'), world.as('cursor')]
  await Promise.all([codex.opened, cursor.opened])
  const writing: Array<Promise<unknown>> = []
  const subscribed = []
  for (let n = 0; n < 40; n++) {
    writing.push(cursor.call('agent.update', { note: `${n}` }))
    if (n % 10 === 5) subscribed.push(codex.call('event.subscribe', {}))
    if (n % 3 === 0) await new Promise(setImmediate)
  }
  await Promise.all(writing)
  await world.idle()
  for (const { subscription, cursor: begin } of await Promise.all(subscribed)) {
    const seen = framesOf(codex, subscription).flatMap(({ params }) => params.events ?? [])
    const from = Number(begin.split('-')[1])
    assert.equal(
      seen.map((event) => event.cursor),
      Array.from({ length: world.head() - from }, (_, n) => at(world, from + 1 + n)),
    )
  }
})

follows.run()
