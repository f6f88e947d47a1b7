import { request as rawRequest } from 'node:http'
import { connect as connectRaw } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { serve, until, within } from '../socket.js'
import { type Asking, ask } from './ask.js'
import { openStream } from './stream.js'

// What nobody should send, and what is said to it. A fault that the daemon meets fails the suite when it stops.

const test = suite('HTTP: what nobody should send')
const daemon = await serve()
const { port } = new URL(daemon.http)
const to = (path: string, asking?: Asking) => ask(daemon, path, asking)
const head = async () => (await to('/v1/bridge/status', { body: {} })).json.head
const create = async (title: string) => (await to('/contracts', { body: { title } })).json.id as string

test.after(() => daemon.stop())

const GUARDED = [
  '/rpc',
  '/events',
  '/openapi.json',
  '/metrics',
  '/v1/bridge/status',
  '/contracts',
  '/contracts/x',
  '/contracts/x/status',
  '/locks',
  '/locks/x',
  '/publish_message',
]

test('a method that a path does not answer is refused with those it does, on every path', async () => {
  for (const path of [...GUARDED, '/healthz', '/readyz']) {
    const { status, headers, json } = await to(path, { method: 'PUT', body: '{}' })
    assert.equal([status, json.reason], [405, 'INVALID_REQUEST'], path)
    const allowed = headers.get('Allow') ?? ''
    assert.match(allowed, /^[A-Z]+(, [A-Z]+)*$/)
    const options = await to(path, { method: 'OPTIONS' })
    assert.equal([options.status, options.text, options.headers.get('Allow')], [204, '', allowed])
    assert.is(options.headers.get('Access-Control-Allow-Origin'), null, 'no page is let in')
    for (const method of ['GET', 'POST', 'PATCH', 'DELETE'].filter((method) => !allowed.includes(method))) {
      assert.is((await to(path, { method, ...(method !== 'GET' && { body: '{}' }) })).status, 405, `${method} ${path}`)
    }
  }
})

test('no path but the open ones answers without the token, whatever the method', async () => {
  // Failed logins are counted for everyone together.
  const guarded = await serve()
  for (const path of GUARDED) {
    for (const method of ['GET', 'POST', 'PUT', 'OPTIONS', 'HEAD']) {
      for (const Authorization of ['', 'Bearer wrong', 'Basic eA==']) {
        const { status, headers } = await ask(guarded, path, { method, headers: { Authorization } })
        assert.ok(status === 401 || status === 429, `${method} ${path}`)
        if (status === 401) assert.is(headers.get('WWW-Authenticate'), 'Bearer')
      }
    }
  }
  await guarded.stop()
})

test('another host, and a page of another origin, get nothing on any path', async () => {
  for (const path of [...GUARDED, '/healthz', '/', '/nothing']) {
    for (const headers of [{ Host: 'evil.example' }, { Origin: 'http://evil.example' }, { Origin: 'null' }]) {
      const status = await new Promise((resolve, reject) => {
        const all = { Authorization: `Bearer ${daemon.token}`, ...headers }
        rawRequest({ host: '127.0.0.1', port, path, headers: all }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
          .once('error', reject)
          .end()
      })
      assert.is(status, 403, `${path} ${JSON.stringify(headers)}`)
    }
  }
})

test('a path that is none is not found, and no mistake for one that is', async () => {
  for (const path of [
    '/nothing',
    '/contracts/',
    '/contracts/x/y',
    '/v1',
    '/v1/bridge',
    '/v1/bridge/status/x',
    '/Contracts',
    '/rpc/',
    '/events/x',
    '/constructor',
    '/__proto__',
    '/v1//',
  ]) {
    const { status, json } = await to(path, { body: {} })
    assert.equal([status, json.reason, json.status], [404, 'NOT_FOUND', 404], path)
  }
  for (const path of [
    '/v1/no/method',
    '/v1/constructor/name',
    '/v1/__proto__/x',
    '/v1/bridge/status%00',
    '/v1/bridge.status/x',
  ]) {
    const { status, json } = await to(path, { body: {} })
    assert.equal([status, json.reason], [404, 'METHOD_NOT_FOUND'], path)
  }
})

test('a body of another media type is refused, one with a charset is not', async () => {
  const body = '{"title":"typed"}'
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'application/xml',
    'json',
    '*/*',
  ]) {
    for (const path of ['/contracts', '/rpc', '/v1/contract/create']) {
      const { status, json } = await to(path, { body, headers: { 'Content-Type': type } })
      assert.equal([status, json.reason], [415, 'INVALID_REQUEST'], type)
    }
  }
  assert.is((await to('/contracts', { body: Buffer.from(body), headers: { 'Content-Type': '' } })).status, 415, 'none')
  assert.is((await to('/contracts', { body, headers: { 'Content-Encoding': 'gzip' } })).status, 415)
  for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json;charset=UTF-8']) {
    assert.is((await to('/contracts', { body, headers: { 'Content-Type': type } })).status, 201, type)
  }
})

