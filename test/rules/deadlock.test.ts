import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf, ResultOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, type ActorOptions, refused, scenario, type World } from '../world.js'

type Lock = ResultOf<'lock.acquire'>
type Claims = ParamsOf<'lock.acquire'>['resources']

const claims = (...resources: string[]): Claims => resources.map((resource) => ({ resource }))
const shared = (...resources: string[]): Claims => resources.map((resource) => ({ resource, mode: 'shared' }))
const acquire = (actor: Actor, resources: Claims, more: Partial<ParamsOf<'lock.acquire'>> = {}) =>
  actor.call('lock.acquire', { resources, ...more })
const release = (actor: Actor, { lockId, token }: Lock) => actor.call('lock.release', { lockId, token: token! })

const waitMs = 600_000

async function queue(world: World, actor: Actor, resources: Claims) {
  const granted = acquire(actor, resources, { waitMs })
  await world.idle()
  assert.not.ok(granted.answered(), `${actor.agent} waits`)
  // Not the promise itself, which `await queue(...)` would wait for.
  return { granted }
}

/** Refused, with this circle, and nothing of it is left. */
async function closes(world: World, call: () => Promise<unknown>, cycle: string[]): Promise<void> {
  await world.idle()
  const head = world.head()
  const refusal = await refused(call(), 'DEADLOCK')
  assert.equal(refusal.facts, { cycle })
  assert.is(world.head(), head)
}

const circles = suite('locks: circles of waiting')

for (const kind of [{}, { session: false }] satisfies ActorOptions[]) {
  const who = 'session' in kind ? 'callers without a session' : 'agents'
  scenario(circles, `two ${who} that want what the other has: the second to ask is told`, async (world) => {
    const [codex, gemini] = [world.as('codex', kind), world.as('gemini', kind)]
    const a = await acquire(codex, claims('file:a'))
    await acquire(gemini, claims('file:b'))
    const waiting = await queue(world, codex, claims('file:b'))
    await closes(world, () => acquire(gemini, claims('file:a'), { waitMs }), ['gemini', 'codex'])
    // Without waiting it is an ordinary conflict.
    await refused(acquire(gemini, claims('file:a')), 'LOCK_CONFLICT')
    const [, b] = (await codex.call('lock.list', {})).items
    await release(gemini, b!)
    assert.is((await waiting.granted).state, 'held')
    await release(codex, a)
    assert.is((await acquire(gemini, claims('file:a'), { waitMs })).state, 'held')
  })
}

scenario(circles, 'a circle of four, through files, folders and ports', async (world) => {
  const names = ['ann', 'bob', 'cat', 'dan'] as const
  const [ann, bob, cat, dan] = names.map((name) => world.as(name)) as [Actor, Actor, Actor, Actor]
  await acquire(ann, claims('file:src/a/x.ts'))
  await acquire(bob, claims('port:1'))
  await acquire(cat, claims('file:docs/**'))
  await acquire(dan, claims('db:dev'))
  await queue(world, ann, claims('port:1'))
  await queue(world, bob, claims('file:docs/a.md'))
  await queue(world, cat, claims('db:dev'))
  const again = () => acquire(dan, claims('file:src/*/*.ts'), { waitMs })
  await closes(world, again, ['dan', 'ann', 'bob', 'cat'])
  const refusal = await refused(again(), 'DEADLOCK')
  assert.match(refusal.message, 'ann, bob, cat wait')
})

scenario(circles, 'who only stands in line behind it is in it', async (world) => {
  const [codex, gemini, claude] = [world.as('codex'), world.as('gemini'), world.as('claude')]
  await acquire(codex, shared('file:a'))
  await acquire(gemini, claims('file:b'))
  await queue(world, gemini, claims('file:a'))
  // claude could share with codex, but stands behind gemini, which waits for codex.
  await acquire(claude, claims('file:c'))
  await queue(world, claude, shared('file:a'))
  await closes(world, () => acquire(codex, claims('file:c'), { waitMs }), ['codex', 'claude', 'gemini'])
})

scenario(circles, 'those who ask later are in nobody’s way', async (world) => {
  const [codex, gemini, claude] = [world.as('codex'), world.as('gemini'), world.as('claude')]
  const a = await acquire(claude, claims('file:a'))
  await acquire(gemini, claims('file:b'))
  const first = await queue(world, codex, claims('file:a'))
  await queue(world, gemini, claims('file:a'))
  // gemini waits for codex, which waits for claude alone.
  await release(claude, a)
  assert.is((await first.granted).state, 'held')
})

