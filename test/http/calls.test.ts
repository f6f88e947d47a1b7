import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { connect, serve, until, within } from '../socket.js'
import { type Asking, ask } from './ask.js'

const test = suite('HTTP: calls')
const daemon = await serve()
const to = (path: string, asking?: Asking) => ask(daemon, path, asking)
const call = (method: string, body: unknown = {}, asking: Asking = {}) =>
  to(`/v1/${method.replace('.', '/')}`, { body, ...asking })
const file = (name: string) => ({ resource: `file:${name}` })

test.after(() => daemon.stop())

test('a task goes through its life over plain HTTP', async () => {
  const agent = 'builder'
  const made = await to('/contracts', { body: { title: 'Build it', resources: [file('life/**')] }, agent: 'planner' })
  assert.is(made.status, 201)
  assert.is(made.headers.get('Location'), `/contracts/${made.json.id}`)
  assert.is(made.headers.get('ETag'), '"1"')
  assert.is(made.json.createdBy, 'planner')
  const contractId = made.json.id
  const accepted = await call('contract.accept', { contractId }, { agent })
  assert.equal([accepted.status, accepted.json.owner], [200, agent])
  const started = await call('contract.start', { contractId, attempt: 1 }, { agent })
  assert.is(started.status, 200)
  const shown = await to(`/contracts/${contractId}`)
  assert.equal([shown.status, shown.json.status, shown.headers.get('ETag')], [200, 'working', '"3"'])
  const listed = await to('/contracts?status=working,accepted&limit=5')
  assert.equal(
    (listed.json.items as Array<{ id: string }>).map(({ id }) => id),
    [contractId],
  )
  const done = await call('contract.complete', { contractId, attempt: 1 }, { agent })
  assert.is(done.json.status, 'completed')
  const again = await call('contract.accept', { contractId }, { agent: 'late' })
  assert.is(again.status, 409)
  // HTTP's own status has the name.
  assert.equal(
    [again.json.reason, again.json.contractStatus, again.json.status],
    ['INVALID_TRANSITION', 'completed', 409],
  )
})

test('the first call makes its agent known, and a refused one nobody', async () => {
  const names = async () => {
    const { json } = await call('agent.list', { limit: 1_000 })
    return (json.items as Array<{ agent: string }>).map(({ agent }) => agent)
  }
  assert.is((await to('/v1/no/method', { body: {}, agent: 'stranger' })).status, 404)
  assert.not.ok((await names()).includes('newcomer'))
  await Promise.all(Array.from({ length: 8 }, () => to('/contracts', { agent: 'newcomer' })))
  assert.is((await names()).filter((name) => name === 'newcomer').length, 1)
  assert.ok((await names()).includes('human'), 'the operator who names nobody')
  const sent = await to('/publish_message', { body: { to: 'newcomer', text: 'welcome' }, agent: 'planner' })
  assert.equal([sent.status, sent.json.recipients], [201, [{ agent: 'newcomer', live: false }]])
  const { json } = await call('message.inbox', {}, { agent: 'newcomer' })
  assert.is((json.items as unknown[]).length, 1)
})

test('locks are taken, listed, refused to others and given back', async () => {
  const lock = await to('/locks', { body: { resources: [file('lock/**')] }, agent: 'one' })
  assert.is(lock.status, 201)
  assert.is(lock.headers.get('Location'), `/locks/${lock.json.lockId}`)
  assert.ok(lock.json.expiresAt, 'a caller without a session gets a timed lease')
  const refused = await to('/locks', { body: { resources: [file('lock/a.ts')] }, agent: 'two' })
  assert.equal([refused.status, refused.json.reason], [423, 'LOCK_CONFLICT'])
  assert.is((refused.json.blockers as Array<{ holder: string }>)[0]?.holder, 'one')
  assert.ok(Number(refused.headers.get('Retry-After')) >= 1)
  const listed = await to('/locks?holder=one&state=held')
  assert.is((listed.json.items as unknown[]).length, 1)
  const path = `/locks/${lock.json.lockId}`
  assert.is((await to(`${path}?token=1`, { method: 'DELETE', agent: 'one' })).json.reason, 'LOCK_LOST')
  assert.is((await to(path, { method: 'DELETE', agent: 'one' })).json.reason, 'INVALID_PARAMS')
  assert.is((await to(`${path}?token=${lock.json.token}`, { method: 'DELETE', agent: 'two' })).status, 403)
  const freed = await to(`${path}?token=${lock.json.token}`, { method: 'DELETE', agent: 'one' })
  assert.is(freed.status, 200)
})

