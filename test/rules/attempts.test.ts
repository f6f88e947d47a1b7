import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Contract } from '../../src/bridge/contracts/row.js'
import type { ParamsOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { between, toInstant, toMs } from '../../src/protocol/time.js'
import { refused, scenario, type World } from '../world.js'

type Terms = Partial<ParamsOf<'contract.create'>>

const create = (world: World, terms: Terms = {}) =>
  world.as('cursor').call('contract.create', { title: 'a task', ...terms })

const get = (world: World, contractId: string): Promise<Contract> =>
  world.as('cursor').call('contract.get', { contractId })

/** codex accepts it, and works at it if it has no locks to wait for. */
async function work(world: World, terms: Terms = {}): Promise<{ contractId: string; attempt: number }> {
  const { id: contractId } = await create(world, terms)
  return resume(world, contractId)
}

async function resume(world: World, contractId: string): Promise<{ contractId: string; attempt: number }> {
  const { attempt } = await world.as('codex').call('contract.accept', { contractId })
  await world.as('codex').call('contract.start', { contractId, attempt })
  return { contractId, attempt }
}

const error = { reason: 'BROKEN', message: 'it went wrong' }

const claims = suite('contracts: accept')

scenario(claims, '64 agents at once: one winner, 63 CLAIM_LOST', async (world) => {
  const racers = Array.from({ length: 64 }, (_, n) => world.as(`racer-${n}`))
  await Promise.all(racers.map(({ opened }) => opened))
  for (let round = 0; round < 5; round++) {
    const { id: contractId } = await create(world)
    const settled = await Promise.allSettled(racers.map((racer) => racer.call('contract.accept', { contractId })))
    const won = settled.filter(({ status }) => status === 'fulfilled')
    const lost = settled.filter((end) => end.status === 'rejected' && end.reason.reason === 'CLAIM_LOST')
    assert.equal([won.length, lost.length], [1, 63])
    const { owner, attempt, attempts } = await get(world, contractId)
    assert.equal([attempt, attempts.length, attempts[0]?.owner], [1, 1, owner])
    const again = await world.as(owner!).call('contract.accept', { contractId })
    assert.equal(again, await get(world, contractId))
  }
  assert.is(world.events({ types: ['contract.accepted'] }).length, 5)
})

scenario(claims, 'ifGeneration makes it conditional', async (world) => {
  const { id: contractId } = await create(world)
  await world.as('cursor').call('contract.update', { contractId, title: 'another task' })
  await refused(world.as('codex').call('contract.accept', { contractId, ifGeneration: 1 }), 'GENERATION_MISMATCH')
  assert.is((await world.as('codex').call('contract.accept', { contractId, ifGeneration: 2 })).generation, 3)
})

scenario(claims, "the owner's own repeated accept moves the attempt's life to the calling session", async (world) => {
  const former = world.connect('codex')
  const { id: contractId } = await create(world)
  await former.call('contract.accept', { contractId })
  const { generation } = await world.as('codex').call('contract.accept', { contractId })
  assert.is(generation, 3)
  await former.drop()
  await world.advance(limits.graceMs + 1)
  assert.is((await get(world, contractId)).status, 'accepted')
  await world.as('codex').drop()
  await world.advance(limits.graceMs + 1)
  const lost = await get(world, contractId)
  assert.equal([lost.status, lost.failures, lost.owner], ['submitted', 1, undefined])
})

claims.run()

const ends = suite('contracts: how attempts end')

scenario(ends, 'given attempts are left, fail offers it again, and the old worker is too late', async (world) => {
  const { contractId, attempt } = await work(world)
  const head = world.head()
  const again = await world.as('codex').call('contract.fail', { contractId, attempt, error })
  assert.equal([again.status, again.failures, again.owner, again.error?.reason], ['submitted', 1, undefined, 'BROKEN'])
  assert.equal(world.types(head), ['contract.attemptFailed'])
  await refused(world.as('codex').call('contract.complete', { contractId, attempt }), 'STALE_ATTEMPT')
  assert.equal(again.attempts, [
    {
      n: 1,
      owner: 'codex',
      startedAt: again.createdAt,
      endedAt: again.updatedAt,
      outcome: 'failed',
      note: 'it went wrong',
    },
  ])
})

scenario(ends, 'the pause doubles from one attempt to the next, up to 15 minutes', async (world) => {
  const terms = { maxAttempts: 9, retryBackoffMs: 10_000 }
  const { id: contractId } = await create(world, terms)
  const pauses: number[] = []
  for (let attempt = 1; attempt < 9; attempt++) {
    await resume(world, contractId)
    const { notBefore, updatedAt } = await world.as('codex').call('contract.fail', { contractId, attempt, error })
    pauses.push(between(updatedAt, notBefore!))
    await refused(world.as('codex').call('contract.accept', { contractId }), 'NOT_READY')
    await world.advance(pauses.at(-1)! - 1)
    await refused(world.as('codex').call('contract.accept', { contractId }), 'NOT_READY')
    await world.advance(2)
  }
  assert.equal(pauses, [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 900_000])
  await resume(world, contractId)
  const last = await world.as('codex').call('contract.fail', { contractId, attempt: 9, error })
  assert.equal([last.status, last.failures, last.notBefore], ['failed', 9, undefined])
})

scenario(ends, 'without a pause it is ready at once', async (world) => {
  const { contractId, attempt } = await work(world, { retryBackoffMs: 0 })
  await world.as('codex').call('contract.fail', { contractId, attempt, error })
  assert.is((await world.as('codex').call('contract.accept', { contractId })).attempt, 2)
})

scenario(ends, 'maxAttempts failures are final, three by default; retry allows one more', async (world) => {
  const { id: contractId } = await create(world, { retryBackoffMs: 0 })
  for (const attempt of [1, 2, 3]) {
    await resume(world, contractId)
    const { status } = await world.as('codex').call('contract.fail', { contractId, attempt, error })
    assert.is(status, attempt === 3 ? 'failed' : 'submitted')
  }
  const offered = await world.as('cursor').call('contract.retry', { contractId })
  assert.equal([offered.status, offered.maxAttempts, offered.failures, offered.endedAt], ['submitted', 4, 3, undefined])
  await resume(world, contractId)
  const last = await world.as('codex').call('contract.fail', { contractId, attempt: 4, error })
  assert.is(last.status, 'failed')
  assert.equal(
    last.attempts.map(({ n, outcome }) => [n, outcome]),
    [1, 2, 3, 4].map((n) => [n, 'failed']),
  )
})

scenario(ends, 'an error that is not retryable is final at once', async (world) => {
  const { contractId, attempt } = await work(world)
  const head = world.head()
  const final = { ...error, retryable: false }
  const { status, failures } = await world.as('codex').call('contract.fail', { contractId, attempt, error: final })
  assert.equal([status, failures], ['failed', 1])
  assert.equal(world.types(head), ['contract.failed'])
})

scenario(ends, 'a release is not counted and makes no pause', async (world) => {
  const { id: contractId } = await create(world, { maxAttempts: 1 })
  for (const attempt of [1, 2, 3]) {
    await resume(world, contractId)
    const { failures, status, notBefore } = await world.as('codex').call('contract.release', { contractId, attempt })
    assert.equal([failures, status, notBefore], [0, 'submitted', undefined])
  }
})

scenario(ends, 'complete, fail and release said twice are answered as the first time', async (world) => {
  const codex = world.as('codex')
  const done = await work(world)
  const completed = await codex.call('contract.complete', { ...done, result: 1, note: 'all of it' })
  assert.equal(await codex.call('contract.complete', { ...done, result: 2 }), completed)
  const broken = await work(world, { maxAttempts: 1 })
  const failed = await codex.call('contract.fail', { ...broken, error })
  assert.equal(await codex.call('contract.fail', { ...broken, error }), failed)
  const given = await work(world)
  const released = await codex.call('contract.release', given)
  const head = world.head()
  assert.equal(await codex.call('contract.release', given), released)
  assert.is(world.head(), head)
})

scenario(ends, 'complete keeps result, artifacts by name, and evidence stamped with who and when', async (world) => {
  const work1 = await work(world)
  const codex = world.as('codex')
  const artifact = (name: string, text: string) => ({ name, mediaType: 'text/plain', text })
  await codex.call('contract.update', { ...work1, artifacts: [artifact('a', '1'), artifact('b', '1')] })
  await world.advance(10)
  const evidence = [{ check: 'test', command: 'npm test', exitCode: 0, output: 'ok', head: 'abc' }]
  const terms = { ...work1, result: { files: 2 }, artifacts: [artifact('a', '2')], evidence, note: 'done' }
  const done = await codex.call('contract.complete', terms)
  assert.equal(done.artifacts, [artifact('b', '1'), artifact('a', '2')])
  assert.equal(done.evidence, [{ ...evidence[0], by: 'codex', at: done.endedAt }])
  assert.equal([done.progress, done.statusMessage, done.result], [1, 'done', { files: 2 }])
  assert.equal([done.attempts[0]?.outcome, done.owner], ['completed', 'codex'])
})

scenario(ends, 'a contract above 64 KiB is refused and stays as it was; an attempt can still end', async (world) => {
  const { contractId, attempt } = await work(world)
  const codex = world.as('codex')
  const big = 'é'.repeat(33_000)
  await refused(codex.call('contract.complete', { contractId, attempt, result: big }), 'TOO_LARGE')
  await refused(codex.call('contract.update', { contractId, attempt, metadata: { big } }), 'TOO_LARGE')
  await refused(world.as('cursor').call('contract.create', { title: 'big', metadata: { big } }), 'TOO_LARGE')
  assert.is((await get(world, contractId)).status, 'working')
  await codex.call('contract.update', { contractId, attempt, metadata: { big: 'é'.repeat(31_000) } })
  await codex.call('contract.fail', { contractId, attempt, error: { ...error, message: 'x'.repeat(4_000) } })
})

scenario(ends, 'a session that does not come back in its grace loses its attempts', async (world) => {
  const resources = [{ resource: 'file:src/**' }]
  const { contractId } = await work(world, { resources })
  await world.as('codex').drop()
  await world.advance(limits.graceMs - 1)
  assert.is((await get(world, contractId)).status, 'working')
  const head = world.head()
  await world.advance(2)
  const lost = await get(world, contractId)
  assert.equal([lost.status, lost.failures, lost.attempts[0]?.outcome], ['submitted', 1, 'lost'])
  assert.is(lost.error?.reason, 'WORKER_LOST')
  assert.is(between(lost.updatedAt, lost.notBefore!), limits.retryBackoffMs)
  // The attempt's end and its locks' are one command: nobody ever sees the one without the other.
  assert.equal(world.types(head), ['agent.lost', 'contract.attemptFailed', 'lock.lost'])
  assert.is(new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size, 1)
  await world.advance(limits.retryBackoffMs)
  assert.is((await world.as('gemini').call('contract.next', {}))?.id, contractId)
})

scenario(ends, 'a session that comes back in its grace keeps them', async (world) => {
  const { contractId, attempt } = await work(world)
  const { session, resumeKey } = await world.as('codex').opened
  await world.as('codex').drop()
  await world.advance(limits.graceMs - 1)
  const back = world.connect('codex', { resume: { session, resumeKey: resumeKey! } })
  assert.is((await back.opened).resumed, true)
  await world.advance(limits.graceMs * 2)
  assert.is((await back.call('contract.complete', { contractId, attempt })).status, 'completed')
})

scenario(ends, 'a goodbye needs no grace', async (world) => {
  const { contractId } = await work(world, { resources: [{ resource: 'file:a' }] })
  const head = world.head()
  await world.as('codex').call('session.close', {})
  assert.equal(world.types(head), ['agent.disconnected', 'contract.attemptFailed', 'lock.lost'])
  assert.is((await get(world, contractId)).status, 'submitted')
})

ends.run()

const timeouts = suite('contracts: progress')

scenario(timeouts, 'an owner without a session is lost after 30 minutes of silence', async (world) => {
  const cli = world.as('codex', { session: false })
  const { id: contractId } = await create(world)
  await cli.call('contract.accept', { contractId })
  await world.advance(limits.progressTimeoutMs - 1)
  await cli.call('contract.start', { contractId, attempt: 1 })
  await world.advance(limits.progressTimeoutMs - 1)
  await cli.call('contract.update', { contractId, attempt: 1, note: 'still here' })
  await world.advance(limits.progressTimeoutMs - 1)
  assert.is((await get(world, contractId)).status, 'working')
  await world.advance(2)
  const lost = await get(world, contractId)
  assert.equal([lost.status, lost.error?.reason, lost.failures], ['submitted', 'PROGRESS_TIMEOUT', 1])
})

scenario(timeouts, 'an owner with a session is not, unless the contract says so', async (world) => {
  const patient = await work(world)
  const strict = await work(world, { progressTimeoutMs: 60_000 })
  await world.advance(60_001)
  assert.is((await get(world, strict.contractId)).status, 'submitted')
  await world.advance(limits.progressTimeoutMs * 2)
  assert.is((await get(world, patient.contractId)).status, 'working')
})

scenario(timeouts, 'a word in time counts, also while it is held back', async (world) => {
  const { contractId, attempt } = await work(world, { progressTimeoutMs: 1_000 })
  const codex = world.as('codex')
  for (let told = 1; told <= 5; told++) {
    await codex.call('contract.update', { contractId, attempt, progress: told / 10 })
    await world.advance(900)
  }
  assert.is((await get(world, contractId)).status, 'working')
})

scenario(timeouts, 'the first word is written at once, then one a second, and the last wins', async (world) => {
  const { contractId, attempt } = await work(world)
  const codex = world.as('codex')
  const head = world.head()
  const tell = (progress: number, note: string) =>
    codex.call('contract.update', { contractId, attempt, progress, note })
  await tell(0.1, 'one')
  assert.is(world.head(), head + 1)
  for (let n = 2; n <= 9; n++) {
    const told = await tell(n / 10, `word ${n}`)
    // The caller is told what it said, though it is not written yet.
    assert.equal([told.progress, told.statusMessage], [n / 10, `word ${n}`])
    await world.advance(100)
  }
  assert.is(world.head(), head + 1)
  await world.advance(201)
  assert.is(world.head(), head + 2)
  const [first, second] = world.events({ after: head })
  assert.is(between(first!.time, second!.time) >= 1_000, true)
  assert.equal([second?.data.note, (second!.data.contract as Contract).progress], ['word 9', 0.9])
  assert.is((await get(world, contractId)).statusMessage, 'word 9')
  await world.advance(10_000)
  assert.is(world.head(), head + 2)
})

scenario(timeouts, 'what is more than progress and a note is written at once, with what was held', async (world) => {
  const { contractId, attempt } = await work(world)
  const codex = world.as('codex')
  await codex.call('contract.update', { contractId, attempt, progress: 0.1 })
  await codex.call('contract.update', { contractId, attempt, progress: 0.2, note: 'held' })
  const told = await codex.call('contract.update', { contractId, attempt, metadata: { file: 'a.ts' } })
  assert.equal([told.progress, told.statusMessage, told.metadata], [0.2, 'held', { file: 'a.ts' }])
  const head = world.head()
  await world.advance(5_000)
  assert.is(world.head(), head)
})

scenario(timeouts, 'what is held is written when the daemon stops', async (world) => {
  const { contractId, attempt } = await work(world)
  const codex = world.as('codex')
  await codex.call('contract.update', { contractId, attempt, progress: 0.1 })
  await codex.call('contract.update', { contractId, attempt, progress: 0.2, note: 'the last word' })
  await world.stop()
  await world.restart()
  assert.equal((await get(world, contractId)).statusMessage, 'the last word')
})

type Own = { contractId: string; attempt: number }

const endings: Record<string, (world: World, own: Own) => Promise<unknown>> = {
  complete: (world, own) => world.as('codex').call('contract.complete', own),
  fail: (world, own) => world.as('codex').call('contract.fail', { ...own, error }),
  release: (world, own) => world.as('codex').call('contract.release', own),
  goodbye: (world) => world.as('codex').call('session.close', {}),
  async 'a cancel that is acknowledged'(world, own) {
    await world.as('cursor').call('contract.cancel', { contractId: own.contractId })
    await world.as('codex').call('contract.acknowledgeCancel', own)
  },
  async 'a lock that is broken'(world, { contractId }) {
    const admin = world.as('chief', { role: 'admin' })
    const [lock] = (await admin.call('lock.list', { contractId })).items
    await admin.call('lock.break', { lockId: lock!.lockId, reason: 'it hangs' })
  },
}

for (const [way, end] of Object.entries(endings)) {
  scenario(timeouts, `what is held when the attempt ends is not lost: ${way}`, async (world) => {
    const own = await work(world, { resources: [{ resource: 'port:1' }] })
    const [codex, cursor] = [world.as('codex'), world.as('cursor')]
    await Promise.all([cursor.opened, world.as('chief', { role: 'admin' }).opened])
    await codex.call('contract.update', { ...own, progress: 0.1, note: 'first' })
    await codex.call('contract.update', { ...own, progress: 0.7, note: 'half of it is in src/b.ts' })
    await end(world, own)
    const { items } = await cursor.call('contract.history', { contractId: own.contractId, limit: 50 })
    const told = items.find(({ note }) => note === 'half of it is in src/b.ts')
    assert.equal([told?.type, told?.changes.progress], ['contract.progressed', 0.7])
  })
}

scenario(timeouts, 'nor is what was said in the last second before a cancel is forced', async (world) => {
  const own = await work(world)
  const [codex, cursor] = [world.as('codex'), world.as('cursor')]
  await cursor.call('contract.cancel', { contractId: own.contractId })
  await world.advance(limits.cancelGraceMs - 500)
  await codex.call('contract.update', { ...own, note: 'first' })
  await codex.call('contract.update', { ...own, note: 'src/b.ts is half done' })
  await world.advance(501)
  const { items } = await cursor.call('contract.history', { contractId: own.contractId, limit: 50 })
  assert.equal(
    items.slice(-2).map(({ type, note }) => [type, note]),
    [
      ['contract.progressed', 'src/b.ts is half done'],
      ['contract.canceled', 'The owner did not stop in time.'],
    ],
  )
})

scenario(timeouts, 'what is held of one attempt never touches the next', async (world) => {
  const { contractId, attempt } = await work(world)
  const codex = world.as('codex')
  await codex.call('contract.update', { contractId, attempt, progress: 0.1 })
  await codex.call('contract.update', { contractId, attempt, progress: 0.9 })
  await codex.call('contract.release', { contractId, attempt })
  await codex.call('contract.accept', { contractId })
  await world.advance(5_000)
  assert.is((await get(world, contractId)).progress, undefined)
})

timeouts.run()

const cancels = suite('contracts: cancel')

scenario(cancels, 'unowned, at once, and said twice is answered as the first time', async (world) => {
  const { id: contractId } = await create(world)
  const canceled = await world.as('cursor').call('contract.cancel', { contractId, note: 'not needed' })
  assert.equal([canceled.status, canceled.statusMessage], ['canceled', 'not needed'])
  assert.equal(await world.as('cursor').call('contract.cancel', { contractId }), canceled)
})

scenario(cancels, 'owned, the owner is asked, and has 30 seconds to stop', async (world) => {
  const { contractId, attempt } = await work(world, { resources: [{ resource: 'file:a' }] })
  const asked = await world.as('cursor').call('contract.cancel', { contractId })
  assert.equal([asked.status, between(asked.cancelRequestedAt!, asked.cancelDueAt!)], ['working', 30_000])
  assert.equal(await world.as('cursor').call('contract.cancel', { contractId }), asked)
  await world.advance(limits.cancelGraceMs - 1)
  assert.is((await get(world, contractId)).status, 'working')
  const head = world.head()
  await world.advance(2)
  const forced = await get(world, contractId)
  assert.equal([forced.status, forced.attempts[0]?.outcome, forced.failures], ['canceled', 'canceled', 0])
  assert.equal(world.types(head), ['contract.canceled', 'lock.lost'])
  assert.is(world.events({ after: head })[0]?.data.forced, true)
  await refused(world.as('codex').call('contract.complete', { contractId, attempt }), 'STALE_ATTEMPT')
})

scenario(cancels, 'complete may still win', async (world) => {
  const work1 = await work(world)
  await world.as('cursor').call('contract.cancel', { contractId: work1.contractId })
  assert.is((await world.as('codex').call('contract.complete', work1)).status, 'completed')
  await world.advance(limits.cancelGraceMs * 2)
  assert.is((await get(world, work1.contractId)).status, 'completed')
})

scenario(cancels, 'the owner acknowledges, and its locks are free in the same command', async (world) => {
  const work1 = await work(world, { resources: [{ resource: 'file:a' }] })
  await refused(world.as('codex').call('contract.acknowledgeCancel', work1), 'INVALID_TRANSITION')
  await world.as('cursor').call('contract.cancel', { contractId: work1.contractId })
  const head = world.head()
  assert.is((await world.as('codex').call('contract.acknowledgeCancel', work1)).status, 'canceled')
  assert.equal(world.types(head), ['contract.canceled', 'lock.released'])
  assert.not.ok('forced' in world.events({ after: head })[0]!.data)
})

for (const end of ['fail', 'release', 'lost'] as const) {
  scenario(
    cancels,
    `an attempt that ends by ${end} after the request is canceled, not offered again`,
    async (world) => {
      const work1 = await work(world)
      await world.as('cursor').call('contract.cancel', { contractId: work1.contractId })
      if (end === 'fail') await world.as('codex').call('contract.fail', { ...work1, error })
      else if (end === 'release') await world.as('codex').call('contract.release', work1)
      else await world.as('codex').call('session.close', {})
      assert.is((await get(world, work1.contractId)).status, 'canceled')
    },
  )
}

cancels.run()

const ready = suite('contracts: notBefore')

scenario(ready, 'it is not offered before, by accept nor by next', async (world) => {
  const notBefore = toInstant(toMs(world.now()) + 60_000)
  const { id: contractId } = await create(world, { notBefore })
  const codex = world.as('codex')
  assert.is(await codex.call('contract.next', {}), null)
  assert.equal((await refused(codex.call('contract.accept', { contractId }), 'NOT_READY')).facts, {
    blockedBy: [],
    notBefore,
  })
  assert.equal((await codex.call('contract.list', { ready: false })).items.length, 1)
  const head = world.head()
  await world.advance(60_001)
  assert.equal(world.types(head), ['contract.unblocked'])
  assert.equal((await codex.call('contract.list', { ready: true })).items.length, 1)
  assert.is((await codex.call('contract.next', {}))?.id, contractId)
})

scenario(ready, 'an instant that has passed stands against nothing', async (world) => {
  const { notBefore } = await create(world, { notBefore: '2001-01-01T00:00:00.000Z' })
  assert.is(notBefore, undefined)
})

scenario(ready, 'it can be canceled and rejected meanwhile, and time then changes nothing', async (world) => {
  const notBefore = toInstant(toMs(world.now()) + 60_000)
  const one = await create(world, { notBefore })
  const two = await create(world, { notBefore, assignee: 'codex' })
  await world.as('cursor').call('contract.cancel', { contractId: one.id })
  await world.as('codex').call('contract.reject', { contractId: two.id })
  const head = world.head()
  await world.advance(120_000)
  assert.is(world.head(), head)
})

ready.run()

const histories = suite('contracts: history')

scenario(histories, 'tells what changed, by whom, page after page', async (world) => {
  const work1 = await work(world, { resources: [{ resource: 'file:a' }] })
  await world.as('codex').call('contract.update', { ...work1, note: 'begun', progress: 0.5 })
  await world.as('codex').call('contract.complete', { ...work1, note: 'done' })
  const { contractId } = work1
  const whole = await world.as('cursor').call('contract.history', { contractId })
  assert.equal(
    whole.items.map(({ type, actor, note }) => [type, actor, note]),
    [
      ['contract.created', 'cursor', undefined],
      ['contract.accepted', 'codex', undefined],
      ['lock.acquired', 'codex', undefined],
      ['contract.started', 'codex', undefined],
      ['contract.progressed', 'codex', 'begun'],
      ['contract.completed', 'codex', 'done'],
      ['lock.released', 'bridge', undefined],
    ],
  )
  assert.equal([whole.items[1]?.changes.status, whole.items[1]?.changes.owner], ['accepted', 'codex'])
  assert.not.ok('title' in whole.items[1]!.changes)
  assert.is(whole.truncatedBefore, undefined)
  const paged = []
  for (let page: string | undefined; ; ) {
    const answer = await world.as('cursor').call('contract.history', { contractId, limit: 2, page })
    paged.push(...answer.items)
    page = answer.nextPage
    if (page === undefined) break
  }
  assert.equal(paged, whole.items)
})

scenario(histories, 'a page that this list did not give out is refused', async (world) => {
  const { contractId } = await work(world, { resources: [{ resource: 'file:a' }] })
  const other = await world.as('cursor').call('contract.create', { title: 'other' })
  const { items, at: head } = await world.as('cursor').call('contract.history', { contractId })
  const seqOf = (type: string) => Number(items.find((item) => item.type === type)?.cursor.split('-')[1])
  const locked = seqOf('lock.acquired')
  const pages = [`${head}/${locked}/${locked}`, `${head}/1/1`, `${head}/999999/999999`, 'x', '']
  for (const page of pages) {
    await refused(world.as('cursor').call('contract.history', { contractId, page }), 'INVALID_PARAMS')
  }
  const page = `${head}/${seqOf('contract.started')}/${seqOf('contract.started')}`
  await refused(world.as('cursor').call('contract.history', { contractId: other.id, page }), 'INVALID_PARAMS')
})

histories.run()
