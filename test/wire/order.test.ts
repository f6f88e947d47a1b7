import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { connect, type Message, serve, until, type Wire } from '../socket.js'

const test = suite('the wire: order of calls')
const daemon = await serve()
let names = 0

test.after(() => daemon.stop())

/** Sockets of agents nobody has met before. */
async function connectNew(count: number): Promise<Wire[]> {
  return Promise.all(Array.from({ length: count }, () => connect(daemon, { agent: `agent-${++names}` })))
}

const closeAll = (wires: Wire[]) => Promise.all(wires.map((wire) => wire.close()))

/** The same numbers for the same seed. */
function createDice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

test('a query sees exactly the commands of its own socket that were sent before it', async () => {
  const seed = Date.now() % 100_000
  const roll = createDice(seed)
  const wires = await connectNew(4)
  const checks: Array<Promise<void>> = []
  for (let step = 0; step < 400; step++) {
    for (const [index, wire] of wires.entries()) {
      const topic = `order-${index}`
      if (roll(3) > 0) {
        checks.push(wire.ask('message.publish', { topic, text: String(step) }).then(() => {}))
        sent[index] = (sent[index] ?? 0) + 1
        continue
      }
      const expected = sent[index] ?? 0
      const read = wire.ask('event.read', { after: 'earliest', topics: [topic], limit: 1_000 })
      checks.push(
        read.then(async ({ events, cursor, head }) => {
          let seen = events.length
          // The log may be longer than a page; what came later does not count.
          let from = cursor
          while (from !== head && seen < expected) {
            const more = await wire.ask('event.read', { after: from, topics: [topic], limit: 1_000 })
            seen += more.events.length
            from = more.cursor
            if (from === more.head) break
          }
          if (cursor === head) assert.is(seen, expected, `seed ${seed}, socket ${index}, step ${step}`)
          else assert.ok(seen >= expected, `seed ${seed}, socket ${index}, step ${step}`)
        }),
      )
    }
  }
  await Promise.all(checks)
  await closeAll(wires)
})

const sent: number[] = []

test('commands of one socket take effect in the order sent', async () => {
  const [wire, reader] = (await connectNew(2)) as [Wire, Wire]
  const { head } = await reader.ask('bridge.status')
  await Promise.all(
    Array.from({ length: 1_000 }, (_, n) => wire.ask('message.publish', { topic: 'row', text: String(n) })),
  )
  const { events } = await reader.ask('event.read', { after: head, topics: ['row'], limit: 1_000 })
  assert.equal(
    events.map(({ data }) => (data.message as { text: string }).text),
    Array.from({ length: 1_000 }, (_, n) => String(n)),
  )
  await closeAll([wire, reader])
})

test('a call that waits counts as done: what is behind it is not held up', async () => {
  const [holder, waiter] = (await connectNew(2)) as [Wire, Wire]
  const resources = [{ resource: 'port:1' }]
  const lock = await holder.ask('lock.acquire', { resources })
  const waited = waiter.ask('lock.acquire', { resources, waitMs: 60_000 })
  const polled = waiter.ask('event.read', { after: 'latest', topics: ['nothing.yet'], waitMs: 50_000 })
  const { waiters } = await waiter.ask('bridge.status')
  assert.is(waiters, 1, 'the query behind it sees that it waits')
  await waiter.ask('message.publish', { topic: 'other', text: 'not held up' })
  await holder.ask('lock.release', { lockId: lock.lockId, token: lock.token as number })
  assert.is((await waited).state, 'held')
  await holder.ask('message.publish', { topic: 'nothing.yet', text: 'now' })
  assert.is((await polled).events.length, 1)
  await closeAll([holder, waiter])
})

test('a query is not held up by the commands of other sockets', async () => {
  const [busy, other] = (await connectNew(2)) as [Wire, Wire]
  let answered = 0
  const calls = Array.from({ length: 5_000 }, async () => {
    await busy.ask('message.publish', { topic: 'busy', text: 'x' })
    answered++
  })
  await until(() => answered > 0, 'the first answer')
  await other.ask('bridge.status')
  assert.ok(answered < 5_000, 'it was answered while the others were still being made')
  await Promise.all(calls)
  await closeAll([busy, other])
})

