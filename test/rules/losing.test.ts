import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf, ResultOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { between, later } from '../../src/protocol/time.js'
import { type Actor, refused, scenario, type World } from '../world.js'

// A lock that its holder did not give back: who loses it and how, what stays shut and for how long, who gets it next.

type Lock = ResultOf<'lock.acquire'>
type Claims = ParamsOf<'lock.acquire'>['resources']

const claims = (...resources: string[]): Claims => resources.map((resource) => ({ resource }))
const shared = (...resources: string[]): Claims => resources.map((resource) => ({ resource, mode: 'shared' }))
const acquire = (actor: Actor, resources: Claims, more: Partial<ParamsOf<'lock.acquire'>> = {}) =>
  actor.call('lock.acquire', { resources, ...more })
const held = ({ lockId, token }: Lock) => ({ lockId, token: token! })
const rows = async (world: World) => (await world.as('watcher').call('lock.list', {})).items
const broken = (world: World, { lockId }: Lock, reason = 'it hangs') =>
  world.as('root', { role: 'admin' }).call('lock.break', { lockId, reason })

/** codex works on a contract that names `resources`. */
async function working(world: World, resources: Claims): Promise<{ contractId: string; attempt: number }> {
  const { id: contractId } = await world.as('cursor').call('contract.create', { title: 'a task', resources })
  await world.as('codex').call('contract.accept', { contractId })
  await world.as('codex').call('contract.start', { contractId, attempt: 1 })
  return { contractId, attempt: 1 }
}

const cooling = suite('locks: cooling')

/** Every way in which a lock is lost, each with the event that says so. */
const losses: Record<string, { type: string; reason?: string; lose(world: World, resources: Claims): Promise<void> }> =
  {
    'a session that does not come back': {
      type: 'lock.lost',
      reason: 'session lost',
      async lose(world, resources) {
        await acquire(world.as('codex'), resources)
        await world.as('codex').drop()
        await world.advance(limits.graceMs + 1)
      },
    },
    'a timed lease that runs out': {
      type: 'lock.expired',
      async lose(world, resources) {
        await acquire(world.as('codex'), resources, { ttlMs: 10_000 })
        await world.advance(10_001)
      },
    },
    'an attempt that is lost': {
      type: 'lock.lost',
      reason: 'attempt lost',
      async lose(world, resources) {
        await working(world, resources)
        await world.as('codex').drop()
        await world.advance(limits.graceMs + 1)
      },
    },
    'a cancel by force': {
      type: 'lock.lost',
      reason: 'canceled',
      async lose(world, resources) {
        const { contractId } = await working(world, resources)
        await world.as('cursor').call('contract.cancel', { contractId })
        await world.advance(limits.cancelGraceMs + 1)
      },
    },
    'an admin who breaks it': {
      type: 'lock.broken',
      reason: 'it hangs',
      async lose(world, resources) {
        await broken(world, await acquire(world.as('codex'), resources))
      },
    },
  }

for (const [way, { type, reason, lose }] of Object.entries(losses)) {
  scenario(cooling, `${way}: its files stay shut for 5 s for everyone, and then serve who waits`, async (world) => {
    await lose(world, [...claims('file:src/**', 'port:1'), ...shared('file:docs/**')])
    const event = world.events({ types: [type] }).at(-1)!
    const left = event.data.lock as Lock
    assert.equal(
      [left.state, left.resources, left.expiresAt, left.session],
      [
        'cooling',
        [{ resource: 'file:src/**', mode: 'exclusive' }],
        later(world.events({ types: [type] }).at(-1)!.time, limits.coolingMs),
        undefined,
      ],
    )
    assert.is(event.data.reason, reason)
    assert.is((event.data.last as Lock).resources.length, 3)
    // What it had besides is free: a port is given back by the system, and who shared has not written.
    await acquire(world.as('gemini'), claims('port:1', 'file:docs/a.md'))
    for (const actor of [world.as('gemini'), world.connect('codex')]) {
      const refusal = await refused(acquire(actor, claims('file:src/a.ts')), 'LOCK_CONFLICT')
      const [blocker] = refusal.facts.blockers as Lock[]
      assert.equal([blocker?.state, blocker?.holder, blocker?.expiresAt], ['cooling', 'codex', left.expiresAt])
      assert.match(refusal.message, 'codex lost what was asked and may still be writing')
      assert.is((await actor.call('lock.check', { resource: 'file:src/a.ts' })).allowed, false)
    }
    const head = world.head()
    const waiting = acquire(world.as('gemini'), claims('file:src/a.ts'), { waitMs: 60_000 })
    const own = acquire(world.connect('codex'), claims('file:src/b.ts'), { waitMs: 60_000 })
    await world.advance(between(world.now(), left.expiresAt!) - 1)
    assert.not.ok(waiting.answered() || own.answered())
    await world.advance(2)
    assert.equal([(await waiting).state, (await own).state], ['held', 'held'])
    const types = world.types(head).filter((name) => name.startsWith('lock.'))
    assert.equal(types, ['lock.queued', 'lock.queued', 'lock.cooled', 'lock.acquired', 'lock.acquired'])
  })
}

