// Calls from the command line, as processes: answers, refusals, exit codes, workspaces, waiting, colour.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { exits } from '../src/cli/exits.js'
import { workspaceOf } from '../src/client/node.js'
import { begin, beginOnTerminal, hasTerminals, type Result, run } from './cli.js'
import { connect, type RunningDaemon, serve, until, type Wire, within } from './socket.js'

interface World {
  daemon: RunningDaemon & { stop(): Promise<void> }
  wire: Wire
  /** Runs in the workspace `test`. */
  cli(line: string | string[], env?: NodeJS.ProcessEnv): Promise<Result>
}

const calls = suite<World>('cli calls')

calls.before(async (world) => {
  world.daemon = await serve()
  world.wire = await connect(world.daemon, { agent: 'codex', open: { workspace: 'test' } })
  const { home } = world.daemon
  world.cli = (line, env) =>
    run(typeof line === 'string' ? line.split(' ') : line, { home, env: { AGENT_BRIDGE_WORKSPACE: 'test', ...env } })
})
calls.after(async ({ daemon, wire }) => {
  await wire.close()
  await daemon.stop()
})

const ESCAPE = '\u001b'
const codes = (...results: Result[]) => results.map(({ code }) => code)

calls('a contract goes from the command line to an agent and back', async ({ cli, wire }) => {
  const created = await cli([
    ...['contract', 'create', '--as', 'cursor', '--title', 'Add a flag', '--tag', 'a', '--tag', 'b,c', '--json'],
    ...['--resource', 'file:src/**', '--resource', '{"resource":"port:3000","mode":"shared"}', '--max-attempts', '2'],
  ])
  assert.is(created.code, 0, created.stderr)
  const contract = JSON.parse(created.stdout)
  assert.equal(
    [contract.createdBy, contract.tags, contract.resources, contract.maxAttempts],
    [
      'cursor',
      ['a', 'b,c'],
      [
        { resource: 'file:src/**', mode: 'exclusive' },
        { resource: 'port:3000', mode: 'shared' },
      ],
      2,
    ],
  )
  const accepted = await wire.ask('contract.accept', { contractId: contract.id })
  const [block, table, history] = await Promise.all([
    cli(['contract', 'get', contract.id]),
    cli('contract list'),
    cli(['contract', 'history', '--contract-id', contract.id]),
  ])
  assert.match(block.stdout, /^title: Add a flag$/m)
  assert.match(block.stdout, /^owner: codex$/m)
  const [header, row] = table.stdout.split('\n')
  assert.match(header!, /^id +status +title/)
  assert.match(row!, new RegExp(`^${contract.id}  accepted`))
  assert.match(history.stdout, /contract\.accepted +codex +status=accepted {2}attempt=1 {2}owner=codex/)
  const attempt = String(accepted.attempt)
  const failed = await cli([
    ...['contract', 'fail', contract.id, '--attempt', attempt, '--as', 'codex', '--json'],
    ...['--error', '{"reason":"NO_TIME","message":"later","retryable":false}'],
  ])
  assert.equal(
    [JSON.parse(failed.stdout).status, JSON.parse(failed.stdout).error.reason],
    ['failed', 'NO_TIME'],
    failed.stderr,
  )
})

calls('a refusal has its reason and facts on standard error, and its own code', async ({ cli, wire }) => {
  const lock = await wire.ask('lock.acquire', { resources: [{ resource: 'file:held/**' }], reason: 'mine \u001b[2J' })
  const [human, json, check, unknown, wrong] = await Promise.all([
    cli('lock acquire --resource file:held/a.ts'),
    cli('lock acquire --resource file:held/a.ts --json'),
    cli('lock check --resource file:held/a.ts'),
    cli('contract get ctr_none'),
    cli('contract list --limit 0'),
  ])
  assert.equal(codes(human, json, check, unknown, wrong), Array(5).fill(exits.refused.code))
  assert.equal([human.stdout, json.stdout, unknown.stdout], ['', '', ''])
  assert.match(human.stderr, /^LOCK_CONFLICT: codex holds/)
  assert.match(human.stderr, new RegExp(`${lock.lockId} +held +codex +file:held/\\*\\* +exclusive`))
  assert.match(human.stderr, 'mine \\e[2J')
  assert.not.ok(human.stderr.includes(ESCAPE))
  const { error } = JSON.parse(json.stderr)
  assert.equal([error.reason, error.blockers[0].holder], ['LOCK_CONFLICT', 'codex'])
  assert.match(check.stdout, /^allowed: no|^allowed: false/m)
  assert.is(check.stderr, '')
  assert.match(unknown.stderr, /^NOT_FOUND: .*\n {2}contractId: ctr_none\n$/)
  assert.match(wrong.stderr, 'INVALID_PARAMS')
  assert.is((await cli('lock check --resource file:free.ts')).code, 0)
})

calls('a wrong command line sends nothing and says what is wrong', async ({ cli, wire }) => {
  const before = await wire.ask('bridge.status')
  const results = await Promise.all([
    cli('contract get'),
    cli('contract create --titel x'),
    cli('contract crate'),
    cli('lock renew lck_1 --token x'),
    cli(['contract', 'update', 'ctr_1', '--metadata', '{']),
    cli('contract get a b'),
  ])
  assert.equal(codes(...results), Array(6).fill(exits.usage.code))
  const said = [
    'needs <contract-id>',
    '--titel',
    "unknown command 'crate'",
    '--token takes a whole number',
    '--metadata takes JSON',
    'too many arguments',
  ]
  for (const [index, text] of said.entries()) assert.match(results[index]!.stderr, text)
  assert.is((await wire.ask('bridge.status')).head, before.head)
})

