// What one caller can make the daemon keep for it.

import { createServer } from 'node:http'
import { type AddressInfo, connect as dial, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { giveUpUnread } from '../../src/server/http/unread.js'
import { connect, type Message, serve, until, within } from '../socket.js'
import { ask } from './ask.js'
import { openStream } from './stream.js'

const test = suite('http: bounds')
const daemon = await serve()

test.after(() => daemon.stop())

test('an agent follows a limited number of streams, and keeps nobody else out', async () => {
  const as = (agent: string) => openStream(daemon, '', { 'Agent-Bridge-Agent': agent })
  const streams = await Promise.all(Array.from({ length: limits.agentStreams }, () => as('greedy')))
  assert.ok(streams.every(({ response }) => response.statusCode === 200))
  const more = await as('greedy')
  const other = await as('modest')
  assert.equal([more.response.statusCode, other.response.statusCode], [503, 200])
  assert.is((await ask(daemon, '/contracts', { agent: 'greedy' })).status, 200)
  streams.pop()?.close()
  await until(async () => {
    const again = await as('greedy')
    streams.push(again)
    return again.response.statusCode === 200
  }, 'its place to be free')
  for (const stream of [...streams, other]) stream.close()
})

test('the answer of a batch has a limit: what is asked beyond is refused, what is done is told', async () => {
  const wire = await connect(daemon, { agent: 'greedy' })
  for (let n = 0; n < 8; n++) await wire.ask('message.publish', { topic: 'big', text: 'x'.repeat(limits.textLength) })
  const read = { jsonrpc: '2.0', method: 'event.read', params: { after: 'earliest', topics: ['big'] } }
  const publish = { jsonrpc: '2.0', method: 'message.publish', params: { topic: 'small', text: 'x' } }
  const calls = Array.from({ length: limits.batchCalls - 1 }, (_, id) => ({ ...read, id }))
  const batch = [...calls, { ...publish, id: 'last' }]
  const over = await ask(daemon, '/rpc', { body: batch, agent: 'greedy' })
  wire.send(batch)
  const arrays = () => wire.inbox.filter((message) => Array.isArray(message))
  await until(() => arrays().length === 1, 'the answer')
  for (const answers of [JSON.parse(over.text) as Message[], ...arrays()]) {
    assert.equal([answers.length, new Set(answers.map(({ id }) => id)).size], [batch.length, batch.length])
    const refused = answers.filter(({ error }) => error?.data.reason === 'TOO_LARGE')
    assert.ok(refused.length > 0 && refused.length < calls.length, `${refused.length} of ${calls.length}`)
    assert.ok(JSON.stringify(answers).length < 2 * limits.batchAnswerBytes)
    assert.ok(answers.find(({ id }) => id === 'last')?.result, 'a command is never told to have failed')
  }
  await wire.close()
})

/** A server that keeps calls waiting at `/wait` and else answers with much at once. */
async function serveMuch(ms: number) {
  const waiting: Array<() => void> = []
  const server = createServer((request, response) => {
    giveUpUnread(request, response, ms)
    if (request.url === '/wait') return void waiting.push(() => response.end('done'))
    response.end('x'.repeat(64 * 1024 * 1024))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const knock = (...paths: string[]): Socket => {
    const socket = dial(port, '127.0.0.1')
    socket.on('error', () => {})
    return socket.pause().setEncoding('utf8') && write(socket, paths)
  }
  const write = (socket: Socket, paths: string[]) => {
    for (const path of paths) socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    return socket
  }
  const open = () => new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)))
  return { server, waiting, knock, open }
}

test('who does not read an answer is hung up on; who waits for one, or is behind another, is not', async () => {
  const { server, waiting, knock, open } = await serveMuch(1_000)
  const careless = knock('/')
  await until(async () => (await open()) === 1, 'it to come in')
  await until(async () => (await open()) === 0, 'it to be given up')
  const patient = knock('/', '/wait').resume()
  let text = ''
  patient.on('data', (chunk) => (text = (text + chunk).slice(-100)))
  await until(() => waiting.length === 1, 'the second call to wait')
  // Longer than it would have been given, had it been taken for one that does not read.
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  waiting[0]?.()
  await until(() => text.endsWith('done'), 'its answer')
  careless.destroy()
  patient.destroy()
  await within(new Promise((resolve) => server.close(resolve)), 'the server to close')
})

test.run()