scenario(cooling, 'what is given back does not cool, nor what ends by its owner', async (world) => {
  const codex = world.as('codex')
  await codex.call('lock.release', held(await acquire(codex, claims('file:a'))))
  for (const end of ['complete', 'release', 'fail', 'acknowledgeCancel'] as const) {
    const attempt = await working(world, claims('file:a'))
    const { contractId } = attempt
    if (end === 'acknowledgeCancel') await world.as('cursor').call('contract.cancel', { contractId })
    const error = { reason: 'NO', message: 'no', retryable: false }
    await codex.ask(`contract.${end}`, { ...attempt, ...(end === 'fail' && { error }) })
    assert.equal(await rows(world), [], end)
  }
  await acquire(codex, claims('file:a'))
  await codex.call('session.close', {})
  assert.equal(await rows(world), [])
})

scenario(cooling, 'nothing that is not a file, or was shared, cools', async (world) => {
  const lock = await acquire(world.as('codex'), [...claims('port:1', 'db:dev'), ...shared('file:a')])
  assert.equal(await broken(world, lock), { lockId: lock.lockId })
  assert.equal(await rows(world), [])
  assert.equal(world.events({ types: ['lock.broken'] })[0]?.data, { lock: null, reason: 'it hangs', last: lock })
})

scenario(cooling, 'its token is no longer good', async (world) => {
  const codex = world.as('codex')
  const lock = await acquire(codex, claims('file:a'))
  await broken(world, lock)
  const head = world.head()
  for (const verb of ['lock.renew', 'lock.release', 'lock.downgrade'] as const) {
    assert.equal((await refused(codex.call(verb, held(lock)), 'LOCK_LOST')).facts, { state: 'cooling' })
  }
  await refused(codex.call('lock.check', { resource: 'file:a', token: lock.token! }), 'LOCK_LOST')
  assert.is(world.head(), head)
})

scenario(cooling, 'who holds more of the same besides goes on within it', async (world) => {
  const codex = world.as('codex')
  await acquire(codex, claims('file:src/**'))
  await broken(world, await acquire(codex, claims('file:src/a.ts')))
  assert.is((await codex.call('lock.check', { resource: 'file:src/a.ts' })).allowed, true)
  assert.is((await acquire(codex, claims('file:src/a.ts'))).state, 'held')
})

scenario(cooling, 'a restart or a sleep gives it its whole time again, and no more', async (world) => {
  await broken(world, await acquire(world.as('codex'), claims('file:a')))
  await world.advance(3_000)
  await world.restart({ awayMs: 60_000 })
  const left = async () => between(world.now(), (await rows(world))[0]!.expiresAt!)
  assert.is(await left(), limits.coolingMs)
  await world.advance(4_000)
  await world.sleep(3_600_000)
  assert.is(await left(), limits.coolingMs)
  await world.advance(limits.coolingMs + 1)
  assert.equal(await rows(world), [])
})

