import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { between, toInstant } from '../../src/protocol/time.js'
import { refused, scenario, type World } from '../world.js'
import { checkSecrets } from './agree.js'

const agents = async (world: World) => (await world.as('watcher').call('agent.list', {})).items

const opens = suite('sessions: open')

scenario(opens, 'a newcomer is registered and connected, and told where the log ends', async (world) => {
  const opened = await world.as('codex', { capabilities: ['rust'] }).opened
  assert.equal(world.types(1), ['agent.registered', 'agent.connected'])
  const { epoch } = world.engine.bounds()
  assert.equal(
    [opened.agent, opened.role, opened.workspace, opened.resumed, opened.cursor, opened.earliest],
    ['codex', 'agent', 'default', false, `${epoch}-${world.head()}`, `${epoch}-0`],
  )
  assert.is(opened.limits.frameBytes, limits.frameBytes)
  const [codex] = await agents(world)
  assert.equal([codex?.presence, codex?.capabilities], ['idle', ['rust']])
})

scenario(
  opens,
  'nothing is served without one, a second is refused, and it takes no idempotency key',
  async (world) => {
    const nobody = world.connect('bridge')
    await refused(nobody.opened, 'FORBIDDEN')
    await refused(nobody.pipeline('agent.list', {}), 'UNAUTHENTICATED')
    const codex = world.as('codex')
    await codex.opened
    await refused(codex.ask('session.open', { agent: 'codex' }), 'INVALID_REQUEST')
    await refused(codex.ask('session.close', { idempotencyKey: 'k' }), 'INVALID_PARAMS')
    assert.equal(await codex.call('session.close', {}), {})
    assert.is(codex.closedWith(), 1000)
  },
)

scenario(opens, 'calls sent behind it are served when it is open', async (world) => {
  const codex = world.connect('codex')
  const listed = codex.pipeline('agent.list', {})
  const created = codex.pipeline('contract.create', { title: 'a task' })
  await Promise.all([listed, created])
})

scenario(opens, 'names: reserved and malformed ones are refused', async (world) => {
  await refused(world.connect('bridge').opened, 'FORBIDDEN')
  for (const name of ['', 'Codex', '-a', 'a b', 'é', 'x'.repeat(65), '__proto__']) {
    await refused(world.connect(name).opened, 'INVALID_PARAMS')
  }
  await world.connect('x'.repeat(64)).opened
})

scenario(opens, 'resumed with its key: the same session, the same key, and the grace is over', async (world) => {
  const first = await world.as('codex', { graceMs: 5_000 }).opened
  await world.as('codex', { graceMs: 5_000 }).drop()
  const [away] = await agents(world)
  assert.is(away?.presence, 'offline')
  const resume = { session: first.session, resumeKey: first.resumeKey! }
  const second = await world.connect('codex', { resume }).opened
  assert.equal([second.resumed, second.session, second.resumeKey], [true, first.session, first.resumeKey])
  await world.advance(60_000)
  const [back] = await agents(world)
  assert.equal([back?.presence, world.events({ types: ['agent.lost'] }).length], ['idle', 0])
})

scenario(opens, 'a wrong key, another agent, an ended session: a new one', async (world) => {
  const { session, resumeKey } = await world.as('codex').opened
  const others = [
    world.connect('codex', { resume: { session, resumeKey: `${resumeKey}x` } }),
    world.connect('codex', { resume: { session: 'ses_none', resumeKey: resumeKey! } }),
    world.connect('gemini', { resume: { session, resumeKey: resumeKey! } }),
  ]
  for (const { opened } of others) {
    const other = await opened
    assert.is(other.resumed, false)
    assert.is.not(other.session, session)
    assert.is.not(other.resumeKey, resumeKey)
  }
  assert.is(world.as('codex').closedWith(), undefined)
  await world.as('codex').call('session.close', {})
  const ended = await world.connect('codex', { resume: { session, resumeKey: resumeKey! } }).opened
  assert.is(ended.resumed, false)
})

