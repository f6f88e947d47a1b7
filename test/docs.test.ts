import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contractsFile, render } from '../docs/generate.js'
import { limits } from '../src/protocol/limits.js'

const docs = suite('docs')

docs('the tables of CONTRACTS.md are those of the registry', () => {
  const document = readFileSync(contractsFile, 'utf8')
  assert.ok(render(document) === document, 'CONTRACTS.md differs from the code: run `npm run docs`')
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
  const prose = readFileSync(contractsFile, 'utf8').replace(/\s+/g, ' ')
  for (const [words, told, limit] of figures) {
    assert.ok(prose.includes(words), `CONTRACTS.md does not say any more: ${words}`)
    assert.is(limit, told, words)
  }
})

docs.run()