test('a request that waits is answered when its time has come, and abandoned when its caller goes', async () => {
  const held = await to('/locks', { body: { resources: [file('wait')] }, agent: 'one' })
  const waiting = () =>
    call('lock.list', { resource: 'file:wait', state: 'waiting' }).then(({ json }) => json.items as unknown[])
  const gone = new AbortController()
  const asked = { body: { resources: [file('wait')], waitMs: 60_000 } }
  const given = to('/locks', { ...asked, agent: 'two' })
  await until(async () => (await waiting()).length === 1, 'one to wait')
  const lost = to('/locks', { ...asked, agent: 'three', signal: gone.signal }).catch(() => 'gone')
  await until(async () => (await waiting()).length === 2, 'two to wait')
  gone.abort()
  await until(async () => (await waiting()).length === 1, 'the one that went to be forgotten')
  assert.is(await lost, 'gone')
  await to(`/locks/${held.json.lockId}?token=${held.json.token}`, { method: 'DELETE', agent: 'one' })
  assert.equal((await within(given, 'the lock')).json.holder, 'two')
})

test(`an agent has at most ${limits.parkedCalls} requests that wait`, async () => {
  const stop = new AbortController()
  const body = { after: 'latest', types: ['bridge.*'], waitMs: 50_000 }
  const poll = () => call('event.read', body, { agent: 'poller', signal: stop.signal })
  const polls = Array.from({ length: limits.parkedCalls + 1 }, poll)
  const refused = await within(Promise.race(polls), 'a refusal')
  assert.equal([refused.status, refused.json.reason], [503, 'OVERLOADED'])
  const other = await call('event.read', { ...body, waitMs: 1 }, { agent: 'other' })
  assert.is(other.status, 200, 'others may')
  stop.abort()
  const ended = await Promise.allSettled(polls)
  assert.is(ended.filter(({ status }) => status === 'fulfilled').length, 1)
})

test('an idempotency key has effect once, whichever way it comes', async () => {
  const headers = { 'Idempotency-Key': 'once' }
  const first = await to('/contracts', { body: { title: 'Once' }, agent: 'planner', headers })
  const second = await to('/contracts', { body: { title: 'Once', idempotencyKey: 'once' }, agent: 'planner' })
  const rpc = await to('/rpc', {
    body: { jsonrpc: '2.0', id: 1, method: 'contract.create', params: { title: 'Once' } },
    agent: 'planner',
    headers,
  })
  assert.is(second.text, first.text)
  assert.is((rpc.json.result as { id: string }).id, first.json.id)
  const other = await to('/contracts', { body: { title: 'Other' }, agent: 'planner', headers })
  assert.equal([other.status, other.json.reason], [422, 'IDEMPOTENCY_CONFLICT'])
  const both = await to('/contracts', { body: { title: 'Once', idempotencyKey: 'twice' }, agent: 'planner', headers })
  assert.equal([both.status, both.json.reason], [400, 'INVALID_PARAMS'])
  assert.is((await to('/contracts', { agent: 'planner', headers })).status, 200, 'a query has no use for it')
  const batch = await to('/rpc', { body: [{ jsonrpc: '2.0', id: 1, method: 'bridge.status' }], headers })
  assert.is(batch.status, 400)
})

test("what one has is sent again: a contract's parts change without its generation", async () => {
  const { json } = await to('/contracts', { body: { title: 'Known' } })
  await to('/contracts', { body: { title: 'A part', parentId: json.id } })
  const again = await to(`/contracts/${json.id}`, { headers: { 'If-None-Match': '"1"' } })
  assert.equal([again.status, again.headers.get('ETag'), again.json.children], [200, '"1"', { submitted: 1 }])
})

test('a status is asked for, under the condition that nothing changed', async () => {
  const { json } = await to('/contracts', { body: { title: 'Wanted' }, agent: 'planner' })
  const path = `/contracts/${json.id}/status`
  const patch = (body: object, headers = {}) => to(path, { method: 'PATCH', body, agent: 'worker', headers })
  const stale = await patch({ status: 'accepted' }, { 'If-Match': '"2"' })
  assert.equal([stale.status, stale.json.reason], [412, 'GENERATION_MISMATCH'])
  const taken = await patch({ status: 'accepted' }, { 'If-Match': '"1"' })
  assert.equal([taken.status, taken.json.status, taken.headers.get('ETag')], [200, 'accepted', '"2"'])
  assert.is((await patch({ status: 'in_progress' })).json.status, 'working')
  assert.is((await patch({ status: 'completed', result: 1 })).json.status, 'completed')
  const ended = await patch({ status: 'working' })
  assert.equal([ended.status, ended.json.reason], [409, 'INVALID_TRANSITION'])
})