test('a body that is no JSON, or no object, or more than it seems, is refused and changes nothing', async () => {
  const before = await head()
  const deep = (depth: number) => `{"title":"x","metadata":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`
  const cases: Array<[string | Uint8Array, string]> = [
    ['{', 'PARSE_ERROR'],
    ['{"title":"x"}}', 'PARSE_ERROR'],
    ["{'title':'x'}", 'PARSE_ERROR'],
    ['title=x', 'PARSE_ERROR'],
    [Buffer.from('{"title":"\xff"}', 'latin1'), 'PARSE_ERROR'],
    ['[]', 'INVALID_PARAMS'],
    ['[{"title":"x"}]', 'INVALID_PARAMS'],
    ['null', 'INVALID_REQUEST'],
    ['1', 'INVALID_REQUEST'],
    ['"title"', 'INVALID_REQUEST'],
    ['{}', 'INVALID_PARAMS'],
    ['{"title":1}', 'INVALID_PARAMS'],
    ['{"title":"x","titel":"y"}', 'INVALID_PARAMS'],
    ['{"title":"x","__proto__":{"status":"completed"}}', 'INVALID_PARAMS'],
    ['{"title":"x","metadata":{"__proto__":1}}', 'INVALID_PARAMS'],
    ['{"title":"\\ud800"}', 'INVALID_PARAMS'],
    ['{"title":"x","metadata":{"n":1e999}}', 'INVALID_PARAMS'],
    [deep(limits.jsonDepth - 1), 'INVALID_REQUEST'],
    [deep(100_000), 'INVALID_REQUEST'],
  ]
  for (const [body, reason] of cases) {
    const { status, json } = await to('/contracts', { body })
    assert.equal([status, json.reason], [400, reason], String(body).slice(0, 60))
  }
  assert.is(await head(), before)
  assert.is((await to('/contracts', { body: deep(limits.jsonDepth - 2) })).status, 201, 'as deep as a frame may be')
})

test('a body above the limit is refused whether or not it says so first, one at the limit is read', async () => {
  const before = await head()
  const large = 'x'.repeat(limits.frameBytes + 1)
  const chunked = () =>
    new ReadableStream({
      start(controller) {
        for (let sent = 0; sent < large.length; sent += 65_536)
          controller.enqueue(Buffer.from(large.slice(sent, sent + 65_536)))
        controller.close()
      },
    })
  for (const path of ['/contracts', '/rpc', '/v1/message/publish']) {
    for (const body of [large, chunked()]) {
      const { status, json } = await to(path, { body })
      assert.equal([status, json.reason], [413, 'TOO_LARGE'], path)
    }
  }
  const frame = '{"jsonrpc":"2.0","id":1,"method":"bridge.status"}'
  assert.is((await to('/rpc', { body: frame.padEnd(limits.frameBytes) })).status, 200)
  assert.is(await head(), before)
})

