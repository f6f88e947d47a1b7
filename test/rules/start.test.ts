import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf, ResultOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

// contract.start: the attempt's locks, at once or in line, and what becomes of both when either ends.

const resources = [{ resource: 'file:src/**' }, { resource: 'port:3000' }]

/** codex has accepted a contract that names src/** and a port. */
async function accepted(world: World, terms: Partial<ParamsOf<'contract.create'>> = {}): Promise<string> {
  const { id } = await world.as('cursor').call('contract.create', { title: 'a task', resources, ...terms })
  await world.as('codex').call('contract.accept', { contractId: id })
  return id
}

const hold = (actor: Actor, resource: string, more: Partial<ParamsOf<'lock.acquire'>> = {}) =>
  actor.call('lock.acquire', { resources: [{ resource }], ...more })

const release = (actor: Actor, { lockId, token }: ResultOf<'lock.acquire'>) =>
  actor.call('lock.release', { lockId, token: token! })

/** A start that is in the queue. */
async function queue(world: World, contractId: string, waitMs = 600_000) {
  const started = world.as('codex').call('contract.start', { contractId, attempt: 1, waitMs })
  await world.idle()
  assert.not.ok(started.answered(), 'it waits')
  return { started, answered: started.answered }
}

const commandsAfter = (world: World, head: number) =>
  new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size

const starts = suite('contract.start')

scenario(starts, 'takes all locks at once; every one belongs to the attempt', async (world) => {
  const contractId = await accepted(world)
  const head = world.head()
  const { contract, locks } = await world.as('codex').call('contract.start', { contractId, attempt: 1 })
  assert.equal([contract.status, contract.startedAt], ['working', world.now()])
  assert.equal(
    locks.map(({ state, holder, contractId, attempt }) => [state, holder, contractId, attempt]),
    [['held', 'codex', contractId, 1]],
  )
  assert.equal(world.types(head), ['lock.acquired', 'contract.started'])
  assert.equal((await world.as('cursor').call('lock.list', { contractId })).items, locks)
})

scenario(starts, 'without resources it just starts', async (world) => {
  const contractId = await accepted(world, { resources: [] })
  const { contract, locks } = await world.as('codex').call('contract.start', { contractId, attempt: 1 })
  assert.equal([contract.status, locks], ['working', []])
})

scenario(starts, 'a conflict without waitMs leaves it accepted', async (world) => {
  const contractId = await accepted(world)
  await hold(world.as('gemini'), 'file:src/a.ts')
  const head = world.head()
  await refused(world.as('codex').call('contract.start', { contractId, attempt: 1 }), 'LOCK_CONFLICT')
  assert.is(world.head(), head)
  assert.is((await world.as('codex').call('contract.get', { contractId })).status, 'accepted')
})

scenario(starts, 'waits in line; granted, it has started, in one command, and both are answered', async (world) => {
  const contractId = await accepted(world)
  const held = await hold(world.as('gemini'), 'file:src/a.ts')
  const waiting = await queue(world, contractId)
  await refused(hold(world.as('claude'), 'file:src/b.ts'), 'LOCK_CONFLICT')
  const head = world.head()
  await release(world.as('gemini'), held)
  const { contract, locks } = await waiting.started
  assert.equal(world.types(head), ['lock.released', 'lock.acquired', 'contract.started'])
  assert.is(commandsAfter(world, head), 1)
  assert.equal([contract.status, locks[0]?.state, locks[0]?.contractId], ['working', 'held', contractId])
  assert.equal(await world.as('cursor').call('contract.get', { contractId }), contract)
  assert.equal((await world.as('cursor').call('lock.list', { contractId })).items, locks)
})

scenario(starts, 'the end of the wait is WAIT_TIMEOUT, and it is still accepted', async (world) => {
  const contractId = await accepted(world)
  const held = await hold(world.as('gemini'), 'file:src/a.ts')
  const waiting = await queue(world, contractId, 5_000)
  await world.advance(5_001)
  const refusal = await refused(waiting.started, 'WAIT_TIMEOUT')
  assert.is((refusal.facts.blockers as Array<{ lockId: string }>)[0]?.lockId, held.lockId)
  assert.is((await world.as('codex').call('contract.get', { contractId })).status, 'accepted')
  await release(world.as('gemini'), held)
  assert.is((await world.as('codex').call('contract.start', { contractId, attempt: 1 })).contract.status, 'working')
})

