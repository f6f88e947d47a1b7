// What a client does when its socket goes: against sockets that follow a script, and against a real daemon over sockets
// that are cut at the worst moment.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { backoffMs } from '../src/client/backoff.js'
import {
  CallError,
  type Client,
  type ClientOptions,
  ConnectionError,
  connect as connectOnce,
  type Event,
  nodeSocket,
  type SocketLike,
  type State,
  type StateDetail,
} from '../src/client/node.js'
import { connect as connectRaw, makeHome, removeHome, seqOf, serve, until, within } from './socket.js'

interface Asked {
  id: number | string
  method: string
  params: Record<string, unknown>
}

/** One socket as a script sees it. */
interface Side {
  /** From 1, in the order in which they were made. */
  number: number
  asked: Asked[]
  say(message: object): void
  result(call: Asked, result: object): void
  refuse(call: Asked, reason: string, data?: object): void
  close(code: number, reason?: string): void
}

/** Sockets without a network: `answer` is told of every call but `session.open`, which it may refuse. */
function script(
  answer: (call: Asked, side: Side) => void,
  opens: (side: Side) => string | undefined = () => undefined,
) {
  const sides: Side[] = []
  const socket = (): SocketLike => {
    const handlers: SocketLike = {
      onopen() {},
      onmessage() {},
      onclose() {},
      send: (frame) => void queueMicrotask(() => take(JSON.parse(frame))),
      close: () => side.close(1005),
    }
    let closed = false
    const side: Side = {
      number: sides.length + 1,
      asked: [],
      say: (message) => handlers.onmessage(JSON.stringify({ jsonrpc: '2.0', ...message })),
      result: ({ id }, result) => side.say({ id, result }),
      refuse: ({ id }, reason, data) =>
        side.say({ id, error: { code: -1, message: reason, data: { reason, ...data } } }),
      close(code, reason = '') {
        if (closed) return
        closed = true
        handlers.onclose({ code, reason })
      },
    }
    sides.push(side)
    function take(call: Asked): void {
      side.asked.push(call)
      if (call.method === 'session.close') return side.close(1000)
      if (call.method !== 'session.open') return answer(call, side)
      const reason = opens(side)
      if (reason) return side.refuse(call, reason)
      side.result(call, { session: 'ses_1', resumeKey: 'key', resumed: side.number > 1, cursor: 'e-10' })
    }
    queueMicrotask(() => handlers.onopen())
    return handlers
  }
  return { sides, socket }
}

/** What the client told of its states. */
function states() {
  const told: Array<{ state: State } & StateDetail> = []
  const onState = (state: State, detail: StateDetail) => void told.push({ state, ...detail })
  const last = () => told.at(-1)
  return { told, onState, last }
}

const address = { url: 'ws://nowhere/ws', token: 't', agent: 'cursor' }

/** Why a promise was rejected. */
const failure = (promise: Promise<unknown>): Promise<Error> =>
  within(
    promise.then(
      () => Promise.reject(new Error('it was not rejected')),
      (error: Error) => error,
    ),
    'a rejection',
  )

const frame = (subscription: number, from: number, to: number) => ({
  method: 'events',
  params: {
    subscription,
    prev: `e-${from}`,
    cursor: `e-${to}`,
    events: Array.from({ length: to - from }, (_, at) => ({ cursor: `e-${from + at + 1}`, type: 'x.happened' })),
  },
})

/** Whatever a test leaves open, also when it fails. */
const open = new Set<{ close(): Promise<void> } | { stop(): Promise<void> }>()

async function connect(options: ClientOptions): Promise<Client> {
  const client = await connectOnce(options)
  open.add(client)
  return client
}

async function daemonOf(home?: string) {
  const daemon = await serve(home)
  open.add(daemon)
  return daemon
}

function tidied(name: string) {
  const tests = suite(name)
  tests.after.each(async () => {
    // The newest first: clients before their daemon.
    for (const left of [...open].reverse()) await ('close' in left ? left.close() : left.stop())
    open.clear()
  })
  return tests
}

const backoff = tidied('client: backoff')

