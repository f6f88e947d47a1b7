import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { connect, type Message, serve, type Wire } from '../socket.js'

// JSON-RPC 2.0 to the letter; the numbers are the specification's.

const test = suite('the wire: JSON-RPC 2.0')
const daemon = await serve()
let wire: Wire

test.before.each(async () => {
  wire = await connect(daemon, { agent: 'tester' })
})
test.after.each(() => wire.close())
test.after(() => daemon.stop())

/** Sends a frame, then asks something else, twice: what else has come in by then is all that the frame is answered with. */
async function answersTo(frame: string | object): Promise<Array<Message | Message[]>> {
  const from = wire.inbox.length
  wire.send(frame)
  await wire.ask('bridge.status')
  await wire.ask('bridge.status')
  return wire.inbox.slice(from).filter((answer) => Array.isArray(answer) || !String(answer.id).startsWith('call '))
}

const codes = (answers: Array<Message | Message[]>) =>
  answers.flat().map(({ jsonrpc, id, error }) => {
    assert.is(jsonrpc, '2.0')
    return { id, code: error?.code }
  })

test('7: a call with named parameters is answered under its id', async () => {
  const calls = [
    { jsonrpc: '2.0', method: 'contract.list', params: { limit: 1, status: ['working'] }, id: 3 },
    { jsonrpc: '2.0', method: 'contract.list', params: { status: ['working'], limit: 1 }, id: 4 },
  ]
  for (const call of calls) {
    const answers = await answersTo(call)
    assert.is(answers.length, 1)
    const [{ result, ...rest }] = answers as [Message]
    assert.equal(rest, { jsonrpc: '2.0', id: call.id })
    assert.equal((result as { items: unknown[] }).items, [])
  }
})

test('7: parameters by position are refused, for the bridge takes them by name only', async () => {
  for (const params of [[42, 23], []]) {
    assert.equal(codes(await answersTo({ jsonrpc: '2.0', method: 'contract.list', params, id: 1 })), [
      { id: 1, code: -32602 },
    ])
  }
})

test('7: a notification is not answered, whether or not its method exists', async () => {
  assert.equal(await answersTo({ jsonrpc: '2.0', method: 'agent.update', params: { note: 'by notification' } }), [])
  assert.equal(await answersTo({ jsonrpc: '2.0', method: 'foobar' }), [])
  const { items } = await wire.ask('agent.list')
  assert.is(items[0]?.note, 'by notification', 'it has its effect')
})

test('7: the notification of the specification, by position, is not answered either', async () => {
  assert.equal(await answersTo('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}'), [])
})

test('4.1: a notification that fails is not answered, in whatever way it fails', async () => {
  const failing = [
    { method: 'contract.get', params: { contractId: 'nobody has this' } },
    { method: 'contract.get', params: { contractId: 5 } },
    { method: 'session.open', params: { agent: 'again' } },
    { method: 'message.publish', params: { topic: 'a', text: 'x', idempotencyKey: '' } },
  ]
  for (const call of failing) assert.equal(await answersTo({ jsonrpc: '2.0', ...call }), [], JSON.stringify(call))
  assert.equal(await answersTo('{"jsonrpc":"2.0","method":"agent.update","params":{"__proto__":{}}}'), [])
  assert.equal(await answersTo('{"jsonrpc":"2.0","method":"agent.update","params":{"note":"\\ud800"}}'), [])
})

test('7: a method that does not exist', async () => {
  assert.equal(codes(await answersTo('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}')), [{ id: '1', code: -32601 }])
})

test('7: invalid JSON', async () => {
  const frame = '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]'
  assert.equal(codes(await answersTo(frame)), [{ id: null, code: -32700 }])
})

test('7: an invalid request', async () => {
  const frame = '{"jsonrpc": "2.0", "method": 1, "params": "bar"}'
  assert.equal(codes(await answersTo(frame)), [{ id: null, code: -32600 }])
})

test('7: a batch that is invalid JSON gets one answer, which is no array', async () => {
  const frame = '[{"jsonrpc": "2.0", "method": "bridge.status", "id": "1"},{"jsonrpc": "2.0", "method"]'
  const answers = await answersTo(frame)
  assert.not(Array.isArray(answers[0]))
  assert.equal(codes(answers), [{ id: null, code: -32700 }])
})

test('7: an empty array is one invalid request', async () => {
  const answers = await answersTo('[]')
  assert.not(Array.isArray(answers[0]))
  assert.equal(codes(answers), [{ id: null, code: -32600 }])
})

test('7: an invalid batch, not empty, gets an array with an answer for each item', async () => {
  for (const [frame, count] of [
    ['[1]', 1],
    ['[1,2,3]', 3],
    ['[[],[[]],null]', 3],
  ] as const) {
    const answers = await answersTo(frame)
    assert.is(answers.length, 1)
    assert.ok(Array.isArray(answers[0]))
    assert.equal(codes(answers), Array(count).fill({ id: null, code: -32600 }))
  }
})

test('7: the mixed batch', async () => {
  const answers = await answersTo([
    { jsonrpc: '2.0', method: 'contract.list', params: [1, 2, 4], id: '1' },
    { jsonrpc: '2.0', method: 'agent.update', params: { note: 'hello' } },
    { jsonrpc: '2.0', method: 'contract.list', params: { limit: 1 }, id: '2' },
    { foo: 'boo' },
    { jsonrpc: '2.0', method: 'foo.get', params: { name: 'myself' }, id: '5' },
    { jsonrpc: '2.0', method: 'bridge.status', id: '9' },
  ])
  assert.is(answers.length, 1)
  assert.ok(Array.isArray(answers[0]))
  const byId = new Map(codes(answers).map(({ id, code }) => [id, code]))
  assert.equal(
    byId,
    new Map<Message['id'], number | undefined>([
      ['1', -32602],
      ['2', undefined],
      [null, -32600],
      ['5', -32601],
      ['9', undefined],
    ]),
  )
  assert.is(answers.flat().length, 5)
})

