import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf, ResultOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { between } from '../../src/protocol/time.js'
import { type Actor, refused, scenario, type World } from '../world.js'

type Lock = ResultOf<'lock.acquire'>
type Claims = ParamsOf<'lock.acquire'>['resources']

const claims = (...resources: string[]): Claims => resources.map((resource) => ({ resource }))
const shared = (...resources: string[]): Claims => resources.map((resource) => ({ resource, mode: 'shared' }))

const acquire = (actor: Actor, resources: Claims, more: Partial<ParamsOf<'lock.acquire'>> = {}) =>
  actor.call('lock.acquire', { resources, ...more })

/** Asked for and in the queue. */
async function queue(world: World, actor: Actor, resources: Claims, waitMs = 600_000) {
  const granted = acquire(actor, resources, { waitMs })
  await world.idle()
  assert.not.ok(granted.answered(), `${actor.agent} waits`)
  return { granted, answered: granted.answered }
}

const release = (actor: Actor, { lockId, token }: Lock) => actor.call('lock.release', { lockId, token: token! })

const holders = async (world: World) =>
  (await world.as('watcher').call('lock.list', { state: 'held' })).items.map(({ holder }) => holder)

const conflicts = suite('locks: conflicts')

scenario(
  conflicts,
  'exclusive against all, shared against exclusive, whatever the patterns have in common',
  async (world) => {
    const [codex, gemini] = [world.as('codex'), world.as('gemini')]
    const pairs: Array<[Claims, Claims, boolean]> = [
      [claims('file:src/**'), claims('file:src/a.ts'), true],
      [claims('file:src/*/x.ts'), claims('file:src/a/*.ts'), true],
      [claims('file:src/*.ts'), claims('file:src/a.js'), false],
      [shared('file:src/**'), shared('file:src/**'), false],
      [shared('file:src/**'), claims('file:src/a.ts'), true],
      [claims('file:src/a.ts'), shared('file:src/**'), true],
      [claims('port:3000'), claims('port:3000'), true],
      [claims('port:3000'), claims('port:3001'), false],
      [claims('file:a', 'file:b'), claims('file:c', 'file:b'), true],
    ]
    for (const [first, second, conflict] of pairs) {
      const held = await acquire(codex, first)
      const other = acquire(gemini, second)
      if (conflict) await refused(other, 'LOCK_CONFLICT')
      else await release(gemini, await other)
      await release(codex, held)
    }
  },
)

scenario(conflicts, 'all of it or nothing', async (world) => {
  const held = await acquire(world.as('codex'), claims('file:b'))
  const refusal = await refused(acquire(world.as('gemini'), claims('file:a', 'file:b')), 'LOCK_CONFLICT')
  assert.equal((await world.as('gemini').call('lock.list', {})).items, [held])
  await acquire(world.as('claude'), claims('file:a'))
  assert.equal(refusal.facts.blockers, [
    {
      lockId: held.lockId,
      holder: 'codex',
      resource: 'file:b',
      mode: 'exclusive',
      state: 'held',
      ageMs: 0,
      contractId: undefined,
      expiresAt: undefined,
      reason: undefined,
    },
  ])
})

scenario(
  conflicts,
  'a refusal says who holds it, for which contract, since when, why and until when',
  async (world) => {
    const codex = world.as('codex')
    const { id: contractId } = await world.as('cursor').call('contract.create', { title: 'a task' })
    await codex.call('contract.accept', { contractId })
    await acquire(codex, claims('file:a'), { contractId, attempt: 1, reason: 'a refactoring', ttlMs: 90_000 })
    await world.advance(30_000)
    const refusal = await refused(acquire(world.as('gemini'), claims('file:a')), 'LOCK_CONFLICT')
    const [blocker] = refusal.facts.blockers as Array<Record<string, unknown>>
    assert.equal(
      [blocker?.holder, blocker?.contractId, blocker?.ageMs, blocker?.reason, blocker?.expiresAt],
      ['codex', contractId, 30_000, 'a refactoring', '2030-01-01T00:01:30.000Z'],
    )
    assert.match(refusal.message, 'codex holds')
  },
)