backoff('doubles up to a bound, with full jitter', () => {
  const bounds = Array.from({ length: 12 }, (_, at) => backoffMs(at + 1, 0.999_999) + 1)
  assert.equal(bounds, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000])
  assert.is(backoffMs(1_000_000, 0), 0)
  assert.is(backoffMs(1_000_000, 0.5), 5_000)
  assert.is(backoffMs(3, 0.5), 200)
})

backoff('counts the tries of one absence, and begins anew at the next', async () => {
  const { sides, socket } = script(
    () => {},
    ({ number }) => (number === 2 || number === 3 ? 'OVERLOADED' : undefined),
  )
  const { told, onState, last } = states()
  const client = await connect({ ...address, socket, onState })
  sides[0]?.close(1006)
  await until(() => last()?.state === 'open', 'the fourth socket')
  sides[3]?.close(1006)
  await until(() => sides.length === 5 && last()?.state === 'open', 'the fifth socket')
  const waits = told.filter(({ state }) => state === 'waiting')
  assert.equal(
    waits.map(({ tries }) => tries),
    [1, 2, 3, 1],
  )
  for (const { tries = 0, delayMs = -1 } of waits) assert.ok(delayMs >= 0 && delayMs < 100 * 2 ** (tries - 1))
  assert.instance(waits[1]?.error, CallError)
  await client.close()
  assert.is(last()?.state, 'closed')
  assert.is(last()?.error, undefined)
})

backoff.run()

const scripted = tidied('client: a lost socket, by script')

scripted('asks again in the order asked: commands under the same key, queries as they are', async () => {
  const { sides, socket } = script((call, side) => {
    if (side.number === 1 && call.method === 'contract.list') side.close(1006)
    if (side.number === 2) side.result(call, { from: call.method })
  })
  const client = await connect({ ...address, socket })
  const answers = [
    client.call('message.publish', { topic: 'a', text: '1' }),
    client.call('message.publish', { topic: 'a', text: '2', idempotencyKey: 'mine' }),
    client.call('contract.list', { limit: 3 }),
  ]
  assert.equal(await Promise.all(answers), [
    { from: 'message.publish' },
    { from: 'message.publish' },
    { from: 'contract.list' },
  ])
  const [first, second] = sides.map(({ asked }) => asked.slice(1))
  assert.equal(second, first)
  assert.type(first?.[0]?.params.idempotencyKey, 'string')
  assert.is(first?.[1]?.params.idempotencyKey, 'mine')
  assert.equal(sides[1]?.asked[0]?.params.resume, { session: 'ses_1', resumeKey: 'key' })
})

scripted('never sends session.* or a subscription’s number again', async () => {
  const { sides, socket } = script((call, side) => {
    if (side.number === 1 && call.method === 'bridge.status') side.close(1006)
    else if (side.number === 2) side.result(call, {})
  })
  const client = await connect({ ...address, socket })
  const once = failure(client.call('event.unsubscribe', { subscription: 1 }))
  await client.call('bridge.status')
  assert.instance(await once, ConnectionError)
  assert.equal(
    sides[1]?.asked.map(({ method }) => method),
    ['session.open', 'bridge.status'],
  )
})

scripted('a stopping daemon’s refusal is not the answer: the next daemon’s is', async () => {
  const { sides, socket } = script((call, side) => {
    if (side.number === 1) {
      side.refuse(call, 'SHUTTING_DOWN')
      if (call.method === 'message.inbox') side.close(1001, 'the daemon is stopping')
    } else side.result(call, { by: side.number })
  })
  const client = await connect({ ...address, socket })
  const command = client.call('contract.create', { title: 't' })
  const query = client.call('message.inbox', { waitMs: 50_000 })
  assert.equal(await Promise.all([command, query]), [{ by: 2 }, { by: 2 }])
  assert.equal(sides[1]?.asked[1], sides[0]?.asked[1])

  const alone = script((call, side) => side.refuse(call, 'SHUTTING_DOWN'))
  const single = await connect({ ...address, socket: alone.socket, reconnect: false })
  const refused = await failure(single.call('contract.create', { title: 't' }))
  assert.is((refused as CallError).reason, 'SHUTTING_DOWN')
})

