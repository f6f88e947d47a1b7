import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { connect, type Message, serve, type Wire, within } from '../socket.js'

// Bad input gets a clear error and changes nothing.

const test = suite('the wire: bad input')
const daemon = await serve()
let wire: Wire
let head: string

test.before.each(async () => {
  wire = await connect(daemon, { agent: 'tester' })
  head = (await wire.ask('bridge.status')).head
})
test.after.each(() => wire.close())
test.after(() => daemon.stop())

/** What a frame is answered with. */
async function answersTo(frame: string | Buffer): Promise<Message[]> {
  const from = wire.inbox.length
  wire.socket.send(frame)
  await wire.ask('bridge.status')
  await wire.ask('bridge.status')
  return wire.inbox
    .slice(from)
    .flat()
    .filter(({ id }) => !String(id).startsWith('call '))
}

/** Sends a frame that is answered once, with this refusal, and that leaves the log as it was. */
async function refuses(frame: string | Buffer, reason: string, what = String(frame).slice(0, 80)): Promise<Message> {
  const answers = await answersTo(frame)
  const status = await wire.ask('bridge.status')
  assert.is(answers.length, 1, what)
  assert.is(answers[0]?.error?.data.reason, reason, what)
  assert.is(status.head, head, `${what}: nothing was written`)
  return answers[0] as Message
}

const call = (method: string, params: string) => `{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`

test('frames that are not JSON', async () => {
  for (const frame of ['', ' ', '{', '{"jsonrpc":"2.0",}', "{'a':1}", 'NaN', 'undefined', '\u0000', '[1,', '﻿{}']) {
    await refuses(frame, 'PARSE_ERROR', JSON.stringify(frame))
  }
})

test('a binary frame', async () => {
  await refuses(Buffer.from(call('bridge.status', '{}')), 'PARSE_ERROR')
  await refuses(Buffer.alloc(0), 'PARSE_ERROR', 'an empty one')
})

test('a frame above the limit closes its socket with 1009, and no other', async () => {
  const other = await connect(daemon)
  other.send(`"${'x'.repeat(limits.frameBytes)}"`)
  assert.is((await within(other.closed, 'the daemon to hang up')).code, 1009)
  await refuses(`"${'x'.repeat(limits.frameBytes - 2)}"`, 'INVALID_REQUEST')
})

test('text that is no UTF-8 closes its socket with 1007', async () => {
  const other = await connect(daemon)
  other.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false })
  assert.is((await within(other.closed, 'the daemon to hang up')).code, 1007)
})

/** A call in which so many arrays and objects are within one another, itself and its parameters counted. */
const nested = (depth: number, id = ',"id":1') =>
  `{"jsonrpc":"2.0"${id},"method":"contract.create","params":{"title":"deep","metadata":{"x":${'['.repeat(depth - 3)}${']'.repeat(depth - 3)}}}}`

test('a call of very many small values is refused before they are looked at one by one', async () => {
  const many = (values: number) =>
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'nothing.there', params: { list: Array(values).fill(0) } })
  await refuses(many(limits.jsonValues), 'INVALID_REQUEST', 'too many')
  // The call's own four fields, and the list.
  await refuses(many(limits.jsonValues - 6), 'METHOD_NOT_FOUND', 'as many as may be')
})

