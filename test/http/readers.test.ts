import { EventSource } from 'eventsource'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type DaemonProcess, makeHome, removeHome, seqOf, serveApart, until, type Wire } from '../socket.js'
import { openStream } from './stream.js'

// Readers of the stream in hard times: the daemon is killed under them, or they do not read. The daemon is a process of
// its own.

const MIB = 1024 * 1024
const ROUNDS = 2

const test = suite('HTTP: readers in hard times')
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

const publish = (wires: Wire[], count: number, text: string) =>
  Promise.all(
    wires.map(async (wire) => {
      for (let sent = 0; sent < count / wires.length; sent += 100) {
        await Promise.all(Array.from({ length: 100 }, () => wire.ask('message.publish', { topic: 'hard', text })))
      }
    }),
  )

test(`a stock EventSource goes on over ${ROUNDS} kills with nothing missing and nothing twice`, async () => {
  const seqs: number[] = []
  // The daemon comes back on another port each time: where it is, is asked with every connection.
  const source = new EventSource('http://daemon/events?after=earliest', {
    fetch: (url, { headers, ...init }) =>
      fetch(daemon.http + String(url).slice('http://daemon'.length), {
        ...init,
        headers: { ...headers, Authorization: `Bearer ${daemon.token}` },
      }),
  })
  source.onmessage = ({ data, lastEventId }) => {
    assert.is(JSON.parse(data).cursor, lastEventId)
    seqs.push(seqOf(lastEventId))
  }
  for (let round = 0; round < ROUNDS; round++) {
    const wire = await connect(daemon, { agent: 'writer' })
    const from = seqs.length
    const load = publish([wire], 3_000, 'x'.repeat(200)).catch(() => {})
    await until(() => seqs.length > from + 300 + round * 111, 'some to have come')
    daemon.child.kill('SIGKILL')
    await daemon.ended
    await load
    daemon = await serveApart(home)
  }
  const wire = await connect(daemon, { agent: 'writer' })
  const { head } = await wire.ask('bridge.status')
  await until(() => (seqs.at(-1) ?? 0) >= seqOf(head), 'it to have caught up')
  assert.equal(
    seqs,
    seqs.map((_, index) => index + 1),
  )
  source.close()
  await wire.close()
})

test('a reader that does not read costs no memory, holds up nobody, and gets all of it in the end', async () => {
  const wires = await Promise.all(['a', 'b'].map((agent) => connect(daemon, { agent })))
  const { head: from } = await wires[0]!.ask('bridge.status')
  const slow = await openStream(daemon, `?after=${from}`)
  const fast = await openStream(daemon, `?after=${from}`)
  slow.response.pause()
  await publish(wires, 10_000, 'x'.repeat(2_000))
  const { head } = await wires[0]!.ask('bridge.status')
  await until(() => fast.blocks.at(-1)?.id === head, 'the other reader to have it all')
  assert.ok(slow.blocks.length < 5_000, 'it did not read meanwhile')
  // What is on its way to others may be there for a moment; what waits for the slow one would stay.
  const isSmall = async () => (await daemon.buffers()) < 8 * MIB
  await until(isSmall, 'less than 8 of the 20 MiB of events to be in buffers of the daemon')
  slow.response.resume()
  await until(() => slow.blocks.at(-1)?.id === head, 'the slow reader to catch up')
  await publish(wires, 200, 'live again')
  const { head: end } = await wires[0]!.ask('bridge.status')
  for (const { blocks, events, close } of [slow, fast]) {
    await until(() => blocks.at(-1)?.id === end, 'the rest')
    const seqs = events().map(({ cursor }) => seqOf(cursor))
    assert.is(seqs[0], seqOf(from) + 1)
    assert.ok(seqs.every((seq, index) => seq === seqs[0]! + index))
    close()
  }
  await Promise.all(wires.map((wire) => wire.close()))
})

test.run()
