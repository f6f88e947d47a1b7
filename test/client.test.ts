// The typed client against a real daemon: calls, their keys and their limits, events, the end of a client.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { methods } from '../src/bridge/index.js'
import * as browser from '../src/client/index.js'
import {
  CallError,
  type Client,
  ConnectionError,
  connect,
  type EventStream,
  nodeSocket,
  type SessionOptions,
  type SocketLike,
} from '../src/client/node.js'
import { repeatOf } from '../src/client/verbs.js'
import { limits } from '../src/protocol/limits.js'
import { type RunningDaemon, seqOf, serve, until, within } from './socket.js'

let daemon: RunningDaemon & { stop(): Promise<void> }
const clients: Client[] = []

async function open(agent: string, options: Partial<SessionOptions> = {}): Promise<Client> {
  const client = await connect({ url: daemon.url, token: daemon.token, agent, ...options })
  clients.push(client)
  return client
}

/** A socket whose frames are seen on their way. */
function watched(sent: (frame: string) => void, got: (frame: string) => void = () => {}) {
  return (url: string, token: string): SocketLike => {
    const inner = nodeSocket(url, token)
    const outer: SocketLike = {
      onopen() {},
      onmessage() {},
      onclose() {},
      send(frame) {
        sent(frame)
        inner.send(frame)
      },
      close: () => inner.close(),
    }
    inner.onopen = () => outer.onopen()
    inner.onclose = (end) => outer.onclose(end)
    inner.onmessage = (frame) => {
      got(frame)
      outer.onmessage(frame)
    }
    return outer
  }
}

async function refusal(promise: Promise<unknown>): Promise<CallError> {
  const error = await within(promise, 'a refusal').then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof CallError) return error
  throw new Error(`not refused: ${error}`)
}

/** The next events of a stream, as many as told. */
async function take(stream: EventStream, count: number) {
  const events = []
  while (events.length < count) {
    const { value, done } = await within(stream.next(), 'an event')
    if (done) break
    events.push(value)
  }
  return events
}

const text = (event: { data: Record<string, unknown> } | undefined) => (event?.data.message as { text?: string })?.text

const withDaemon = (name: string) => {
  const tests = suite(name)
  tests.before(async () => {
    daemon = await serve()
  })
  tests.after.each(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()))
  })
  tests.after(() => daemon.stop())
  return tests
}

const calls = withDaemon('client: calls')

calls('answers are typed by the registry, and parameters may be left out where none is needed', async () => {
  const client = await open('cursor', { kind: 'editor', capabilities: ['typescript'] })
  const contract = await client.call('contract.create', { title: 'try it' })
  const status: string = contract.status
  assert.is(status, 'submitted')
  const { items } = await client.call('agent.list')
  assert.equal(
    items.map(({ agent, kind, capabilities }) => ({ agent, kind, capabilities })),
    [{ agent: 'cursor', kind: 'editor', capabilities: ['typescript'] }],
  )
  assert.is(client.agent, 'cursor')
  assert.is(client.session.resumed, false)
  assert.is(client.session.workspace, 'default')
  // @ts-expect-error: the title is required
  assert.is((await refusal(client.call('contract.create', {}))).reason, 'INVALID_PARAMS')
  // @ts-expect-error: there is no such method
  assert.is((await refusal(client.call('contract.guess', {}))).reason, 'METHOD_NOT_FOUND')
  // @ts-expect-error: a query takes no key
  assert.is((await refusal(client.call('agent.list', { idempotencyKey: 'k' }))).reason, 'INVALID_PARAMS')
})

calls('a refusal is a CallError with its reason, code, facts and whether to try again', async () => {
  const client = await open('cursor')
  const unknown = await refusal(client.call('contract.get', { contractId: 'ctr_none' }))
  assert.equal([unknown.reason, unknown.code, unknown.retry], ['NOT_FOUND', -32004 + 1, false])
  const other = await open('codex')
  await other.call('lock.acquire', { resources: [{ resource: 'file:a.ts' }] })
  const conflict = await refusal(client.call('lock.acquire', { resources: [{ resource: 'file:a.ts' }] }))
  assert.equal([conflict.reason, conflict.retry], ['LOCK_CONFLICT', true])
  const [blocker] = conflict.data.blockers as Array<{ holder: string }>
  assert.is(blocker?.holder, 'codex')
})