calls('help tells the exit codes', async ({ cli }) => {
  const { code, stdout } = await cli('--help')
  assert.is(code, 0)
  for (const { code, summary } of Object.values(exits)) assert.match(stdout, new RegExp(`^ +${code} +${summary}$`, 'm'))
})

calls(
  'without a name its token says who speaks, or a human does; --as goes before AGENT_BRIDGE_AGENT',
  async ({ cli, wire }) => {
    const { subscription } = await wire.ask('event.subscribe', { types: ['message.published'] })
    await cli('message publish --topic names --text one')
    await cli('message publish --topic names --text two', { AGENT_BRIDGE_AGENT: 'claude' })
    await cli('message publish --topic names --text three --as gemini', { AGENT_BRIDGE_AGENT: 'claude' })
    const { token } = await wire.ask('token.create', { agent: 'codex' })
    await cli('message publish --topic names --text four', { AGENT_BRIDGE_TOKEN: token })
    await until(() => wire.events(subscription).length === 4, 'four messages')
    assert.equal(
      wire.events(subscription).map(({ actor }) => actor),
      ['human', 'claude', 'gemini', 'codex'],
    )
  },
)

calls('the workspace is the repository around the current folder, unless it is named', async ({ daemon, cli }) => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'agent-bridge-repo-')))
  const inner = join(folder, 'packages', 'inner')
  mkdirSync(inner, { recursive: true })
  assert.is(spawnSync('git', ['init', '-q', folder]).status, 0)
  const [inside, named] = await Promise.all([
    run(['bridge', 'status', '--json'], { home: daemon.home, cwd: inner }),
    cli('bridge status --json --workspace named-1'),
  ])
  const expected = workspaceOf(folder, {})
  rmSync(folder, { recursive: true })
  assert.is(JSON.parse(inside.stdout).workspace, expected)
  assert.is(JSON.parse(named.stdout).workspace, 'named-1')
})

calls('another daemon is reached by --url, with a token of its own', async ({ daemon, cli }) => {
  const home = mkdtempSync(join(tmpdir(), 'agent-bridge-none-'))
  const file = join(home, 'other-token')
  writeFileSync(file, `${daemon.token}\n`)
  const url = ['--url', daemon.url]
  const none = { AGENT_BRIDGE_HOME: home }
  const [withFile, withoutToken, wrongToken, lostHome] = await Promise.all([
    cli(['bridge', 'status', '--json', ...url, '--token-file', file], none),
    cli(['bridge', 'status', ...url]),
    cli(['bridge', 'status', ...url], { ...none, AGENT_BRIDGE_TOKEN: 'wrong' }),
    // What is said on the command line goes before what the environment says of another daemon.
    cli(['bridge', 'status', '--home', home], { AGENT_BRIDGE_URL: daemon.url, AGENT_BRIDGE_TOKEN: daemon.token }),
  ])
  rmSync(home, { recursive: true })
  assert.is(withFile.code, 0, withFile.stderr)
  assert.equal(codes(withoutToken, wrongToken, lostHome), [
    exits.usage.code,
    exits.refused.code,
    exits.unreachable.code,
  ])
  assert.match(wrongToken.stderr, /^UNAUTHENTICATED/)
})

calls('a call that waits is answered when its time has come', async ({ daemon, wire }) => {
  const held = await wire.ask('lock.acquire', { resources: [{ resource: 'port:1' }] })
  const { subscription } = await wire.ask('event.subscribe', { types: ['lock.queued'] })
  const waiting = begin(['lock', 'acquire', '--resource', 'port:1', '--wait-ms', '3600000', '--json'], {
    home: daemon.home,
    env: { AGENT_BRIDGE_WORKSPACE: 'test' },
  })
  await until(() => wire.events(subscription).length > 0, 'the call to wait')
  assert.is(waiting.child.exitCode, null)
  await wire.ask('lock.release', { lockId: held.lockId, token: held.token! })
  assert.is(await within(waiting.ended, 'the call to end'), 0)
  assert.equal([JSON.parse(waiting.stdout()).state, JSON.parse(waiting.stdout()).holder], ['held', 'human'])
})

const onTerminals = hasTerminals() ? calls : calls.skip
onTerminals('colour is for a terminal, and not for one that does not want it', async ({ daemon, cli }) => {
  const onTerminal = async (args: string[], env: NodeJS.ProcessEnv = {}) => {
    const seen = beginOnTerminal(args, { home: daemon.home, env: { AGENT_BRIDGE_WORKSPACE: 'test', ...env } })
    assert.is(await within(seen.ended, 'the command on a terminal'), 0, seen.stdout())
    return seen.stdout()
  }
  const [coloured, option, variable, piped] = await Promise.all([
    onTerminal(['bridge', 'status']),
    onTerminal(['bridge', 'status', '--no-color']),
    onTerminal(['bridge', 'status'], { NO_COLOR: '1' }),
    cli('bridge status'),
  ])
  assert.match(coloured, `${ESCAPE}[36mworkspace:${ESCAPE}[0m test`)
  for (const plain of [option, variable, piped.stdout]) {
    assert.match(plain, /^workspace: test\r?$/m)
    assert.not.ok(plain.includes(ESCAPE))
  }
})

calls('a reader that has seen enough is no error', async ({ daemon }) => {
  const reading = begin(['rpc', 'discover'], { home: daemon.home })
  reading.child.stdout?.destroy()
  assert.is(await within(reading.ended, 'the command to end'), 0)
  assert.is(reading.stderr(), '')
})

calls.run()