for (const [what, wait] of [
  [
    'commands',
    (wire: Wire) => wire.call('lock.acquire', { resources: [{ resource: 'port:commands' }], waitMs: 60_000 }),
  ],
  ['queries', (wire: Wire, after: string) => wire.call('event.read', { after, topics: ['never'], waitMs: 50_000 })],
] as const) {
  test(`a socket has a limited number of ${what} that wait; one more is refused, and later there is room again`, async () => {
    const [holder, waiter] = (await connectNew(2)) as [Wire, Wire]
    const { lockId, token = 0 } = await holder.ask('lock.acquire', { resources: [{ resource: `port:${what}` }] })
    const { head } = await holder.ask('bridge.status')
    const answers: Message[] = []
    // All in one go: not only those that wait already count, but also those before it in the same batch.
    const calls = Array.from({ length: limits.parkedCalls + 36 }, async () => {
      answers.push(await wait(waiter, head))
    })
    await waiter.ask('agent.update', { note: 'behind them' })
    await waiter.ask('bridge.status')
    const refused = [...answers]
    await holder.ask('lock.release', { lockId, token })
    await holder.ask('message.publish', { topic: 'never', text: 'after all' })
    await Promise.all(calls)
    assert.equal(
      refused.map(({ error }) => error?.data.reason),
      Array(36).fill('OVERLOADED'),
    )
    assert.is(answers.filter(({ result }) => result !== undefined).length, limits.parkedCalls)
    const again = await waiter.call('event.read', { after: 'latest', topics: ['none'], waitMs: 1 })
    assert.ok(again.result, 'there is room again')
    await closeAll([holder, waiter])
  })
}

test('the same call under one key, several times in one go, waits once; all are answered as one', async () => {
  const [holder, waiter] = (await connectNew(2)) as [Wire, Wire]
  const resources = [{ resource: 'port:once' }]
  const { lockId, token = 0 } = await holder.ask('lock.acquire', { resources })
  const params = { resources, waitMs: 60_000, idempotencyKey: 'once' }
  const calls = Array.from({ length: 3 }, () => waiter.call('lock.acquire', params))
  const { waiters } = await waiter.ask('bridge.status')
  await holder.ask('lock.release', { lockId, token })
  const answers = await Promise.all(calls)
  assert.is(waiters, 1)
  assert.is(new Set(answers.map(({ result }) => (result as { lockId: string }).lockId)).size, 1)
  const key = { topic: 'once', text: 'x', idempotencyKey: 'published once' }
  const published = await Promise.all(Array.from({ length: 5 }, () => waiter.call('message.publish', key)))
  assert.is(new Set(published.map(({ result }) => (result as { cursor: string }).cursor)).size, 1)
  const other = await waiter.call('message.publish', { ...key, text: 'another' })
  assert.is(other.error?.data.reason, 'IDEMPOTENCY_CONFLICT')
  await closeAll([holder, waiter])
})

test('20,000 commands and queries in one go are all answered, and none is refused', async () => {
  const [wire] = (await connectNew(1)) as [Wire]
  const count = 20_000
  const answers = new Map<Message['id'], Message>()
  wire.socket.on('message', (data) => {
    const answer: Message = JSON.parse(data.toString())
    answers.set(answer.id, answer)
  })
  for (let id = 0; id < count; id++) {
    wire.send(
      id % 100 === 0
        ? { jsonrpc: '2.0', id, method: 'lock.list', params: { limit: 1 } }
        : { jsonrpc: '2.0', id, method: 'message.publish', params: { topic: 'flood', text: 'x' } },
    )
  }
  await until(() => answers.size === count, 'every answer')
  for (const [id, { error }] of answers) assert.is(error, undefined, `call ${String(id)}`)
  await wire.close()
})

test('a socket that goes away in the middle of its calls leaves the others in peace', async () => {
  const [gone, other] = (await connectNew(2)) as [Wire, Wire]
  for (let n = 0; n < 3_000; n++)
    gone.send({ jsonrpc: '2.0', id: n, method: 'message.publish', params: { topic: 'g', text: 'x' } })
  gone.send({ jsonrpc: '2.0', id: 'w', method: 'lock.acquire', params: { resources: [{ resource: 'port:3' }] } })
  await until(() => gone.inbox.length > 100, 'some answers')
  gone.socket.terminate()
  assert.ok(await other.ask('message.publish', { topic: 'g', text: 'still here' }))
  const { items } = await other.ask('agent.list', { online: true })
  assert.ok(items.length > 0)
  await other.close()
})

test.run()
