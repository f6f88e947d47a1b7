import { createHash, createHmac, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { connect as connectRaw } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { createGuard } from '../../src/server/auth.js'
import { connect, serve, until, within } from '../socket.js'

const test = suite('the wire: who may come in')
const daemon = await serve()
const { host, port } = new URL(daemon.http)

test.after(() => daemon.stop())

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

/** One HTTP request, sent as it is; an upgrade that succeeds is a 101 and is hung up. */
function ask(path: string, headers: Record<string, string> = {}, to = daemon, method = 'GET'): Promise<Answer> {
  const { port } = new URL(to.http)
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers, agent: false })
    sent.on('error', reject)
    sent.on('upgrade', ({ statusCode = 0, headers }, socket) => {
      socket.destroy()
      resolve({ status: statusCode, headers, body: '' })
    })
    sent.on('response', (response) => {
      let body = ''
      response.on('data', (chunk) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    sent.end()
  })
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

/** Asks for a socket; the token is right unless the headers say otherwise. */
const upgrade = (headers: Record<string, string> = {}, path = '/ws', to = daemon) =>
  ask(
    path,
    {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      ...bearer(to.token),
      ...headers,
    },
    to,
  )

const reasonOf = ({ body }: Answer): string => JSON.parse(body).reason

/** What one connection is told that sends these bytes and then waits to be hung up on. */
const sendBytes = (text: string): Promise<string> =>
  within(
    new Promise((resolve) => {
      let answer = ''
      const socket = connectRaw({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true }, () =>
        socket.write(text.replaceAll('\n', '\r\n')),
      )
      socket.on('data', (chunk) => (answer += chunk))
      // It never ends its own half, so that only the daemon's hanging up ends it; writing tells whether it did.
      const probe = setInterval(() => socket.write(' '), 20)
      socket.on('error', () => {})
      socket.on('close', () => {
        clearInterval(probe)
        resolve(answer)
      })
    }),
    'the daemon to hang up',
  )

test('a Host header that names another host, as after DNS rebinding, is refused everywhere', async () => {
  const hosts = [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1',
    `127.0.0.1:${Number(port) + 1}`,
    `127.0.0.2:${port}`,
  ]
  for (const Host of [...hosts, `localhost.:${port}`, `${host}.evil.example`, `evil@${host}`]) {
    for (const answer of [await upgrade({ Host }), await ask('/healthz', { Host }), await ask('/readyz', { Host })]) {
      assert.is(answer.status, 403, Host)
      assert.is(reasonOf(answer), 'FORBIDDEN', Host)
    }
  }
  assert.match(await sendBytes('GET /healthz HTTP/1.0\n\n'), /^HTTP\/1\.1 403 /, 'none at all')
  for (const Host of [host, `localhost:${port}`, `[::1]:${port}`, `LOCALHOST:${port}`]) {
    assert.is((await upgrade({ Host })).status, 101, Host)
    assert.is((await ask('/healthz', { Host })).status, 200, Host)
  }
})

test('a page may not call, unless it is of the daemon itself', async () => {
  const foreign = [
    'null',
    'http://evil.example',
    `http://evil.example:${port}`,
    `http://${host}.evil.example`,
    'file://',
  ]
  for (const Origin of [
    ...foreign,
    `http://127.0.0.1:${Number(port) + 1}`,
    `ws://${host}`,
    `http://${host}/`,
    '*',
    '',
  ]) {
    for (const answer of [await upgrade({ Origin }), await ask('/healthz', { Origin })]) {
      assert.is(answer.status, 403, Origin)
      assert.is(reasonOf(answer), 'FORBIDDEN', Origin)
    }
  }
  assert.is((await upgrade({ Origin: `http://${host}` })).status, 101, 'its own')
  const Host = `localhost:${port}`
  assert.is((await upgrade({ Host, Origin: `http://${host}` })).status, 403, 'that of its other name')
  assert.is((await upgrade({ Host, Origin: `http://${Host}` })).status, 101, 'under its other name')
  assert.is((await upgrade()).status, 101, 'programs send none')
})

test('an upgrade without the token, or with a wrong one, is refused', async () => {
  const { token } = daemon
  for (const Authorization of [
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${token}x`,
    `Bearer ${token.slice(0, -1)}`,
    `Bearer ${token.toUpperCase()}`,
    `Bearer x${token}`,
    `Basic ${token}`,
    `Basic ${Buffer.from(`operator:${token}`).toString('base64')}`,
    token,
    `Bearer ${token} ${token}`,
  ]) {
    const answer = await upgrade({ Authorization })
    assert.is(answer.status, 401, Authorization)
    assert.is(reasonOf(answer), 'UNAUTHENTICATED')
    assert.is(answer.headers['www-authenticate'], 'Bearer')
    assert.not.match(answer.body, token)
  }
  assert.is((await upgrade({ Authorization: `bearer ${token}` })).status, 101, 'RFC 9110: the scheme is of any case')
})

test('a token in the URL, or in a cookie, is not looked at', async () => {
  const { token } = daemon
  for (const path of [`/ws?token=${token}`, `/ws?access_token=${token}`, `/ws?authorization=Bearer%20${token}`]) {
    assert.is((await upgrade({ Authorization: '' }, path)).status, 401, path)
  }
  assert.is((await upgrade({ Authorization: '', Cookie: `token=${token}` })).status, 401)
})

test('a browser brings its token as a subprotocol, which is not echoed', async () => {
  const offer = (token: string) => `agent-bridge, agent-bridge.bearer.${Buffer.from(token).toString('base64url')}`
  const right = await upgrade({ Authorization: '', 'Sec-WebSocket-Protocol': offer(daemon.token) })
  assert.is(right.status, 101)
  assert.is(right.headers['sec-websocket-protocol'], 'agent-bridge')
  for (const offered of [
    offer('wrong'),
    offer(''),
    'agent-bridge',
    'agent-bridge.bearer.',
    `agent-bridge.bearer.%%%`,
  ]) {
    const answer = await upgrade({ Authorization: '', 'Sec-WebSocket-Protocol': offered })
    assert.is(answer.status, 401, offered)
  }
  const wire = await connect(daemon, {
    headers: {},
    protocols: ['agent-bridge', `agent-bridge.bearer.${Buffer.from(daemon.token).toString('base64url')}`],
    agent: 'browser',
  })
  await wire.close()
})

test('sockets are at one path, and only upgrades get them', async () => {
  for (const path of ['/', '/ws/', '/WS', '/ws2', '/healthz', '/../ws/x', '//ws']) {
    const { status } = await upgrade({}, path)
    assert.ok(status === 404 || status === 400, `${path}: ${status}`)
  }
  assert.is((await ask('/ws', bearer(daemon.token))).status, 404)
  assert.is((await upgrade({ Upgrade: 'h2c' })).status, 400)
  assert.is((await upgrade({ 'Sec-WebSocket-Key': 'short' })).status, 400)
  assert.is((await upgrade({ 'Sec-WebSocket-Version': '12' })).status, 400)
})

test('requests that name no path, or are no HTTP, do not end the daemon', async () => {
  const head = `Host: ${host}\nConnection: close\n`
  for (const target of ['//', '///', 'http://', 'http://[', '//[/healthz', '*', '/%', '/healthz?nonce=%']) {
    assert.match(await sendBytes(`GET ${target} HTTP/1.1\n${head}\n`), /^HTTP\/1\.1 [24]/, target)
  }
  const socket = `Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n`
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n'
  for (const target of ['//', 'http://[', '*']) {
    const text = `GET ${target} HTTP/1.1\nHost: ${host}\n${socket}${key}\n`
    assert.match(await sendBytes(text), /^HTTP\/1\.1 4/, target)
  }
  for (const bytes of ['\u0000\u0001\u0002\n\n', 'GET\n\n', `GET / HTTP/1.1\nHost: ${host}\nHost: evil\n\n`]) {
    assert.match(await sendBytes(bytes), /^HTTP\/1\.1 4/, bytes)
  }
  assert.is((await ask('/healthz')).status, 200, 'it still lives')
})

test('a refused upgrade is hung up on, though the other side keeps its half open', async () => {
  const answer = await sendBytes(
    `GET /ws HTTP/1.1\nHost: ${host}\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n`,
  )
  assert.match(answer, /^HTTP\/1\.1 401 /)
})

test('after many failed logins the next are not even looked at, but whoever has the token is let in', async () => {
  const guarded = await serve()
  const wrong = () => upgrade(bearer('wrong'), '/ws', guarded)
  const reasons: string[] = []
  for (let login = 0; login < 110; login++) reasons.push(reasonOf(await wrong()))
  assert.equal(new Set(reasons.slice(0, 100)), new Set(['UNAUTHENTICATED']))
  assert.equal(new Set(reasons.slice(100)), new Set(['RATE_LIMITED']))
  assert.is((await wrong()).status, 429)
  const wire = await connect(guarded, { agent: 'rightful' })
  await wire.close()
  await guarded.stop()
})

test('a minute later failed logins are looked at again', () => {
  let nowMs = 0
  const guard = createGuard({ token: 'secret', hosts: () => new Set(), nowMs: () => nowMs, tokensOf: () => undefined })
  const login = (token: string) => {
    try {
      // Only the headers are read.
      guard.authenticate({ headers: { authorization: `Bearer ${token}` } } as Parameters<typeof guard.authenticate>[0])
      return 'in'
    } catch (error) {
      return (error as { reason: string }).reason
    }
  }
  for (let failure = 0; failure < 100; failure++) assert.is(login('wrong'), 'UNAUTHENTICATED')
  nowMs = 60_000
  assert.is(login('wrong'), 'RATE_LIMITED')
  assert.is(login('secret'), 'in')
  nowMs = 60_001
  assert.is(login('wrong'), 'UNAUTHENTICATED')
  assert.is(login('secret'), 'in')
})

test('tokens are compared in constant time, whatever their length', () => {
  // That it is so cannot be measured here; that no plain comparison has come in can be read.
  const source = readFileSync(new URL('../../src/server/auth.ts', import.meta.url), 'utf8')
  assert.match(source, 'timingSafeEqual(digest(given), expected)')
  assert.not.match(source, /(given|token)\s*[!=]==?\s*(expected|token)\b/)
})

test('the daemon proves that it wrote daemon.json, and says nothing of its key', async () => {
  const { key, pid, url, http } = JSON.parse(readFileSync(join(daemon.home, 'daemon.json'), 'utf8'))
  assert.equal({ pid, url, http }, { pid: process.pid, url: daemon.url, http: daemon.http })
  for (const nonce of ['abc', randomBytes(16).toString('hex'), 'x'.repeat(128), 'ü&=%/']) {
    const { body, headers } = await ask(`/healthz?nonce=${encodeURIComponent(nonce)}`)
    assert.is(JSON.parse(body).proof, createHmac('sha256', key).update(nonce).digest('hex'))
    assert.is(headers['cache-control'], 'no-store')
    assert.not.match(body, key)
    assert.not.match(body, daemon.token)
  }
  for (const path of ['/healthz', `/healthz?nonce=${'x'.repeat(129)}`]) {
    assert.is(JSON.parse((await ask(path)).body).proof, undefined)
  }
  assert.is((await ask('/readyz')).status, 200)
  for (const method of ['POST', 'PUT', 'DELETE', 'TRACE']) {
    assert.is((await ask('/healthz', {}, daemon, method)).status, 405, method)
  }
  assert.is((await ask('/daemon.json')).status, 404)
})

test('what lies in the home is for its owner alone', () => {
  const modeOf = (file: string) => (statSync(file).mode & 0o777).toString(8)
  assert.is(modeOf(daemon.home), '700')
  for (const file of ['token', 'daemon.json']) assert.is(modeOf(join(daemon.home, file)), '600', file)
  // Nobody else gets as far as the rest, for the folder is shut.
  assert.ok(readdirSync(join(daemon.home, 'workspaces')).includes('default.db'))
  assert.match(daemon.token, /^[\w-]{43,}$/, '256 bits')
})

test('sockets that have not opened a session are few, and those that have do not count', async () => {
  const opened = await connect(daemon, { agent: 'first' })
  const idle = await Promise.all(Array.from({ length: limits.unopenedSockets }, () => connect(daemon)))
  const answer = await upgrade()
  assert.is(answer.status, 503)
  assert.is(reasonOf(answer), 'OVERLOADED')
  assert.ok(await opened.ask('bridge.status'), 'who is in stays in')
  await idle[0]?.ask('session.open', { agent: 'second' })
  await idle[1]?.close()
  const wires = [await connect(daemon), await connect(daemon)]
  assert.is((await upgrade()).status, 503)
  for (const wire of [...idle, ...wires, opened]) wire.socket.terminate()
  await until(async () => (await upgrade()).status === 101, 'room again')
})

test('no event and no row holds a resume key, its hash or the token', async () => {
  const wire = await connect(daemon)
  const { session, resumeKey = '' } = await wire.ask('session.open', { agent: 'keeper' })
  await wire.ask('agent.update', { note: 'here' })
  await wire.close()
  const again = await connect(daemon)
  const resumed = await again.ask('session.open', { agent: 'keeper', resume: { session, resumeKey } })
  assert.ok(resumed.resumed)
  await again.ask('event.subscribe', { after: 'earliest' })
  await until(() => again.inbox.some((message) => 'method' in message && message.method === 'caughtUp'), 'the log')
  await again.ask('agent.list')
  await again.call('agent.update', { note: 'again', idempotencyKey: 'the key of a call' })
  const [opening, ...rest] = again.inbox
  assert.match(JSON.stringify(opening), resumeKey, 'the caller itself is told')
  const seen = JSON.stringify(rest)
  const hash = createHash('sha256').update(resumeKey)
  for (const secret of [resumeKey, hash.copy().digest('hex'), hash.copy().digest('base64url'), daemon.token]) {
    assert.not.match(seen, secret)
  }
  assert.not.match(seen, 'the key of a call')
  assert.match(seen, '"agent.connected"')
  await again.close()
})

test.run()
