import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { refused, scenario, type World } from '../world.js'

// Done means verified: checks, evidence, and another agent's look.

type Check = NonNullable<ParamsOf<'contract.create'>['checks']>[number]

const tests: Check = { name: 'tests', command: 'npm test' }
const lint: Check = { name: 'lint', command: 'npm run lint' }
const review: Check = { name: 'review', command: 'read it', verifier: 'other' }

const ran = (check: string, exitCode = 0) => ({ check, command: 'npm test', exitCode, output: 'the tail', head: 'abc' })

async function work(world: World, checks: Check[]): Promise<{ contractId: string; attempt: number }> {
  const { id: contractId } = await world
    .as('cursor')
    .call('contract.create', { title: 'a task', checks, retryBackoffMs: 0 })
  return workAt(world, contractId)
}

async function workAt(world: World, contractId: string): Promise<{ contractId: string; attempt: number }> {
  const { attempt } = await world.as('codex').call('contract.accept', { contractId })
  await world.as('codex').call('contract.start', { contractId, attempt })
  return { contractId, attempt }
}

const completion = suite('contracts: completing with checks')

scenario(completion, 'demands passing evidence for each', async (world) => {
  const own = await work(world, [tests, lint])
  const codex = world.as('codex')
  const head = world.head()
  const none = await refused(codex.call('contract.complete', own), 'CHECKS_FAILED')
  assert.equal(none.facts, { missing: ['tests', 'lint'], failing: [], unverified: [] })
  const some = [ran('tests'), ran('lint', 2), ran('something else', 1)]
  const half = await refused(codex.call('contract.complete', { ...own, evidence: some }), 'CHECKS_FAILED')
  assert.equal(half.facts, { missing: [], failing: ['lint'], unverified: [] })
  assert.not.ok(/tests|lint/.test(half.message), "names are a peer's: not in the message")
  assert.is(world.head(), head)
  const done = await codex.call('contract.complete', { ...own, evidence: [ran('lint', 2), ran('tests'), ran('lint')] })
  const stamp = { by: 'codex', at: world.now() }
  assert.equal(done.evidence, [
    { ...ran('tests'), ...stamp },
    { ...ran('lint'), ...stamp },
  ])
})

scenario(completion, 'without checks it takes evidence, and demands none', async (world) => {
  const one = await work(world, [])
  await world.as('codex').call('contract.complete', one)
  const two = await work(world, [])
  const done = await world.as('codex').call('contract.complete', { ...two, evidence: [ran('by hand', 1)] })
  assert.is(done.evidence[0]?.check, 'by hand')
})

scenario(completion, "another agent's check is not passed by the owner's evidence", async (world) => {
  const own = await work(world, [tests, review])
  const codex = world.as('codex')
  const evidence = [ran('tests'), ran('review')]
  const refusal = await refused(codex.call('contract.complete', { ...own, evidence }), 'CHECKS_FAILED')
  assert.equal(refusal.facts, { missing: [], failing: [], unverified: ['review'] })
  const head = world.head()
  const call = { contractId: own.contractId, evidence: [ran('review', 1)], note: 'not yet' }
  const verified = await world.as('gemini').call('contract.verify', call)
  assert.equal([verified.status, verified.evidence[0]?.by], ['working', 'gemini'])
  const [told] = world.events({ after: head, types: ['contract.verified'] })
  assert.equal([told?.actor, told?.data.checks, told?.data.note], ['gemini', ['review'], 'not yet'])
  const failing = await refused(codex.call('contract.complete', { ...own, evidence }), 'CHECKS_FAILED')
  assert.equal(failing.facts, { missing: [], failing: ['review'], unverified: [] })
  await world.as('gemini').call('contract.verify', { contractId: own.contractId, evidence: [ran('review')] })
  const done = await codex.call('contract.complete', { ...own, evidence: [ran('tests')] })
  assert.equal(
    done.evidence.map(({ check, by, exitCode }) => [check, by, exitCode]),
    [
      ['review', 'gemini', 0],
      ['tests', 'codex', 0],
    ],
  )
})

