// `npm run demo`: a Cursor agent delegates work to a Codex agent, on a real temporary repository. Exits with 1 when
// anything is off. `npm run smoke` also kills the daemon in the middle, and lets the first attempt fail.

import { runScenario, type Variant } from './scenario.js'

const VARIANTS: Variant[] = [
  { name: 'a Cursor agent delegates to a Codex agent' },
  { name: 'the daemon is killed in the middle', killDaemon: true },
  { name: 'the first attempt fails, the second succeeds', firstAttemptFails: true },
]

const variants = process.argv.includes('--all') ? VARIANTS : VARIANTS.slice(0, 1)
let well = 0
for (const variant of variants) {
  console.log(`\n${variant.name}`)
  try {
    await runScenario(variant, console.log)
    console.log('  ok: the contract, the files on disk, the history and both agents’ logs agree')
    well++
  } catch (error) {
    console.error(`  FAILED: ${error instanceof Error ? error.message : error}`)
    process.exitCode = 1
  }
}
console.log(`\n${well} of ${variants.length} ok`)
