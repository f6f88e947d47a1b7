import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { documents, render } from '../docs/generate.js'
import { methods, nouns } from '../src/bridge/index.js'
import { createProgram } from '../src/cli/main.js'
import { limits } from '../src/protocol/limits.js'

const root = join(import.meta.dirname, '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const pages = ['README.md', 'CONTRACTS.md', 'CHANGELOG.md']
  .concat(readdirSync(join(root, 'docs')).map((name) => `docs/${name}`))
  .filter((file) => file.endsWith('.md'))
const all = pages.map(read).join('\n')

const docs = suite('docs')

docs('the tables of the documents are those of the code', () => {
  for (const file of documents) {
    const document = readFileSync(file, 'utf8')
    assert.ok(render(document) === document, `${file} differs from the code: run \`npm run docs\``)
  }
})

docs('a table that nobody makes is noticed, and one that differs is made anew', () => {
  assert.throws(() => render('<!-- table: nothing -->\n<!-- end -->'), /nobody makes/)
  const made = render('<!-- table: errors -->\nold\n<!-- end -->')
  assert.match(made, /LOCK_CONFLICT/)
  assert.not.match(made, /^old$/m)
})

const SECOND = 1_000
const MINUTE = 60 * SECOND
const DAY = 24 * 60 * MINUTE

/** What the prose says in figures: a rule's test takes them from the limits, so that only here is seen when they differ. */
const figures: Array<[words: string, told: number, limit: number]> = [
  ['at most 15 minutes (`notBefore`', 15 * MINUTE, limits.retryBackoffMsMax],
  ['within its grace (`graceMs`, 30 s)', 30 * SECOND, limits.graceMs],
  ['`progressTimeoutMs` (30 min for them)', 30 * MINUTE, limits.progressTimeoutMs],
  ['the deadline (24 h unless `deadlineMs`', DAY, limits.inputDeadlineMs],
  ['after 30 s the cancel is forced', 30 * SECOND, limits.cancelGraceMs],
  ['at most once a second per attempt', SECOND, limits.progressEveryMs],
  ['A contract is at most 64 KiB of JSON', 64 * 1_024, limits.contractBytes],
  ['ends after 1,000 claims and obstacles', 1_000, limits.deadlockSteps],
  ['callers without a session (10 minutes)', 10 * MINUTE, limits.lockTtlMs],
  ['stay shut for 5 s more', 5 * SECOND, limits.coolingMs],
  ['at least 30 s more, and what cools 5 s', 30 * SECOND, limits.rebaseMs],
  ['up to 256 paths at once', 256, limits.lockResources],
  ['at most 1,000 resources, a workspace', 1_000, limits.agentResources],
  ['a workspace for 10,000', 10_000, limits.workspaceResources],
  ['`ackWithinMs` (10 min)', 10 * MINUTE, limits.ackWithinMs],
  ['nothing is heard of an open attempt for 15 minutes', 15 * MINUTE, limits.stalledMs],
  ['it is retried; at most for 7 days', 7 * DAY, limits.failedShownMs],
  ['at least every 1,000 events or every second', 1_000, limits.bookmarkEvents],
  ['every 1,000 events or every second', SECOND, limits.bookmarkMs],
  ['older than 30 days go', 30 * DAY, limits.retainMs],
  ['behind the last 5,000,000', 5_000_000, limits.retainEvents],
  ['Nothing of the last 24 hours goes', DAY, limits.retainMsMin],
  ['written at most once a second and when the daemon stops', SECOND, limits.readerMs],
  ['at most 100 calls, answered in any order', 100, limits.batchCalls],
  ['frame above 1 MiB closes the socket', 1_024 * 1_024, limits.frameBytes],
  ['pings every 20 s', 20 * SECOND, limits.pingEveryMs],
  ['silent for 60 s is closed', 60 * SECOND, limits.silentMs],
  ['opened none in 10 s with 4401', 10 * SECOND, limits.openWithinMs],
  ['`seconds` (at most 45', 45 * SECOND, limits.toolWaitMs],
]

docs('the figures in the prose of CONTRACTS.md are the limits', () => {
  const prose = read('CONTRACTS.md').replace(/\s+/g, ' ')
  for (const [words, told, limit] of figures) {
    assert.ok(prose.includes(words), `CONTRACTS.md does not say any more: ${words}`)
    assert.is(limit, told, words)
  }
})

docs('the variables of the environment are those that the code reads', () => {
  const namesIn = (text: string) => [...new Set(text.match(/AGENT_BRIDGE_[A-Z_]*[A-Z]/g))].sort()
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'))
  assert.equal(namesIn(read('docs/cli.md')), namesIn(sources.map((file) => read(join('src', file))).join('\n')))
  assert.equal(
    namesIn(all).filter((name) => !namesIn(read('docs/cli.md')).includes(name)),
    [],
  )
})

const program = await createProgram()

/** What is wrong with a line as one types it: a command that there is not, or an option that it has not. */
function faultIn(line: string): string | undefined {
  const words = line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []
  let command: Command = program
  const flags: string[] = []
  for (const word of words) {
    if (word === '--' || word.startsWith('#') || /^[&|;]/.test(word)) break
    const inner = command.commands.find((one) => one.name() === word)
    if (inner) command = inner
    else if (command.commands.length > 0 && /^[a-z]/.test(word) && flags.length === 0) return `${line}: ${word}`
    else if (/^--\w/.test(word)) flags.push(word)
  }
  const own = command.options.flatMap((option) => [...(option.flags.match(/--[\w-]+/g) ?? []), '--help'])
  const unknown = flags.map((flag) => flag.split('=')[0]!).filter((flag) => !own.includes(flag))
  return unknown.length > 0 ? `${line}: ${unknown.join(' ')}` : undefined
}

docs('every command line is of a command that there is, with options that it has', () => {
  const typed = [...all.matchAll(/(?:^\$ |`|&& |[A-Z]=\S+ )agent-bridge +([a-z-][^`\n]*)/gm)].map(
    ([, line = '']) => line,
  )
  assert.ok(typed.length > 50)
  assert.equal(
    typed.map(faultIn).filter((fault) => fault !== undefined),
    [],
  )
  assert.is(faultIn('lock aquire --resource x'), 'lock aquire --resource x: aquire')
  assert.is(faultIn("lock acquire --resuorce 'x y'"), "lock acquire --resuorce 'x y': --resuorce")
})

docs('every script, file and heading that is referred to is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const [, name = ''] of all.matchAll(/(?:^|`)npm run ([\w:]+)/gm)) assert.ok(scripts[name], name)
  const anchor = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-')
  const headings = (file: string) => [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading))
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue
      const [path = '', part] = target.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      assert.ok(existsSync(join(root, file)), `${page}: ${target}`)
      if (part !== undefined) assert.ok(headings(file).includes(part), `${page}: ${target}`)
    }
  }
})

docs('every method and event that is named is there', () => {
  const known = new Set([...methods.keys(), ...nouns.flatMap(({ events }) => events.map(({ type }) => type))])
  const first = [...new Set([...known].map((name) => name.split('.')[0]))].join('|')
  const named = [...all.matchAll(new RegExp(`\`((?:${first})\\.[a-z]\\w+)`, 'g'))].map(([, name = '']) => name)
  assert.ok(named.length > 100)
  assert.equal(
    named.filter((name) => !known.has(name)),
    [],
  )
})

docs.run()
