import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { type CallError, ConnectionError, connect as connectClient } from '../../src/client/node.js'
import { ask } from '../http/ask.js'
import { connect, makeHome, removeHome, serve, until, type Wire, within } from '../socket.js'

const test = suite('the wire: tokens of agents')
const daemon = await serve()
const operator = await connect(daemon, { agent: 'human' })

test.after(async () => {
  await operator.close()
  await daemon.stop()
})

/** The HTTP status with which a socket is refused, or 101. */
const knock = (token: string): Promise<number> =>
  within(
    new Promise((resolve, reject) => {
      const socket = new WebSocket(daemon.url, { headers: { Authorization: `Bearer ${token}` } })
      socket.on('unexpected-response', (_request, response) => {
        resolve(response.statusCode ?? 0)
        socket.terminate()
      })
      socket.on('open', () => {
        resolve(101)
        socket.terminate()
      })
      socket.on('error', reject)
    }),
    'an answer to the upgrade',
  )

const enter = async (agent: string, role: 'observer' | 'agent' | 'admin' = 'agent') => {
  const { tokenId, token } = await operator.ask('token.create', { agent, role })
  return { tokenId, token, wire: await connect({ url: daemon.url, token }, { agent }) }
}

const reasonOf = async (wire: Wire, method: string, params: object = {}) => wire.refused(method, params)

test('an agent comes in with its token, under its name, with its role, in its workspace', async () => {
  const { token, wire } = await enter('codex')
  assert.is(await reasonOf(wire, 'token.list'), 'FORBIDDEN')
  await wire.ask('agent.update', { note: 'here' })
  const { events } = await wire.ask('event.read', { after: 'earliest', types: ['agent.updated'] })
  assert.equal([events.at(-1)?.actor, events.at(-1)?.unverified], ['codex', undefined])
  await wire.close()

  const other = await connect({ url: daemon.url, token })
  assert.is(await other.refused('session.open', { agent: 'cursor' }), 'FORBIDDEN')
  assert.is(await other.refused('session.open', { agent: 'codex', workspace: 'elsewhere' }), 'FORBIDDEN')
  const opened = await other.ask('session.open', { agent: 'codex', workspace: 'default' })
  assert.equal([opened.agent, opened.role, opened.workspace], ['codex', 'agent', 'default'])
  await other.close()

  const unnamed = await Promise.all([
    connectClient({ url: daemon.url, token, reconnect: false }),
    connectClient({ url: daemon.url, token: daemon.token, reconnect: false }),
  ])
  assert.equal(
    unnamed.map(({ agent }) => agent),
    ['codex', 'human'],
  )
  await Promise.all(unnamed.map((client) => client.close()))
})

test('an observer only reads, and is pushed what happens', async () => {
  const { wire } = await enter('watcher', 'observer')
  await wire.ask('event.subscribe', { types: ['message.*'] })
  assert.is(await reasonOf(wire, 'message.publish', { topic: 'a', text: 'no' }), 'FORBIDDEN')
  await operator.ask('message.publish', { topic: 'a', text: 'yes' })
  await until(() => wire.events().length === 1, 'the message')
  await wire.close()
})

test('a token of another workspace lets nobody into this one, and is known after a restart too', async () => {
  const folder = makeHome()
  let home = await serve(folder)
  const chief = await connect(home, { agent: 'human', open: { workspace: 'shop_1' } })
  const { token } = await chief.ask('token.create', { agent: 'codex' })
  assert.match(token, /^ab_shop_1_/)
  await chief.close()
  await home.stop()
  home = await serve(folder)
  const wire = await connect({ url: home.url, token })
  assert.is(await wire.refused('session.open', { agent: 'codex', workspace: 'default' }), 'FORBIDDEN')
  assert.is((await wire.ask('session.open', { agent: 'codex' })).workspace, 'shop_1')
  await wire.close()
  await home.stop()
  removeHome(folder)

  const { token: own } = await operator.ask('token.create', { agent: 'codex' })
  assert.is(await knock(own), 101)
  const [, , secret = ''] = /^ab_(default)_(.{43})$/.exec(own) ?? []
  for (const forged of [`ab_other_${secret}`, `ab_Default_${secret}`, `ab_../default_${secret}`, `ab__${secret}`]) {
    assert.is(await knock(forged), 401, forged)
  }
  const files = readdirSync(join(daemon.home, 'workspaces')).filter((name) => name.endsWith('.db'))
  assert.equal(files, ['default.db'], 'none was made for a token that names it')
})

test('what is not a whole token is none', async () => {
  const { token } = await operator.ask('token.create', { agent: 'codex' })
  const last = token.at(-1) === 'A' ? 'B' : 'A'
  const wrong = [
    token.slice(1),
    token.slice(0, -1),
    `${token}A`,
    token.slice(0, -1) + last,
    token.toUpperCase(),
    'ab_default_',
  ]
  for (const text of wrong) assert.is(await knock(text), 401, text)
  assert.is(await knock(token), 101)
})

