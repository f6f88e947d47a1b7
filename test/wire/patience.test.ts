import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { connect, type Message, serve, until, within } from '../socket.js'

// How long sockets are waited for. This process has a daemon of less patience than the others.
Object.assign(limits, { openWithinMs: 300, pingEveryMs: 50, silentMs: 500, unreadMs: 2_500 })

const test = suite('the wire: patience with sockets')
const daemon = await serve()

test.after(() => daemon.stop())

test('a socket that opens no session in time is closed with 4401', async () => {
  const idle = await connect(daemon)
  const trying = await connect(daemon)
  const opened = await connect(daemon, { agent: 'opened' })
  await trying.refused('session.open', { agent: 'No' })
  for (const wire of [idle, trying]) {
    const { code, reason } = await within(wire.closed, 'the daemon to close it')
    assert.is(code, 4401)
    assert.match(reason, 'no session')
  }
  assert.ok(await opened.ask('bridge.status'))
  await opened.close()
})

test('a socket that answers no ping is dead after a while; one that does is not, however little it says', async () => {
  const quiet = await connect(daemon, { agent: 'quiet' })
  const dead = await connect(daemon, { agent: 'dead' })
  let pings = 0
  quiet.socket.on('ping', () => pings++)
  // Pings are answered by the library unless nothing is read.
  dead.socket.pause()
  const watcher = await connect(daemon, { agent: 'watcher' })
  await until(async () => {
    const { items } = await watcher.ask('agent.list', { online: true })
    return !items.some(({ agent }) => agent === 'dead')
  }, 'the dead to be noticed')
  const { events } = await watcher.ask('event.read', { after: 'earliest', types: ['agent.disconnected'] })
  assert.equal(
    events.filter(({ subject }) => subject === 'dead').map(({ data }) => data.reason),
    ['dropped'],
  )
  await until(() => pings > 12, 'more pings than the dead one was waited for')
  assert.ok(await quiet.ask('bridge.status'))
  dead.socket.terminate()
  await quiet.close()
  await watcher.close()
})

test('when the daemon itself stood still for long, nobody is given up for it', async () => {
  const wires = await Promise.all(['a', 'b', 'c'].map((agent) => connect(daemon, { agent })))
  const until = performance.now() + limits.silentMs * 3
  while (performance.now() < until);
  for (const wire of wires) assert.ok(await wire.ask('bridge.status'))
  await Promise.all(wires.map((wire) => wire.close()))
})

test('a reader that reads, however slowly, is not given up', async () => {
  const publisher = await connect(daemon, { agent: 'publisher' })
  const text = 'x'.repeat(100_000)
  const count = 700
  for (let n = 0; n < count; n++) await publisher.ask('message.publish', { topic: 'sips', text })
  const slow = await connect(daemon, { agent: 'sipping' })
  let seen = 0
  let unpausedBytes = 0
  slow.socket.on('message', (data) => {
    const { method, params }: Message = JSON.parse(data.toString())
    if (method === 'events') seen += params?.events.length ?? 0
    unpausedBytes += (data as Buffer).length
    if (unpausedBytes < 1_500_000) return
    unpausedBytes = 0
    slow.socket.pause()
    setTimeout(() => slow.socket.resume(), 100)
  })
  await slow.ask('event.subscribe', { after: 'earliest', topics: ['sips'] })
  const began = performance.now()
  await until(() => seen === count, 'all of it')
  assert.ok(performance.now() - began > limits.unreadMs, 'for longer than one that reads nothing is waited for')
  await slow.close()
  await publisher.close()
})

test('a reader with unread output is slow, not dead, for longer; but not for ever', async () => {
  const slow = await connect(daemon, { agent: 'slow' })
  const publisher = await connect(daemon, { agent: 'publisher' })
  const isOnline = async () =>
    (await publisher.ask('agent.list', { online: true })).items.some(({ agent }) => agent === 'slow')
  await slow.ask('event.subscribe')
  slow.socket.pause()
  const began = performance.now()
  const text = 'x'.repeat(100_000)
  // More than the machine's own buffers take.
  for (let n = 0; n < 200; n++) await publisher.ask('message.publish', { topic: 'slow', text })
  await until(() => performance.now() - began > limits.silentMs * 2, 'longer than the silent are waited for')
  assert.ok(await isOnline())
  await until(async () => !(await isOnline()), 'it to be given up')
  slow.socket.terminate()
  await publisher.close()
})

test.run()