for (const end of ['release', 'fail', 'cancel', 'lost'] as const) {
  scenario(starts, `a start that waits ends with its attempt: ${end}`, async (world) => {
    const contractId = await accepted(world)
    await hold(world.as('gemini'), 'file:src/a.ts')
    const waiting = await queue(world, contractId)
    const other = world.connect('codex')
    const head = world.head()
    if (end === 'release') await other.call('contract.release', { contractId, attempt: 1 })
    else if (end === 'fail') {
      await other.call('contract.fail', { contractId, attempt: 1, error: { reason: 'NO', message: 'no' } })
    } else if (end === 'cancel') {
      await world.as('cursor').call('contract.cancel', { contractId })
      await world.advance(limits.cancelGraceMs + 1)
    } else {
      // The attempt hangs on the other session, the waiting call on this one.
      await other.call('contract.accept', { contractId })
      await other.call('session.close', {})
    }
    await refused(waiting.started, 'STALE_ATTEMPT')
    assert.ok(world.types(head).includes('lock.abandoned'))
    assert.equal((await world.as('cursor').call('lock.list', { state: 'waiting' })).items, [])
  })
}

scenario(starts, 'a lock that waits for the attempt ends with it too', async (world) => {
  const contractId = await accepted(world)
  await hold(world.as('gemini'), 'file:docs/a.md')
  const call = hold(world.as('codex'), 'file:docs/**', { contractId, attempt: 1, waitMs: 60_000 })
  await world.idle()
  await world.as('codex').call('contract.release', { contractId, attempt: 1 })
  await refused(call, 'STALE_ATTEMPT')
})

scenario(starts, 'a start that waits goes with its socket; the contract stays', async (world) => {
  const contractId = await accepted(world)
  const held = await hold(world.as('gemini'), 'file:src/a.ts')
  await queue(world, contractId)
  await world.as('codex').drop()
  assert.equal((await world.as('gemini').call('lock.list', { state: 'waiting' })).items, [])
  await release(world.as('gemini'), held)
  assert.is((await world.as('gemini').call('contract.get', { contractId })).status, 'accepted')
})

scenario(starts, 'at a restart it waits no more, and the contract can be started anew', async (world) => {
  const contractId = await accepted(world)
  const { session, resumeKey } = await world.as('codex').opened
  const held = await hold(world.as('gemini'), 'file:src/a.ts', { ttlMs: 60_000 })
  await queue(world, contractId)
  await world.restart()
  assert.equal((await world.as('gemini').call('lock.list', { state: 'waiting' })).items, [])
  const codex = world.connect('codex', { resume: { session, resumeKey: resumeKey! } })
  await codex.opened
  await release(world.as('gemini'), held)
  assert.is((await codex.call('contract.start', { contractId, attempt: 1 })).contract.status, 'working')
})

scenario(starts, 'two that wait for one contract are answered alike, and hold once', async (world) => {
  const contractId = await accepted(world)
  const held = await hold(world.as('gemini'), 'file:src/a.ts')
  const one = await queue(world, contractId)
  const two = await queue(world, contractId)
  await release(world.as('gemini'), held)
  assert.equal(await two.started, await one.started)
  const { items } = await world.as('cursor').call('lock.list', { contractId })
  assert.is(items.length, 1)
  assert.is(world.events({ types: ['contract.started'] }).length, 1)
  assert.equal(world.events({ types: ['lock.abandoned'] })[0]?.data.reason, 'overtaken')
})

scenario(starts, 'the start of an attempt before it, in the same breath, is not its answer', async (world) => {
  const contractId = await accepted(world)
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  await gemini.opened
  void codex.call('contract.start', { contractId, attempt: 1 })
  void codex.call('contract.release', { contractId, attempt: 1 })
  const held = hold(gemini, 'file:src/a.ts')
  void codex.call('contract.accept', { contractId })
  const started = codex.call('contract.start', { contractId, attempt: 2, waitMs: 60_000 })
  await world.idle()
  assert.not.ok(started.answered(), 'gemini holds what it waits for')
  await release(gemini, await held)
  assert.is((await started).contract.attempt, 2)
})

starts.run()

const locks = suite('contracts: their locks')