scenario(conflicts, 'locks of one agent never conflict, also of two sessions', async (world) => {
  const first = await acquire(world.as('codex'), claims('file:src/**'))
  const second = await acquire(world.connect('codex'), claims('file:src/a.ts'))
  assert.ok(second.token! > first.token!)
  await release(world.as('codex'), first)
  await refused(acquire(world.as('gemini'), claims('file:src/a.ts')), 'LOCK_CONFLICT')
  await acquire(world.as('gemini'), claims('file:src/b.ts'))
})

scenario(conflicts, 'what is not in the grammar is BAD_RESOURCE, and nothing is taken', async (world) => {
  const codex = world.as('codex')
  for (const resource of ['src/a.ts', 'file:/etc', 'file:../a', 'file:a//b', 'file:a\\b', 'file:[a', 'file:']) {
    await refused(acquire(codex, [{ resource: 'file:ok' }, { resource }]), 'BAD_RESOURCE')
    await refused(codex.call('contract.create', { title: 'a', resources: [{ resource }] }), 'BAD_RESOURCE')
  }
  assert.equal((await codex.call('lock.list', {})).items, [])
})

scenario(conflicts, 'an agent has at most 1,000 resources, held and waited for', async (world) => {
  const codex = world.as('codex')
  const some = (from: number, count: number) => claims(...Array.from({ length: count }, (_, n) => `port:${from + n}`))
  for (const from of [0, 250, 500]) await acquire(codex, some(from, 250))
  await acquire(world.as('gemini'), claims('port:9999'))
  await queue(world, codex, [...some(750, 199), { resource: 'port:9999' }])
  await refused(acquire(codex, some(2_000, 51)), 'OVERLOADED')
  await acquire(codex, some(2_000, 50))
})

conflicts.run()

const fair = suite('locks: the queue')

scenario(fair, 'first come, first served: nobody overtakes an earlier waiter it conflicts with', async (world) => {
  const [codex, gemini, claude] = [world.as('codex'), world.as('gemini'), world.as('claude')]
  const reading = await acquire(codex, shared('file:a'))
  const writing = await queue(world, gemini, claims('file:a'))
  // Compatible with who holds it, but a writer waits already.
  const refusal = await refused(acquire(claude, shared('file:a')), 'LOCK_CONFLICT')
  assert.equal(
    (refusal.facts.blockers as Lock[]).map(({ holder, state }) => [holder, state]),
    [['gemini', 'waiting']],
  )
  const behind = await queue(world, claude, shared('file:a'))
  await release(codex, reading)
  await world.idle()
  assert.equal([writing.answered(), behind.answered()], [true, false])
  await release(gemini, await writing.granted)
  assert.is((await behind.granted).state, 'held')
})

scenario(fair, 'disjoint requests pass', async (world) => {
  await acquire(world.as('codex'), claims('file:a'))
  await queue(world, world.as('gemini'), claims('file:a', 'file:b'))
  await refused(acquire(world.as('claude'), claims('file:b')), 'LOCK_CONFLICT')
  assert.is((await acquire(world.as('claude'), claims('file:c'))).state, 'held')
})

scenario(fair, 'a request within what its holder has is granted past those who wait for it', async (world) => {
  const codex = world.as('codex')
  await acquire(codex, claims('file:src/**'))
  const waiting = await queue(world, world.as('gemini'), claims('file:src/a.ts'))
  assert.is((await acquire(codex, claims('file:src/a.ts'))).state, 'held')
  assert.is((await acquire(codex, shared('file:src/b/*.ts'))).state, 'held')
  assert.not.ok(waiting.answered())
  // Sharing is not enough for who wants it alone.
  const [claude, cursor] = [world.as('claude'), world.as('cursor')]
  await acquire(claude, shared('file:docs/**'))
  await queue(world, cursor, claims('file:docs/a.md'))
  await refused(acquire(claude, claims('file:docs/a.md')), 'LOCK_CONFLICT')
  assert.is((await acquire(claude, shared('file:docs/a.md'))).state, 'held')
})

