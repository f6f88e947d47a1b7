// `npm run bench`: the daemon beside the limit of its packages, alternating in one run, load generator in a process of
// its own. Figures are medians over rounds; the ratio is what to compare between machines.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 3)
const here = import.meta.dirname
type Figures = Record<'publishesPerS' | 'deliveriesPerS' | 'p50Ms' | 'p99Ms' | 'maxMs', number> & { complete: boolean }

const run = (file: string, ...args: string[]) =>
  spawn(process.execPath, ['--import', 'tsx', join(here, file), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })

async function line(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stdout ?? []) {
    text += chunk
    if (text.includes('\n')) return text
  }
  throw new Error(`ended without a word: ${text}`)
}

async function measure(server: string, load: object): Promise<Figures> {
  const child = run(server)
  const { url, token } = JSON.parse(await line(child))
  const figures = JSON.parse(await line(run('load.ts', JSON.stringify({ url, token, seconds: SECONDS, ...load }))))
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
  if (!figures.complete) throw new Error(`${server} did not deliver everything`)
  return figures
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const loads = {
  'publish, 4 connections x 64 outstanding': { connections: 4, outstanding: 64, subscribers: 0 },
  'the same with idempotency keys': { connections: 4, outstanding: 64, subscribers: 0, keyed: true },
  'the same, 50 subscribers': { connections: 4, outstanding: 64, subscribers: 50 },
  'one caller, one call at a time': { connections: 1, outstanding: 1, subscribers: 0 },
}
console.log(
  `node ${process.version}, ${process.platform}, synchronous=FULL, 100 byte texts, ${ROUNDS} rounds of ${SECONDS} s each`,
)
for (const [name, load] of Object.entries(loads)) {
  const rows: Record<'daemon' | 'limit', Figures[]> = { daemon: [], limit: [] }
  for (let round = 0; round < ROUNDS; round++) {
    rows.daemon.push(await measure('server.ts', load))
    rows.limit.push(await measure('limit.ts', load))
  }
  console.log(`\n${name}`)
  for (const figure of ['publishesPerS', 'deliveriesPerS', 'p50Ms', 'p99Ms', 'maxMs'] as const) {
    const [daemon, limit] = [
      median(rows.daemon.map((row) => row[figure])),
      median(rows.limit.map((row) => row[figure])),
    ]
    if (daemon > 0)
      console.log(`  ${figure.padEnd(15)} daemon ${daemon}  limit ${limit}  ratio ${(daemon / limit).toFixed(2)}`)
  }
}
