// Publishes to a topic over some connections, each with some calls outstanding, while others subscribe; checks that
// every subscriber was given every event once, in order; prints one line of JSON. Bounded by `seconds`.
import { WebSocket } from 'ws'

const { url, token, connections, outstanding, subscribers, seconds, keyed } = JSON.parse(process.argv[2] ?? '{}')
const TEXT = 'x'.repeat(100)

interface Caller {
  socket: WebSocket
  call(method: string, params: object): Promise<unknown>
}

async function open(agent: string, onEvents?: (text: string) => void): Promise<Caller> {
  const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` }, perMessageDeflate: false })
  const pending = new Map<number, (value: unknown) => void>()
  let last = 0
  socket.on('message', (data) => {
    const text = data.toString()
    if (text.startsWith('{"jsonrpc":"2.0","id":')) {
      const id = Number.parseInt(text.slice(22), 10)
      if (text.includes('"error":')) throw new Error(text)
      pending.get(id)?.(text)
      pending.delete(id)
    } else onEvents?.(text)
  })
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  const caller: Caller = {
    socket,
    call: (method, params) =>
      new Promise((resolve) => {
        pending.set(++last, resolve)
        socket.send(`{"jsonrpc":"2.0","id":${last},"method":"${method}","params":${JSON.stringify(params)}}`)
      }),
  }
  await caller.call('session.open', { agent })
  return caller
}

const received: number[] = []
const readers = await Promise.all(
  Array.from({ length: subscribers }, async (_, index) => {
    received[index] = 0
    const reader = await open(`reader-${index}`, (text) => {
      // Counted without parsing, so that the generator is not what is measured.
      received[index] = (received[index] ?? 0) + text.split('"type":"message.published"').length - 1
    })
    await reader.call('event.subscribe', { topics: ['bench'] })
    return reader
  }),
)
const publishers = await Promise.all(Array.from({ length: connections }, (_, index) => open(`publisher-${index}`)))
const times: number[] = []
const began = performance.now()
const until = began + seconds * 1000
let published = 0
await Promise.all(
  publishers.flatMap((publisher, index) =>
    Array.from({ length: outstanding }, async (_, lane) => {
      for (let n = 0; performance.now() < until; n++) {
        const from = performance.now()
        const key = keyed ? { idempotencyKey: `${index}-${lane}-${n}` } : {}
        await publisher.call('message.publish', { topic: 'bench', text: TEXT, ...key })
        times.push(performance.now() - from)
        published++
      }
    }),
  ),
)
const publishedMs = performance.now() - began
const deadline = performance.now() + 20_000
while (received.some((count) => count < published) && performance.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 5))
}
const deliveredMs = performance.now() - began
times.sort((a, b) => a - b)
const at = (share: number) => Number(times[Math.min(times.length - 1, Math.floor(times.length * share))]?.toFixed(2))
console.log(
  JSON.stringify({
    publishesPerS: Math.round((published / publishedMs) * 1000),
    deliveriesPerS: Math.round((received.reduce((sum, count) => sum + count, 0) / deliveredMs) * 1000),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    complete: received.every((count) => count === published),
  }),
)
for (const { socket } of [...readers, ...publishers]) socket.terminate()