scenario(fair, 'all who can share are granted at once', async (world) => {
  const held = await acquire(world.as('codex'), claims('file:a'))
  const readers = []
  for (const name of ['r1', 'r2', 'r3']) readers.push((await queue(world, world.as(name), shared('file:a'))).granted)
  const writer = await queue(world, world.as('writer'), claims('file:a'))
  const late = await queue(world, world.as('late'), shared('file:a'))
  const head = world.head()
  await release(world.as('codex'), held)
  const granted = await Promise.all(readers)
  const tokens = granted.map(({ token }) => token!)
  assert.equal(
    tokens,
    [...tokens].sort((a, b) => a - b),
    'in the order in which they asked',
  )
  assert.equal(world.types(head), [
    'lock.released',
    ...['lock.acquired', 'lock.acquired', 'lock.acquired'],
    // Each of them hears of the writer behind.
    ...['lock.contended', 'lock.contended', 'lock.contended'],
  ])
  assert.is(new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size, 1)
  for (const [n, lock] of granted.entries()) await release(world.as(`r${n + 1}`), lock)
  assert.is((await writer.granted).state, 'held')
  assert.not.ok(late.answered())
})

scenario(fair, 'the holder is told that somebody waits, and the waiter where it stands', async (world) => {
  const held = await acquire(world.as('codex'), claims('file:src/**'))
  const head = world.head()
  await queue(world, world.as('gemini'), claims('file:src/a.ts'))
  await queue(world, world.as('claude'), claims('file:src/a.ts'))
  const events = world.events({ after: head }).filter(({ type }) => type.startsWith('lock.'))
  assert.equal(
    events.map(({ type, to, subject }) => [type, to, type === 'lock.contended' ? subject : undefined]),
    [
      ['lock.queued', undefined, undefined],
      ['lock.contended', ['codex'], held.lockId],
      ['lock.queued', undefined, undefined],
      ['lock.contended', ['codex'], held.lockId],
    ],
  )
  assert.equal([events[0]?.data.position, events[2]?.data.position], [1, 2])
  assert.equal([events[1]?.data.waiter, events[1]?.data.resource], ['gemini', 'file:src/**'])
  const [, gemini] = (await world.as('watcher').call('agent.list', {})).items
  assert.equal([gemini?.agent, gemini?.waitingFor], ['codex', undefined])
  const waiting = (await world.as('watcher').call('agent.list', {})).items.find(({ agent }) => agent === 'claude')
  assert.equal(waiting?.waitingFor, ['codex', 'gemini'])
})

scenario(fair, 'in time or not at all: WAIT_TIMEOUT says what stood in the way', async (world) => {
  const held = await acquire(world.as('codex'), claims('file:a'))
  const call = await queue(world, world.as('gemini'), claims('file:a'), 5_000)
  const behind = await queue(world, world.as('claude'), shared('file:a'), 60_000)
  await world.advance(4_999)
  assert.not.ok(call.answered())
  await world.advance(2)
  const refusal = await refused(call.granted, 'WAIT_TIMEOUT')
  assert.equal(
    (refusal.facts.blockers as Lock[]).map(({ lockId, state }) => [lockId, state]),
    [[held.lockId, 'held']],
  )
  await release(world.as('codex'), held)
  assert.is((await behind.granted).state, 'held')
})

for (const by of ['socket', 'goodbye'] as const) {
  scenario(fair, `a waiter goes with its ${by}, and those behind it move up`, async (world) => {
    const reading = await acquire(world.as('codex'), shared('file:a'))
    await queue(world, world.as('gemini'), claims('file:a'))
    const behind = await queue(world, world.as('claude'), shared('file:a'))
    if (by === 'socket') await world.as('gemini').drop()
    else await world.as('gemini').call('session.close', {})
    assert.is((await behind.granted).state, 'held')
    assert.equal(await holders(world), ['codex', 'claude'])
    await release(world.as('codex'), reading)
    assert.equal((await world.as('watcher').call('lock.list', { state: 'waiting' })).items, [])
  })
}

