import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, serve, until } from '../socket.js'
import { type Asking, ask } from './ask.js'
import { openStream } from './stream.js'

const test = suite('HTTP: metrics')
const daemon = await serve()
const to = (path: string, asking?: Asking) => ask(daemon, path, asking)

test.after(() => daemon.stop())

/** The value of a series; undefined when it is not told. */
async function read(name: string, labels: Record<string, string> = {}, asking?: Asking): Promise<number | undefined> {
  const { text } = await to('/metrics', asking)
  const lines = text.split('\n').filter((line) => line.replace(/[{ ].*/, '') === `agent_bridge_${name}`)
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  const found = lines.find((line) => wanted.every((label) => line.includes(label)))
  return found === undefined ? undefined : Number(found.slice(found.lastIndexOf(' ')))
}

const workspace = 'default'

test('calls are counted by method and by how they ended', async () => {
  const calls = (method: string, outcome: string) => read('calls_total', { method, outcome })
  const before = (await calls('contract.get', 'NOT_FOUND')) ?? 0
  assert.is(await calls('contract.create', 'ok'), undefined)
  const wire = await connect(daemon, { agent: 'counted' })
  await to('/contracts', { body: { title: 'One' } })
  await wire.ask('contract.create', { title: 'Two' })
  await wire.refused('contract.get', { contractId: 'none' })
  await to('/contracts/none')
  await to('/v1/no/method', { body: {} })
  await to('/v1/constructor/constructor', { body: {} })
  assert.is(await calls('contract.create', 'ok'), 2, 'on a socket and without one')
  assert.is(await calls('contract.get', 'NOT_FOUND'), before + 2)
  assert.is(await calls('unknown', 'METHOD_NOT_FOUND'), 2, 'names that callers make up are no series')
  await wire.close()
})

test('events, batches and commits are counted', async () => {
  const events = () => read('events_total', { workspace, type: 'message.published' })
  const before = (await events()) ?? 0
  const batches = async () => (await read('batch_commands_count', { workspace })) ?? 0
  const commands = async () => (await read('batch_commands_sum', { workspace })) ?? 0
  const [batchesBefore, commandsBefore] = [await batches(), await commands()]
  await to('/publish_message', { body: { topic: 'a', text: 'x' } })
  await to('/publish_message', { body: { topic: 'a', text: 'x' } })
  assert.is(await events(), before + 2)
  assert.ok((await batches()) >= batchesBefore + 2)
  assert.ok((await commands()) >= commandsBefore + 2)
  assert.ok(((await read('commit_seconds_sum', { workspace })) ?? 0) > 0)
  assert.is(await read('commit_seconds_count', { workspace }), await batches())
})

test('what there is, is told as it is', async () => {
  const locks = (state: string) => read('locks', { workspace, state })
  const contracts = (status: string) => read('contracts', { workspace, status })
  const submitted = (await contracts('submitted')) ?? 0
  const held = await to('/locks', { body: { resources: [{ resource: 'file:m' }] }, agent: 'one' })
  assert.equal([await locks('held'), await locks('waiting')], [1, 0])
  const waiting = to('/locks', { body: { resources: [{ resource: 'file:m' }], waitMs: 60_000 }, agent: 'two' })
  await until(async () => (await locks('waiting')) === 1, 'one to wait')
  assert.is(await read('waiting_calls', { workspace }), 1)
  assert.is(await read('connections', { kind: 'requests' }), 1)
  await to(`/locks/${held.json.lockId}?token=${held.json.token}`, { method: 'DELETE', agent: 'one' })
  assert.is((await waiting).status, 201)
  assert.is(await read('waiting_calls', { workspace }), 0)
  assert.is(await read('queued_commands', { workspace }), 0)
  const { json } = await to('/contracts', { body: { title: 'Counted' } })
  assert.is(await contracts('submitted'), submitted + 1)
  await to('/v1/contract/accept', { body: { contractId: json.id } })
  assert.equal([await contracts('submitted'), await contracts('accepted')], [submitted, 1])
  assert.ok(((await read('store_bytes', { workspace })) ?? 0) > 0)
  assert.is(await read('info', { version: '0.1.0' }), 1)
})

test('sockets, streams and readers by their state', async () => {
  const subscriptions = (state: string) => read('subscriptions', { workspace, state })
  const connections = (kind: string) => read('connections', { kind })
  await until(async () => (await connections('sockets')) === 0, 'those before to be gone')
  const [wire, silent] = [await connect(daemon, { agent: 'reader' }), await connect(daemon)]
  await wire.ask('event.subscribe')
  const stream = await openStream(daemon)
  await until(async () => (await subscriptions('live')) === 2, 'both to be live')
  assert.equal([await connections('sockets'), await connections('unopened'), await connections('streams')], [1, 1, 1])
  assert.equal([await subscriptions('behind'), await read('subscription_lag_events', { workspace })], [0, 0])
  assert.is(await read('agents_connected', { workspace }), 1)
  // The stream stops reading, and falls behind what no buffer on the way can hold.
  stream.response.pause()
  const text = 'x'.repeat(100_000)
  for (let round = 0; (await subscriptions('behind')) === 0; round++) {
    assert.ok(round < 100, 'it falls behind')
    await Promise.all(Array.from({ length: 10 }, () => wire.ask('message.publish', { topic: 'much', text })))
  }
  await wire.ask('message.publish', { topic: 'much', text: 'one more' })
  assert.ok(((await read('subscription_lag_events', { workspace })) ?? 0) > 0)
  stream.response.resume()
  await until(async () => (await subscriptions('live')) === 2, 'it to have caught up')
  assert.is(await read('subscription_lag_events', { workspace }), 0)
  stream.close()
  await Promise.all([wire.close(), silent.close()])
})

test('the format is Prometheus’, and the process is told of too', async () => {
  const { status, headers, text } = await to('/metrics')
  assert.is(status, 200)
  assert.match(headers.get('Content-Type') ?? '', /^text\/plain; version=0\.0\.4/)
  for (const line of text.split('\n')) {
    if (line !== '') assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? (\S+))$/)
  }
  for (const name of [
    'nodejs_eventloop_lag_p99_seconds',
    'process_resident_memory_bytes',
    'process_cpu_seconds_total',
  ]) {
    assert.match(text, new RegExp(`^${name} [\\d.e-]+`, 'm'))
  }
})

test('the token is needed, an observer’s suffices, and tells of its own workspace alone', async () => {
  assert.is((await to('/metrics', { headers: { Authorization: '' } })).status, 401)
  assert.is((await to('/metrics', { method: 'POST', body: {} })).status, 405)
  await to('/contracts', { body: { title: 'Elsewhere' }, workspace: 'elsewhere' })
  const made = await to('/v1/token/create', { body: { agent: 'watcher', role: 'observer' }, workspace: 'elsewhere' })
  const headers = { Authorization: `Bearer ${made.json.token}` }
  const told = await to('/metrics', { headers })
  assert.is(told.status, 200)
  assert.match(told.text, 'workspace="elsewhere"')
  assert.not.match(told.text, 'workspace="default"')
  assert.match(told.text, 'agent_bridge_calls_total')
  assert.is(await read('contracts', { workspace: 'elsewhere', status: 'submitted' }, { headers }), 1)
  assert.match((await to('/metrics')).text, 'workspace="default"')
})

test.run()
