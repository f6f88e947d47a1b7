import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { EventSource } from 'eventsource'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Door } from '../../src/engine/door/door.js'
import type { Event } from '../../src/protocol/event.js'
import { createGuard } from '../../src/server/auth.js'
import { serveEvents } from '../../src/server/http/events.js'
import { createRouter } from '../../src/server/http/router.js'
import { connect, serve, until, within } from '../socket.js'
import { ask } from './ask.js'
import { openStream } from './stream.js'

const test = suite('HTTP: the event stream')
const daemon = await serve()

test.after(() => daemon.stop())

const publish = async (topic: string, text: string) => {
  const { json } = await ask(daemon, '/publish_message', { body: { topic, text } })
  return json.cursor as string
}
const head = async () => (await ask(daemon, '/v1/bridge/status', { body: {} })).json.head as string
const textOf = ({ data }: Event) => (data.message as { text: string }).text

test('a block an event: its cursor as id, the event as data, and no name', async () => {
  const wire = await connect(daemon, { agent: 'both' })
  const from = await head()
  await wire.ask('event.subscribe', { after: from, topics: ['form'] })
  const live = await openStream(daemon, `?topics=form&after=${from}`)
  assert.is(live.response.statusCode, 200)
  assert.is(live.response.headers['content-type'], 'text/event-stream')
  assert.is(live.response.headers['cache-control'], 'no-store')
  await publish('form', 'one')
  await publish('form', 'line one\nline two \u2028 ü')
  await until(() => live.events().length === 2 && wire.events().length === 2, 'both, on both')
  assert.equal(live.events(), wire.events(), 'the same events as on a socket')
  const replayed = await openStream(daemon, `?topics=form&after=${from}`)
  await until(() => replayed.events().length === 2, 'both again')
  assert.equal(replayed.events(), live.events())
  for (const { lines, id, event } of [...live.blocks, ...replayed.blocks]) {
    assert.is(lines.length, event ? 2 : 1)
    if (event) assert.is(id, event.cursor)
    for (const line of lines) assert.match(line, /^(id|data): /)
  }
  for (const stream of [live, replayed]) stream.close()
  await wire.close()
})

test('a bookmark is an id alone, and only of what is past the last id', async () => {
  const stream = await openStream(daemon, '?types=message.published&topics=rare')
  const wanted = await publish('rare', 'wanted')
  const passed = await publish('common', 'not wanted')
  await until(() => stream.blocks.at(-1)?.id === passed, 'the bookmark')
  assert.equal(stream.events().map(textOf), ['wanted'])
  const ids = stream.blocks.map(({ id }) => Number(id?.split('-')[1]))
  assert.equal(
    ids,
    [...new Set(ids)].sort((a, b) => a - b),
    'each id once, and rising',
  )
  assert.is(stream.blocks.at(-2)?.id, wanted)
  assert.equal(stream.blocks.at(-1)?.lines, [`id: ${passed}`])
  stream.close()
})

test('who says nothing begins at the end of the log, and is told where that is', async () => {
  const from = await head()
  const stream = await openStream(daemon)
  await until(() => stream.blocks.length > 0, 'the first block')
  assert.equal(stream.blocks[0]?.lines, [`id: ${from}`])
  stream.close()
  const given = await openStream(daemon, `?after=${from}`)
  await publish('start', 'first')
  await until(() => given.events().length > 0, 'the event')
  assert.ok(given.blocks[0]?.event, 'who knows where it is, is not told')
  given.close()
  const all = await openStream(daemon, '?after=earliest')
  await until(() => all.events().length > 3, 'the log')
  assert.is(all.events()[0]?.cursor.split('-')[1], '1')
  all.close()
})

test('Last-Event-ID wins over after', async () => {
  const [first, second] = [await publish('last', 'first'), await publish('last', 'second')]
  const stream = await openStream(daemon, '?after=earliest&topics=last', { 'Last-Event-ID': first })
  await until(() => stream.events().length > 0, 'an event')
  assert.is(stream.events()[0]?.cursor, second)
  stream.close()
})

test('filters: lists by commas or by repeating, a contract, and what is mine', async () => {
  const after = await head()
  const made = await ask(daemon, '/contracts', { body: { title: 'Followed', assignee: 'me' } })
  await ask(daemon, '/contracts', { body: { title: 'Other' } })
  await publish('filters', 'x')
  const titled = (events: Event[]) =>
    events.map(({ type, data }) => `${type} ${(data.contract as { title?: string })?.title ?? ''}`)
  for (const [query, headers, expected] of [
    [
      '&types=contract.created,message.published',
      {},
      ['contract.created Followed', 'contract.created Other', 'message.published '],
    ],
    [
      '&types=contract.created&types=message.*',
      {},
      ['contract.created Followed', 'contract.created Other', 'message.published '],
    ],
    [`&contractId=${made.json.id}`, {}, ['contract.created Followed']],
    ['&mine=true&types=contract.*', { 'Agent-Bridge-Agent': 'me' }, ['contract.created Followed']],
  ] as const) {
    const stream = await openStream(daemon, `?after=${after}${query}`, headers)
    await until(() => stream.events().length === expected.length, query)
    assert.equal(titled(stream.events()), expected)
    stream.close()
  }
})

