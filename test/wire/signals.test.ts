import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { connect, type RunningDaemon, serve, until, type Wire } from '../socket.js'

// Signals on real sockets: to whoever reads, past whoever does not.

const signals = suite('the wire: signals')
let daemon: RunningDaemon & { stop(): Promise<void> }

signals.before(async () => {
  daemon = await serve()
})
signals.after(() => daemon.stop())

const texts = (wire: Wire) =>
  wire.inbox
    .flatMap((message) => (!Array.isArray(message) && message.method === 'signals' ? message.params?.signals : []))
    .map((signal) => signal?.text)

const say = (wire: Wire, text: string) => wire.ask('message.publish', { topic: 'out', text, ephemeral: true })

async function follow(agent: string): Promise<Wire> {
  const wire = await connect(daemon, { agent })
  await wire.ask('event.subscribe', { topics: ['out'] })
  await wire.next()
  return wire
}

signals('who does not read misses them, costs a buffer, and hears those that come when it reads again', async () => {
  const [codex, reader, sleeper] = [
    await connect(daemon, { agent: 'codex' }),
    await follow('reader'),
    await follow('sleeper'),
  ]
  assert.is((await say(codex, 'first')).delivered, 2)
  await until(() => texts(sleeper).length === 1, 'the first')
  sleeper.socket.pause()
  const text = 'x'.repeat(100_000)
  let sent = 1
  // The kernel holds some megabytes before the daemon sees that nobody reads.
  for (let delivered: number | undefined = 2; delivered === 2; sent++) {
    assert.ok(sent < 2_000, 'a reader that does not read is passed by')
    ;({ delivered } = await say(codex, text))
  }
  await until(() => texts(reader).length === sent, 'what the other reads')
  sleeper.socket.resume()
  await until(async () => (await say(codex, 'last')).delivered === 2, 'room again')
  await until(() => texts(sleeper).at(-1) === 'last', 'the last')
  assert.ok(texts(sleeper).length < texts(reader).length, 'it missed some')
  assert.ok(limits.highWaterBytes < sent * text.length)
  for (const wire of [codex, reader, sleeper]) await wire.close()
})

signals('are published over HTTP as well', async () => {
  const reader = await follow('reader')
  const response = await fetch(`${daemon.http}/publish_message`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${daemon.token}`,
      'Agent-Bridge-Agent': 'codex',
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({ topic: 'out', text: 'over HTTP', ephemeral: true }),
  })
  const { delivered } = (await response.json()) as { delivered: number }
  assert.equal([response.status, delivered], [201, 1])
  await until(() => texts(reader).length === 1, 'the signal')
  assert.equal(texts(reader), ['over HTTP'])
  await reader.close()
})

signals.run()

const senders = suite('the wire: who sent a message')
let other: RunningDaemon & { stop(): Promise<void> }

senders.before(async () => {
  other = await serve()
})
senders.after(() => other.stop())

senders("a name that only the operator's token vouches for is marked, one with a token of its own is not", async () => {
  const human = await connect(other, { agent: 'human' })
  const { token } = await human.ask('token.create', { agent: 'codex', role: 'agent' })
  const [claimed, proved] = [
    await connect(other, { agent: 'codex' }),
    await connect({ ...other, token }, { agent: 'codex' }),
  ]
  await claimed.ask('message.publish', { to: 'human', text: 'so it says' })
  await proved.ask('message.publish', { to: 'human', text: 'so it is' })
  const { items } = await human.ask('message.inbox', {})
  assert.equal(
    items.map(({ from, text, unverified }) => [from, text, unverified]),
    [
      ['codex', 'so it says', true],
      ['codex', 'so it is', undefined],
    ],
  )
  const { text } = await human.ask('agent.brief', {})
  assert.match(text, /from codex \(agent\): "so it is"/)
  assert.match(text, /from codex \(admin, a name that nothing vouches for\): "so it says"/)
  for (const wire of [human, claimed, proved]) await wire.close()
})

senders.run()