scenario(completion, 'the last word counts, whosever it is', async (world) => {
  const own = await work(world, [tests, review])
  const [gemini, claude] = [world.as('gemini'), world.as('claude')]
  const { contractId } = own
  await gemini.call('contract.verify', { contractId, evidence: [ran('review'), ran('tests', 1)] })
  await claude.call('contract.verify', { contractId, evidence: [ran('review', 1)] })
  const codex = world.as('codex')
  const refusal = await refused(codex.call('contract.complete', own), 'CHECKS_FAILED')
  assert.equal(refusal.facts, { missing: [], failing: ['tests', 'review'], unverified: [] })
  await gemini.call('contract.verify', { contractId, evidence: [ran('review')] })
  await codex.call('contract.complete', { ...own, evidence: [ran('tests')] })
})

scenario(completion, 'evidence is of the attempt: the next one begins with none', async (world) => {
  const own = await work(world, [tests, review])
  await world.as('gemini').call('contract.verify', { contractId: own.contractId, evidence: [ran('review')] })
  const released = await world.as('codex').call('contract.release', own)
  assert.is(released.evidence.length, 1)
  const next = await workAt(world, own.contractId)
  const refusal = await refused(world.as('codex').call('contract.complete', next), 'CHECKS_FAILED')
  assert.equal(refusal.facts, { missing: ['tests'], failing: [], unverified: ['review'] })
  // A verifier that looked at the attempt before says so, and is told.
  const late = { ...own, evidence: [ran('review')] }
  await refused(world.as('gemini').call('contract.verify', late), 'STALE_ATTEMPT')
  await world.as('gemini').call('contract.verify', { ...late, attempt: next.attempt })
})

completion.run()

const edges = suite('contracts: verifying badly')

scenario(edges, 'unknown checks, no evidence, too much of it', async (world) => {
  const own = await work(world, [tests, review])
  const { contractId } = own
  const gemini = world.as('gemini')
  const head = (await gemini.opened).cursor
  const unknown = await refused(
    gemini.call('contract.verify', { contractId, evidence: [ran('review'), ran('nonsense')] }),
    'INVALID_PARAMS',
  )
  assert.equal(unknown.facts, { unknown: ['nonsense'], known: ['tests', 'review'] })
  for (const evidence of [
    [],
    'yes',
    [{ check: 'review' }],
    [{ ...ran('review'), exitCode: 'ok' }],
    [{ ...ran('review'), exitCode: 0.5 }],
    [{ ...ran('review'), by: 'human' }],
    [{ ...ran('review'), output: 'x'.repeat(limits.noteLength + 1) }],
    Array.from({ length: limits.evidence + 1 }, () => ran('review')),
  ]) {
    await refused(gemini.ask('contract.verify', { contractId, evidence }), 'INVALID_PARAMS')
  }
  assert.is((await gemini.call('bridge.status', {})).head, head)
})

scenario(edges, 'two checks of one name', async (world) => {
  const call = world
    .as('cursor')
    .call('contract.create', { title: 'a task', checks: [tests, { ...review, name: 'tests' }] })
  await refused(call, 'INVALID_PARAMS')
})

scenario(edges, 'of many agents: a bounded number, and never more than a contract holds', async (world) => {
  const own = await work(world, [review])
  const { contractId } = own
  for (let n = 0; n < limits.evidence; n++) {
    await world.as(`agent-${n}`).call('contract.verify', { contractId, evidence: [ran('review')] })
  }
  await refused(world.as('one-more').call('contract.verify', { contractId, evidence: [ran('review')] }), 'TOO_LARGE')
  await world.as('agent-1').call('contract.verify', { contractId, evidence: [ran('review')] })
  const many = Array.from({ length: 32 }, (_, n) => ({ name: `check ${n}`, command: 'c' }))
  const big = await work(world, many)
  const evidence = many.map(({ name }) => ({ ...ran(name), output: 'x'.repeat(limits.noteLength) }))
  await refused(world.as('gemini').call('contract.verify', { contractId: big.contractId, evidence }), 'TOO_LARGE')
  await refused(world.as('codex').call('contract.complete', { ...big, evidence }), 'TOO_LARGE')
  assert.is((await world.as('codex').call('contract.get', { contractId: big.contractId })).status, 'working')
})

edges.run()
