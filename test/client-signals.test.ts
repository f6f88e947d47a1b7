// Ephemeral messages as the typed client follows them, on a real daemon.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Client, connect, nodeSocket, type Signal, type SocketLike } from '../src/client/node.js'
import { limits } from '../src/protocol/limits.js'
import { type RunningDaemon, serve, until } from './socket.js'

const signals = suite('client: signals')
let daemon: RunningDaemon & { stop(): Promise<void> }
const clients: Client[] = []

async function open(agent: string, socket?: (url: string, token: string) => SocketLike): Promise<Client> {
  const client = await connect({ url: daemon.url, token: daemon.token, agent, ...(socket && { socket }) })
  clients.push(client)
  return client
}

const say = (client: Client, text: string, topic = 'out.codex') =>
  client.call('message.publish', { topic, text, ephemeral: true })

signals.before(async () => {
  daemon = await serve()
})
signals.after(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await daemon.stop()
})

signals('are told in order, until they are closed', async () => {
  const [codex, human] = [await open('codex'), await open('human')]
  const heard: Signal[] = []
  const others: Signal[] = []
  const close = human.signals({ topics: ['out.*'], onSignal: (signal) => heard.push(signal) })
  human.signals({ topics: ['elsewhere'], onSignal: (signal) => others.push(signal) })
  await human.call('bridge.status')
  await until(async () => (await say(codex, 'are you there')).delivered === 1, 'the reader to be live')
  for (const text of ['one', 'two', 'three']) await say(codex, text)
  await until(() => heard.at(-1)?.text === 'three', 'the last')
  assert.equal(
    heard.slice(-3).map(({ text, from, unverified }) => [text, from, unverified]),
    ['one', 'two', 'three'].map((text) => [text, 'codex', true]),
  )
  close()
  close()
  await human.call('bridge.status')
  assert.is((await say(codex, 'to nobody')).delivered, 0)
  assert.is(heard.at(-1)?.text, 'three')
  assert.equal(others, [])
})

signals('are followed again on the next socket', async () => {
  const [codex, opened] = [await open('codex'), [] as SocketLike[]]
  const human = await open('human', (url, token) => {
    const socket = nodeSocket(url, token)
    opened.push(socket)
    return socket
  })
  const heard: Signal[] = []
  human.signals({ topics: ['out.*'], onSignal: (signal) => heard.push(signal) })
  await human.call('bridge.status')
  opened[0]?.close()
  await until(async () => (await say(codex, 'again')).delivered === 1 && opened.length === 2, 'the next socket')
  await until(() => heard.length > 0, 'a signal')
})

signals('say why there are no more', async () => {
  const human = await open('human')
  const failures: Error[] = []
  const onSignal = () => {}
  for (let count = 0; count <= limits.subscriptions; count++) {
    human.signals({ onSignal, onFailed: (error) => failures.push(error) })
  }
  await human.call('bridge.status')
  await until(() => failures.length > 0, 'a refusal')
  assert.match(failures[0]?.message ?? '', /subscriptions/)
  assert.is(failures.length, 1)
  await human.close()
  assert.is(failures.length, 1, 'its own end is no failure')
  assert.throws(() => human.signals({ onSignal }))
})

signals.run()