scenario(circles, 'two that share and both want it alone: the second is told', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  const mine = await acquire(codex, shared('file:a'))
  const theirs = await acquire(gemini, shared('file:a'))
  const upgrade = await queue(world, codex, claims('file:a'))
  await closes(world, () => acquire(gemini, claims('file:a'), { waitMs }), ['gemini', 'codex'])
  await release(gemini, theirs)
  assert.is((await upgrade.granted).state, 'held')
  await release(codex, mine)
})

scenario(circles, 'a downgrade opens one before it closes', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  const a = await acquire(codex, claims('file:a'))
  await acquire(gemini, claims('file:b'))
  const reading = await queue(world, gemini, shared('file:a'))
  await closes(world, () => acquire(codex, claims('file:b'), { waitMs }), ['codex', 'gemini'])
  await codex.call('lock.downgrade', { lockId: a.lockId, token: a.token! })
  assert.is((await reading.granted).state, 'held')
  assert.not.ok((await queue(world, codex, claims('file:b'))).granted.answered())
})

scenario(circles, 'a start that waits is in the same queue, and in the same circles', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  const ids: string[] = []
  for (const resource of ['file:a', 'file:b']) {
    const { id } = await world.as('cursor').call('contract.create', { title: 'a', resources: claims(resource) })
    ids.push(id)
  }
  await codex.call('contract.accept', { contractId: ids[0]! })
  await gemini.call('contract.accept', { contractId: ids[1]! })
  await acquire(codex, claims('file:b'))
  await acquire(gemini, claims('file:a'))
  const first = codex.call('contract.start', { contractId: ids[0]!, attempt: 1, waitMs })
  await world.idle()
  assert.not.ok(first.answered())
  const start = () => gemini.call('contract.start', { contractId: ids[1]!, attempt: 1, waitMs })
  await closes(world, start, ['gemini', 'codex'])
  assert.is((await gemini.call('contract.get', { contractId: ids[1]! })).status, 'accepted')
})

scenario(circles, 'what an agent already has is granted past a circle', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  await acquire(codex, claims('file:src/**'))
  await acquire(gemini, claims('file:b'))
  await queue(world, gemini, claims('file:src/a.ts'))
  assert.is((await acquire(codex, claims('file:src/a.ts'), { waitMs })).state, 'held')
})

scenario(circles, 'what cools is waited for, whoever had it: time opens it', async (world) => {
  const [codex, gemini] = [world.as('codex'), world.as('gemini')]
  const a = await acquire(codex, claims('file:a'))
  await world.as('root', { role: 'admin' }).call('lock.break', { lockId: a.lockId, reason: 'it hangs' })
  await acquire(gemini, claims('file:b'))
  await queue(world, codex, claims('file:b'))
  const waiting = await queue(world, gemini, claims('file:a'))
  await world.advance(limits.coolingMs + 1)
  assert.is((await waiting.granted).state, 'held')
})

const ports = (from: number, count: number) => claims(...Array.from({ length: count }, (_, n) => `port:${from + n}`))
/** Comparing each of so many claims with each other takes long. */
const large = { checked: false }

for (const [found, size] of [
  [true, 100],
  [false, 250],
] as const) {
  const bound = `${found ? 'within' : 'beyond'} ${limits.deadlockSteps} steps`
  scenario(
    circles,
    `a circle is found ${bound}, through five requests of ${size} claims each`,
    async (world) => {
      const codex = world.as('codex')
      await acquire(codex, claims('file:a'))
      const others = ['one', 'two', 'three', 'four', 'five', 'six'].map((name) => world.as(name))
      for (const [n, other] of others.entries()) await acquire(other, ports(n * 1_000, size))
      await queue(world, others[0]!, claims('file:a'))
      for (const [n, other] of others.entries()) if (n > 0) await queue(world, other, ports((n - 1) * 1_000, size))
      const call = acquire(codex, ports(5_000, 1), { waitMs: 5_000 })
      if (found) await refused(call, 'DEADLOCK')
      else {
        await world.advance(5_001)
        await refused(call, 'WAIT_TIMEOUT')
      }
    },
    large,
  )
}

circles.run()

const caps = suite('locks: how many')

scenario(
  caps,
  'a workspace has at most 10,000 resources, held, waited for and cooling',
  async (world) => {
    for (let n = 0; n < 39; n++) await acquire(world.as(`agent-${n % 13}`), ports(n * 256, 256))
    await queue(world, world.as('waiter'), claims('port:1'))
    const rest = limits.workspaceResources - 39 * 256 - 1
    const last = await acquire(world.as('last'), ports(50_000, rest))
    const head = world.head()
    assert.match((await refused(acquire(world.as('last'), claims('port:70000')), 'OVERLOADED')).message, '10000')
    assert.is(world.head(), head)
    await release(world.as('last'), last)
    assert.is((await acquire(world.as('last'), ports(50_000, rest))).state, 'held')
  },
  large,
)

caps.run()
