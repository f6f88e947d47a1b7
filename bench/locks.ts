// `npm run bench:locks`: what a lock costs with 10 and with 9,900 locks held elsewhere in the workspace, by turns in one
// run; one call at a time over one WebSocket, as a hook makes it. The last figures are those of what a hook is: a process
// of its own that asks and ends.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { WebSocket } from 'ws'

const CALLS = Number(process.env.BENCH_CALLS ?? 1_000)
const FEW = 10
const MANY = 9_900
const HOLDERS = 10
const here = import.meta.dirname

type Call = <Result>(method: string, params: object) => Promise<Result>

const sockets: WebSocket[] = []

async function open(agent: string, { url, token }: { url: string; token: string }): Promise<Call> {
  const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` }, perMessageDeflate: false })
  sockets.push(socket)
  const pending = new Map<number, (value: { result?: never; error?: { message: string } }) => void>()
  let last = 0
  socket.on('message', (data) => {
    const answer = JSON.parse(data.toString())
    pending.get(answer.id)?.(answer)
    pending.delete(answer.id)
  })
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  const call: Call = async (method, params) => {
    const { result, error } = await new Promise<{ result?: never; error?: { message: string } }>((resolve) => {
      pending.set(++last, resolve)
      socket.send(JSON.stringify({ jsonrpc: '2.0', id: last, method, params }))
    })
    if (error) throw new Error(error.message)
    return result as never
  }
  await call('session.open', { agent })
  return call
}

interface Lock {
  lockId: string
  token: number
}

/** Times of `act`, in ms: half of them are below `p50`. */
async function measure(act: () => Promise<unknown>, calls = CALLS): Promise<{ p50: number; p99: number }> {
  const times: number[] = []
  for (let n = 0; n < calls; n++) {
    const from = performance.now()
    await act()
    times.push(performance.now() - from)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

const server: ChildProcess = spawn(process.execPath, ['--import', 'tsx', join(here, 'server.ts')], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const address = await new Promise<{ url: string; token: string }>((resolve) =>
  server.stdout?.once('data', (line) => resolve(JSON.parse(line.toString()))),
)
const holders = await Promise.all(Array.from({ length: HOLDERS }, (_, n) => open(`holder-${n}`, address)))
const me = await open('me', address)

const held: Array<{ by: Call; lock: Lock }> = []
/** Each a lock of its own, of a file in one of a hundred folders. */
async function hold(count: number): Promise<void> {
  while (held.length > count) {
    const freed = held.splice(count, 200)
    await Promise.all(freed.map(({ by, lock }) => by('lock.release', { lockId: lock.lockId, token: lock.token })))
  }
  while (held.length < count) {
    const from = held.length
    const made = Array.from({ length: Math.min(200, count - from) }, async (_, n) => {
      const by = holders[(from + n) % HOLDERS] as Call
      const resource = `file:src/part-${(from + n) % 100}/deep/file-${from + n}.ts`
      return { by, lock: await by<Lock>('lock.acquire', { resources: [{ resource }] }) }
    })
    held.push(...(await Promise.all(made)))
  }
}

const path = (n: number) => `file:src/mine/deep/er/file-${n}.ts`
const takes = (resource: string) => async () => {
  const { lockId, token } = await me<Lock>('lock.acquire', { resources: [{ resource }] })
  await me('lock.release', { lockId, token })
}
const asks: Record<string, () => Promise<unknown>> = {
  'lock.check of one path': () => me('lock.check', { resource: path(1) }),
  'lock.check of 20 paths': () => me('lock.check', { resources: Array.from({ length: 20 }, (_, n) => path(n)) }),
  'lock.acquire and lock.release of a file': takes(path(1)),
  'lock.acquire and lock.release of a folder': takes('file:src/mine/**'),
}

const show = ({ p50, p99 }: { p50: number; p99: number }) => `p50 ${p50.toFixed(2)} ms  p99 ${p99.toFixed(2)} ms`
console.log(`node ${process.version}, ${process.platform}, synchronous=FULL, ${CALLS} calls each, one at a time`)
for (const count of [FEW, MANY, FEW, MANY]) {
  await hold(count)
  for (const act of Object.values(asks)) await measure(act, 50)
  console.log(`\n${count} locks held elsewhere`)
  for (const [name, act] of Object.entries(asks)) console.log(`  ${name.padEnd(44)}${show(await measure(act))}`)
}
const cli = [
  join(here, '..', 'bin', 'agent-bridge.js'),
  'lock',
  'check',
  '--resource',
  path(1),
  '--workspace',
  'default',
]
const env = { ...process.env, AGENT_BRIDGE_URL: address.url, AGENT_BRIDGE_TOKEN: address.token }
const whole = await measure(async () => spawnSync(process.execPath, cli, { env }), 20)
console.log(`\nagent-bridge lock check, a process of its own, 20 times: ${show(whole)}`)
for (const socket of sockets) socket.close()
server.kill('SIGTERM')