scenario(fair, 'what is granted in the breath in which its asker goes is given back at once', async (world) => {
  const held = await acquire(world.as('codex'), claims('file:a'))
  await queue(world, world.as('gemini'), claims('file:a'))
  const released = release(world.as('codex'), held)
  const dropped = world.as('gemini').drop()
  await Promise.all([released, dropped])
  assert.equal(world.events({ types: ['lock.acquired'] }).length, 2, 'it was granted')
  assert.equal(await holders(world), [])
})

scenario(fair, 'a waiter without a session goes with its socket too', async (world) => {
  await acquire(world.as('codex'), claims('file:a'))
  await queue(world, world.as('human', { session: false }), claims('file:a'))
  await world.as('human', { session: false }).drop()
  assert.equal((await world.as('watcher').call('lock.list', { state: 'waiting' })).items, [])
})

scenario(fair, 'at a restart nothing waits any more, and who held still holds', async (world) => {
  const held = await acquire(world.as('codex'), claims('file:a'))
  await queue(world, world.as('gemini'), claims('file:a'))
  await world.restart()
  const { items } = await world.as('watcher').call('lock.list', {})
  assert.equal(items, [held])
  const types = world.types(world.events({ types: ['bridge.started'] }).length > 1 ? 0 : undefined)
  assert.is(types.filter((type) => type === 'lock.abandoned').length, 1)
  await refused(acquire(world.as('gemini'), claims('file:a')), 'LOCK_CONFLICT')
  await world.advance(limits.graceMs + limits.coolingMs + 1)
  assert.is((await acquire(world.as('gemini'), claims('file:a'))).state, 'held')
})

scenario(fair, 'at most 64 calls of a socket wait', async (world) => {
  await acquire(world.as('codex'), claims('file:a'))
  const gemini = world.as('gemini')
  await gemini.opened
  const calls = Array.from({ length: 65 }, () => acquire(gemini, claims('file:a'), { waitMs: 60_000 }))
  await world.idle()
  assert.is(calls.filter((call) => call.answered()).length, 1)
  await refused(calls[64]!, 'OVERLOADED')
  assert.is((await gemini.call('lock.list', { state: 'waiting', limit: 100 })).items.length, 64)
})

fair.run()

const leases = suite('locks: tokens and leases')

scenario(leases, 'tokens rise with every grant, over restarts too, and are seqs', async (world) => {
  const tokens: number[] = []
  for (let n = 0; n < 4; n++) {
    const lock = await acquire(world.as('codex'), claims('file:a'))
    assert.is(world.events({ types: ['lock.acquired'] }).at(-1)?.cursor, `e-${lock.token}`)
    tokens.push(lock.token!)
    await release(world.as('codex'), lock)
    if (n === 1) await world.restart()
  }
  assert.equal(
    tokens,
    [...new Set(tokens)].sort((a, b) => a - b),
  )
})

scenario(leases, 'a lock without ttlMs lives as long as the session and its grace', async (world) => {
  const lock = await acquire(world.as('codex'), claims('file:a'))
  assert.equal(
    [lock.expiresAt, lock.ttlMs, lock.session],
    [undefined, undefined, (await world.as('codex').opened).session],
  )
  await world.advance(24 * 3_600_000)
  await world.as('codex').drop()
  await world.advance(limits.graceMs - 1)
  await refused(acquire(world.as('gemini'), claims('file:a')), 'LOCK_CONFLICT')
  const waiting = await queue(world, world.as('gemini'), claims('file:a'))
  const head = world.head()
  await world.advance(2)
  assert.equal(world.types(head), ['agent.lost', 'lock.lost'])
  assert.is(new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size, 1)
  await world.advance(limits.coolingMs + 1)
  assert.is((await waiting.granted).holder, 'gemini')
})

scenario(leases, 'a goodbye gives them back at once', async (world) => {
  await acquire(world.as('codex'), claims('file:a'))
  const head = world.head()
  await world.as('codex').call('session.close', {})
  assert.equal(world.types(head), ['agent.disconnected', 'lock.released'])
})

