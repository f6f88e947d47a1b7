// The tools over streamable HTTP, driven by the SDK's own client in both eras, and by hand.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type RunningDaemon, serve, until, type Wire } from '../socket.js'
import { asHost } from './host.js'

type Host = ReturnType<typeof asHost>

interface World {
  daemon: RunningDaemon & { stop(): Promise<void> }
  wire: Wire
  host(agent: string, era?: 'old' | 'new', query?: string): Promise<Host>
  /** A request by hand; of an initialize unless told. */
  post(headers: Record<string, string>, body?: string, query?: string): Promise<Response>
}

const http = suite<World>('mcp http')

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'by hand', version: '1' } },
})

const toolCall = (name: string, given: object) =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: given } })

const headersOf = ({ token }: RunningDaemon) => ({
  'Content-Type': 'application/json',
  Accept: 'application/json, text/event-stream',
  Authorization: `Bearer ${token}`,
  'Agent-Bridge-Agent': 'codex',
  'Agent-Bridge-Workspace': 'test',
})

http.before(async (world) => {
  world.daemon = await serve()
  world.wire = await connect(world.daemon, { agent: 'cursor', open: { workspace: 'test' } })
  const { http: base, token } = world.daemon
  world.host = async (agent, era = 'old', query = '') => {
    const client = new Client(
      { name: 'a test', version: '1' },
      { versionNegotiation: { mode: era === 'old' ? 'legacy' : 'auto' } },
    )
    const headers = { Authorization: `Bearer ${token}`, 'Agent-Bridge-Agent': agent, 'Agent-Bridge-Workspace': 'test' }
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${base}/mcp${query}`), { requestInit: { headers } }),
    )
    return asHost(client)
  }
  world.post = (headers, body = INITIALIZE, query = '') =>
    fetch(`${base}/mcp${query}`, {
      method: 'POST',
      headers: { ...headersOf(world.daemon), ...headers },
      body,
    })
})
http.after(async ({ daemon, wire }) => {
  await wire.close()
  await daemon.stop()
})

for (const era of ['old', 'new'] as const) {
  http(`tools are served to whom the headers name (${era} protocol)`, async ({ host, wire }) => {
    const agent = `claude-${era}`
    const { client, ask, close } = await host(agent, era)
    assert.is(client.getNegotiatedProtocolVersion(), era === 'old' ? '2025-11-25' : '2026-07-28')
    assert.ok((await client.listTools()).tools.length <= 12)
    const { id } = await ask('contract_create', { title: 'Over HTTP', assignee: 'cursor' })
    assert.is((await wire.ask('contract.get', { contractId: String(id) })).createdBy, agent)
    await wire.ask('contract.accept', { contractId: String(id) })
    // Two requests that share nothing but the agent's name: the news are told once.
    const { news } = await ask('agent_list')
    assert.equal(
      (news as { event: string; by: string }[]).map(({ event, by }) => [event, by]),
      [['contract.accepted', 'cursor']],
    )
    assert.is((await ask('agent_list')).news, undefined)
    await close()
  })
}

http('a wait is woken by what it waits for, and ends with its request', async ({ host, wire }) => {
  const { client, ask, close } = await host('waiter')
  await ask('agent_list')
  const waiting = ask('wait', { seconds: 45 })
  await wire.ask('message.publish', { to: 'waiter', text: 'wake up' })
  const { messages } = await waiting
  assert.equal(
    (messages as { from: string; role: string; text: string }[]).map(({ from, role, text }) => [from, role, text]),
    [['cursor', 'admin', 'wake up']],
  )
  const own = new AbortController()
  const next = client.callTool({ name: 'contract_next', arguments: { waitMs: 45_000 } }, { signal: own.signal })
  next.catch(() => {})
  own.abort()
  await next.then(
    () => assert.unreachable(),
    () => {},
  )
  const { id } = await wire.ask('contract.create', { title: 'For whoever waits', assignee: 'waiter' })
  // Were the wait still there it would have taken the contract in the same command.
  assert.is((await wire.ask('contract.get', { contractId: id })).status, 'submitted')
  await close()
})

http('a lock that is held is refused at once, and no call outlives its request', async ({ host, wire }) => {
  const { ask, refused, close } = await host('locker')
  const held = await wire.ask('lock.acquire', { resources: [{ resource: 'file:http.ts' }] })
  assert.match(await refused('lock_acquire', { resources: [{ resource: 'file:http.ts' }], waitMs: 1 }), /^WAIT_TIMEOUT/)
  assert.equal((await wire.ask('lock.list', { state: 'waiting' })).items, [])
  await wire.ask('lock.release', { lockId: held.lockId, token: held.token! })
  const lock = await ask('lock_acquire', { resources: [{ resource: 'file:http.ts' }] })
  assert.equal([lock.holder, typeof lock.expiresAt], ['locker', 'string'])
  await close()
})

http('the profile is chosen in the URL', async ({ host, post }) => {
  const { client, close } = await host('codex', 'old', '?profile=full')
  assert.ok((await client.listTools()).tools.length > 20)
  await close()
  assert.is((await post({}, INITIALIZE, '?profile=none')).status, 400)
})

http('what is no request for tools is refused as on any other path', async ({ daemon, post }) => {
  const statuses = await Promise.all([
    post({}).then(({ status }) => status),
    post({ Authorization: 'Bearer wrong' }).then(({ status }) => status),
    post({ Origin: 'https://evil.example' }).then(({ status }) => status),
    post({ 'Agent-Bridge-Agent': '' }).then(({ status }) => status),
    post({ 'Content-Type': 'text/plain' }).then(({ status }) => status),
    post({ Accept: 'text/html' }).then(({ status }) => status),
    post({}, '{').then(({ status }) => status),
    post({}, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'x', params: { text: 'x'.repeat(1_100_000) } })).then(
      ({ status }) => status,
    ),
    fetch(`${daemon.http}/mcp`, { headers: { Authorization: `Bearer ${daemon.token}` } }).then(({ status }) => status),
  ])
  assert.equal(statuses, [200, 401, 403, 400, 415, 406, 400, 413, 405])
})

http('an agent may not be called bridge, and one name is one agent', async ({ post }) => {
  const call = toolCall('agent_list', {})
  const text = await (await post({ 'Agent-Bridge-Agent': 'bridge' }, call)).text()
  assert.match(text, /FORBIDDEN/)
  assert.match(await (await post({ 'Agent-Bridge-Agent': 'Not A Name' }, call)).text(), /INVALID_PARAMS/)
})

http('what no other surface takes is not taken here either, and the daemon meets no fault', async ({ post, wire }) => {
  const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  const publish = (field: string) =>
    toolCall('message_publish', { topic: 'edges' }).replace('"topic":"edges"', `"topic":"edges",${field}`)
  const reasons: Record<string, string> = {
    [publish(`"parts":[{"data":${nested(80)}}]`)]: 'INVALID_REQUEST: JSON is nested at most 64 deep',
    [publish(`"parts":[{"data":${nested(100_000)}}]`)]: 'INVALID_REQUEST: JSON is nested at most 64 deep',
    [publish(`"parts":[{"data":[${Array(30_000).fill(1)}]}]`)]: 'INVALID_REQUEST: A call holds at most 20000 values',
    [publish('"text":"half of one: \\ud800"')]: 'INVALID_PARAMS: Text holds a lone surrogate',
    [publish('"parts":[{"data":{"\\udfff":1}}]')]: 'INVALID_PARAMS: Text holds a lone surrogate',
    [publish('"parts":[{"data":{"__proto__":1}}]')]: 'INVALID_PARAMS: No field may be named',
    [publish('"parts":[{"data":1e999}]')]: 'INVALID_PARAMS: A number is too large',
  }
  for (const [body, reason] of Object.entries(reasons)) {
    const text = await (await post({}, body)).text()
    assert.ok(text.includes(reason), `${reason}: ${text.slice(0, 300)}`)
  }
  assert.equal((await wire.ask('event.read', { after: 'earliest', topics: ['edges'] })).events, [])
})

http('nobody touches what another has been told by calling under its name', async ({ post, wire }) => {
  const tokenOf = async (agent: string) => {
    const { token } = await wire.ask('token.create', { agent })
    return { Authorization: `Bearer ${token}`, 'Agent-Bridge-Agent': '' }
  }
  const [bob, eve] = [await tokenOf('bob'), await tokenOf('eve')]
  const list = toolCall('agent_list', {})
  await (await post(bob, list)).text()
  const { messageId } = await wire.ask('message.publish', { to: 'bob', text: 'for bob' })
  assert.match(await (await post(bob, toolCall('wait', { seconds: 0 }))).text(), /for bob/)
  const asBob = await post({ ...eve, 'Agent-Bridge-Agent': 'bob' }, list)
  assert.match(`${asBob.status} ${await asBob.text()}`, /^403 .*FORBIDDEN/)
  const elsewhere = await post({ ...eve, 'Agent-Bridge-Workspace': 'other' }, list)
  assert.match(`${elsewhere.status} ${await elsewhere.text()}`, /^403 .*FORBIDDEN/)
  await (await post(bob, list)).text()
  assert.is((await wire.ask('message.get', { messageId })).receipts?.bob?.state, 'read', 'bob went on, and nobody else')
})

http('a client that goes in the middle of a wait leaves nothing behind', async ({ daemon, wire }) => {
  const held = await wire.ask('lock.acquire', { resources: [{ resource: 'file:gone.ts' }] })
  const waiting = async () => (await wire.ask('lock.list', { state: 'waiting' })).items.length
  const gone = new AbortController()
  const body = toolCall('lock_acquire', { resources: [{ resource: 'file:gone.ts' }], waitMs: 40_000 })
  const pending = fetch(`${daemon.http}/mcp`, { method: 'POST', headers: headersOf(daemon), body, signal: gone.signal })
  pending.catch(() => {})
  await until(async () => (await waiting()) === 1, 'the request to wait')
  gone.abort()
  await until(async () => (await waiting()) === 0, 'the request to be taken back')
  await wire.ask('lock.release', { lockId: held.lockId, token: held.token! })
})

http.run()
