import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { pathIn, patternOf, resourceOf } from '../src/client/paths.js'
import { SetupError } from '../src/protocol/errors.js'
import { marked } from '../src/workers/tree.js'
import { begin, run } from './cli.js'
import { connect, serve, until } from './socket.js'

// `agent-bridge run` and `lock check` as scripts use them: real processes, a real daemon, a real repository.

const daemon = await serve()
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'agent-bridge-run-')))
execFileSync('git', ['init', '-q', folder])
mkdirSync(join(folder, 'src', '[id]'), { recursive: true })
writeFileSync(join(folder, 'src', 'a.ts'), '')
writeFileSync(join(folder, 'src', '[id]', 'page.tsx'), '')
symlinkSync(join(folder, 'src'), join(folder, 'link'))

const env = { AGENT_BRIDGE_WORKSPACE: 'default' }
const here = { home: daemon.home, cwd: folder, env }
const watcher = await connect(daemon, { agent: 'watcher' })
const gemini = await connect(daemon, { agent: 'gemini' })
const locks = async () => (await watcher.ask('lock.list', {})).items
const node = (script: string) => ['--', process.execPath, '-e', script]
/** Tells by a file that it runs, and then runs on. */
const running = (file: string) =>
  node(`require('fs').writeFileSync('${join(folder, file)}', ''); setInterval(() => {}, 1000)`)
const begun = (file: string) =>
  until(() => {
    try {
      readFileSync(join(folder, file))
      return true
    } catch {
      return false
    }
  }, `${file} to be written`)

const test = suite('agent-bridge run, and lock check')

test('takes the locks, runs the command, gives them back, and ends as it does', async () => {
  const command = begin(['run', '--lock', 'src', '--shared', 'port:3000', '--as', 'ci', ...running('one')], here)
  await begun('one')
  const [lock] = await locks()
  assert.equal(
    [lock?.holder, lock?.reason, lock?.resources],
    [
      'ci',
      'runs node',
      [
        { resource: 'file:src/**', mode: 'exclusive' },
        { resource: 'port:3000', mode: 'shared' },
      ],
    ],
  )
  assert.is(await command.end('SIGTERM'), 143, 'told to end, it tells the command, and ends as that does')
  assert.equal(await locks(), [])
  const done = await run(['run', '--lock', 'src/a.ts', ...node('console.log("hello"); process.exit(7)')], here)
  assert.equal([done.code, done.stdout], [7, 'hello\n'])
  assert.equal(await locks(), [])
})

test('refused, it runs nothing, and says what to do here', async () => {
  const held = await gemini.ask('lock.acquire', { resources: [{ resource: 'file:src/a.ts' }] })
  const refused = await run(['run', '--lock', 'src/**', ...running('never')], here)
  assert.is(refused.code, 1)
  assert.match(refused.stderr, /LOCK_CONFLICT: gemini holds .*--wait-ms/)
  const waits = begin(['run', '--lock', 'src/**', '--wait-ms', '30000', ...node('')], here)
  await until(async () => (await locks()).some(({ state }) => state === 'waiting'), 'it to wait')
  await gemini.ask('lock.release', { lockId: held.lockId, token: held.token! })
  assert.is(await waits.ended, 0)
})

test('told to end while it waits, it leaves the queue', async () => {
  const held = await gemini.ask('lock.acquire', { resources: [{ resource: 'port:1' }] })
  const waits = begin(['run', '--lock', 'port:1', '--wait-ms', '30000', ...running('never')], here)
  await until(async () => (await locks()).some(({ state }) => state === 'waiting'), 'it to wait')
  assert.is(await waits.end('SIGINT'), 130)
  await until(async () => (await locks()).length === 1, 'its place to be given up')
  await gemini.ask('lock.release', { lockId: held.lockId, token: held.token! })
})

test('a lock that is lost ends the command and all that it has started', async () => {
  const child = `require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' }).pid`
  const pids = join(folder, 'pids')
  const script = `require('fs').writeFileSync('${pids}', String(${child})); setInterval(() => {}, 1000)`
  const command = begin(['run', '--lock', 'src', ...node(script)], here)
  await begun('pids')
  await until(() => readFileSync(pids, 'utf8') !== '', 'the pid')
  const [lock] = await locks()
  const admin = await connect(daemon, { agent: 'root' })
  await admin.ask('lock.break', { lockId: lock!.lockId, reason: 'it hangs' })
  assert.is(await command.ended, 75)
  assert.match(command.stderr(), /The lock was lost \(an admin broke it\)/)
  const alive = marked('run.').map(({ pid }) => pid)
  assert.not.ok(alive.includes(Number(readFileSync(pids, 'utf8'))), 'nothing of it runs any more')
  await admin.ask('lock.break', { lockId: lock!.lockId, reason: 'it has ended' })
  await admin.close()
})