scripted('a call that was given up meanwhile is not sent again', async () => {
  const { sides, socket } = script((call, side) => side.number > 1 && side.result(call, {}))
  const client = await connect({ ...address, socket })
  const given = failure(client.call('contract.create', { title: 't' }, { timeoutMs: 1 }))
  assert.is((await given).name, 'TimeoutError')
  sides[0]?.close(1006)
  await client.call('bridge.status')
  assert.equal(
    sides[1]?.asked.map(({ method }) => method),
    ['session.open', 'bridge.status'],
  )
})

scripted('each stream goes on at its own cursor, under the numbers of the new socket', async () => {
  const afters: unknown[] = []
  let count = 0
  const { sides, socket } = script((call, side) => {
    if (call.method !== 'event.subscribe') return
    afters.push(call.params.after)
    if (side.number === 2 && count === 2) count = 0
    const after = call.params.after === 'latest' ? 'e-10' : String(call.params.after)
    side.result(call, { subscription: ++count, cursor: after })
  })
  const client = await connect({ ...address, socket })
  const [one, two] = [client.events({ after: 'e-3' }), client.events({ types: ['x.*'] })]
  await until(() => afters.length === 2, 'both subscriptions')
  sides[0]?.say(frame(1, 3, 6))
  sides[0]?.say(frame(2, 10, 12))
  // A bookmark is a place to go on from as well.
  sides[0]?.say({ method: 'events', params: { subscription: 2, prev: 'e-12', cursor: 'e-20', events: [] } })
  sides[0]?.close(1006)
  await until(() => afters.length === 4, 'both again')
  assert.equal(afters.slice(2), ['e-6', 'e-20'])
  // What the old socket still says concerns nobody.
  sides[0]?.say(frame(1, 6, 7))
  sides[1]?.say(frame(1, 6, 8))
  sides[1]?.say(frame(2, 20, 21))
  const take = async (stream: AsyncIterableIterator<Event, undefined>, wanted: number) => {
    const cursors = []
    while (cursors.length < wanted) cursors.push((await within(stream.next(), 'an event')).value?.cursor)
    return cursors
  }
  assert.equal(await take(one, 5), ['e-4', 'e-5', 'e-6', 'e-7', 'e-8'])
  assert.equal(await take(two, 3), ['e-11', 'e-12', 'e-21'])
  await client.close()
  assert.is((await one.next()).done, true)
})

scripted('a frame that does not follow the one before ends the stream: nothing is skipped or repeated', async () => {
  for (const from of [5, 7]) {
    const { sides, socket } = script((call, side) => {
      if (call.method === 'event.subscribe') side.result(call, { subscription: 1, cursor: 'e-3' })
      if (call.method === 'event.unsubscribe') side.result(call, {})
    })
    const client = await connect({ ...address, socket })
    const stream = client.events({ after: 'e-3' })
    await until(() => sides[0]?.asked.length === 2, 'the subscription')
    sides[0]?.say(frame(1, 3, 6))
    sides[0]?.say(frame(1, from, 8))
    const seen: string[] = []
    const thrown = await failure(
      (async () => {
        for await (const { cursor } of stream) seen.push(cursor)
      })(),
    )
    assert.equal(seen, ['e-4', 'e-5', 'e-6'])
    assert.equal((thrown as CallError).data, { expected: 'e-6', prev: `e-${from}`, cursor: 'e-8' })
    assert.is(sides[0]?.asked.at(-1)?.method, 'event.unsubscribe')
  }
})

scripted('a history that changed meanwhile ends the stream, after what was received, with the facts', async () => {
  const facts = { epoch: 'f', earliest: 'f-0', head: 'f-3' }
  for (const reason of ['EPOCH_CHANGED', 'CURSOR_EXPIRED', 'CURSOR_AHEAD']) {
    const { sides, socket } = script((call, side) => {
      if (side.number === 2) side.refuse(call, reason, facts)
      else side.result(call, { subscription: 1, cursor: 'e-3' })
    })
    const client = await connect({ ...address, socket })
    const stream = client.events({ after: 'e-3' })
    await until(() => sides[0]?.asked.length === 2, 'the subscription')
    sides[0]?.say(frame(1, 3, 4))
    sides[0]?.close(1006)
    await until(() => sides[1]?.asked.length === 2, 'the attempt to go on')
    assert.is((await stream.next()).value?.cursor, 'e-4')
    const thrown = (await failure(stream.next())) as CallError
    assert.equal([thrown.reason, thrown.data], [reason, { reason, ...facts }])
  }
})

