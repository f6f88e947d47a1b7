// Runs every *.test.ts in a process of its own, two at a time, and ends with one line: `N passed, N failed`.
// `npm test -- wire locks` runs only the files whose name contains one of the words.

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const FILE_LIMIT_MS = 10 * 60_000
const folder = import.meta.dirname
const words = process.argv.slice(2)
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && (words.length === 0 || words.some((word) => file.includes(word))))
  .sort()

interface Tally {
  passed: number
  failed: number
}

function runFile(file: string): Promise<Tally> {
  return new Promise((resolve) => {
    const began = Date.now()
    const child = spawn(process.execPath, ['--import', 'tsx', join(folder, file)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, FORCE_COLOR: '0' },
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    const timer = setTimeout(() => child.kill('SIGKILL'), FILE_LIMIT_MS)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const sum = (label: string) =>
        [...output.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'gm'))].reduce((n, match) => n + Number(match[1]), 0)
      const passed = sum('Passed')
      let failed = sum('Total') - passed - sum('Skipped')
      // A file that ended badly without naming a failed test crashed, hung, or held no test at all.
      if (failed === 0 && (code !== 0 || passed === 0)) failed = 1
      console.log(`\n# ${file} (${((Date.now() - began) / 1000).toFixed(1)} s)${signal ? ` ended by ${signal}` : ''}`)
      console.log(output.trimEnd())
      resolve({ passed, failed })
    })
  })
}

const total: Tally = { passed: 0, failed: 0 }
const queue = [...files]
async function lane() {
  for (let file = queue.shift(); file; file = queue.shift()) {
    const { passed, failed } = await runFile(file)
    total.passed += passed
    total.failed += failed
  }
}
await Promise.all([lane(), lane()])
if (files.length === 0) total.failed++
console.log(`\n${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1