for (const verb of ['complete', 'fail', 'release'] as const) {
  scenario(locks, `${verb} frees them, and serves who waits, in the same command`, async (world) => {
    const contractId = await accepted(world)
    const codex = world.as('codex')
    await codex.call('contract.start', { contractId, attempt: 1 })
    await hold(codex, 'file:docs/a.md', { contractId, attempt: 1 })
    const waiting = hold(world.as('gemini'), 'file:src/a.ts', { waitMs: 60_000 })
    await world.idle()
    const head = world.head()
    if (verb === 'fail') {
      await codex.call('contract.fail', { contractId, attempt: 1, error: { reason: 'NO', message: 'no' } })
    } else await codex.call(`contract.${verb}`, { contractId, attempt: 1 })
    assert.is((await waiting).state, 'held')
    const end = { complete: 'completed', fail: 'attemptFailed', release: 'released' }[verb]
    assert.equal(world.types(head), [`contract.${end}`, 'lock.released', 'lock.released', 'lock.acquired'])
    assert.is(commandsAfter(world, head), 1)
  })
}

scenario(locks, 'losing one ends the attempt, and the others go', async (world) => {
  const contractId = await accepted(world)
  const codex = world.as('codex')
  await codex.call('contract.start', { contractId, attempt: 1 })
  await hold(codex, 'file:docs/a.md', { contractId, attempt: 1, ttlMs: 5_000 })
  const head = world.head()
  await world.advance(5_001)
  assert.equal(world.types(head), ['lock.expired', 'contract.attemptFailed', 'lock.lost'])
  assert.is(commandsAfter(world, head), 1)
  const { status, error, failures } = await codex.call('contract.get', { contractId })
  assert.equal([status, error?.reason, failures], ['submitted', 'LOCK_LOST', 1])
})

scenario(locks, 'giving one of them back does not end it', async (world) => {
  const contractId = await accepted(world)
  const codex = world.as('codex')
  await codex.call('contract.start', { contractId, attempt: 1 })
  const extra = await hold(codex, 'file:docs/a.md', { contractId, attempt: 1 })
  await release(codex, extra)
  assert.is((await codex.call('contract.get', { contractId })).status, 'working')
})

for (const waited of [false, true]) {
  scenario(locks, `the one it ${waited ? 'waited' : 'did not wait'} for ends with the attempt only`, async (world) => {
    const contractId = await accepted(world)
    const codex = world.as('codex')
    const held = waited ? await hold(world.as('gemini'), 'file:src/a.ts') : undefined
    const call = codex.call('contract.start', { contractId, attempt: 1, waitMs: 60_000 })
    await world.idle()
    if (held) await release(world.as('gemini'), held)
    const [lock] = (await call).locks
    const head = world.head()
    const refusal = await refused(release(codex, lock!), 'FORBIDDEN')
    assert.equal(refusal.facts, { contractId, attempt: 1 })
    assert.is(world.head(), head)
    await codex.call('contract.release', { contractId, attempt: 1 })
    assert.equal((await codex.call('lock.list', { holder: 'codex' })).items, [])
  })
}

scenario(locks, 'one for a contract takes its open attempt, by its owner', async (world) => {
  const contractId = await accepted(world)
  await refused(hold(world.as('gemini'), 'file:a', { contractId, attempt: 1 }), 'FORBIDDEN')
  await refused(hold(world.as('codex'), 'file:a', { contractId, attempt: 2 }), 'STALE_ATTEMPT')
  await refused(hold(world.as('codex'), 'file:a', { contractId: 'ctr_none', attempt: 1 }), 'NOT_FOUND')
  await refused(hold(world.as('codex'), 'file:a', { contractId }), 'INVALID_PARAMS')
  await refused(hold(world.as('codex'), 'file:a', { attempt: 1 }), 'INVALID_PARAMS')
})

scenario(locks, "lock events tell whose they are: the contract's id is on them", async (world) => {
  const contractId = await accepted(world)
  const codex = world.as('codex')
  await codex.call('contract.start', { contractId, attempt: 1 })
  await codex.call('contract.complete', { contractId, attempt: 1 })
  const events = world.events({ types: ['lock.acquired', 'lock.released'] })
  assert.equal(
    events.map((event) => event.contractId),
    [contractId, contractId],
  )
})

locks.run()
