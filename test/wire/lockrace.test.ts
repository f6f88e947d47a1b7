import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Lock } from '../../src/bridge/locks/row.js'
import { connect, serve, until, within } from '../socket.js'

// Two processes, each on a socket of its own, that do the same at once, with each verb of locks: one of them wins, and the
// other is told that it has not.

const ROUNDS = 25

interface Told {
  result?: Lock
  reason?: string
}

interface Rival {
  child: ChildProcess
  call(method: string, params: object): Promise<Told>
}

const daemon = await serve()
const watcher = await connect(daemon, { agent: 'watcher' })

async function enter(agent: string): Promise<Rival> {
  const file = join(import.meta.dirname, '..', 'fixtures', 'rival.ts')
  const child = fork(file, [daemon.url, daemon.token, agent], { execArgv: ['--import', 'tsx'] })
  process.once('exit', () => child.kill('SIGKILL'))
  const asked = new Map<number, (told: Told) => void>()
  let last = 0
  await within(new Promise((resolve) => child.once('message', resolve)), 'a rival to be ready')
  child.on('message', (told: Told & { n: number }) => asked.get(told.n)?.(told))
  return {
    child,
    call: (method, params) =>
      within(
        new Promise<Told>((resolve) => {
          asked.set(++last, resolve)
          child.send({ n: last, method, params })
        }),
        `an answer to ${method}`,
      ),
  }
}

const [ann, bob, twin] = await Promise.all([enter('ann'), enter('bob'), enter('ann')])
const resources = [{ resource: 'file:src/a.ts' }]
const waitMs = 20_000

/** Both at once, whoever is told first being another each time: how each ended, `won` for who was not refused. */
async function race(round: number, ...calls: Array<() => Promise<Told>>): Promise<string[]> {
  const order = round % 2 === 0 ? calls : [...calls].reverse()
  const told = await Promise.all(order.map((call) => call()))
  return told.map(({ reason = 'won' }) => reason).sort()
}

const held = async (rival: Rival, claims: object[] = resources): Promise<{ lockId: string; token: number }> => {
  const { result, reason } = await rival.call('lock.acquire', { resources: claims, waitMs })
  assert.ok(result, `it is held: ${reason}`)
  return { lockId: result.lockId, token: result.token! }
}
const clear = async () => {
  for (const { lockId } of (await watcher.ask('lock.list', {})).items) {
    await watcher.call('lock.break', { lockId, reason: 'the next round' })
    await watcher.call('lock.break', { lockId, reason: 'the next round' })
  }
}

const test = suite('the wire: races for locks')

test('acquire: one has it, the other is told who', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const acquire = (rival: Rival) => () => rival.call('lock.acquire', { resources })
    assert.equal(await race(round, acquire(ann), acquire(bob)), ['LOCK_CONFLICT', 'won'])
    const { items } = await watcher.ask('lock.list', {})
    assert.is(items.length, 1)
    await clear()
  }
})

test('acquire what the other has, and wait: one waits, the other is told of the circle', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const [a, b] = [[{ resource: 'port:1' }], [{ resource: 'port:2' }]]
    const [first, second] = [await held(ann, a), await held(bob, b)]
    let released = false
    // Who is told of the circle gives back what it has; the other then gets all.
    const want = (rival: Rival, own: object, other: object[]) => async () => {
      const told = await rival.call('lock.acquire', { resources: other, waitMs })
      if (told.reason === 'DEADLOCK') {
        released = true
        await rival.call('lock.release', own)
      }
      return told
    }
    assert.equal(await race(round, want(ann, first, b), want(bob, second, a)), ['DEADLOCK', 'won'])
    assert.ok(released)
    await clear()
  }
})

test('upgrade what both share: the same', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const shared = [{ resource: 'port:1', mode: 'shared' }]
    const [first, second] = [await held(ann, shared), await held(bob, shared)]
    const upgrade = (rival: Rival, own: object) => async () => {
      const told = await rival.call('lock.acquire', { resources: [{ resource: 'port:1' }], waitMs })
      if (told.reason === 'DEADLOCK') await rival.call('lock.release', own)
      return told
    }
    assert.equal(await race(round, upgrade(ann, first), upgrade(bob, second)), ['DEADLOCK', 'won'])
    await clear()
  }
})

test('release: it is given back once', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const lock = await held(ann)
    const release = (rival: Rival) => () => rival.call('lock.release', lock)
    assert.equal(await race(round, release(ann), release(twin)), ['NOT_FOUND', 'won'])
  }
})

for (const verb of ['renew', 'downgrade'] as const) {
  test(`${verb} and release: both, or the ${verb} came too late`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const lock = await held(ann)
      const other = () => twin.call(`lock.${verb}`, lock)
      const told = await race(round, () => ann.call('lock.release', lock), other)
      assert.ok(told.join() === 'won,won' || told.join() === 'NOT_FOUND,won', told.join())
      assert.equal((await watcher.ask('lock.list', {})).items, [])
    }
  })
}

test('break, of what does not cool: it is broken once', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { lockId } = await held(ann, [{ resource: 'port:1' }])
    const broken = (rival: Rival) => () => rival.call('lock.break', { lockId, reason: 'it hangs' })
    assert.equal(await race(round, broken(bob), broken(twin)), ['NOT_FOUND', 'won'])
  }
})

test('break and release: it ends by one of them, and serves who waits', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const lock = await held(ann, [{ resource: 'port:1' }])
    const waits = bob.call('lock.acquire', { resources: [{ resource: 'port:1' }], waitMs })
    await until(async () => (await watcher.ask('lock.list', { state: 'waiting' })).items.length === 1, 'it to wait')
    const broken = () => twin.call('lock.break', { lockId: lock.lockId, reason: 'it hangs' })
    assert.equal(await race(round, broken, () => ann.call('lock.release', lock)), ['NOT_FOUND', 'won'])
    assert.is((await waits).result?.state, 'held')
    await clear()
  }
})

test.after(async () => {
  for (const { child } of [ann, bob, twin]) child.disconnect()
  await watcher.close()
  await daemon.stop()
})

test.run()
