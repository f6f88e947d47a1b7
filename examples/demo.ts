// `npm run demo`: a Cursor agent delegates work to a Codex agent, on a real temporary repository. Exits with 1 when
// anything is off. `npm run smoke` also kills the daemon in the middle, lets the first attempt fail, and puts workers to
// work with stand-ins for their agents; with `-- --real` with the real agents against a scripted model server, with
// `-- --configured` as they are set up here.

import { runScenario, type Variant } from './scenario.js'
import { runWorkers } from './workers.js'

const VARIANTS: Variant[] = [
  { name: 'a Cursor agent delegates to a Codex agent' },
  { name: 'the daemon is killed in the middle', killDaemon: true },
  { name: 'the first attempt fails, the second succeeds', firstAttemptFails: true },
]

const has = (flag: string): boolean => process.argv.includes(flag)
const real = has('--configured') ? 'configured' : has('--real') ? 'scripted' : false

const runs: Array<[name: string, run: () => Promise<void>]> = (has('--all') ? VARIANTS : VARIANTS.slice(0, 1)).map(
  (variant) => [variant.name, () => runScenario(variant, console.log)],
)
if (has('--all'))
  runs.push(['two workers whose agents are stand-ins share a repository', () => runWorkers(false, console.log)])
if (real) runs.push(['the real agents share a repository', () => runWorkers(real, console.log)])
let well = 0
for (const [name, run] of runs) {
  console.log(`\n${name}`)
  try {
    await run()
    console.log('  ok: contracts, locks, files and history agree')
    well++
  } catch (error) {
    console.error(`  FAILED: ${error instanceof Error ? error.message : error}`)
    process.exitCode = 1
  }
}
console.log(`\n${well} of ${runs.length} ok`)