test('whoever hangs up in the midst of a request is no fault of the daemon', async () => {
  const start = `POST /contracts HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${daemon.token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"title":`
  for (const text of [start.slice(0, 30), start.slice(0, -9), start]) {
    await within(
      new Promise((resolve) => {
        const socket = connectRaw(Number(port), '127.0.0.1', () => socket.write(text, () => socket.destroy()))
        socket.once('close', resolve)
      }),
      'the socket to close',
    )
  }
  assert.is((await to('/healthz')).status, 200)
})

test('every parameter of every method: what its schema refuses is refused, and changes nothing', async () => {
  const before = await head()
  let refused = 0
  for (const { name, params, socket } of methods.values()) {
    if (socket) continue
    for (const field of Object.keys(params.shape)) {
      // The first wrong values that the schema knows to be wrong: some fields take anything.
      const wrong = [{ wrong: [true] }, null, -1.5, ['\u0000'.repeat(5_000)]].filter((value) => {
        const issues = params.safeParse({ [field]: value }).error?.issues ?? []
        return issues.some(({ path }) => path[0] === field)
      })
      for (const value of wrong.slice(0, 2)) {
        const { status, json } = await to(`/v1/${name.replace('.', '/')}`, { body: { [field]: value } })
        assert.equal(
          [status, json.reason],
          [400, 'INVALID_PARAMS'],
          `${name} ${field} ${JSON.stringify(value).slice(0, 40)}`,
        )
        const problems = json.problems as Array<{ path: string }>
        assert.ok(
          problems.some(({ path }) => path.split('.')[0] === field),
          `${name} names ${field}`,
        )
        refused++
      }
    }
  }
  assert.ok(refused > 200, `${refused} refusals`)
  assert.is(await head(), before)
})

test('ids that nothing has are not found, whatever they look like', async () => {
  for (const id of ['none', 'constructor', '__proto__', '%00', 'a%2Fb', '%F0%9F%98%80', "'%20OR%201=1--"]) {
    assert.is((await to(`/contracts/${id}`)).status, 404, id)
    assert.is((await to(`/locks/${id}?token=1`, { method: 'DELETE' })).status, 404, id)
    assert.is((await to(`/contracts/${id}/status`, { method: 'PATCH', body: { status: 'accepted' } })).status, 404, id)
  }
  assert.is((await to(`/contracts/${'x'.repeat(limits.idLength + 1)}`)).status, 400)
})

test('queries are read by the types of their parameters, and refused by them', async () => {
  for (const query of [
    'limit=x',
    'limit=0',
    'limit=1.5',
    'limit=',
    'limit=1&limit=2',
    'status=unknown',
    'status=',
    'ready=yes',
    'owner=A%20B',
    'unknown=1',
    '__proto__=1',
    'page=nonsense',
    'idempotencyKey=x',
  ]) {
    const { status, json } = await to(`/contracts?${query}`)
    assert.equal([status, json.reason], [400, 'INVALID_PARAMS'], query)
  }
  for (const query of [
    'limit=1',
    'status=working,submitted',
    'status=working&status=submitted',
    'ready=true',
    'status=cancelled',
    '',
  ]) {
    assert.is((await to(`/contracts?${query}`)).status, 200, query)
  }
  const overlooked = await to('/locks?waitMs=5', { body: { resources: [{ resource: 'file:q' }] } })
  assert.equal([overlooked.status, overlooked.json.reason], [400, 'INVALID_REQUEST'])
})

