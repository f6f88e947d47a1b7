// The Codex side: waits to be told of a contract, takes it, and does the work. A script stands for the model; all else
// is as a real worker does it.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Client, connectLocal, type ResultOf } from '../src/client/node.js'
import { CHECK, CHECK_COMMAND, createLog, run } from './task.js'

const log = createLog('codex')
/** Makes the first attempt go wrong, so that a second one is needed. */
const firstFails = process.env.EXAMPLE_FIRST_ATTEMPT === 'fails'

const SLUG = `/** Text as part of an address: lower case words joined by "-". */
export const slugify = (text) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
`
const SLUG_TOO_SIMPLE = `export const slugify = (text) => text.toLowerCase().replace(' ', '-')
`
const TEST = `import assert from 'node:assert/strict'
import test from 'node:test'
import { slugify } from '../src/slug.mjs'

test('joins words and drops what is neither letter nor digit', () => {
  assert.equal(slugify('  Hello, Wide World! '), 'hello-wide-world')
})
`

type Contract = ResultOf<'contract.accept'>

const client = await connectLocal({ agent: 'codex', kind: 'codex', capabilities: ['javascript'], home: run.home })
log('connected', { session: client.session.session })
const contractId = await waitToBeTold(client)
let contract = await client.call('contract.accept', { contractId })
while (contract.status !== 'completed') {
  log('accepted', { contractId, attempt: contract.attempt })
  contract = await work(client, contract)
  if (contract.status === 'submitted') contract = await takeAgain(client)
}
log('completed', { contractId, attempt: contract.attempt })
await client.close()

/** The message that brought a contract, whether it was sent before this worker came or after. */
async function waitToBeTold(client: Client): Promise<string> {
  for (;;) {
    const { items } = await client.call('message.inbox', { waitMs: 20_000 })
    for (const { messageId, from, contractId } of items) {
      await client.call('message.ack', { messageIds: [messageId], state: 'acked' })
      log('told', { messageId, from, contractId })
      if (contractId) return contractId
    }
  }
}

/** The same contract once more, as soon as its pause is over. */
async function takeAgain(client: Client): Promise<Contract> {
  for (;;) {
    const next = await client.call('contract.next', { waitMs: 20_000 })
    if (next) return next
  }
}

/** One attempt: locks, code, test, and an honest account of it. */
async function work(client: Client, { id: contractId, attempt }: Contract): Promise<Contract> {
  const { locks } = await client.call('contract.start', { contractId, attempt, waitMs: 60_000 })
  log('started', { locks: locks.map(({ lockId, token }) => ({ lockId, token })) })
  const allowed = await client.call('lock.check', { resources: ['file:src/slug.mjs', 'file:test/slug.test.mjs'] })
  if (!allowed.mine) throw new Error('the locks are not held')
  write('src/slug.mjs', firstFails && attempt === 1 ? SLUG_TOO_SIMPLE : SLUG)
  await client.call('contract.update', { contractId, attempt, progress: 0.5, note: 'slugify is written' })
  write('test/slug.test.mjs', TEST)
  const [command = '', ...args] = CHECK_COMMAND.split(' ')
  const { status, stdout } = spawnSync(command, args, { cwd: run.repository, encoding: 'utf8' })
  log('tested', { exitCode: status })
  const evidence = [
    { check: CHECK, command: CHECK_COMMAND, exitCode: status ?? -1, output: stdout.slice(-500), head: head() },
  ]
  if (status !== 0) {
    const error = { reason: 'CHECK_FAILED', message: `The test failed in attempt ${attempt}.`, retryable: true }
    const failed = await client.call('contract.fail', { contractId, attempt, error })
    log('failed', { attempt, status: failed.status })
    return failed
  }
  const artifacts = [
    { name: 'src/slug.mjs', mediaType: 'text/javascript', text: SLUG },
    { name: 'test/slug.test.mjs', mediaType: 'text/javascript', text: TEST },
  ]
  return client.call('contract.complete', {
    contractId,
    attempt,
    artifacts,
    evidence,
    result: { changed: artifacts.map(({ name }) => name) },
    note: 'slugify is written and tested',
  })
}

function write(path: string, text: string): void {
  const file = join(run.repository, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  log('wrote', { path })
}

function head(): string {
  return execFileSync('git', ['rev-parse', 'HEAD'], { cwd: run.repository, encoding: 'utf8' }).trim()
}