scripted('some ends are final: no other socket is tried', async () => {
  const ends: Array<[string, (side: Side) => void, Parameters<typeof script>[1]]> = [
    ['taken over', (side) => side.close(4409), undefined],
    ['goodbye', (side) => side.close(1000), undefined],
    ['refused', (side) => side.close(1006), ({ number }) => (number === 2 ? 'FORBIDDEN' : undefined)],
  ]
  for (const [name, end, opens] of ends) {
    const { sides, socket } = script(() => {}, opens)
    const { onState, last } = states()
    const client = await connect({ ...address, socket, onState })
    const [call, next] = [failure(client.call('bridge.status')), failure(client.events({ after: 'e-1' }).next())]
    end(sides[0] as Side)
    const [error, thrown] = [await call, await next]
    assert.is(error, thrown, name)
    assert.is(last()?.state, 'closed', name)
    assert.is(last()?.error, error, name)
    assert.is(await failure(client.call('bridge.status')), error, name)
    assert.is(sides.length, name === 'refused' ? 2 : 1, name)
  }
})

scripted('without reconnecting the first loss is the end', async () => {
  const { sides, socket } = script((_call, side) => side.close(1006))
  const client = await connect({ ...address, socket, reconnect: false })
  assert.instance(await failure(client.call('bridge.status')), ConnectionError)
  assert.is(sides.length, 1)
})

scripted('a client that is closed while it waits for the daemon tries no more', async () => {
  const { sides, socket } = script(() => {})
  const { onState, last } = states()
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const before = timers()
  const client = await connect({ ...address, socket, onState })
  const call = client.call('bridge.status').catch((error: Error) => error)
  sides[0]?.close(1006)
  assert.is(last()?.state, 'waiting')
  await client.close()
  assert.is(timers(), before)
  assert.match(((await call) as Error).message, 'closed')
  assert.is(last()?.state, 'closed')
  assert.is(sides.length, 1)
})

scripted.run()

/** Sockets of `ws` that can be cut, and made deaf: what arrives then is lost. */
function fragile() {
  let current: SocketLike | undefined
  let deaf = false
  let made = 0
  const socket = (url: string, token: string): SocketLike => {
    const inner = nodeSocket(url, token)
    const outer: SocketLike = {
      onopen() {},
      onmessage() {},
      onclose() {},
      send: (text) => inner.send(text),
      close: () => inner.close(),
    }
    inner.onopen = () => outer.onopen()
    inner.onclose = (end) => outer.onclose(end)
    inner.onmessage = (text) => {
      if (!deaf) return outer.onmessage(text)
      inner.close()
    }
    made++
    deaf = false
    current = inner
    return outer
  }
  return {
    socket,
    made: () => made,
    cut: () => current?.close(),
    /** The next frame is lost, and the socket with it. */
    loseNext: () => {
      deaf = true
    },
  }
}

const real = tidied('client: a lost socket, for real')

real('a command whose answer was lost takes effect once, and is answered as it was the first time', async () => {
  const daemon = await daemonOf()
  const { socket, loseNext, made } = fragile()
  const client = await connect({ ...daemon, agent: 'cursor', socket })
  const { session } = client.session
  loseNext()
  const contract = await client.call('contract.create', { title: 'once' })
  assert.is(made(), 2)
  const { items } = await client.call('contract.list')
  assert.equal(
    items.map(({ id }) => id),
    [contract.id],
  )
  assert.is(client.session.resumed, true)
  assert.is(client.session.session, session)
})