test('revoking closes its sockets at once, opened or not, and lets nobody in again', async () => {
  const { tokenId, token, wire } = await enter('codex')
  const unopened = await connect({ url: daemon.url, token })
  const { wire: spared } = await enter('codex')
  await operator.ask('lock.acquire', { resources: [{ resource: 'file:a' }] })
  const waits = wire.call('lock.acquire', { resources: [{ resource: 'file:a' }], waitMs: 60_000 })
  await until(async () => (await operator.ask('bridge.status')).waiters === 1, 'it to wait')
  await operator.ask('token.revoke', { tokenId })
  for (const { closed } of [wire, unopened]) {
    assert.equal(await within(closed, 'the socket to be closed'), { code: 4403, reason: 'the token was revoked' })
  }
  await waits.then(
    () => assert.unreachable('it was answered'),
    (error: Error) => assert.match(error.message, /closed \(4403\)/),
  )
  assert.is((await operator.ask('bridge.status')).waiters, 0)
  assert.is(await knock(token), 401)
  await spared.ask('bridge.status')
  await spared.close()
})

test('requests over HTTP are held to the token as sockets are', async () => {
  const made = await operator.ask('token.create', { agent: 'poster', ratePerMinute: 5 })
  const at = { http: daemon.http, token: made.token }
  assert.is((await ask(at, '/v1/agent/update', { body: { note: 'here' } })).status, 200)
  assert.is((await ask(at, '/v1/agent/update', { body: { note: 'here' }, agent: 'cursor' })).status, 403)
  assert.is((await ask(at, '/v1/agent/update', { body: { note: 'here' }, workspace: 'elsewhere' })).status, 403)
  assert.is((await ask(at, '/v1/token/list', { body: {} })).status, 403)
  await operator.ask('lock.acquire', { resources: [{ resource: 'file:b' }] })
  const params = { resources: [{ resource: 'file:b' }], waitMs: 60_000 }
  const parked = ask(at, '/v1/lock/acquire', { body: params })
  const call = { jsonrpc: '2.0', id: 1, method: 'lock.acquire', params }
  const batch = ask(at, '/rpc', {
    body: [call, { ...call, id: 2, method: 'message.inbox', params: { waitMs: 50_000 } }],
  })
  await until(async () => (await operator.ask('bridge.status')).waiters === 2, 'them to wait')
  const limited = await ask(at, '/v1/bridge/status', { body: {} })
  assert.equal([limited.status, limited.json.reason], [429, 'RATE_LIMITED'])
  await operator.ask('token.revoke', { tokenId: made.tokenId })
  assert.equal([(await within(parked, 'the end')).status, (await parked).json.reason], [401, 'UNAUTHENTICATED'])
  const answers = JSON.parse((await within(batch, 'the end of the batch')).text) as Array<{ error: { data: object } }>
  assert.equal(
    answers.map(({ error }) => error.data),
    [{ reason: 'UNAUTHENTICATED' }, { reason: 'UNAUTHENTICATED' }],
  )
  assert.is((await operator.ask('bridge.status')).waiters, 0)
  assert.is((await ask(at, '/v1/agent/update', { body: { note: 'here' } })).status, 401)
})

test('an admin may revoke its own token: the answer comes, then the end', async () => {
  const { tokenId, wire } = await enter('chief', 'admin')
  assert.equal(await wire.ask('token.revoke', { tokenId }), { tokenId })
  assert.is((await within(wire.closed, 'the end')).code, 4403)
})

test('the client ends for good, and says why', async () => {
  const { tokenId, token } = await operator.ask('token.create', { agent: 'codex' })
  const client = await connectClient({ url: daemon.url, token, agent: 'codex', workspace: 'default' })
  const asked = client.call('contract.next', { waitMs: 60_000 }).catch((error: unknown) => error)
  await client.call('bridge.status')
  await operator.ask('token.revoke', { tokenId })
  const error = await within(asked, 'the call to end')
  assert.instance(error, ConnectionError)
  assert.equal([(error as ConnectionError).closeCode, (error as Error).message], [4403, 'The token was revoked.'])
  const again = await connectClient({ url: daemon.url, token, agent: 'codex' }).catch((error: unknown) => error)
  assert.is((again as CallError).reason, 'UNAUTHENTICATED')
})

test('names of workspaces that differ in case only are one name', async () => {
  const wire = await connect(daemon)
  assert.is(await wire.refused('session.open', { agent: 'human', workspace: 'DEFAULT' }), 'INVALID_PARAMS')
  await wire.ask('session.open', { agent: 'human', workspace: 'default' })
  await wire.close()
})

test.run()
