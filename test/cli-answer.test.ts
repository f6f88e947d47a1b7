// `agent-bridge answer` and errors given by fields, as processes.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Result, run } from './cli.js'
import { connect, type RunningDaemon, serve, type Wire } from './socket.js'

interface World {
  daemon: RunningDaemon & { stop(): Promise<void> }
  wire: Wire
  cli(...words: string[]): Promise<Result>
  /** A contract whose owner asks. */
  asked(...requests: object[]): Promise<string>
}

const answers = suite<World>('cli answer')

answers.before(async (world) => {
  world.daemon = await serve()
  const { home } = world.daemon
  world.wire = await connect(world.daemon, { agent: 'codex', open: { workspace: 'test' } })
  world.cli = (...words) => run(words, { home, env: { AGENT_BRIDGE_WORKSPACE: 'test', COLUMNS: '100' } })
  world.asked = async (...requests) => {
    const { wire } = world
    const { id: contractId } = await wire.ask('contract.create', { title: 'Choose a colour' })
    const { attempt } = await wire.ask('contract.accept', { contractId })
    await wire.ask('contract.start', { contractId, attempt })
    await wire.ask('contract.requestInput', { contractId, attempt, requests: requests as never })
    return contractId
  }
})
answers.after(async ({ daemon, wire }) => {
  await wire.close()
  await daemon.stop()
})

answers('what is asked is listed, and answered in one word', async ({ cli, asked, wire }) => {
  assert.match((await cli('answer')).stdout, /Nobody asks anything/)
  const contractId = await asked({ key: 'colour', prompt: 'Which\u001b[31m colour?', default: 'red' })
  const { stdout } = await cli('answer')
  for (const part of [contractId, 'colour', 'Which\\e[31m colour?', '"red"']) assert.ok(stdout.includes(part), stdout)
  assert.equal(JSON.parse((await cli('answer', '--json')).stdout).items.length, 1)
  const { code, stderr } = await cli('answer', contractId, 'blue')
  assert.is(code, 0, stderr)
  const contract = await wire.ask('contract.get', { contractId })
  assert.equal(
    [contract.status, contract.inputRequests[0]?.answer, contract.inputRequests[0]?.answeredBy],
    ['working', 'blue', 'human'],
  )
  const again = await cli('answer', contractId, 'green')
  assert.is(again.code, 1)
  assert.match(again.stderr, /Nothing is asked/)
})

answers('several questions are answered by key, as their schemas ask', async ({ cli, asked, wire }) => {
  const contractId = await asked(
    { key: 'many', prompt: 'How many?', schema: { type: 'integer' } },
    { key: 'name', prompt: 'Its name?', schema: { type: 'string' } },
  )
  const both = await cli('answer', contractId, '3')
  assert.is(both.code, 2)
  assert.match(both.stderr, /--set many=\.\.\. --set name=\.\.\./)
  assert.match((await cli('answer', contractId)).stderr, /no terminal/)
  assert.is((await cli('answer', contractId, '--set', 'many')).code, 2)
  const wrong = await cli('answer', contractId, '--set', 'many=x')
  assert.is(wrong.code, 1)
  assert.match(wrong.stderr, /INVALID_PARAMS/)
  assert.is((await cli('answer', contractId, '--set', 'many=3', '--set', 'name=3=4')).code, 0)
  const { inputRequests } = await wire.ask('contract.get', { contractId })
  assert.equal(
    inputRequests.map(({ answer }) => answer),
    [3, '3=4'],
  )
})

answers('an error is given by its fields, or as JSON, not both', async ({ cli, wire }) => {
  const { id: contractId } = await wire.ask('contract.create', { title: 'Fails', assignee: 'codex', maxAttempts: 5 })
  const { attempt } = await wire.ask('contract.accept', { contractId })
  const fail = (...words: string[]) =>
    cli('contract', 'fail', contractId, '--as', 'codex', '--attempt', String(attempt), ...words)
  assert.is((await fail()).code, 2)
  assert.is((await fail('--error', '{"reason":"A","message":"b"}', '--error-reason', 'B')).code, 2)
  assert.match((await fail('--error-reason', 'B')).stderr, /INVALID_PARAMS.*message/)
  const failed = await fail('--error-reason', 'TESTS_FAILED', '--error-message', '3 of 40', '--no-error-retryable')
  assert.is(failed.code, 0, failed.stderr)
  assert.equal((await wire.ask('contract.get', { contractId })).error, {
    reason: 'TESTS_FAILED',
    message: '3 of 40',
    retryable: false,
  })
})

answers.run()
