// Streams under a durable name: what was dealt with is not told again, what was not is.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Client, ConnectionError, connect, type Event, type EventStream } from '../src/client/node.js'
import { makeHome, removeHome, serve, serveApart, until, within } from './socket.js'

const test = suite('client: durable streams')

const durable = { durable: 'worker', types: ['message.*'] }

const join = ({ url, token }: { url: string; token: string }, agent = 'codex') =>
  connect({ url, token, agent, workspace: 'default', oneShot: true })

async function say(client: Client, ...texts: string[]): Promise<void> {
  for (const text of texts) await client.call('message.publish', { topic: 't', text })
}

const textOf = (event: Event | undefined) => (event?.data.message as { text: string } | undefined)?.text

async function take(stream: EventStream, count: number): Promise<Array<string | undefined>> {
  const texts: Array<string | undefined> = []
  for (let n = 0; n < count; n++) texts.push(textOf((await within(stream.next(), 'an event')).value))
  return texts
}

test('an event is acknowledged when the next one is asked for; a loop that is left goes on with its event', async () => {
  const daemon = await serve()
  const writer = await join(daemon, 'writer')
  const first = await join(daemon)
  const stream = first.events({ ...durable, after: 'earliest' })
  await say(writer, 'a', 'b', 'c')
  const seen: Array<string | undefined> = []
  for await (const event of stream) {
    seen.push(textOf(event))
    if (seen.length === 2) break
  }
  assert.equal(seen, ['a', 'b'])
  await first.close()
  const second = await join(daemon)
  const again = second.events({ ...durable, after: 'earliest' })
  assert.equal(await take(again, 2), ['b', 'c'])
  const waiting = again.next()
  await say(writer, 'd')
  assert.is(textOf((await within(waiting, 'an event')).value), 'd')
  await second.close()
  const third = await join(daemon)
  assert.equal(await take(third.events(durable), 1), ['d'], 'it was given out, and nobody asked for more')
  for (const client of [third, writer]) await client.close()
  await daemon.stop()
})

test('a consumer that waits has dealt with all it was given, also with what the filter let go by', async () => {
  const daemon = await serve()
  const writer = await join(daemon, 'writer')
  const client = await join(daemon)
  const stream = client.events({ ...durable, after: 'earliest' })
  await say(writer, 'a')
  await take(stream, 1)
  void stream.next()
  await writer.call('agent.update', { note: 'not a message' })
  const { head } = await writer.call('bridge.status')
  const raw = await join(daemon)
  await until(() => stream.cursor === head, 'a bookmark')
  await client.close()
  const probe = raw.events({ durable: 'worker', types: ['message.*'], onCaughtUp: () => {} })
  await say(writer, 'b')
  assert.equal(await take(probe, 1), ['b'])
  for (const one of [raw, writer]) await one.close()
  await daemon.stop()
})

test('another session that reads under the name ends the stream of the first, which does not fight back', async () => {
  const daemon = await serve()
  const [first, second] = [await join(daemon), await join(daemon)]
  const old = first.events(durable)
  await first.call('bridge.status')
  const waiting = old.next().catch((error: unknown) => error)
  const next = second.events(durable)
  const error = await within(waiting, 'the end')
  assert.instance(error, ConnectionError)
  assert.match((error as Error).message, 'durable name')
  await say(first, 'a')
  assert.equal(await take(next, 1), ['a'])
  for (const client of [first, second]) await client.close()
  await daemon.stop()
})

test('over kill -9 and a lost socket nothing is left out, and what was dealt with long ago is not told again', async () => {
  const home = makeHome()
  let daemon = await serveApart(home)
  const client = await connect({
    agent: 'codex',
    workspace: 'default',
    oneShot: true,
    locate: async () => ({ url: daemon.url, token: daemon.token }),
  })
  const stream = client.events({ ...durable, after: 'earliest' })
  await say(client, ...'abcdefghij')
  const seen = await take(stream, 6)
  daemon.child.kill('SIGKILL')
  await daemon.ended
  daemon = await serveApart(home)
  seen.push(...(await take(stream, 4)))
  assert.equal(seen, [...'abcdefghij'], 'one stream never tells twice')
  void stream.next().catch(() => {})
  const watcher = await join(daemon, 'watcher')
  await until(async () => {
    const other = await join(daemon)
    const found = await other.call('bridge.status')
    await other.close()
    return found.subscriptions === 1
  }, 'the stream')
  await client.close()
  const later = await join(daemon)
  const rest = later.events(durable)
  await say(watcher, 'k')
  const [text] = await take(rest, 1)
  assert.ok('ghijk'.includes(text ?? '?'), `${text} was dealt with before the crash`)
  for (const one of [later, watcher]) await one.close()
  daemon.child.kill('SIGTERM')
  await daemon.ended
  removeHome(home)
})

test.run()
