// The lock table against a naive model, over random requests, time, broken sockets, sleeps and restarts: after each step
// the same requests wait, are held and cool, until the same instants, and every call was told the same. A failure prints
// its steps, shrunk, and what repeats it: NAIVE_SEED=<seed> NAIVE_PATH=<path> npx tsx test/rules/naive.test.ts;
// NAIVE_RUNS=<runs> looks longer.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Lock } from '../../src/bridge/locks/row.js'
import { covers, parseResource } from '../../src/bridge/resources/resources.js'
import { BridgeError } from '../../src/protocol/errors.js'
import { limits } from '../../src/protocol/limits.js'
import { toMs } from '../../src/protocol/time.js'
import { type Actor, type Asked, createWorld, type World } from '../world.js'
import { checkLog } from './agree.js'
import { type Claim, createNaive, type Entry, isWithin, type Naive, type Session } from './naive.js'

const RUNS = Number(process.env.NAIVE_RUNS ?? 25)
const STEPS = 60
const agents = ['ann', 'bob', 'cat', 'dan']

const pool = [
  ...['file:a', 'file:b', 'file:a/b', 'file:a/**', 'file:**', 'file:*', 'file:*/b', 'file:a/*', 'file:?'],
  ...['file:{a,b}/ab', 'file:a/[ab]', 'port:1', 'port:2'],
]
const paths = ['file:a', 'file:a/b', 'file:b/ab', 'file:[ab]', 'file:b/b/b', 'port:1']

const claim: fc.Arbitrary<Claim> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({ resource: fc.constantFrom(...pool), mode: fc.constantFrom('exclusive', 'shared') }),
  },
  { weight: 1, arbitrary: fc.constant({ resource: 'file:[ab]', mode: 'exclusive', literal: true } as const) },
)
const who = fc.nat(agents.length - 1)
const visits = fc.constantFrom(false, false, true)
const pick = fc.nat(20)
const token = fc.constantFrom('right', 'right', 'right', 'wrong')
const acquire = fc.record({
  do: fc.constant('acquire' as const),
  who,
  visits,
  claims: fc.array(claim, { minLength: 1, maxLength: 2 }),
  waitMs: fc.constantFrom(0, 1_500, 60_000, 60_000, 60_000),
  ttlMs: fc.constantFrom(undefined, undefined, 1_000, 20_000),
})
const verb = <Name extends string>(name: Name) =>
  fc.record({ do: fc.constant(name), who, visits, pick, token, own: fc.constantFrom(true, true, true, false) })