real('streams are whole though their socket is cut again and again while others publish', async () => {
  const daemon = await daemonOf()
  const { socket, cut, made } = fragile()
  const reader = await connect({ ...daemon, agent: 'reader', socket })
  const writer = await connect({ ...daemon, agent: 'writer' })
  const all: number[] = []
  const marks: string[] = []
  let newest = 0
  const everything = (async () => {
    for await (const { cursor } of reader.events({ after: 'earliest' })) {
      all.push(seqOf(cursor))
      newest = seqOf(cursor)
    }
  })()
  const some = (async () => {
    for await (const { data } of reader.events({ after: 'earliest', topics: ['odd'] })) {
      marks.push((data.message as { text: string }).text)
    }
  })()
  const rounds = 15
  for (let round = 0; round < rounds; round++) {
    const sent = Array.from({ length: 20 }, (_, at) =>
      writer.call('message.publish', { topic: at % 2 ? 'odd' : 'even', text: `${round}.${at}` }),
    )
    cut()
    await Promise.all(sent)
    await until(() => made() === round + 2, 'a new socket')
    await reader.call('bridge.status')
  }
  const { head } = await reader.call('bridge.status')
  await until(() => newest === seqOf(head) && marks.length === rounds * 10, 'the end of the log')
  await reader.close()
  await Promise.all([everything, some])
  assert.equal(
    all,
    Array.from({ length: all.length }, (_, at) => at + 1),
  )
  assert.is(new Set(marks).size, rounds * 10)
  assert.equal(marks.slice(0, 3), ['0.1', '0.3', '0.5'])
})

real('a session that could not be resumed is replaced, and the client is told', async () => {
  const daemon = await daemonOf()
  const { socket, cut } = fragile()
  const { onState, last } = states()
  const client = await connect({ ...daemon, agent: 'cursor', socket, onState, graceMs: 0 })
  const { session } = client.session
  const stream = client.events({ types: ['agent.*'] })
  const other = await connect({ ...daemon, agent: 'other' })
  cut()
  await until(() => last()?.state === 'open' && client.session.session !== session, 'another session')
  assert.is(last()?.resumed, false)
  await other.call('agent.update', { note: 'after' })
  const seen: string[] = []
  for await (const { type, actor } of stream) {
    seen.push(`${actor} ${type}`)
    if (actor === 'other' && type === 'agent.updated') break
  }
  assert.equal(
    seen.filter((line) => line === 'cursor agent.connected'),
    ['cursor agent.connected'],
  )
})

real('a session that another socket took over ends the client, without a fight', async () => {
  const daemon = await daemonOf()
  const { socket, made } = fragile()
  const { onState, last } = states()
  const client: Client = await connect({ ...daemon, agent: 'cursor', socket, onState })
  const { session, resumeKey = '' } = client.session
  const next = failure(client.events({ types: ['lock.*'] }).next())
  const taker = await connectRaw(daemon, { agent: 'cursor', open: { resume: { session, resumeKey } } })
  assert.is(((await next) as ConnectionError).closeCode, 4409)
  assert.is(last()?.state, 'closed')
  assert.is(((await failure(client.call('bridge.status'))) as ConnectionError).closeCode, 4409)
  assert.is(made(), 1)
  assert.ok(await taker.ask('bridge.status'))
  await taker.close()
})

real('a wait goes on with the daemon that follows, wherever it listens', async () => {
  const home = makeHome()
  open.add({ stop: async () => removeHome(home) })
  let daemon = await daemonOf(home)
  const locate = async () => ({ url: daemon.url, token: daemon.token })
  const [holder, waiter] = [await connect({ locate, agent: 'holder' }), await connect({ locate, agent: 'waiter' })]
  const resources = [{ resource: 'file:a.ts' }]
  const held = await holder.call('lock.acquire', { resources })
  const waiting = waiter.call('lock.acquire', { resources, waitMs: 60_000 })
  await until(async () => (await holder.call('bridge.status')).waiters > 0, 'the lock to be waited for')
  const first = daemon.url
  open.delete(daemon)
  await daemon.stop()
  daemon = await daemonOf(home)
  assert.is.not(daemon.url, first)
  await until(async () => (await holder.call('bridge.status')).waiters > 0, 'the lock to be waited for again')
  await holder.call('lock.release', { lockId: held.lockId, token: held.token ?? 0 })
  const lock = await within(waiting, 'the lock')
  assert.equal([lock.state, lock.holder], ['held', 'waiter'])
  assert.is(waiter.session.resumed, true)
})

real.run()