scenario(leases, 'a timed lease outlives the socket and ends in its time', async (world) => {
  const lock = await acquire(world.as('codex'), claims('file:a'), { ttlMs: 120_000 })
  assert.equal([between(lock.acquiredAt!, lock.expiresAt!), lock.session], [120_000, undefined])
  await world.as('codex').drop()
  await world.advance(119_999)
  assert.equal(await holders(world), ['codex'])
  const head = world.head()
  await world.advance(2)
  assert.equal(world.types(head), ['lock.expired'])
  assert.equal(await holders(world), [])
})

scenario(leases, 'a caller without a session has 10 minutes by default', async (world) => {
  const lock = await acquire(world.as('human', { session: false }), claims('file:a'))
  assert.is(between(lock.acquiredAt!, lock.expiresAt!), limits.lockTtlMs)
  await world.advance(limits.lockTtlMs + 1)
  assert.equal(await holders(world), [])
})

scenario(leases, 'the time of a lease that was waited for begins with the grant', async (world) => {
  const held = await acquire(world.as('codex'), claims('file:a'))
  const call = acquire(world.as('gemini'), claims('file:a'), { ttlMs: 60_000, waitMs: 600_000 })
  await world.advance(300_000)
  await release(world.as('codex'), held)
  const lock = await call
  assert.equal(
    [between(lock.requestedAt, lock.acquiredAt!), between(lock.acquiredAt!, lock.expiresAt!)],
    [300_000, 60_000],
  )
})

scenario(leases, 'renew gives the whole time again, or another length, from now', async (world) => {
  const codex = world.as('codex')
  const { lockId, token } = await acquire(codex, claims('file:a'), { ttlMs: 60_000 })
  await world.advance(50_000)
  const renewed = await codex.call('lock.renew', { lockId, token: token! })
  assert.is(renewed.expiresAt, '2030-01-01T00:01:50.000Z')
  const longer = await codex.call('lock.renew', { lockId, token: token!, ttlMs: 600_000 })
  assert.equal([longer.expiresAt, longer.token], ['2030-01-01T00:10:50.000Z', token])
  await world.advance(599_999)
  assert.equal(await holders(world), ['codex'])
  await world.advance(2)
  await refused(codex.call('lock.renew', { lockId, token: token! }), 'LOCK_LOST')
  await world.advance(limits.coolingMs + 1)
  await refused(codex.call('lock.renew', { lockId, token: token! }), 'NOT_FOUND')
})

scenario(leases, 'renewing what hangs on a session changes nothing; with ttlMs it hangs on time', async (world) => {
  const codex = world.as('codex')
  const lock = await acquire(codex, claims('file:a'))
  const params = { lockId: lock.lockId, token: lock.token! }
  const head = world.head()
  assert.equal(await codex.call('lock.renew', params), lock)
  assert.is(world.head(), head)
  await codex.call('lock.renew', { ...params, ttlMs: 100_000 })
  await codex.drop()
  await world.advance(limits.graceMs + 1)
  assert.equal(await holders(world), ['codex'])
  await world.advance(100_000)
  assert.equal(await holders(world), [])
})

scenario(leases, 'release and renew are refused to others, to a former token, and for what is gone', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  const lock = await acquire(codex, claims('file:a'))
  const { lockId } = lock
  for (const verb of ['lock.release', 'lock.renew'] as const) {
    await refused(codex.call(verb, { lockId: 'lck_unknown', token: 1 }), 'NOT_FOUND')
    await refused(gemini.call(verb, { lockId, token: lock.token! }), 'FORBIDDEN')
    await refused(world.as('root', { role: 'admin' }).call(verb, { lockId, token: lock.token! }), 'FORBIDDEN')
    await refused(codex.call(verb, { lockId, token: lock.token! - 1 }), 'LOCK_LOST')
  }
  await queue(world, gemini, claims('file:a'))
  const { items } = await gemini.call('lock.list', { state: 'waiting' })
  const refusal = await refused(gemini.call('lock.release', { lockId: items[0]!.lockId, token: 0 }), 'LOCK_LOST')
  assert.equal(refusal.facts, { state: 'waiting' })
  await release(codex, lock)
  await refused(release(codex, lock), 'NOT_FOUND')
})

leases.run()

const asks = suite('locks: check and list')