const call = fc.oneof(
  { weight: 12, arbitrary: acquire },
  { weight: 5, arbitrary: verb('release') },
  { weight: 2, arbitrary: verb('downgrade') },
  { weight: 2, arbitrary: verb('break') },
  {
    weight: 2,
    arbitrary: fc
      .record({ renewal: verb('renew'), ttlMs: acquire.map(({ ttlMs }) => ttlMs) })
      .map(({ renewal, ttlMs }) => ({ ...renewal, ttlMs })),
  },
)
const step = fc.oneof(
  { weight: 22, arbitrary: call },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('burst' as const), calls: fc.array(call, { minLength: 2, maxLength: 4 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 900, 3_000, 31_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sleep' as const), ms: fc.constantFrom(4_000, 100_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), who, visits }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), awayMs: fc.constantFrom(10, 50_000) }) },
)
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never
type Call = typeof call extends fc.Arbitrary<infer One> ? One : never

/** One agent's sockets, in the world and in the model. */
interface Player {
  actor?: Actor | undefined
  session?: Session
  resume?: { session: string; resumeKey: string }
  visitor?: Actor | undefined
}

interface Game {
  world: World
  naive: Naive
  players: Player[]
  asked: Map<Entry, Asked<unknown>>
}

async function sessionOf({ world, naive, players }: Game, who: number): Promise<Actor> {
  const player = players[who]!
  if (player.actor) return player.actor
  const graceMs = who % 2 === 0 ? limits.graceMs : 2_000
  naive.passTime()
  player.actor = world.connect(agents[who]!, { graceMs, ...(player.resume && { resume: player.resume }) })
  const { session, resumeKey, resumed } = await player.actor.opened
  player.resume = { session, resumeKey: resumeKey! }
  const known = player.session !== undefined && naive.resume(player.session)
  assert.is(resumed, known, 'the session is there still, or is not')
  if (!known) player.session = naive.open(agents[who]!, graceMs)
  return player.actor
}

async function socketOf(game: Game, who: number, visits: boolean): Promise<Actor> {
  if (!visits) return await sessionOf(game, who)
  const player = game.players[who]!
  player.visitor ??= game.world.connect(agents[who]!, { session: false })
  await player.visitor.opened
  return player.visitor
}

/** What a call was told. Everything is at rest: one that has no answer now waits. */
async function outcomeOf(call: Asked<unknown>): Promise<string> {
  if (!call.answered()) return 'waits'
  return call.then(
    (answer) => ((answer as { state?: string }).state === 'held' ? 'held' : 'done'),
    (error: unknown) => {
      if (error instanceof BridgeError) return error.reason
      throw error
    },
  )
}

/** Makes a call ready: gives what makes it, in the world and at once in the model, and then checks what it was told. */
async function prepare(game: Game, call: Call): Promise<() => () => Promise<void>> {
  const { world, naive, players, asked } = game
  const agent = agents[call.who]!
  const actor = await socketOf(game, call.who, call.visits)
  const admin = world.as('root', { role: 'admin' })
  await admin.opened
  if (call.do === 'acquire') {
    return () => {
      const { claims, waitMs, ttlMs } = call
      const session = call.visits ? undefined : players[call.who]!.session
      const entry = naive.acquire({ agent, socket: actor, session, claims, waitMs, ttlMs })
      const answer = actor.call('lock.acquire', { resources: claims, waitMs, ...(ttlMs && { ttlMs }) })
      asked.set(entry, answer)
      // As they wait now: what is asked in the same breath may change that.
      const waitsFor = new Map(agents.map((name) => [name, naive.waitsFor(name)]))
      return () => checkCircle(waitsFor, entry, answer)
    }
  }
  const rows = await rowsOf(world)
  const entries = naive.live()
  const mine = entries.filter((entry) => entry.agent === agent && entry.state === 'held')
  const from = call.own && mine.length > 0 ? mine : entries
  const entry = from[call.pick % from.length]
  const row = entry && rows[entries.indexOf(entry)]
  if (!entry || !row) return () => async () => {}
  const params = { lockId: row.lockId, token: (row.token ?? 0) + (call.token === 'right' ? 0 : 1) }
  // One that waits has no token yet: that of a grant in the same breath cannot be known.
  const token = row.token === undefined ? 'wrong' : call.token
  return () => {
    const [expected, answer] = actOn(naive, { ...call, token }, entry, agent, actor, admin, params)
    return async () => assert.is((await outcomeOf(answer)).replace('held', 'done'), expected, call.do)
  }
}

type Verb = Exclude<Call, { do: 'acquire' }>

function actOn(
  naive: Naive,
  call: Verb,
  entry: Entry,
  agent: string,
  actor: Actor,
  admin: Actor,
  params: { lockId: string; token: number },
): [expected: string, answer: Asked<unknown>] {
  const { token } = call
  switch (call.do) {
    case 'release':
      return [naive.release(entry, agent, token), actor.call('lock.release', params)]
    case 'downgrade':
      return [naive.downgrade(entry, agent, token), actor.call('lock.downgrade', params)]
    case 'renew': {
      const ttlMs = 'ttlMs' in call ? call.ttlMs : undefined
      return [naive.renew(entry, agent, token, ttlMs), actor.call('lock.renew', { ...params, ...(ttlMs && { ttlMs }) })]
    }
    case 'break':
      return [naive.break(entry), admin.call('lock.break', { lockId: params.lockId, reason: 'no reason' })]
  }
}

/** A refusal for a circle names one: each waits for the next, and the last for its asker. */
async function checkCircle(waitsFor: Map<string, string[]>, entry: Entry, answer: Asked<unknown>): Promise<void> {
  if (entry.outcome !== 'DEADLOCK') return
  assert.is(await outcomeOf(answer), 'DEADLOCK')
  const refusal = await answer.then(
    () => undefined,
    (error: unknown) => error,
  )
  const cycle = refusal instanceof BridgeError ? (refusal.facts.cycle as string[]) : []
  assert.is(cycle[0], entry.agent)
  assert.is(new Set(cycle).size, cycle.length)
  for (const [n, agent] of cycle.slice(1).entries()) {
    const next = cycle[n + 2] ?? entry.agent
    assert.ok(waitsFor.get(agent)?.includes(next), `${agent} waits for ${next}`)
  }
}

const rowsOf = async (world: World): Promise<Lock[]> =>
  (await world.as('watcher', { session: false }).call('lock.list', { limit: 1_000 })).items

/** The rows, the answers so far and what may be written are what the model says. */
async function compare({ world, naive, asked }: Game): Promise<void> {
  const rows = await rowsOf(world)
  naive.passTime()
  const shown = (claims: readonly Claim[]) => claims.map(({ resource, mode }) => `${mode} ${resource}`).join(', ')
  assert.equal(
    rows.map((row) => [row.state, row.holder, shown(row.resources), row.expiresAt && toMs(row.expiresAt)]),
    naive.live().map((entry) => [entry.state, entry.agent, shown(entry.claims), entry.expiresAt]),
  )
  const byGrant = naive
    .live()
    .map(({ granted = 0 }, n) => ({ granted, token: rows[n]?.token ?? 0 }))
    .sort((a, b) => a.granted - b.granted)
  const tokens = byGrant.map(({ token }) => token)
  assert.equal(
    tokens,
    [...tokens].sort((a, b) => a - b),
    'granted in the same order',
  )
  for (const [entry, call] of asked) {
    if (entry.state !== 'waiting' && entry.outcome !== 'any') assert.is(await outcomeOf(call), entry.outcome)
    else if (entry.state === 'waiting') assert.not.ok(call.answered(), 'it waits')
    if (entry.state !== 'waiting') asked.delete(entry)
  }
  const watcher = world.as('ann', { session: false })
  const resource = paths[world.head() % paths.length]!
  for (const mode of ['exclusive', 'shared'] as const) {
    const { allowed, mine } = await watcher.call('lock.check', { resource, mode })
    assert.equal({ allowed, mine }, naive.check('ann', resource, mode), `${mode} ${resource}`)
  }
}

/** From deadline to deadline: a query finds each in its very moment, whatever else wakes the writer. */
async function advance({ world, naive }: Game, ms: number): Promise<void> {
  const until = naive.now() + ms
  while (naive.now() < until) {
    const stepMs = Math.min(until, Math.max(naive.nextDeadline(), naive.now())) - naive.now()
    await world.advance(stepMs)
    await rowsOf(world)
    naive.advance(stepMs)
  }
}

async function take(game: Game, step: Step): Promise<void> {
  const { world, naive, players } = game
  if (step.do === 'advance') await advance(game, step.ms)
  else if (step.do === 'sleep') {
    await world.sleep(step.ms)
    await world.as('root', { role: 'admin' }).call('agent.update', { note: `slept until ${world.now()}` })
    naive.sleep(step.ms)
  } else if (step.do === 'restart') {
    await world.restart({ awayMs: step.awayMs })
    naive.restart(step.awayMs)
    for (const player of players) Object.assign(player, { actor: undefined, visitor: undefined })
  } else if (step.do === 'drop') {
    const player = players[step.who]!
    const actor = step.visits ? player.visitor : player.actor
    if (!actor) return
    if (step.visits) player.visitor = undefined
    else player.actor = undefined
    await actor.drop()
    naive.passTime()
    naive.drop(actor, step.visits ? undefined : player.session)
  } else if (step.do === 'close') {
    const { actor, session } = players[step.who]!
    if (!actor || !session) return
    await actor.call('session.close', {})
    players[step.who] = { visitor: players[step.who]!.visitor }
    naive.passTime()
    naive.goodbye(actor, session)
  } else {
    const calls = step.do === 'burst' ? step.calls : [step]
    const ready = []
    for (const call of calls) ready.push(await prepare(game, call))
    naive.passTime()
    const checks = ready.map((make) => make())
    await world.idle()
    for (const check of checks) await check()
  }
  await world.idle()
}

const test = suite('the lock table and a naive one')

test('what one pattern of the pool holds of another is decided exactly', () => {
  for (const outer of pool) {
    for (const inner of pool) {
      assert.is(covers(parseResource(outer), parseResource(inner)), isWithin(inner, outer), `${outer} holds ${inner}`)
    }
  }
})

test('agree over random requests, time, broken sockets, sleeps and restarts', async () => {
  const { NAIVE_SEED, NAIVE_PATH } = process.env
  const seed = NAIVE_SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(NAIVE_SEED)
  const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: STEPS, size: 'max' }), async (steps) => {
    const world = await createWorld()
    const game: Game = {
      world,
      naive: createNaive(world.clock.wallMs()),
      players: agents.map(() => ({})),
      asked: new Map(),
    }
    try {
      for (const step of steps) {
        await take(game, step)
        await compare(game)
      }
      checkLog(world)
    } finally {
      await world.end()
    }
  })
  const details = await fc.check(property, {
    seed,
    numRuns: RUNS,
    ...(NAIVE_PATH !== undefined && { path: NAIVE_PATH }),
  })
  if (!details.failed) return
  const again = `NAIVE_SEED=${details.seed} NAIVE_PATH=${details.counterexamplePath} npx tsx test/rules/naive.test.ts`
  const [steps] = details.counterexample ?? []
  const cause = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance)
  console.log(`Repeat it with: ${again}\n${steps?.map((one) => JSON.stringify(one)).join('\n')}\n${cause}`)
  throw details.errorInstance
})

test.run()