scenario(
  opens,
  'resumed while its socket is open: the newer takes over, the older is closed with 4409',
  async (world) => {
    const former = world.as('codex')
    const { session, resumeKey } = await former.opened
    const { lockId, token } = await former.call('lock.acquire', { resources: [{ resource: 'file:a' }] })
    const newer = world.connect('codex', { resume: { session, resumeKey: resumeKey! } })
    assert.is((await newer.opened).resumed, true)
    assert.is(former.closedWith(), 4409)
    // The older socket's end is not the session's.
    await former.drop()
    await world.advance(limits.graceMs * 2)
    assert.is(world.events({ types: ['agent.disconnected', 'agent.lost'] }).length, 0)
    await newer.call('lock.release', { lockId, token: token! })
  },
)

scenario(opens, 'over a restart too: every session is in its grace, of at least 30 seconds', async (world) => {
  const { session, resumeKey } = await world.as('codex', { graceMs: 0 }).opened
  await world.as('gemini', { graceMs: 100_000 }).opened
  await world.restart({ awayMs: 3_600_000 })
  const events = world.events({ types: ['agent.disconnected'] })
  assert.equal(
    events.map(({ subject, data }) => [subject, data.reason]),
    [
      ['codex', 'restarted'],
      ['gemini', 'restarted'],
    ],
  )
  await world.advance(limits.rebaseMs - 1)
  assert.is((await world.connect('codex', { resume: { session, resumeKey: resumeKey! } }).opened).resumed, true)
  await world.advance(70_000)
  assert.is(world.events({ types: ['agent.lost'] }).length, 0)
  await world.advance(10)
  assert.equal(
    world.events({ types: ['agent.lost'] }).map(({ subject }) => subject),
    ['gemini'],
  )
})

scenario(opens, 'a one-shot caller is known, and nothing hangs on it', async (world) => {
  const human = world.as('human', { session: false })
  const opened = await human.opened
  assert.equal([opened.resumed, opened.resumeKey], [false, undefined])
  assert.equal(world.types(1), ['agent.registered'])
  await human.drop()
  await world.connect('human', { session: false }).opened
  assert.equal(world.types(1), ['agent.registered'])
})

scenario(opens, 'an agent has at most 32 sessions, and resuming needs no room', async (world) => {
  const { session, resumeKey } = await world.connect('codex').opened
  for (let n = 1; n < limits.agentSessions; n++) await world.connect('codex').opened
  await refused(world.connect('codex').opened, 'OVERLOADED')
  await world.connect('codex', { resume: { session, resumeKey: resumeKey! } }).opened
  assert.is((await world.connect('codex', { session: false }).opened).agent, 'codex')
})

scenario(opens, 'no resume key, and no hash of one, is in any event', async (world) => {
  const keys = []
  for (const name of ['codex', 'gemini']) keys.push((await world.as(name).opened).resumeKey!)
  await world.as('codex').drop()
  await world.restart()
  assert.ok(world.log().some(({ private: hidden }) => hidden !== null))
  checkSecrets(world, keys)
})

opens.run()

const lives = suite('sessions: life')

scenario(lives, 'grace is per session: what hangs on one that lives is not touched', async (world) => {
  const [one, two] = [world.connect('codex'), world.connect('codex', { graceMs: 1_000 })]
  await one.opened
  await two.opened
  await one.call('lock.acquire', { resources: [{ resource: 'file:one' }] })
  await two.call('lock.acquire', { resources: [{ resource: 'file:two' }] })
  await two.drop()
  assert.is((await agents(world))[0]?.presence, 'idle')
  await world.advance(1_001)
  const { items } = await world.as('watcher').call('lock.list', { state: 'held' })
  assert.equal(
    items.map(({ resources }) => resources[0]?.resource),
    ['file:one'],
  )
})