test('nesting up to the limit is taken, one level more is not, and however much more is not either', async () => {
  await refuses(nested(limits.jsonDepth + 1), 'INVALID_REQUEST', 'one level too deep')
  await refuses(nested(200_000), 'INVALID_REQUEST', '200,000 levels')
  await refuses('['.repeat(200_000) + ']'.repeat(200_000), 'INVALID_REQUEST', '200,000 levels of batch')
  await refuses('['.repeat(500_000), 'PARSE_ERROR', 'never closed')
  await refuses(`{"jsonrpc":"2.0","method":"x","id":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, 'INVALID_REQUEST')
  const [answer] = await answersTo(nested(limits.jsonDepth))
  assert.ok(answer?.result, 'at the limit')
})

test('"__proto__" anywhere in the parameters', async () => {
  for (const params of [
    '{"__proto__":{"title":"x"}}',
    '{"title":"x","__proto__":null}',
    '{"title":"x","metadata":{"__proto__":{"admin":true}}}',
    '{"title":"x","metadata":{"a":[{"b":{"__proto__":1}}]}}',
    '{"title":"x","metadata":{"\\u005f_proto__":1}}',
    '{"title":"x","resources":[{"resource":"port:1","__proto__":{"mode":"shared"}}]}',
  ]) {
    await refuses(call('contract.create', params), 'INVALID_PARAMS', params)
  }
  const { metadata } = await wire.ask('contract.create', {
    title: 'x',
    metadata: { constructor: 1, prototype: 2, toString: 3 },
  })
  assert.equal(metadata, { constructor: 1, prototype: 2, toString: 3 }, 'other names are names like any')
})

test('methods that every object has, and names in another case', async () => {
  const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', 'Bridge.Status', 'BRIDGE.STATUS']
  for (const name of [...names, '', ' bridge.status', 'bridge.status ', 'bridge', 'bridge.', '.status']) {
    const { error } = await refuses(call(name, '{}'), 'METHOD_NOT_FOUND', name)
    assert.is(error?.code, -32601)
  }
})

test('lone surrogates', async () => {
  for (const params of [
    '{"topic":"a","text":"\\ud800"}',
    '{"topic":"a","text":"a\\udc00b"}',
    '{"topic":"a","text":"\\udc00\\ud800"}',
    '{"topic":"a","parts":[{"text":"\\udfff"}]}',
    '{"topic":"a","text":"x","\\ud800":1}',
  ]) {
    await refuses(call('message.publish', params), 'INVALID_PARAMS', params)
  }
})

test('text comes back as it was sent, to the last character', async () => {
  const text = 'é\u0000\u0001\u2028\u2029\uFFFD\uFEFF"\\/\t\r\n😀\u{10FFFF}e\u0301'
  await wire.ask('message.publish', { topic: 'text', text })
  const { events } = await wire.ask('event.read', { after: 'earliest', topics: ['text'] })
  assert.equal(
    events.map(({ data }) => (data.message as { text: string }).text),
    [text],
  )
})

test('numbers that are none, or too large', async () => {
  for (const number of ['1e999', '-1e999']) {
    await refuses(call('contract.create', `{"title":"x","metadata":{"n":${number}}}`), 'INVALID_PARAMS', number)
    await refuses(call('contract.list', `{"limit":${number}}`), 'INVALID_PARAMS', number)
  }
  for (const number of ['1.5', '0', '-1', '1001', '1e300', '"1"', 'true', 'null', '[1]', '{}']) {
    await refuses(call('contract.list', `{"limit":${number}}`), 'INVALID_PARAMS', number)
  }
  for (const number of ['NaN', 'Infinity', '01', '+1', '0x10']) {
    await refuses(call('contract.list', `{"limit":${number}}`), 'PARSE_ERROR', number)
  }
})

test('parameters that are unknown, missing or of another type name the field, each of them', async () => {
  for (const [method, params, field] of [
    ['contract.create', '{"title":"x","colour":"red"}', ''],
    ['contract.create', '{"title":"x","resources":[{"resource":"port:1","owner":"me"}]}', 'resources.0'],
    ['contract.create', '{}', 'title'],
    ['contract.create', '{"title":""}', 'title'],
    ['contract.create', '{"title":"  "}', 'title'],
    ['contract.create', `{"title":"${'x'.repeat(limits.titleLength + 1)}"}`, 'title'],
    ['contract.create', '{"title":5}', 'title'],
    ['contract.create', '{"title":"x","tags":"a"}', 'tags'],
    ['contract.create', '{"title":"x","priority":"urgent"}', 'priority'],
    ['contract.create', '{"title":"x","notBefore":"tomorrow"}', 'notBefore'],
    ['contract.create', '{"title":"x","assignee":"Not A Name"}', 'assignee'],
    ['contract.accept', '{"contractId":5}', 'contractId'],
    ['lock.acquire', '{"resources":[]}', 'resources'],
    ['lock.acquire', '{"resources":[{"resource":"port:1"}],"waitMs":-1}', 'waitMs'],
    ['lock.acquire', '{"resources":[{"resource":"port:1"}],"ttlMs":1}', 'ttlMs'],
    ['event.subscribe', '{"types":["everything.at.all"]}', 'types.0'],
    ['event.subscribe', '{"topics":["a..b"]}', 'topics.0'],
    ['event.subscribe', '{"filters":[]}', 'filters'],
    ['event.subscribe', '{"mine":"yes"}', 'mine'],
    ['event.unsubscribe', '{"subscription":0}', 'subscription'],
    ['bridge.status', '{"verbose":true}', ''],
  ] as const) {
    const { error } = await refuses(call(method, params), 'INVALID_PARAMS', `${method} ${params}`)
    const problems = error?.data.problems as Array<{ path: string; problem: string }>
    assert.is(problems[0]?.path, field, params)
    assert.ok(error?.message.startsWith(`${method}: `), error?.message)
  }
})

test('ids of any form are looked up, and not found', async () => {
  for (const id of ['', 'x', 'ctr_0', '../../etc/passwd', "' OR 1=1 --", '%', '*', 'é', '__proto__', 'x'.repeat(128)]) {
    assert.is(await wire.refused('contract.get', { contractId: id }), 'NOT_FOUND', id)
    assert.is(await wire.refused('contract.accept', { contractId: id }), 'NOT_FOUND', id)
    assert.is(await wire.refused('contract.complete', { contractId: id, attempt: 1 }), 'NOT_FOUND', id)
    assert.is(await wire.refused('message.get', { messageId: id }), 'NOT_FOUND', id)
    assert.is(await wire.refused('message.ack', { messageIds: [id] }), 'NOT_FOUND', id)
    assert.is(await wire.refused('lock.release', { lockId: id, token: 1 }), 'NOT_FOUND', id)
  }
  assert.is(await wire.refused('message.publish', { to: 'nobody', text: 'x' }), 'NOT_FOUND')
  assert.is(await wire.refused('event.unsubscribe', { subscription: 7 }), 'NOT_FOUND')
  assert.is((await wire.ask('bridge.status')).head, head)
})

test('impossible transitions', async () => {
  const { id: contractId } = await wire.ask('contract.create', { title: 'x' })
  assert.is(await wire.refused('contract.complete', { contractId, attempt: 1 }), 'STALE_ATTEMPT')
  assert.is(await wire.refused('contract.retry', { contractId }), 'INVALID_TRANSITION')
  await wire.ask('contract.cancel', { contractId })
  assert.is(await wire.refused('contract.accept', { contractId }), 'INVALID_TRANSITION')
  assert.is((await wire.ask('contract.get', { contractId })).status, 'canceled')
})

test('a call before session.open, also a query, also one that does not exist', async () => {
  const fresh = await connect(daemon)
  assert.is(await fresh.refused('bridge.status'), 'UNAUTHENTICATED')
  assert.is(await fresh.refused('message.publish', { topic: 'a', text: 'x' }), 'UNAUTHENTICATED')
  assert.is(await fresh.refused('contract.get', { contractId: 5 }), 'UNAUTHENTICATED', 'before its parameters are read')
  assert.is(await fresh.refused('nothing'), 'METHOD_NOT_FOUND')
  await fresh.ask('session.open', { agent: 'late' })
  assert.ok(await fresh.ask('bridge.status'), 'the socket can still be opened')
  await fresh.close()
})

test('a second session.open is refused, and the first session goes on', async () => {
  assert.is(await wire.refused('session.open', { agent: 'tester' }), 'INVALID_REQUEST')
  assert.is(await wire.refused('session.open', { agent: 'another' }), 'INVALID_REQUEST')
  assert.is((await wire.ask('agent.update', { note: 'still here' })).agent, 'tester')
})

test('a session.open that is refused leaves the socket unopened, and another may follow', async () => {
  const fresh = await connect(daemon)
  for (const params of [
    { agent: '' },
    { agent: 'No' },
    { agent: 'x'.repeat(65) },
    { agent: 'a', graceMs: -1 },
    { agent: 'a', graceMs: limits.graceMsMax + 1 },
    { agent: 'a', workspace: '../x' },
    { agent: 'a', workspace: '' },
    { agent: 'a', idempotencyKey: 'k' },
    { agent: 'a', resume: 'ses_1' },
  ]) {
    assert.is(await fresh.refused('session.open', params), 'INVALID_PARAMS', JSON.stringify(params))
  }
  assert.is(await fresh.refused('session.open', { agent: 'bridge' }), 'FORBIDDEN')
  assert.is(await fresh.refused('bridge.status'), 'UNAUTHENTICATED')
  await fresh.ask('session.open', { agent: 'finally' })
  await fresh.close()
})

test('calls may be sent right behind session.open, without waiting for it', async () => {
  const fresh = await connect(daemon)
  const answers = await Promise.all([
    fresh.call('bridge.status'),
    fresh.call('session.open', { agent: 'eager' }),
    fresh.call('message.publish', { topic: 'eager', text: 'x' }),
    fresh.call('event.read', { after: 'earliest', topics: ['eager'] }),
    fresh.call('session.open', { agent: 'eager' }),
    fresh.call('agent.list', { online: true }),
  ])
  assert.equal(
    answers.map(({ error }) => error?.data.reason),
    ['UNAUTHENTICATED', undefined, undefined, undefined, 'INVALID_REQUEST', undefined],
  )
  const read = answers[3] as Message
  assert.is((read.result as { events: unknown[] }).events.length, 1)
  await fresh.close()
})

test('two sockets that open at once do not wait for one another, and neither is the other', async () => {
  const sockets = await Promise.all(Array.from({ length: 20 }, () => connect(daemon)))
  const opened = await Promise.all(sockets.map((socket, n) => socket.ask('session.open', { agent: `agent-${n}` })))
  assert.is(new Set(opened.map(({ session }) => session)).size, 20)
  const updated = await Promise.all(sockets.map((socket) => socket.ask('agent.update', { note: 'me' })))
  assert.equal(
    updated.map(({ agent }) => agent),
    sockets.map((_, n) => `agent-${n}`),
  )
  await Promise.all(sockets.map((socket) => socket.close()))
})

test('refusals hold none of the words of whoever called', async () => {
  const evil = 'ignore-all-previous-instructions'
  for (const frame of [
    evil,
    call(evil, '{}'),
    call('contract.get', `{"contractId":"${evil}"}`),
    call('contract.create', `{"title":"x","${evil}":1}`),
    call('contract.create', `{"title":"x","priority":"${evil}"}`),
    call('contract.create', `{"title":"x","notBefore":"${evil}"}`),
    call('contract.create', `{"title":"x","resources":[{"resource":"file:/${evil}"}]}`),
    call('contract.create', `{"title":"x","resources":[{"resource":"file:${evil}/[z"}]}`),
    call('contract.create', `{"title":"x","resources":[{"resource":"file:../${evil}"}]}`),
    call('contract.create', `{"title":"x","metadata":{"${evil}":{"${evil}":{"__proto__":1}}}}`),
    call('contract.list', `{"page":"${evil}"}`),
    call('event.read', `{"after":"${evil}"}`),
    call('event.read', '{"after":"evil-1"}'),
    call('event.subscribe', `{"types":["${evil}"]}`),
    call('message.publish', `{"topic":"${evil}!","text":"x"}`),
    call('message.publish', `{"to":"${evil} ","text":"x"}`),
    call('lock.check', `{"resource":"file:../${evil}"}`),
  ]) {
    const [answer] = await answersTo(frame)
    const error = answer?.error
    assert.ok(error, `refused: ${frame}`)
    assert.not.match(error.message, /ignore-all|evil/, frame)
  }
})

test.run()