test('7: a batch of notifications alone is not answered at all', async () => {
  const frame = [
    { jsonrpc: '2.0', method: 'agent.update', params: { note: 'in a batch' } },
    { jsonrpc: '2.0', method: 'notify_hello', params: { name: 'x' } },
  ]
  assert.equal(await answersTo(frame), [])
  assert.equal(await answersTo('[{"jsonrpc":"2.0","method":"notify_sum","params":[1,2,4]}]'), [])
})

test('4: an id is a string, a number or null, and comes back as it was', async () => {
  for (const id of ['7', '', 'é\u0000"\\', 7, -1, 0, 2.5, 1e21, null]) {
    const answers = await answersTo({ jsonrpc: '2.0', method: 'bridge.status', id })
    assert.is(answers.length, 1, `id ${JSON.stringify(id)}`)
    assert.is((answers[0] as Message).id, id)
    assert.ok((answers[0] as Message).result)
  }
})

test('4: an id of another type is refused under the id null', async () => {
  for (const id of ['true', '{}', '[]', '[1]', '1e999']) {
    const answers = await answersTo(`{"jsonrpc":"2.0","method":"bridge.status","id":${id}}`)
    assert.equal(codes(answers), [{ id: null, code: -32600 }], `id ${id}`)
  }
})

test('4: what is no request is refused under its id, where that can be told', async () => {
  for (const [frame, id] of [
    ['1', null],
    ['"bridge.status"', null],
    ['null', null],
    ['{}', null],
    ['{"id":5}', 5],
    ['{"jsonrpc":"1.0","method":"bridge.status","id":5}', 5],
    ['{"jsonrpc":2.0,"method":"bridge.status","id":5}', 5],
    ['{"method":"bridge.status","id":"a"}', 'a'],
    ['{"jsonrpc":"2.0","method":null,"id":"a"}', 'a'],
    ['{"jsonrpc":"2.0","method":"bridge.status","params":"bar","id":"a"}', 'a'],
    ['{"jsonrpc":"2.0","method":"bridge.status","params":null,"id":"a"}', 'a'],
    // An answer is not a request: nobody was asked anything.
    ['{"jsonrpc":"2.0","id":5,"result":{}}', 5],
  ] as const) {
    assert.equal(codes(await answersTo(frame)), [{ id, code: -32600 }], frame)
  }
})

test('4: members that the specification does not name are ignored', async () => {
  const answers = await answersTo({ jsonrpc: '2.0', method: 'bridge.status', id: 1, trace: { span: 'x' } })
  assert.ok((answers[0] as Message).result)
})

test('5: an answer has a result or an error, never both, and an error a code, a message and data with the reason', async () => {
  const [answer] = await answersTo([
    { jsonrpc: '2.0', method: 'bridge.status', id: 1 },
    { jsonrpc: '2.0', method: 'nothing', id: 2 },
  ])
  const [first, second] = answer as Message[]
  assert.equal(Object.keys(first as Message), ['jsonrpc', 'id', 'result'])
  assert.equal(Object.keys(second as Message), ['jsonrpc', 'id', 'error'])
  assert.is(second?.error?.data.reason, 'METHOD_NOT_FOUND')
  assert.type(second?.error?.message, 'string')
})

test('6: a batch holds a limited number of calls', async () => {
  const batch = (count: number) =>
    Array.from({ length: count }, (_, id) => ({ jsonrpc: '2.0', method: 'lock.list', id }))
  const full = await answersTo(batch(limits.batchCalls))
  assert.is((full[0] as Message[]).length, limits.batchCalls)
  const tooLong = await answersTo(batch(limits.batchCalls + 1))
  assert.not(Array.isArray(tooLong[0]))
  assert.equal(codes(tooLong), [{ id: null, code: -32600 }])
})

test('6: the calls of a batch are made in order, and what is behind it waits for what they did', async () => {
  const publish = (text: string) => ({
    jsonrpc: '2.0',
    id: text,
    method: 'message.publish',
    params: { topic: 'b', text },
  })
  const read = { jsonrpc: '2.0', id: 'read', method: 'event.read', params: { after: 'earliest', topics: ['b'] } }
  const answers = await answersTo([publish('one'), publish('two'), read, publish('three')])
  const answer = (answers[0] as Message[]).find(({ id }) => id === 'read')?.result as {
    events: Array<{ data: unknown }>
  }
  assert.equal(
    answer.events.map(({ data }) => (data as { message: { text: string } }).message.text),
    ['one', 'two'],
  )
})

test('6: an array is sent only in answer to a batch', async () => {
  for (let call = 0; call < 200; call++) wire.send({ jsonrpc: '2.0', id: call, method: 'lock.list' })
  wire.send([{ jsonrpc: '2.0', id: 'batched', method: 'lock.list' }])
  await wire.ask('bridge.status')
  await wire.ask('bridge.status')
  const arrays = wire.inbox.filter(Array.isArray) as Message[][]
  assert.equal(
    arrays.map((answers) => answers.map(({ id }) => id)),
    [['batched']],
  )
  assert.is(wire.inbox.length, 1 + 200 + 1 + 2)
})

test.run()