scenario(lives, 'no grace at all: lost in the same moment', async (world) => {
  const codex = world.as('codex', { graceMs: 0 })
  await codex.call('lock.acquire', { resources: [{ resource: 'file:a' }] })
  await codex.drop()
  await world.advance(2)
  assert.equal((await world.as('watcher').call('lock.list', { state: 'held' })).items, [])
})

scenario(lives, 'presence: what the agent says while it is here, offline when it is not', async (world) => {
  const codex = world.as('codex')
  const told = await codex.call('agent.update', { presence: 'running', note: 'building', capabilities: ['rust'] })
  assert.equal([told.presence, told.note, told.capabilities], ['running', 'building', ['rust']])
  assert.is((await codex.call('agent.update', { note: 'still' })).presence, 'running')
  await codex.drop()
  assert.is((await agents(world))[0]?.presence, 'offline')
  const cli = world.connect('codex', { session: false })
  assert.is((await cli.call('agent.update', { presence: 'running' })).presence, 'offline')
  assert.equal(
    (await world.as('watcher').call('agent.list', { online: true })).items.map(({ agent }) => agent),
    ['watcher'],
  )
})

scenario(lives, 'agent.list tells what each owns, holds and waits for', async (world) => {
  const codex = world.as('codex')
  const { id } = await world.as('cursor').call('contract.create', { title: 'a task' })
  await codex.call('contract.accept', { contractId: id })
  const { lockId } = await codex.call('lock.acquire', { resources: [{ resource: 'file:a' }] })
  world.as('gemini').call('lock.acquire', { resources: [{ resource: 'file:a' }], waitMs: 60_000 })
  await world.idle()
  const list = await agents(world)
  const of = (name: string) => list.find(({ agent }) => agent === name)
  assert.equal([of('codex')?.contracts, of('codex')?.locks], [[id], [lockId]])
  assert.equal([of('gemini')?.locks, of('gemini')?.waitingFor], [[], ['codex']])
  await codex.call('contract.start', { contractId: id, attempt: 1 })
  await codex.call('contract.complete', { contractId: id, attempt: 1 })
  const done = (await agents(world)).find(({ agent }) => agent === 'codex')
  assert.equal([done?.contracts, done?.locks], [[], [lockId]], 'what has ended it does no more')
})

scenario(
  lives,
  'lastSeenAt is when it was seen: neither a restart nor a jump of the clock is a sign of life',
  async (world) => {
    await world.as('codex', { graceMs: 600_000 }).opened
    const seen = world.now()
    await world.restart({ awayMs: 60_000 })
    assert.is((await agents(world))[0]?.lastSeenAt, seen)
  },
)

scenario(lives, 'a restart writes nothing for nobody', async (world) => {
  await world.as('codex').opened
  await world.restart()
  const head = world.events({ types: ['bridge.started'] }).at(-1)!
  const after = world.types(Number(head.cursor.slice(2)))
  assert.equal(after, ['agent.disconnected'])
})

lives.run()

const clocks = suite('time: restarts and clocks')

scenario(clocks, 'the first event of a life is bridge.started, and names it', async (world) => {
  await world.restart()
  const [first, second] = world.events({ types: ['bridge.started'] })
  assert.is(first?.cursor, 'e-1')
  assert.is.not(first?.data.daemon, second?.data.daemon)
  assert.type(second?.data.version, 'string')
})

scenario(clocks, 'after a restart every lease has at least 30 seconds more', async (world) => {
  const codex = world.as('codex')
  const { id: contractId } = await world
    .as('cursor')
    .call('contract.create', { title: 'a task', progressTimeoutMs: 10_000 })
  await codex.call('contract.accept', { contractId })
  await codex.call('lock.acquire', { resources: [{ resource: 'file:a' }], ttlMs: 5_000 })
  await codex.call('lock.acquire', { resources: [{ resource: 'file:b' }], ttlMs: 500_000 })
  const { session, resumeKey } = await codex.opened
  await world.restart({ awayMs: 60_000 })
  await world.connect('codex', { resume: { session, resumeKey: resumeKey! } }).opened
  const { items } = await world.as('watcher').call('lock.list', {})
  assert.equal(
    items.map(({ expiresAt }) => between(world.now(), expiresAt!)),
    [limits.rebaseMs, 440_000],
  )
  await world.advance(limits.rebaseMs - 1)
  assert.is((await world.as('watcher').call('contract.get', { contractId })).status, 'accepted')
  await world.advance(2)
  assert.is((await world.as('watcher').call('contract.get', { contractId })).status, 'submitted')
  assert.equal(world.events({ types: ['lock.expired'] }).length, 1)
})

