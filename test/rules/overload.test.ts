import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Store } from '../../src/engine/ports.js'
import { limits } from '../../src/protocol/limits.js'
import { refused, scenario } from '../world.js'

const test = suite('too much at once')

/** A store whose transactions can be held up, or fail to begin. */
function gate() {
  let open = () => {}
  let shut: Promise<void> | undefined
  let failures = 0
  return {
    wrap: (store: Store): Store => ({
      ...store,
      async begin() {
        if (failures > 0) {
          failures--
          throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' })
        }
        await shut
        return store.begin()
      },
    }),
    shut() {
      shut = new Promise((resolve) => {
        open = resolve
      })
    },
    open() {
      shut = undefined
      open()
    },
    fail(times: number) {
      failures = times
    },
  }
}

const held = gate()

scenario(
  test,
  'commands that wait for the writer take so much memory and no more: the next are refused, those before are run',
  async (world) => {
    const writers = ['a', 'b', 'c'].map((agent) => world.connect(agent, { session: false }))
    await Promise.all(writers.map(({ opened }) => opened))
    held.shut()
    const bytes = 1024 * 1024
    const room = limits.queuedBytes / bytes
    const asked = Array.from({ length: room + 5 }, (_, n) =>
      writers[n % 3]!.pipeline('message.publish', { topic: 't', text: `${n}` }, bytes),
    )
    for (let n = 0; n < 10; n++) await new Promise(setImmediate)
    for (const call of asked.slice(room)) await refused(call, 'OVERLOADED')
    assert.ok(asked.slice(0, room).every((call) => !call.answered()))
    held.open()
    await Promise.all(asked.slice(0, room))
    assert.is(world.events({ types: ['message.published'] }).length, room)
    await writers[0]!.pipeline('message.publish', { topic: 't', text: 'again' }, bytes)
  },
  { wrap: held.wrap },
)

scenario(
  test,
  'everyone together takes so much memory and no more, and what has been answered or given up counts no longer',
  async (world) => {
    const [codex, cursor] = ['codex', 'cursor'].map((agent) => world.connect(agent, { session: false }))
    await Promise.all([codex!.opened, cursor!.opened])
    const waits = codex!.pipeline('message.inbox', { waitMs: 50_000 }, limits.unansweredBytes - 1_000)
    await world.idle()
    await cursor!.pipeline('bridge.status', {}, 1_000)
    await refused(cursor!.pipeline('bridge.status', {}, 1_001), 'OVERLOADED')
    await refused(codex!.pipeline('agent.update', { note: 'more' }, 1_001), 'OVERLOADED')
    assert.is(waits.answered(), false)
    await codex!.drop()
    await cursor!.pipeline('bridge.status', {}, limits.unansweredBytes)
    await cursor!.pipeline('bridge.status', {}, limits.unansweredBytes)
    await refused(cursor!.pipeline('contract.get', { contractId: 'none' }, limits.unansweredBytes), 'NOT_FOUND')
    await cursor!.pipeline('bridge.status', {}, limits.unansweredBytes)
  },
)

const busy = gate()

scenario(
  test,
  'a database that another process holds for long keeps nobody waiting; what waits for something waits on',
  async (world) => {
    const [codex, cursor] = [world.connect('codex', { session: false }), world.connect('cursor', { session: false })]
    await cursor.call('lock.acquire', { resources: [{ resource: 'file:a' }] })
    const [lock] = (await cursor.call('lock.list', {})).items
    const waits = codex.call('lock.acquire', { resources: [{ resource: 'file:a' }], waitMs: 60_000 })
    await world.idle()
    busy.fail(2)
    const patient = cursor.call('agent.update', { note: 'in time' })
    await world.advance(2_000)
    assert.is((await patient).note, 'in time')
    busy.fail(4)
    const late = cursor.call('agent.update', { note: 'too late' })
    await world.advance(2_000)
    await refused(late, 'OVERLOADED')
    await world.advance(3_000)
    assert.is(waits.answered(), false)
    assert.is((await cursor.call('agent.list', {})).items.find(({ agent }) => agent === 'cursor')?.note, 'in time')
    await cursor.call('lock.release', { lockId: lock!.lockId, token: lock!.token! })
    assert.is((await waits).state, 'held')
    assert.is(world.faults.splice(0).length, 6, 'each time is reported')
  },
  { wrap: busy.wrap },
)

test.run()
