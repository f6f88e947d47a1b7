// Each fault that the doctor knows is planted once, found, and named with what to do about it.

import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkNode, diagnose, type Finding } from '../src/doctor.js'
import { run } from './cli.js'
import { connect, makeHome, removeHome, serve } from './socket.js'

const test = suite('doctor')

const database = (home: string) => join(home, 'workspaces', 'default.db')

/** A home in which a daemon has worked, and no longer runs. */
async function worked(): Promise<string> {
  const home = makeHome()
  const daemon = await serve(home)
  const wire = await connect(daemon, { agent: 'codex' })
  const { id } = await wire.ask('contract.create', { title: 'a task', resources: [{ resource: 'file:a' }] })
  await wire.ask('contract.accept', { contractId: id })
  await wire.ask('contract.start', { contractId: id, attempt: 1 })
  await wire.ask('message.publish', { to: 'codex', text: 'hello' })
  await wire.ask('lock.acquire', { resources: [{ resource: 'file:b' }] })
  await wire.close()
  await daemon.stop()
  return home
}

const examine = (home: string, nowMs?: number) =>
  diagnose({ home, host: '127.0.0.1', port: 0, running: undefined }, nowMs)

const faults = (findings: Finding[]) => findings.filter(({ state }) => state === 'wrong')

function change(home: string, sql: string): void {
  const db = new Database(database(home))
  db.exec(sql)
  db.close()
}

test('a home in good order is found so, and is not changed', async () => {
  const home = await worked()
  const before = readFileSync(database(home))
  const findings = await examine(home)
  assert.equal(faults(findings), [])
  assert.equal(
    findings.map(({ check }) => check),
    [
      'node',
      'sqlite',
      'daemon',
      'home',
      'token',
      'disk',
      'workspace default',
      ...findings.slice(7).map((f) => f.check),
    ],
  )
  assert.ok(readFileSync(database(home)).equals(before))
  removeHome(home)
  assert.equal(faults(await examine(home)), [], 'nor is one that does not exist yet')
})

test('each planted fault is found, and has a cure', async () => {
  const planted: Array<[string, (home: string) => void, RegExp]> = [
    ['open folder', (home) => chmodSync(home, 0o755), /open to other users/],
    ['open token', (home) => chmodSync(join(home, 'token'), 0o644), /read by other users/],
    ['no token', (home) => writeFileSync(join(home, 'token'), 'short\n'), /holds no token/],
    ['daemon.json', (home) => writeFileSync(join(home, 'daemon.json'), '{}'), /daemon.json is there/],
    [
      'a row',
      (home) => change(home, `UPDATE contracts SET body = replace(body, 'a task', 'another')`),
      /contracts: ctr_/,
    ],
    ['a row too many', (home) => change(home, `INSERT INTO tokens (id, body) VALUES ('tok_x', '{}')`), /tokens: tok_x/],
    ['a row too few', (home) => change(home, 'DELETE FROM messages'), /messages: msg_/],
    ['an event', (home) => change(home, 'DELETE FROM events WHERE seq = 4'), /1 events are missing/],
    ['no database', (home) => writeFileSync(database(home), 'hello\n'.repeat(1_000)), /no database|cannot be read/],
    ['of something else', (home) => change(home, 'PRAGMA application_id = 1'), /something else/],
    ['newer', (home) => change(home, 'PRAGMA user_version = 99'), /newer agent-bridge/],
    [
      'damaged',
      (home) => {
        const bytes = readFileSync(database(home))
        bytes.fill(0x55, 4096 * 4, 4096 * 20)
        writeFileSync(database(home), bytes)
      },
      /damaged|malformed/,
    ],
  ]
  for (const [name, plant, complaint] of planted) {
    const home = await worked()
    plant(home)
    const found = faults(await examine(home))
    assert.ok(found.length > 0, `${name}: nothing was found`)
    assert.match(found.map(({ found }) => found).join('\n'), complaint, name)
    for (const { fix } of found) assert.ok(fix, name)
    removeHome(home)
  }
})

test('a clock that runs behind the log, a port in use, an old Node', async () => {
  const home = await worked()
  const [late] = faults(await examine(home, Date.now() - 60_000))
  assert.match(late?.found ?? '', "ahead of this machine's clock")
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const [busy] = faults(await diagnose({ home, host: '127.0.0.1', port, running: undefined }))
  assert.match(busy?.found ?? '', `uses port ${port}`)
  server.close()
  removeHome(home)
  assert.equal(
    ['20.10.9', '18.20.0', '20.11.0', '22.0.0', '24.1.0'].map((version) => checkNode(version).state),
    ['wrong', 'wrong', 'ok', 'ok', 'ok'],
  )
})

test('notes are no faults: a workspace that was restored, or last opened by a release that knew fewer tables', async () => {
  const home = await worked()
  rmSync(join(home, 'workspaces', 'default.head'))
  change(home, 'DROP TABLE tokens')
  const findings = await examine(home)
  assert.equal(faults(findings), [])
  assert.match(JSON.stringify(findings), 'a new epoch begins')
  removeHome(home)
})

test('beside a daemon at work, by the command line', async () => {
  const home = makeHome()
  const daemon = await serve(home)
  const wire = await connect(daemon, { agent: 'codex' })
  const healthy = await run(['doctor'], { home })
  assert.is(healthy.code, 0, healthy.stdout + healthy.stderr)
  assert.match(healthy.stdout, `running, pid ${process.pid}`)
  assert.match(healthy.stdout, /workspace default: sound/)
  chmodSync(join(home, 'token'), 0o640)
  const { code, stdout } = await run(['doctor', '--json'], { home })
  const { healthy: all, findings } = JSON.parse(stdout) as { healthy: boolean; findings: Finding[] }
  assert.equal([code, all, faults(findings).map(({ check }) => check)], [1, false, ['token']])
  await wire.close()
  await daemon.stop()
  removeHome(home)
})

test.run()