for (const sleepMs of [5_000, 5_001]) {
  const rebased = sleepMs > limits.clockJumpMs
  scenario(
    clocks,
    `the wall clock ${sleepMs} ms ahead: leases are ${rebased ? '' : 'not '}given time`,
    async (world) => {
      const codex = world.as('codex')
      await codex.call('lock.acquire', { resources: [{ resource: 'file:a' }], ttlMs: 3_000 })
      await world.sleep(sleepMs)
      const { items } = await codex.call('lock.list', {})
      assert.equal(
        items.map(({ expiresAt }) => between(world.now(), expiresAt!)),
        [rebased ? limits.rebaseMs : limits.coolingMs],
      )
    },
  )
}

scenario(
  clocks,
  'after a sleep waits, graces, attempts and cancels are given time; notBefore is not',
  async (world) => {
    const [codex, cursor] = [world.as('codex'), world.as('cursor')]
    const notBefore = toInstant(world.clock.wallMs() + 60_000)
    const { id: contractId } = await cursor.call('contract.create', { title: 'a', progressTimeoutMs: 20_000 })
    await cursor.call('contract.create', { title: 'later', notBefore })
    await codex.call('contract.accept', { contractId })
    await cursor.call('contract.cancel', { contractId })
    await codex.call('lock.acquire', { resources: [{ resource: 'file:a' }] })
    const waits = world.as('gemini').call('lock.acquire', { resources: [{ resource: 'file:a' }], waitMs: 10_000 })
    await world.as('claude').opened
    await world.as('claude').drop()
    await world.sleep(8 * 3_600_000)
    const contract = await cursor.call('contract.get', { contractId })
    const until = toInstant(world.clock.wallMs() + limits.rebaseMs)
    assert.equal([contract.progressDueAt, contract.cancelDueAt, contract.status], [until, until, 'accepted'])
    assert.is((await cursor.call('contract.list', { ready: true })).items.length, 1)
    assert.is(world.events({ types: ['agent.lost'] }).length, 0)
    assert.not.ok(waits.answered())
    await world.advance(limits.rebaseMs + 1)
    assert.is(world.events({ types: ['agent.lost'] }).length, 1)
    await refused(waits, 'WAIT_TIMEOUT')
  },
)

scenario(clocks, 'the wall clock set back: time stands still and never runs backwards', async (world) => {
  const codex = world.as('codex')
  const { id: before } = await codex.call('contract.create', { title: 'before' })
  await codex.call('lock.acquire', { resources: [{ resource: 'file:a' }], ttlMs: 10_000 })
  await world.advance(1_000)
  await codex.call('agent.update', { note: 'the last at the old time' })
  const latest = world.now()
  await world.sleep(-3_600_000)
  const { id: after, createdAt } = await codex.call('contract.create', { title: 'after' })
  assert.is(createdAt, latest)
  assert.ok(after > before)
  await world.restart()
  const { id: later } = await world.as('codex').call('contract.create', { title: 'later' })
  assert.ok(later > after)
  const times = world.events().map(({ time }) => time)
  assert.equal(times, [...times].sort())
})

scenario(clocks, 'a query finds what time has done, though no timer has fired', async (world) => {
  const codex = world.as('codex')
  await codex.call('lock.acquire', { resources: [{ resource: 'file:a' }], ttlMs: 10_000 })
  world.clock.move(10_001)
  assert.is((await codex.call('lock.list', {})).items[0]?.state, 'cooling')
})

clocks.run()