calls('the vocabulary tells commands from queries as the registry does', () => {
  for (const [name, method] of methods) {
    const takesKey = 'idempotencyKey' in method.params.shape
    const bound = ['event.subscribe', 'event.ack', 'event.unsubscribe'].includes(name)
    const expected = method.kind === 'query' ? (bound ? 'never' : 'freely') : takesKey ? 'by-key' : 'never'
    assert.is(repeatOf(name), expected, `${name}: see src/client/verbs.ts`)
  }
})

calls('a command without a key is given one of its own, and a given one is kept', async () => {
  const keys: unknown[] = []
  const sent = (frame: string) => keys.push(JSON.parse(frame).params?.idempotencyKey)
  const client = await open('cursor', { socket: watched(sent) })
  await client.call('contract.list')
  assert.equal(keys, [undefined, undefined])
  await client.call('contract.create', { title: 'one' })
  await client.call('contract.create', { title: 'two' })
  const [first, second] = keys.slice(2)
  assert.type(first, 'string')
  assert.type(second, 'string')
  assert.is.not(first, second)
  const again = { title: 'three', idempotencyKey: 'mine' }
  const [three, same] = [await client.call('contract.create', again), await client.call('contract.create', again)]
  assert.is(three.id, same.id)
  assert.equal(keys.slice(4), ['mine', 'mine'])
})

calls('a call can be given up by time or by a signal, and its late answer harms nothing', async () => {
  const client = await open('cursor')
  const holder = await open('codex')
  const lock = await holder.call('lock.acquire', { resources: [{ resource: 'file:b.ts' }] })
  const wanted = { resources: [{ resource: 'file:b.ts' }], waitMs: 60_000 }
  const late = await client.call('lock.acquire', wanted, { timeoutMs: 5 }).catch((error: Error) => error)
  assert.is((late as Error).name, 'TimeoutError')
  const controller = new AbortController()
  const waiting = client.call('lock.acquire', wanted, { signal: controller.signal }).catch((error: Error) => error)
  controller.abort(new Error('enough'))
  assert.is(((await waiting) as Error).message, 'enough')
  const aborted = client.call('bridge.status', {}, { signal: controller.signal }).catch((error: Error) => error)
  assert.is(((await aborted) as Error).message, 'enough')
  await holder.call('lock.release', { lockId: lock.lockId, token: lock.token ?? 0 })
  assert.ok(await client.call('bridge.status'))
})

calls('what cannot be sent is refused here, and the client goes on', async () => {
  const client = await open('cursor')
  const parts = { to: 'cursor', text: 'x'.repeat(limits.frameBytes) }
  assert.is((await refusal(client.call('message.publish', parts))).reason, 'TOO_LARGE')
  // Of three bytes each: short enough in characters, too long in bytes.
  const wide = { to: 'cursor', text: '€'.repeat(limits.frameBytes / 2) }
  assert.is((await refusal(client.call('message.publish', wide))).reason, 'TOO_LARGE')
  const circle: { title: string; metadata?: unknown } = { title: 'x' }
  circle.metadata = circle
  assert.instance(
    await client.call('contract.create', circle as { title: string }).catch((error: Error) => error),
    TypeError,
  )
  assert.is(client.session.resumed, false)
  assert.ok(await client.call('bridge.status'))
})

calls.run()

const events = withDaemon('client: events')