scenario(cooling, 'it counts as no lock of its former holder', async (world) => {
  const { contractId } = await working(world, claims('file:a'))
  await broken(world, (await rows(world))[0]!)
  await world.advance(1_500)
  const gemini = world.as('gemini')
  await gemini.call('contract.accept', { contractId })
  const start = gemini.call('contract.start', { contractId, attempt: 2, waitMs: 60_000 })
  await world.idle()
  const listed = (await world.as('watcher').call('agent.list', {})).items
  assert.equal(
    listed.filter(({ agent }) => agent === 'codex' || agent === 'gemini').map((row) => [row.locks, row.waitingFor]),
    [
      [[], undefined],
      [[], undefined],
    ],
  )
  await world.advance(limits.coolingMs)
  assert.is((await start).contract.status, 'working')
})

cooling.run()

const breaks = suite('locks: break')

scenario(breaks, 'ends the attempt that it was of, and its other locks, in the same command', async (world) => {
  const { contractId, attempt } = await working(world, claims('file:a'))
  const extra = await acquire(world.as('codex'), claims('file:b'), { contractId, attempt })
  await world.as('root', { role: 'admin' }).opened
  const head = world.head()
  const { coolsUntil } = await broken(world, extra)
  assert.is(between(world.now(), coolsUntil!), limits.coolingMs)
  assert.equal(world.types(head), ['lock.broken', 'contract.attemptFailed', 'lock.lost'])
  assert.is(new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size, 1)
  const contract = await world.as('cursor').call('contract.get', { contractId })
  assert.equal([contract.status, contract.error?.reason, contract.failures], ['submitted', 'LOCK_LOST', 1])
  await refused(world.as('codex').call('contract.complete', { contractId, attempt }), 'STALE_ATTEMPT')
})

scenario(breaks, 'the holder hears of it, and why', async (world) => {
  const codex = world.as('codex')
  const lock = await acquire(codex, claims('file:a'))
  const { subscription } = await codex.call('event.subscribe', { mine: true, types: ['lock.broken'] })
  await broken(world, lock, 'it hangs since noon')
  await world.idle()
  const events = codex.frames.filter((frame) => frame.params.subscription === subscription)
  const told = events.flatMap(({ params }) => params.events ?? [])
  assert.equal(
    told.map(({ actor, subject, data }) => [actor, subject, data.reason]),
    [['root', lock.lockId, 'it hangs since noon']],
  )
})

scenario(breaks, 'ends a wait too, and those behind it move up', async (world) => {
  const lock = await acquire(world.as('codex'), shared('file:a'))
  const writer = acquire(world.as('gemini'), claims('file:a'), { waitMs: 60_000 })
  const reader = acquire(world.as('claude'), shared('file:a'), { waitMs: 60_000 })
  await world.idle()
  const [, waiting] = await rows(world)
  await broken(world, waiting!)
  assert.equal((await refused(writer, 'LOCK_LOST')).facts, { because: 'it hangs' })
  assert.is((await reader).state, 'held')
  assert.is((await rows(world))[0]?.lockId, lock.lockId)
})

scenario(breaks, 'of a start that waits leaves the contract accepted', async (world) => {
  await acquire(world.as('gemini'), claims('file:a'))
  const { id: contractId } = await world
    .as('cursor')
    .call('contract.create', { title: 'a', resources: claims('file:a') })
  await world.as('codex').call('contract.accept', { contractId })
  const start = world.as('codex').call('contract.start', { contractId, attempt: 1, waitMs: 60_000 })
  await world.idle()
  await broken(world, (await rows(world)).find(({ state }) => state === 'waiting')!)
  await refused(start, 'LOCK_LOST')
  assert.is((await world.as('cursor').call('contract.get', { contractId })).status, 'accepted')
})

scenario(breaks, 'ends cooling at once', async (world) => {
  const lock = await acquire(world.as('codex'), claims('file:a'))
  await broken(world, lock)
  const waiting = acquire(world.as('gemini'), claims('file:a'), { waitMs: 60_000 })
  await world.idle()
  assert.equal(await broken(world, lock, 'its process is gone'), { lockId: lock.lockId })
  assert.is((await waiting).state, 'held')
  await refused(broken(world, lock), 'NOT_FOUND')
})