test('workspaces are apart', async () => {
  const { json } = await to('/contracts', { body: { title: 'Elsewhere' }, workspace: 'elsewhere' })
  assert.is((await to(`/contracts/${json.id}`)).status, 404)
  assert.is((await to(`/contracts/${json.id}`, { workspace: 'elsewhere' })).status, 200)
  assert.is((await to('/contracts', { workspace: '../elsewhere' })).status, 400)
})

test('JSON-RPC over HTTP: one, a batch in its order, and notifications', async () => {
  const one = await to('/rpc', { body: { jsonrpc: '2.0', id: 'a', method: 'bridge.status' } })
  assert.equal([one.status, one.json.id], [200, 'a'])
  const title = 'Of a batch'
  const batch = await to('/rpc', {
    agent: 'batcher',
    body: [
      { jsonrpc: '2.0', id: 1, method: 'contract.create', params: { title } },
      { jsonrpc: '2.0', id: 2, method: 'contract.list', params: { createdBy: 'batcher' } },
      { jsonrpc: '2.0', method: 'agent.update', params: { note: 'heard, not answered' } },
      { jsonrpc: '2.0', id: 3, method: 'no.method' },
      { jsonrpc: '2.0', id: 4, method: 'event.subscribe' },
      { jsonrpc: '2.0', id: 5, method: 'session.open', params: { agent: 'other' } },
      5,
    ],
  })
  assert.is(batch.status, 200)
  const answers = new Map(
    (
      batch.json as unknown as Array<{
        id: number | null
        result?: { items: unknown[] }
        error?: { code: number; data: { reason: string } }
      }>
    ).map((answer) => [answer.id, answer.error?.data.reason ?? answer.result]),
  )
  assert.is(answers.size, 6)
  assert.is(
    (answers.get(2) as { items: Array<{ title: string }> }).items[0]?.title,
    title,
    'a query sees the commands before it',
  )
  assert.equal(
    [3, 4, 5, null].map((id) => answers.get(id)),
    ['METHOD_NOT_FOUND', 'INVALID_REQUEST', 'INVALID_REQUEST', 'INVALID_REQUEST'],
  )
  const silent = await to('/rpc', {
    body: { jsonrpc: '2.0', method: 'agent.update', params: { note: 'once more' } },
    agent: 'batcher',
  })
  assert.equal([silent.status, silent.text], [204, ''])
  const silence = await to('/rpc', { body: [{ jsonrpc: '2.0', method: 'no.method' }] })
  assert.equal([silence.status, silence.text], [204, ''])
  const { json } = await call('agent.list', { limit: 1_000 })
  assert.is(
    (json.items as Array<{ agent: string; note?: string }>).find(({ agent }) => agent === 'batcher')?.note,
    'once more',
  )
})

test('JSON-RPC over HTTP: what is no call is a bad request, what is refused is an answer', async () => {
  const codeOf = (json: Record<string, unknown>) => (json.error as { code: number }).code
  for (const [body, code] of [
    ['{', -32700],
    ['', -32700],
    ['[]', -32600],
    ['1', -32600],
    ['{"jsonrpc":"2.0","id":1}', -32600],
    ['{"jsonrpc":"1.0","id":1,"method":"bridge.status"}', -32600],
    [JSON.stringify(Array(limits.batchCalls + 1).fill({ jsonrpc: '2.0', id: 1, method: 'bridge.status' })), -32600],
  ] as const) {
    const { status, json } = await to('/rpc', { method: 'POST', body })
    assert.equal([status, codeOf(json)], [400, code], body.slice(0, 80))
  }
  const refused = await to('/rpc', {
    body: { jsonrpc: '2.0', id: 1, method: 'contract.get', params: { contractId: 'none' } },
  })
  assert.equal([refused.status, codeOf(refused.json)], [200, -32003])
})

test('every method that needs no socket has its path, and takes nothing it does not know', async () => {
  for (const method of methods.values()) {
    const { status, json } = await call(method.name, { unknownField: 1 })
    const expected = method.socket ? 'INVALID_REQUEST' : 'INVALID_PARAMS'
    assert.equal([status, json.reason], [400, expected], method.name)
  }
})

test('calls over HTTP and over sockets are of one order', async () => {
  const wire = await connect(daemon, { agent: 'watcher' })
  await wire.ask('event.subscribe', { types: ['message.published'] })
  await to('/publish_message', { body: { topic: 'mixed', text: 'by HTTP' }, agent: 'planner' })
  await wire.ask('message.publish', { topic: 'mixed', text: 'by socket' })
  await until(() => wire.events().length === 2, 'both')
  assert.equal(
    wire.events().map(({ actor }) => actor),
    ['planner', 'watcher'],
  )
  await wire.close()
})

test.run()