events('a stream is the log from its cursor, each event once, and says where it is', async () => {
  const client = await open('cursor')
  await client.call('message.publish', { topic: 'a', text: '1' })
  let caughtUp = ''
  const stream = client.events({ after: 'earliest', onCaughtUp: (cursor) => (caughtUp = cursor) })
  assert.is(stream.cursor, undefined)
  const past = await take(stream, 4)
  assert.equal(
    past.map(({ type }) => type),
    ['bridge.started', 'agent.registered', 'agent.connected', 'message.published'],
  )
  assert.equal(
    past.map(({ cursor }) => seqOf(cursor)),
    [1, 2, 3, 4],
  )
  const end = past[3]?.cursor
  assert.is(stream.cursor, end)
  assert.is(caughtUp, '', 'not before the consumer is done with what came before')
  const next = stream.next()
  await until(() => caughtUp !== '', 'the end of the past')
  assert.is(caughtUp, end)
  await client.call('message.publish', { topic: 'a', text: '2' })
  assert.is(text((await next).value), '2')
  const later = client.events({ after: past[2]?.cursor ?? '' })
  assert.is(later.cursor, past[2]?.cursor)
  assert.equal((await take(later, 2)).map(text), ['1', '2'])
})

events('from now on means: before whatever is called next', async () => {
  const client = await open('cursor')
  const stream = client.events({ topics: ['b'] })
  const published = await client.call('message.publish', { topic: 'b', text: 'seen' })
  assert.equal(
    (await take(stream, 1)).map(({ cursor }) => cursor),
    [published.cursor],
  )
})

events('a filtered stream moves on with what its filter lets go by', async () => {
  const client = await open('cursor')
  const stream = client.events({ types: ['contract.*'] })
  const next = stream.next()
  const { cursor } = await client.call('message.publish', { topic: 'c', text: 'passes by' })
  await until(() => stream.cursor === cursor, 'a bookmark')
  await client.call('contract.create', { title: 'wanted' })
  assert.is((await next).value?.type, 'contract.created')
})

events('leaving the loop ends the subscription', async () => {
  const client = await open('cursor')
  for await (const event of client.events({ after: 'earliest' })) {
    assert.is(event.type, 'bridge.started')
    break
  }
  assert.is((await client.call('bridge.status')).subscriptions, 0)
  const closed = client.events()
  closed.close()
  assert.equal(await closed.next(), { value: undefined, done: true })
  await until(async () => (await client.call('bridge.status')).subscriptions === 0, 'the subscription to end')
})

events('a cursor that cannot be continued ends the stream with the facts', async () => {
  const client = await open('cursor')
  const { epoch, cursor } = client.session
  const ahead = await refusal(client.events({ after: `${epoch}-${seqOf(cursor) + 1_000}` }).next())
  assert.is(ahead.reason, 'CURSOR_AHEAD')
  assert.is(ahead.data.head, cursor)
  const stream = client.events({ after: 'zzz-1' })
  assert.is((await refusal(stream.next())).reason, 'EPOCH_CHANGED')
  assert.equal(await stream.next(), { value: undefined, done: true }, 'thrown once, then over')
})

events('a slow consumer costs a bounded queue, and misses nothing', async () => {
  let received = 0
  const got = (frame: string) => {
    if (frame.includes('"method":"events"')) received += frame.length
  }
  const client = await open('cursor', { socket: watched(() => {}, got) })
  const other = await open('codex')
  const stream = client.events({ topics: ['big'], after: client.session.cursor })
  const filler = 'x'.repeat(100_000)
  const publish = (n: number) => other.call('message.publish', { topic: 'big', text: `${n} ${filler}` })
  for (let n = 0; n < 20; n++) await publish(n)
  await until(async () => (await other.call('bridge.status')).subscriptions === 0, 'the subscription to be given up')
  const atRest = received
  for (let n = 20; n < 60; n++) await publish(n)
  assert.is((await other.call('bridge.status')).subscriptions, 0)
  assert.is(received, atRest, 'nothing more is taken in')
  assert.ok(received < 3_000_000, `${received} characters`)
  const seen = await take(stream, 60)
  assert.equal(
    seen.map((event) => Number(text(event)?.split(' ')[0])),
    Array.from({ length: 60 }, (_, n) => n),
  )
})

