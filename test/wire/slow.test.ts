import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { connect, type DaemonProcess, makeHome, removeHome, seqOf, serveApart, until, type Wire } from '../socket.js'

// Sockets that do not read what they are sent. The daemon is a process of its own, so that its memory can be told from
// the test's.

const MIB = 1024 * 1024

const test = suite('the wire: readers that do not read')
const home = makeHome()
let daemon: DaemonProcess

test.before(async () => {
  daemon = await serveApart(home)
})
test.after(async () => {
  daemon.child.kill('SIGKILL')
  await daemon.ended
  removeHome(home)
})

/** Publishes `count` messages from several sockets, with many under way at a time. */
async function publish(publishers: Wire[], count: number, text: string): Promise<void> {
  await Promise.all(
    publishers.map(async (publisher) => {
      for (let sent = 0; sent < count / publishers.length; sent += 100) {
        await Promise.all(Array.from({ length: 100 }, () => publisher.ask('message.publish', { topic: 'slow', text })))
      }
    }),
  )
}

function checkComplete(wire: Wire, from: string, to: string): void {
  let told = from
  for (const { prev, cursor, events } of wire.frames()) {
    assert.is(prev, told)
    for (const [index, event] of events.entries()) assert.is(seqOf(event.cursor), seqOf(prev) + 1 + index)
    told = cursor
  }
  assert.is(told, to)
}

test('a reader that stops reading costs the daemon no memory, holds up nobody, and catches up with all of it', async () => {
  const [slow, fast, ...publishers] = (await Promise.all(
    ['slow', 'fast', 'a', 'b', 'c', 'd'].map((agent) => connect(daemon, { agent })),
  )) as [Wire, Wire, ...Wire[]]
  const text = 'x'.repeat(2_000)
  await publish(publishers, 4_000, text)
  const { cursor: from } = await slow.ask('event.subscribe')
  const { cursor: fromFast } = await fast.ask('event.subscribe')
  const before = await daemon.memory()
  slow.socket.pause()
  await publish(publishers, 50_000, text)
  const { head } = await fast.ask('bridge.status')
  await until(() => fast.frames().at(-1)?.cursor === head, 'the other reader to have it all')
  const grown = ((await daemon.memory()) - before) / MIB
  assert.ok(slow.events().length < 25_000, 'it did not read meanwhile')
  // Kept for the slow reader they would be 100 MiB and more; the process itself grows by some under such a load.
  assert.ok(grown < 80, `50,000 events of 2 KB, and the daemon grew by ${grown.toFixed(0)} MiB`)
  slow.socket.resume()
  await until(() => slow.frames().at(-1)?.cursor === head, 'the slow reader to catch up')
  checkComplete(slow, from, head)
  checkComplete(fast, fromFast, head)
  await slow.ask('bridge.status')
  await publish(publishers, 400, 'live again')
  const { head: later } = await fast.ask('bridge.status')
  await until(() => slow.frames().at(-1)?.cursor === later, 'it to be live again')
  assert.is(slow.inbox.filter((message) => 'method' in message && message.method === 'caughtUp').length, 1)
  await Promise.all([slow, fast, ...publishers].map((wire) => wire.close()))
})

test('a caller that does not read its answers is not read either, until it does', async () => {
  const [careless, other] = (await Promise.all(['careless', 'other'].map((agent) => connect(daemon, { agent })))) as [
    Wire,
    Wire,
  ]
  const size = JSON.stringify(await careless.ask('rpc.discover')).length
  const count = 400
  assert.ok((size * count) / MIB > 60, 'enough to be seen')
  const before = await daemon.memory()
  careless.socket.pause()
  for (let id = 0; id < count; id++) careless.send({ jsonrpc: '2.0', id, method: 'rpc.discover' })
  // It came in with the others and is behind them: while it is not made, they are held back.
  careless.send({ jsonrpc: '2.0', id: 'last', method: 'message.publish', params: { topic: 'careless', text: 'last' } })
  const published = async () => (await other.ask('event.read', { after: 'latest', limit: 1 })).head
  const head = await published()
  let grown = 0
  for (let look = 0; look < 40; look++) {
    await other.ask('rpc.discover')
    grown = Math.max(grown, ((await daemon.memory()) - before) / MIB)
  }
  assert.ok(
    grown < 40,
    `${((size * count) / MIB).toFixed(0)} MiB of answers, and the daemon grew by ${grown.toFixed(0)} MiB`,
  )
  assert.is(await published(), head)
  careless.socket.resume()
  await until(() => careless.inbox.length === 2 + count + 1, 'every answer')
  await Promise.all([careless, other].map((wire) => wire.close()))
})

test('who pings and does not read the pongs is not piled up with them; else every ping has its pong', async () => {
  const wire = await connect(daemon, { agent: 'pinger' })
  const pongs: string[] = []
  wire.socket.on('pong', (data) => pongs.push(data.toString()))
  wire.socket.ping('are you there?')
  await until(() => pongs.length === 1, 'the pong')
  assert.equal(pongs, ['are you there?'])
  const before = await daemon.memory()
  wire.socket.pause()
  const payload = Buffer.alloc(125, 'x')
  for (let burst = 0; burst < 60; burst++) {
    for (let n = 0; n < 10_000; n++) wire.socket.ping(payload)
    await until(() => wire.socket.bufferedAmount === 0, 'the pings to be sent')
  }
  const grown = ((await daemon.memory()) - before) / MIB
  assert.ok(grown < 40, `75 MiB of pings, and the daemon grew by ${grown.toFixed(0)} MiB`)
  wire.socket.resume()
  assert.ok(await wire.ask('bridge.status'))
  await wire.close()
})

test('a caller with very many calls under way that does not read is heard to the end', async () => {
  const wire = await connect(daemon, { agent: 'hasty' })
  wire.socket.pause()
  const count = limits.outstandingCalls * 8
  for (let id = 0; id < count; id++) {
    wire.send({ jsonrpc: '2.0', id, method: 'message.publish', params: { topic: 'hasty', text: 'x' } })
  }
  wire.socket.resume()
  await until(() => wire.inbox.length === 1 + count, 'every answer')
  await wire.close()
})

test('what was sent before a goodbye has its effect, though it was more than is taken at a time', async () => {
  const wire = await connect(daemon, { agent: 'leaver' })
  const other = await connect(daemon, { agent: 'stayer' })
  const { head } = await other.ask('bridge.status')
  const count = limits.outstandingCalls * 3
  for (let n = 0; n < count; n++) {
    wire.send({ jsonrpc: '2.0', method: 'message.publish', params: { topic: 'leaving', text: String(n) } })
  }
  await wire.close()
  let seen = 0
  let from = head
  await until(async () => {
    const { events, cursor } = await other.ask('event.read', { after: from, topics: ['leaving'], limit: 1_000 })
    seen += events.length
    from = cursor
    return seen === count
  }, 'all of it')
  await other.close()
})

test('through all of this the daemon met no fault', () => {
  assert.is(daemon.child.exitCode, null)
  assert.is(daemon.complaints(), '')
})

test.run()