test('killed, it takes the command with it: nobody would end that when the lock goes to another', async () => {
  const file = join(folder, 'killed')
  const script = `process.on('SIGTERM', () => {}); require('fs').writeFileSync('${file}', String(process.pid)); setInterval(() => {}, 1000)`
  const command = begin(['run', '--lock', 'port:2', ...node(script)], here)
  await begun('killed')
  await until(() => readFileSync(file, 'utf8') !== '', 'its pid')
  const runs = () => marked('run.').some(({ pid }) => pid === Number(readFileSync(file, 'utf8')))
  assert.ok(runs())
  await command.end('SIGKILL')
  await until(() => !runs(), 'the command to be ended')
  const admin = await connect(daemon, { agent: 'root' })
  for (const { lockId } of await locks()) await admin.ask('lock.break', { lockId, reason: 'its holder was killed' })
  await admin.close()
})

test('what is wrong with the command line, or with the command', async () => {
  const code = async (...args: string[]) => (await run(['run', ...args], here)).code
  assert.is(await code('--', 'true'), 2)
  assert.is(await code('--lock', '/etc/passwd', '--', 'true'), 4)
  assert.is(await code('--lock', 'src', '--', 'no-such-program'), 127)
  assert.is(await code('--lock', 'src', '--', join(folder, 'src', 'a.ts')), 126)
  assert.equal(await locks(), [])
})

test('lock check is a gate: 0 when all may be written, 1 when one may not', async () => {
  const held = await gemini.ask('lock.acquire', { resources: [{ resource: 'file:src/[id]/page.tsx', literal: true }] })
  const inner = { ...here, cwd: join(folder, 'src') }
  const check = async (...args: string[]) => (await run(['lock', 'check', ...args], inner)).code
  assert.is(await check('a.ts', 'new/b.ts'), 0)
  assert.is(await check('../link/[id]/page.tsx'), 1)
  assert.is(await check('--as', 'gemini', '[id]/page.tsx'), 0)
  const told = await run(['lock', 'check', '[id]/page.tsx', 'a.ts', '--json'], inner)
  assert.is(told.code, 1)
  assert.equal(JSON.parse(told.stdout).denied, [
    { lockId: held.lockId, state: 'held', holder: 'gemini', resource: 'file:src/[id]/page.tsx' },
  ])
  await gemini.ask('lock.release', { lockId: held.lockId, token: held.token! })
})

test('paths are named from the top of the work tree, as the file system spells them', () => {
  const src = join(folder, 'src')
  assert.is(pathIn(folder, 'link/a.ts'), 'src/a.ts')
  assert.is(resourceOf('a.ts', src), 'file:src/a.ts')
  assert.is(resourceOf('./new:file', src), 'file:src/new:file')
  assert.is(resourceOf('port:3000', src), 'port:3000')
  assert.is(resourceOf('cafe\u0301.ts', folder), 'file:caf\u00e9.ts')
  for (const out of ['..', '../..', '/etc/passwd', '../.git/config']) {
    assert.throws(
      () => resourceOf(out, src),
      (error: unknown) => error instanceof SetupError,
      out,
    )
  }
})

test('what to lock: a file, a folder with all in it, a glob from here, a resource', () => {
  const src = join(folder, 'src')
  const cases = [
    ['a.ts', 'file:src/a.ts'],
    ['.', 'file:src/**'],
    ['..', 'file:**'],
    ['[id]', 'file:src/[[]id]/**'],
    ['[id]/page.tsx', 'file:src/[[]id]/page.tsx'],
    ['*.ts', 'file:src/*.ts'],
    ['../**/*.md', 'file:**/*.md'],
    ['new.ts', 'file:src/new.ts'],
    ['../link/{a,b}.ts', 'file:src/{a,b}.ts'],
    ['db:dev', 'db:dev'],
    ['file:docs/**', 'file:docs/**'],
  ]
  for (const [text = '', expected] of cases) assert.is(patternOf(text, src), expected)
  for (const out of ['../../*', '/etc/*', '/etc']) {
    assert.throws(
      () => patternOf(out, src),
      (error: unknown) => error instanceof SetupError,
      out,
    )
  }
})

test.after(async () => {
  await Promise.all([watcher.close(), gemini.close()])
  await daemon.stop()
  rmSync(folder, { recursive: true, force: true })
})

test.run()