test('the same parameter from two places must be the same', async () => {
  const contractId = await create('Twice')
  const patch = (body: object, headers: Record<string, string> = {}) =>
    to(`/contracts/${contractId}/status`, { method: 'PATCH', body, headers })
  assert.is((await patch({ status: 'accepted', contractId: 'other' })).json.reason, 'INVALID_PARAMS')
  assert.is((await patch({ status: 'accepted', ifGeneration: 2 }, { 'If-Match': '"1"' })).json.reason, 'INVALID_PARAMS')
  for (const tag of ['x', '"x"', 'W/"1"', '"1", "2"', '-1', '""']) {
    assert.equal([(await patch({ status: 'accepted' }, { 'If-Match': tag })).status], [400], tag)
  }
  const stale = await patch({ status: 'accepted' }, { 'If-Match': '"7"' })
  assert.equal([stale.status, stale.json.reason], [412, 'GENERATION_MISMATCH'])
  const done = await patch({ status: 'accepted', contractId }, { 'If-Match': '"1"' })
  assert.equal([done.status, done.json.status, done.headers.get('ETag')], [200, 'accepted', '"2"'])
  assert.is((await patch({ status: 'working' }, { 'If-Match': '*' })).json.status, 'working')
})

test('who calls is named as agents are named, and nobody speaks as the daemon', async () => {
  const status = async (agent: string, workspace = '') => (await to('/contracts', { agent, workspace })).status
  for (const agent of ['A', 'a b', 'ä', '-x', 'x'.repeat(65), 'a/b', '../x']) {
    assert.is(await status(encodeURI(agent).includes('%C3') ? '%C3%A4' : agent), 400, agent)
  }
  assert.is(await status('bridge'), 403)
  for (const workspace of ['../x', 'a/b', '.x', 'x'.repeat(101)])
    assert.is(await status('a', workspace), 400, workspace)
  const key = await to('/contracts', {
    body: { title: 'x' },
    headers: { 'Idempotency-Key': 'x'.repeat(limits.keyLength + 1) },
  })
  assert.is(key.json.reason, 'INVALID_PARAMS')
})

test('a token of an agent is good for its name and workspace alone, and revoking it ends what goes on under it', async () => {
  const create = (role: string) => to('/v1/token/create', { body: { agent: 'pinned', role } })
  const { json } = await create('agent')
  const token = String(json.token)
  const as = (path: string, asking: Asking = {}) => ask({ http: daemon.http, token }, path, asking)
  assert.is((await as('/contracts', { body: { title: 'Mine' } })).json.createdBy, 'pinned')
  assert.is((await as('/contracts', { agent: 'other' })).status, 403)
  assert.is((await as('/contracts', { workspace: 'other' })).status, 403)
  assert.is((await as('/v1/token/list', { body: {} })).status, 403)
  const observer = String((await create('observer')).json.token)
  assert.is((await ask({ http: daemon.http, token: observer }, '/contracts', { body: { title: 'x' } })).status, 403)
  assert.is((await ask({ http: daemon.http, token: observer }, '/contracts')).status, 200)
  const stream = await openStream({ http: daemon.http, token })
  const parked = as('/v1/event/read', { body: { after: 'latest', types: ['bridge.*'], waitMs: 50_000 } })
  const metrics = async () => (await to('/metrics')).text
  await until(async () => /waiting_calls\{workspace="default"\} 1/.test(await metrics()), 'it to wait')
  await to('/v1/token/revoke', { body: { tokenId: json.tokenId } })
  assert.is((await within(parked, 'the answer')).status, 401)
  await within(stream.ended, 'the stream to end')
  assert.is((await as('/contracts')).status, 401)
})

test(`no more than ${limits.visitors} requests and streams at a time`, async () => {
  // No agent can do it alone.
  const agentOf = (n: number) => `reader-${Math.floor(n / limits.agentStreams)}`
  const streams = await Promise.all(
    Array.from({ length: limits.visitors }, (_, n) =>
      openStream(daemon, '?types=bridge.*', { 'Agent-Bridge-Agent': agentOf(n) }),
    ),
  )
  assert.ok(streams.every(({ response }) => response.statusCode === 200))
  const refused = await to('/contracts')
  assert.equal([refused.status, refused.json.reason], [503, 'OVERLOADED'])
  assert.ok(Number(refused.headers.get('Retry-After')) >= 1)
  assert.is((await to('/healthz')).status, 200)
  for (const { close } of streams) close()
  await until(async () => (await to('/contracts')).status === 200, 'room')
})

test.run()