scenario(asks, 'a path locked to the letter: that path and no other', async (world) => {
  const resource = 'file:app/[id]/page.tsx'
  const lock = await acquire(world.as('codex'), [{ resource, literal: true }])
  const gemini = world.as('gemini')
  const denied = [{ resource, lockId: lock.lockId, state: 'held', holder: 'codex' }]
  assert.equal(await gemini.call('lock.check', { resource }), { allowed: false, mine: false, heldBy: lock, denied })
  const other = await gemini.call('lock.check', { resource: 'file:app/i/page.tsx' })
  assert.equal(other, { allowed: true, mine: false })
  assert.equal(await world.as('codex').call('lock.check', { resource }), { allowed: true, mine: true })
  // As a pattern the same text is another resource.
  await acquire(gemini, claims(resource))
  assert.is((await world.as('codex').call('lock.check', { resource: 'file:app/d/page.tsx' })).allowed, false)
})

scenario(asks, 'check knows modes, tokens, several paths, and ignores who only waits', async (world) => {
  const codex = world.as('codex')
  const lock = await acquire(codex, shared('file:src/**'))
  const gemini = world.as('gemini')
  const check = (actor: Actor, params: ParamsOf<'lock.check'>) => actor.call('lock.check', params)
  assert.is((await check(gemini, { resource: 'file:src/a.ts' })).allowed, false)
  assert.is((await check(gemini, { resource: 'file:src/a.ts', mode: 'shared' })).allowed, true)
  assert.equal(await check(codex, { resource: 'file:src/a.ts' }), { allowed: true, mine: false })
  assert.is((await check(codex, { resource: 'file:src/a.ts', mode: 'shared', token: lock.token! })).mine, true)
  const other = { resource: 'file:src/a.ts', mode: 'shared' as const, token: lock.token! + 1 }
  await refused(check(codex, other), 'LOCK_LOST')
  assert.is((await check(gemini, { resources: ['file:docs/a', 'file:src/a.ts'] })).allowed, false)
  await refused(check(codex, {}), 'INVALID_PARAMS')
  await queue(world, gemini, claims('file:src/a.ts'))
  assert.is((await check(codex, { resource: 'file:src/a.ts' })).allowed, true)
})

scenario(asks, 'check takes paths, never patterns', async (world) => {
  const lock = await acquire(world.as('codex'), [{ resource: 'file:a/*', literal: true }])
  const answer = await world.as('gemini').call('lock.check', { resource: 'file:a/*' })
  assert.equal(answer.heldBy, lock)
  assert.is((await world.as('gemini').call('lock.check', { resource: 'file:a/b' })).allowed, true)
})

scenario(asks, 'list: by holder, state, contract and what overlaps, page after page', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  const ids: string[] = []
  for (let n = 0; n < 6; n++) {
    ids.push((await acquire(codex, claims(n % 2 === 0 ? `file:src/${n}.ts` : `file:docs/${n}.md`))).lockId)
  }
  await queue(world, gemini, claims('file:src/0.ts'))
  const list = async (params: ParamsOf<'lock.list'>) => {
    const found: string[] = []
    for (let page: string | undefined; ; ) {
      const answer = await gemini.call('lock.list', { ...params, page })
      found.push(...answer.items.map(({ lockId }) => lockId))
      page = answer.nextPage
      if (page === undefined) return found
    }
  }
  assert.equal(await list({ holder: 'codex', limit: 4 }), ids)
  assert.is((await list({ holder: 'gemini' })).length, 1)
  assert.is((await list({ state: 'waiting' })).length, 1)
  assert.equal(await list({ resource: 'file:docs/**' }), [ids[1], ids[3], ids[5]])
  assert.equal(await list({ resource: 'file:docs/**', limit: 1 }), [ids[1], ids[3], ids[5]])
  const [first] = (await gemini.call('lock.list', { resource: 'file:docs/5.md', limit: 2 })).items
  assert.is(first?.lockId, ids[5], 'the first page has what there is, whatever stands before it')
  await refused(gemini.call('lock.list', { resource: 'nowhere' }), 'BAD_RESOURCE')
})

asks.run()
