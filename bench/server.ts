// A daemon of its own in a temporary home, for the load generator: the built one, as users run it. Prints
// `{ url, token }` and ends on SIGTERM.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as built from '../src/daemon.js'

const { startDaemon }: typeof built = await import(join(import.meta.dirname, '..', 'dist', 'daemon.js'))
const home = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'agent-bridge-bench-'))
const daemon = await startDaemon({ home, host: '127.0.0.1', port: 0, logLevel: 'warn' })
console.log(JSON.stringify({ url: daemon.url, token: readFileSync(daemon.tokenFile, 'utf8').trim() }))
process.on('SIGTERM', async () => {
  await daemon.stop()
  rmSync(home, { recursive: true })
  process.exit(0)
})
