import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { methods, type ParamsOf, type ResultOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { toInstant, toMs } from '../../src/protocol/time.js'
import { type Actor, type Asked, refused, scenario, type World } from '../world.js'

// contract.next: which one is taken, by whom, and who is woken.

const create = async (world: World, title: string, terms: Partial<ParamsOf<'contract.create'>> = {}) =>
  (await world.as('cursor').call('contract.create', { title, ...terms })).id

/** The titles an agent is given, until there are no more. */
async function drain(actor: Actor, params: ParamsOf<'contract.next'> = {}): Promise<string[]> {
  const titles: string[] = []
  for (;;) {
    const contract = await actor.call('contract.next', params)
    if (!contract) return titles
    titles.push(contract.title)
  }
}

const takes = suite('contract.next: which')

scenario(takes, 'by priority, then by age', async (world) => {
  for (const priority of ['low', 'normal', 'high', 'critical'] as const) {
    await create(world, `old ${priority}`, { priority })
    await world.advance(5)
    await create(world, `new ${priority}`, { priority })
  }
  const work = await world.as('codex').call('contract.list', { ready: true })
  const expected = ['critical', 'high', 'normal', 'low'].flatMap((name) => [`old ${name}`, `new ${name}`])
  assert.equal(
    work.items.map(({ title }) => title),
    expected,
  )
  assert.equal(await drain(world.as('codex')), expected)
})

scenario(takes, 'also when they are offered in different ways', async (world) => {
  await create(world, 'anyone, high', { priority: 'high' })
  await create(world, 'by name, low', { priority: 'low', assignee: 'codex' })
  await create(world, 'by capability, critical', { priority: 'critical', capability: 'rust' })
  await create(world, 'anyone, low', { priority: 'low' })
  await create(world, "another's", { assignee: 'gemini' })
  await create(world, "another's capability", { capability: 'go' })
  const codex = world.as('codex', { capabilities: ['rust'] })
  const expected = ['by capability, critical', 'anyone, high', 'by name, low', 'anyone, low']
  assert.equal(await drain(codex), expected)
})

scenario(takes, 'of its capabilities for those named', async (world) => {
  await create(world, 'rust', { capability: 'rust' })
  await create(world, 'go', { capability: 'go' })
  const codex = world.as('codex', { capabilities: ['rust', 'go'] })
  assert.equal(await drain(codex, { capabilities: ['go'] }), ['go'])
})

scenario(takes, 'never what accept would refuse the caller', async (world) => {
  const contractId = await create(world, 'go', { capability: 'go' })
  const codex = world.as('codex', { capabilities: ['rust'] })
  await refused(codex.call('contract.accept', { contractId }), 'FORBIDDEN')
  for (const waitMs of [0, 1_000]) {
    const refusal = await refused(codex.call('contract.next', { capabilities: ['rust', 'go'], waitMs }), 'FORBIDDEN')
    assert.equal(refusal.facts, { capabilities: ['go'] })
  }
  await codex.call('agent.update', { capabilities: ['rust', 'go'] })
  assert.equal(await drain(codex, { capabilities: ['go'] }), ['go'])
})

scenario(takes, 'with any of the tags, if tags are named', async (world) => {
  await create(world, 'neither')
  await create(world, 'docs', { tags: ['docs'] })
  await create(world, 'tests', { tags: ['tests', 'docs'], priority: 'high' })
  assert.equal(await drain(world.as('codex'), { tags: ['tests', 'docs'] }), ['tests', 'docs'])
  assert.equal(await drain(world.as('codex'), { tags: ['unknown'] }), [])
})

scenario(takes, 'none that is not ready', async (world) => {
  const notBefore = toInstant(toMs(world.now()) + 1_000)
  await create(world, 'later', { notBefore })
  const taken = await create(world, 'taken')
  await world.as('gemini').call('contract.accept', { contractId: taken })
  assert.equal(await drain(world.as('codex')), [])
})

takes.run()

const waits = suite('contract.next: waiting')

scenario(waits, 'of many that wait each contract wakes one, the one that has waited longest', async (world) => {
  const workers = Array.from({ length: 12 }, (_, n) => world.as(`worker-${n}`))
  const calls: Array<Asked<ResultOf<'contract.next'>>> = []
  for (const worker of workers) {
    await worker.opened
    calls.push(worker.call('contract.next', { waitMs: 60_000 }))
  }
  await world.idle()
  const answered = () => calls.filter((call) => call.answered()).length
  for (let offered = 1; offered <= 5; offered++) {
    await create(world, `task ${offered}`)
    await world.idle()
    assert.is(answered(), offered)
    assert.is((await calls[offered - 1])?.title, `task ${offered}`)
  }
  // Several in one breath: each finds its own.
  await Promise.all(['a', 'b', 'c'].map((title) => create(world, title)))
  await world.idle()
  assert.is(answered(), 8)
  await world.advance(60_001)
  const rest = await Promise.all(calls.slice(8))
  assert.equal(rest, [null, null, null, null])
  assert.is(world.events({ types: ['contract.accepted'] }).length, 8)
})

scenario(waits, 'no herd: of a thousand that wait only those are run again that are given something', async (world) => {
  const method = methods.get('contract.next')!
  const run = method.run as (...given: unknown[]) => unknown
  let runs = 0
  Object.assign(method, {
    run(...given: unknown[]) {
      runs++
      return run(...given)
    },
  })
  try {
    const workers = Array.from({ length: 16 }, (_, n) => world.as(`worker-${n}`, { capabilities: ['rust'] }))
    await Promise.all(workers.map(({ opened }) => opened))
    const calls = workers.flatMap((worker) =>
      Array.from({ length: limits.parkedCalls }, () => worker.call('contract.next', { waitMs: 60_000 })),
    )
    await world.idle()
    assert.is(runs, 1_024)
    const given = () => calls.filter((call) => call.answered()).length
    const first = await create(world, 'one')
    await world.idle()
    assert.equal([runs, given()], [1_025, 1])
    // Nothing that happens to what they cannot have wakes them, nor that it is offered to others.
    await create(world, 'after', { dependsOn: [first], capability: 'rust' })
    await create(world, "another's", { assignee: 'gemini' })
    await world.idle()
    assert.equal([runs, given()], [1_025, 1])
    const { owner } = await world.as('cursor').call('contract.get', { contractId: first })
    const worker = workers.find(({ agent }) => agent === owner)!
    await worker.call('contract.start', { contractId: first, attempt: 1 })
    await worker.call('contract.complete', { contractId: first, attempt: 1 })
    await world.idle()
    assert.equal([runs, given()], [1_026, 2])
    await Promise.all(Array.from({ length: 10 }, (_, n) => create(world, `task ${n}`)))
    await world.idle()
    assert.equal([runs, given()], [1_036, 12])
  } finally {
    Object.assign(method, { run })
  }
})

scenario(waits, 'only one to whom it is offered is woken', async (world) => {
  const [gemini, codex] = [world.as('gemini'), world.as('codex', { capabilities: ['rust'] })]
  await Promise.all([gemini.opened, codex.opened])
  const anyones = gemini.call('contract.next', { waitMs: 60_000 })
  const able = codex.call('contract.next', { waitMs: 60_000 })
  await create(world, 'rust', { capability: 'rust' })
  await world.idle()
  assert.equal([anyones.answered(), able.answered()], [false, true])
  await create(world, 'by name', { assignee: 'gemini' })
  assert.is((await anyones)?.title, 'by name')
})

scenario(waits, 'woken by a release, by the end of a pause, and by a change of terms', async (world) => {
  const [gemini, codex] = [world.as('gemini'), world.as('codex')]
  await gemini.opened
  const contractId = await create(world, 'a task')
  await codex.call('contract.accept', { contractId })
  const released = gemini.call('contract.next', { waitMs: 60_000 })
  await codex.call('contract.release', { contractId, attempt: 1 })
  assert.is((await released)?.attempt, 2)
  const paused = codex.call('contract.next', { waitMs: 60_000 })
  await gemini.call('contract.fail', { contractId, attempt: 2, error: { reason: 'NO', message: 'no' } })
  await world.idle()
  assert.not.ok(paused.answered())
  await world.advance(1_001)
  assert.is((await paused)?.attempt, 3)
  const other = await create(world, 'for claude', { assignee: 'claude' })
  const reassigned = gemini.call('contract.next', { waitMs: 60_000 })
  await world.as('cursor').call('contract.update', { contractId: other, assignee: 'gemini' })
  assert.is((await reassigned)?.id, other)
})

scenario(waits, 'who has gone is not given work, and does not stand in the way', async (world) => {
  const [gone, here] = [world.as('gone'), world.as('here')]
  await Promise.all([gone.opened, here.opened])
  gone.call('contract.next', { waitMs: 60_000 })
  await world.idle()
  const call = here.call('contract.next', { waitMs: 60_000 })
  await world.idle()
  await gone.drop()
  await create(world, 'a task')
  assert.is((await call)?.owner, 'here')
})

scenario(waits, 'who goes between being woken and being served is passed over', async (world) => {
  const [gone, here] = [world.as('gone'), world.as('here')]
  await Promise.all([gone.opened, here.opened, world.as('cursor').opened])
  gone.call('contract.next', { waitMs: 60_000 })
  await world.idle()
  const call = here.call('contract.next', { waitMs: 60_000 })
  await world.idle()
  world.engine.signals.once('committed', () => void gone.drop())
  const contractId = await create(world, 'a task')
  await world.idle()
  const { owner } = await world.as('cursor').call('contract.get', { contractId })
  assert.equal([owner, call.answered()], ['here', true])
})

scenario(waits, 'whose time is up between being woken and being served is answered once', async (world) => {
  const codex = world.as('codex')
  await Promise.all([codex.opened, world.as('cursor').opened])
  const call = codex.call('contract.next', { waitMs: 1_000 })
  await world.idle()
  // The timer fires after the commit that woke the call, and before the call has run again.
  world.engine.signals.once('committed', () => world.clock.nextTimer(1_000)?.())
  const contractId = await create(world, 'a task')
  const given = await call
  await world.idle()
  const { owner } = await world.as('cursor').call('contract.get', { contractId })
  assert.is(owner, given === null ? undefined : 'codex', 'who was told there is nothing owns nothing')
})

scenario(waits, 'an idempotent retry of a call that waits joins it', async (world) => {
  const [first, second] = [world.connect('codex'), world.connect('codex')]
  await Promise.all([first.opened, second.opened])
  const params = { waitMs: 60_000, idempotencyKey: 'k' }
  const calls = [first.call('contract.next', params)]
  await world.idle()
  calls.push(second.call('contract.next', params))
  await world.idle()
  await create(world, 'one')
  await create(world, 'two')
  const [one, same] = await Promise.all(calls)
  assert.equal([one?.title, same], ['one', one])
  assert.equal(await first.call('contract.next', params), one)
  await world.restart()
  assert.equal(await world.as('codex').call('contract.next', params), one)
})

waits.run()