test('a cursor that cannot be continued is refused with what there is, and other nonsense with what is wrong', async () => {
  const at = await head()
  const epoch = at.split('-')[0]
  for (const [cursor, reason] of [
    ['other-1', 'EPOCH_CHANGED'],
    [`${epoch}-999999999`, 'CURSOR_AHEAD'],
  ] as const) {
    for (const [query, headers] of [
      [`?after=${cursor}`, {}],
      ['?after=earliest', { 'Last-Event-ID': cursor }],
    ] as const) {
      const { status, json, headers: told } = await ask(daemon, `/events${query}`, { headers })
      assert.is(status, 410)
      assert.is(told.get('Content-Type'), 'application/problem+json')
      assert.equal(
        { ...json, detail: '' },
        {
          type: 'about:blank',
          title: reason,
          status: 410,
          detail: '',
          reason,
          epoch,
          earliest: `${epoch}-0`,
          head: at,
        },
      )
    }
  }
  for (const query of [
    'after=',
    'after=nonsense',
    `after=${at}&after=${at}`,
    'types=no.such',
    'types=',
    'mine=perhaps',
    'durable=x',
    'token=x',
    'topics=a..b',
    'filters=[]',
  ]) {
    const { status, json } = await ask(daemon, `/events?${query}`)
    assert.equal([status, json.reason], [400, 'INVALID_PARAMS'], query)
  }
  assert.is((await ask(daemon, '/events', { headers: { 'Last-Event-ID': 'nonsense' } })).status, 400)
})

test('nobody comes in without the token, or from a page elsewhere, and HEAD opens nothing', async () => {
  assert.is((await ask(daemon, '/events', { headers: { Authorization: '' } })).status, 401)
  assert.is((await ask(daemon, '/events', { headers: { Origin: 'http://evil.example' } })).status, 403)
  assert.is((await ask(daemon, '/events', { method: 'POST', body: {} })).status, 405)
  const asked = await ask(daemon, '/events', { method: 'HEAD' })
  assert.equal([asked.status, asked.headers.get('Content-Type')], [200, 'text/event-stream'])
})

test('a reader that goes is forgotten', async () => {
  const following = async () => (await ask(daemon, '/v1/bridge/status', { body: {} })).json.subscriptions as number
  await until(async () => (await following()) === 0, 'those before to be forgotten')
  const streams = await Promise.all(Array.from({ length: 5 }, () => openStream(daemon)))
  assert.is(await following(), 5)
  for (const { close } of streams) close()
  await until(async () => (await following()) === 0, 'them to be forgotten')
})

test('a stock EventSource follows', async () => {
  const source = new EventSource(`${daemon.http}/events?topics=stock&after=${await head()}`, {
    fetch: (url, init) =>
      fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${daemon.token}` } }),
  })
  const got: Array<{ id: string; text: string }> = []
  source.onmessage = ({ data, lastEventId }) => got.push({ id: lastEventId, text: textOf(JSON.parse(data)) })
  const sent: typeof got = []
  for (const text of ['a', 'b', 'c']) sent.push({ id: await publish('stock', text), text })
  await until(() => got.length === 3, 'three messages')
  assert.equal(got, sent)
  source.close()
})

test('curl follows', async () => {
  // It is on nearly every machine, but not part of the project.
  if (spawnSync('curl', ['--version']).error) return
  const url = `${daemon.http}/events?topics=curl&after=${await head()}`
  const curl = spawn('curl', ['-sN', '-H', `Authorization: Bearer ${daemon.token}`, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  curl.stdout.on('data', (chunk) => (output += chunk))
  const id = await publish('curl', 'hello')
  await until(() => output.includes('hello'), 'curl to print it')
  assert.match(output, new RegExp(`^id: ${id}\ndata: \\{.*"hello".*\\}\n\n$`))
  curl.kill()
})

test('a daemon that stops ends its streams, with all that happened told', async () => {
  const other = await serve()
  const stream = await openStream(other, '?after=earliest')
  const { json } = await ask(other, '/publish_message', { body: { topic: 'end', text: 'last words' } })
  await other.stop()
  assert.is(await within(stream.ended, 'the end'), 'end')
  assert.is(stream.events().at(-1)?.cursor, json.cursor)
})

test('an idle stream is kept alive by comments', async () => {
  // A door behind which nothing happens.
  const visitor = {
    busy: () => 0,
    busyBytes: () => 0,
    opened: () => true,
    seen() {},
    drained() {},
    closed() {},
    call: (_name: string, _params: object, done: (outcome: { result: string }) => void) =>
      done({ result: '{"cursor":"e-1"}' }),
  }
  const door: Door = {
    connect: () => visitor,
    visit: () => visitor,
    request: () => Promise.reject(new Error('not called')),
    counts: () => ({ sockets: 0, unopened: 0, requests: 0, streams: 0 }),
    committed() {},
  }
  const hosts = new Set<string>()
  const router = createRouter(
    createGuard({ token: 'x', hosts: () => hosts, nowMs: () => 0, tokensOf: () => undefined }),
  )
  const streams = serveEvents(router, door, 10)
  const server = createServer(getRequestListener(router.app.fetch, { overrideGlobalObjects: false })).listen(
    0,
    '127.0.0.1',
  )
  await new Promise((resolve) => server.once('listening', resolve))
  const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const stream = await openStream({ http, token: 'x' })
  await until(() => stream.blocks.length >= 4, 'three comments')
  assert.equal(stream.blocks[0]?.lines, ['id: e-1'])
  assert.equal(stream.blocks[1]?.lines, [':'])
  streams.end()
  assert.is(await stream.ended, 'end')
  server.close()
})

test.run()