events.run()

const life = withDaemon('client: its beginning and end')

life('a client that is closed says goodbye, ends its streams and lets nothing wait', async () => {
  const client = await open('cursor')
  const other = await open('codex')
  await other.call('lock.acquire', { resources: [{ resource: 'file:c.ts' }] })
  const stream = client.events({ types: ['lock.*'] })
  const waiting = client
    .call('lock.acquire', { resources: [{ resource: 'file:c.ts' }], waitMs: 60_000 })
    .catch((error: Error) => error)
  assert.is((await take(stream, 1))[0]?.type, 'lock.queued')
  const next = stream.next()
  await Promise.all([client.close(), client.close()])
  assert.instance(await waiting, ConnectionError)
  while (!(await next).done && !(await stream.next()).done);
  assert.instance(await client.call('bridge.status').catch((error: Error) => error), ConnectionError)
  assert.throws(() => client.events(), /closed/)
  const { items } = await other.call('agent.list')
  assert.is(items.find(({ agent }) => agent === 'cursor')?.presence, 'offline')
  const { events } = await other.call('event.read', { after: 'earliest', types: ['agent.disconnected'] })
  assert.is(events.at(-1)?.data.reason, 'closed')
})

life('what cannot get better rejects connect with the daemon’s refusal', async () => {
  const states: string[] = []
  const onState = (state: string) => states.push(state)
  const wrong = connect({ url: daemon.url, token: 'w'.repeat(43), agent: 'cursor', onState })
  assert.is((await refusal(wrong)).reason, 'UNAUTHENTICATED')
  assert.equal(states, ['connecting', 'closed'])
  assert.is((await refusal(open('bridge'))).reason, 'FORBIDDEN')
  assert.is((await refusal(open('cursor', { workspace: '../other' }))).reason, 'INVALID_PARAMS')
  const elsewhere = connect({ url: daemon.url.replace(/ws$/, 'other'), token: daemon.token, agent: 'cursor' })
  assert.is((await refusal(elsewhere)).reason, 'NOT_FOUND')
  const nowhere = connect({ url: 'ws://127.0.0.1:1/ws', token: 't', agent: 'cursor' }).catch((error: Error) => error)
  assert.instance(await nowhere, ConnectionError)
})

life('the browser’s entry needs nothing but a WebSocket, and brings the token as a subprotocol', async () => {
  const offered: string[][] = []
  class PageSocket extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols)
      offered.push(protocols)
    }
  }
  const globals = globalThis as { WebSocket?: unknown }
  const before = globals.WebSocket
  globals.WebSocket = PageSocket
  try {
    const client = await browser.connect({ url: daemon.url, token: daemon.token, agent: 'page' })
    assert.is((await client.call('bridge.status')).workspace, 'default')
    await client.close()
  } finally {
    globals.WebSocket = before
  }
  assert.is(offered[0]?.[0], 'agent-bridge')
  assert.is(Buffer.from(offered[0]?.[1]?.split('.')[2] ?? '', 'base64url').toString(), daemon.token)
})

life('the browser’s entry loads no file of Node, no package and no rule', () => {
  const src = join(import.meta.dirname, '..', 'src')
  const loaded = new Set([join(src, 'client', 'index.ts')])
  const packages = new Set<string>()
  for (const file of loaded) {
    const source = readFileSync(file, 'utf8')
    for (const [, path = ''] of source.matchAll(/^(?:import|export)\s+(?!type\s)[^'"]*?from\s+'([^']+)'/gm)) {
      if (path.startsWith('.')) loaded.add(join(dirname(file), path.replace(/\.js$/, '.ts')))
      else packages.add(path)
    }
  }
  assert.equal([...packages], [])
  const rooms = [...loaded].map((file) => file.slice(src.length + 1).split('/')[0])
  assert.equal([...new Set(rooms)].sort(), ['client', 'protocol'])
  assert.ok(loaded.size > 8, 'the files were followed')
})

life.run()