scenario(breaks, 'is for admins, gives a reason, and names a lock', async (world) => {
  const lock = await acquire(world.as('codex'), claims('file:a'))
  const root = world.as('root', { role: 'admin' })
  await root.opened
  await world.as('watcher', { role: 'observer' }).opened
  await world.as('codex').opened
  const head = world.head()
  const params = { lockId: lock.lockId, reason: 'it hangs' }
  await refused(world.as('codex').call('lock.break', params), 'FORBIDDEN')
  await refused(world.as('watcher', { role: 'observer' }).call('lock.break', params), 'FORBIDDEN')
  for (const wrong of [{ ...params, reason: '' }, { ...params, reason: 'x'.repeat(513) }, { lockId: lock.lockId }]) {
    await refused(root.ask('lock.break', wrong), 'INVALID_PARAMS')
  }
  await refused(root.call('lock.break', { ...params, lockId: 'lck_none' }), 'NOT_FOUND')
  assert.is(world.head(), head)
  assert.equal(await rows(world), [lock])
})

breaks.run()

const downgrades = suite('locks: downgrade and upgrade')

scenario(downgrades, 'lets those in who can share, not those who cannot, in the same command', async (world) => {
  const codex = world.as('codex')
  const lock = await acquire(codex, [...claims('file:a'), ...shared('file:b')])
  const reader = acquire(world.as('gemini'), shared('file:a'), { waitMs: 60_000 })
  const writer = acquire(world.as('claude'), claims('file:a'), { waitMs: 60_000 })
  const late = acquire(world.as('cursor'), shared('file:a'), { waitMs: 60_000 })
  await world.idle()
  const head = world.head()
  const downgraded = await codex.call('lock.downgrade', held(lock))
  assert.equal(
    [downgraded.token, downgraded.state, downgraded.resources.map(({ mode }) => mode)],
    [lock.token, 'held', ['shared', 'shared']],
  )
  assert.is((await reader).state, 'held')
  assert.not.ok(writer.answered() || late.answered(), 'nobody overtakes the writer')
  assert.equal(world.types(head), ['lock.downgraded', 'lock.acquired', 'lock.contended'])
  assert.is(new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size, 1)
  assert.equal(world.events({ types: ['lock.downgraded'] })[0]?.data.last, lock)
})

scenario(downgrades, 'a second time changes nothing', async (world) => {
  const codex = world.as('codex')
  const lock = await acquire(codex, shared('file:a'))
  const head = world.head()
  assert.equal(await codex.call('lock.downgrade', held(lock)), lock)
  assert.is(world.head(), head)
})

scenario(downgrades, 'is refused to others, to a former token, and for what is gone', async (world) => {
  const lock = await acquire(world.as('codex'), claims('file:a'))
  await refused(world.as('gemini').call('lock.downgrade', held(lock)), 'FORBIDDEN')
  await refused(world.as('codex').call('lock.downgrade', { ...held(lock), token: lock.token! - 1 }), 'LOCK_LOST')
  await refused(world.as('codex').call('lock.downgrade', { lockId: 'lck_none', token: 1 }), 'NOT_FOUND')
  assert.equal(await rows(world), [lock])
})

scenario(downgrades, 'an upgrade is a request like others: it waits for who shares', async (world) => {
  const codex = world.as('codex')
  const reading = await acquire(codex, shared('file:a'))
  const other = await acquire(world.as('gemini'), shared('file:a'))
  await refused(acquire(codex, claims('file:a')), 'LOCK_CONFLICT')
  const upgrade = acquire(codex, claims('file:a'), { waitMs: 60_000 })
  await world.idle()
  await world.as('gemini').call('lock.release', held(other))
  const alone = await upgrade
  assert.is(alone.state, 'held')
  await codex.call('lock.release', held(reading))
  await refused(acquire(world.as('gemini'), shared('file:a')), 'LOCK_CONFLICT')
  // And back.
  await codex.call('lock.downgrade', held(alone))
  assert.is((await acquire(world.as('gemini'), shared('file:a'))).state, 'held')
})

scenario(downgrades, 'of an attempt it stays the attempt’s', async (world) => {
  const { contractId, attempt } = await working(world, claims('file:a'))
  const [lock] = await rows(world)
  await world.as('codex').call('lock.downgrade', held(lock!))
  await world.as('codex').call('contract.complete', { contractId, attempt })
  assert.equal(await rows(world), [])
})

downgrades.run()
