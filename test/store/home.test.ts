// The daemon's folder: one daemon at a time, files that only their owner may read, a token made once.

import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DaemonFile, takeHome } from '../../src/home.js'
import { SetupError } from '../../src/protocol/errors.js'
import { inFolder, unprivileged } from './workspace.js'

const home = suite('home')

const daemon = (pid: number): DaemonFile => ({
  pid,
  url: 'ws://127.0.0.1:1/ws',
  http: 'http://127.0.0.1:1',
  version: '0',
  key: 'k',
})

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

function refusal(folder: string, says: RegExp): void {
  let refused: unknown
  try {
    takeHome(folder).release()
  } catch (error) {
    refused = error
  }
  assert.instance(refused, SetupError)
  assert.match((refused as SetupError).message, says)
}

home('where no folder can be made, that is said, and not tried for ever', () => {
  if (existsSync('/proc/self'))
    for (const folder of ['/proc/x', '/proc/x/y/z']) refusal(folder, /cannot be opened for writing/)
})

home('a new home is made, with a token, for its owner only', () =>
  inFolder((parent) => {
    const folder = join(parent, 'a', 'home')
    const umask = process.umask(0)
    const taken = takeHome(folder)
    taken.announce(daemon(7))
    process.umask(umask)
    assert.match(taken.token, /^[\w-]{43}$/)
    assert.is(readFileSync(taken.tokenFile, 'utf8'), `${taken.token}\n`)
    assert.is(taken.databaseFile('default'), join(folder, 'workspaces', 'default.db'))
    assert.equal([modeOf(folder), modeOf(join(folder, 'workspaces'))], ['700', '700'])
    assert.equal(readdirSync(folder).sort(), ['daemon.json', 'lock', 'token', 'workspaces'])
    for (const name of ['daemon.json', 'lock', 'token']) assert.is(modeOf(join(folder, name)), '600', name)
    assert.equal(JSON.parse(readFileSync(join(folder, 'daemon.json'), 'utf8')), daemon(7))
    taken.release()
    assert.not.ok(existsSync(join(folder, 'daemon.json')), 'what was announced is taken back')
  }),
)

home('the token is made once, and a loose one is made private again', () =>
  inFolder((folder) => {
    const first = takeHome(folder)
    first.release()
    chmodSync(first.tokenFile, 0o644)
    const second = takeHome(folder)
    assert.is(second.token, first.token)
    assert.is(modeOf(second.tokenFile), '600')
    second.release()
  }),
)

home('two homes have two tokens', () =>
  inFolder((folder) => {
    const [a, b] = [takeHome(join(folder, 'a')), takeHome(join(folder, 'b'))]
    assert.is.not(a.token, b.token)
    a.release()
    b.release()
  }),
)

home('a folder that was open to others is closed, unless it holds what is not ours', () =>
  inFolder((folder) => {
    const [own, shared] = [join(folder, 'own'), join(folder, 'shared')]
    for (const path of [own, shared]) mkdirSync(path)
    chmodSync(own, 0o755)
    chmodSync(shared, 0o755)
    writeFileSync(join(shared, 'README'), 'not ours')
    const taken = [takeHome(own), takeHome(shared)]
    assert.equal([modeOf(own), modeOf(shared)], ['700', '755'])
    assert.equal([modeOf(join(shared, 'token')), modeOf(join(shared, 'workspaces'))], ['600', '700'])
    for (const { release } of taken) release()
  }),
)

home('a damaged token is never replaced in silence', () =>
  inFolder((folder) => {
    takeHome(folder).release()
    for (const damaged of ['', 'short', 'x'.repeat(42), `${'x'.repeat(43)} and more`]) {
      writeFileSync(join(folder, 'token'), damaged)
      refusal(folder, /token holds no token: remove it/)
      assert.is(readFileSync(join(folder, 'token'), 'utf8'), damaged)
    }
    writeFileSync(join(folder, 'token'), 'y'.repeat(43))
    const taken = takeHome(folder)
    assert.is(taken.token, 'y'.repeat(43), 'a refusal has let go of the home')
    taken.release()
  }),
)

home('daemon.json is there whole or not at all', () =>
  inFolder((folder) => {
    const taken = takeHome(folder)
    taken.announce(daemon(1))
    const before = statSync(join(folder, 'daemon.json')).ino
    taken.announce(daemon(2))
    assert.is.not(statSync(join(folder, 'daemon.json')).ino, before, 'another file has taken its place')
    assert.not.ok(existsSync(join(folder, 'daemon.json.new')))
    taken.release()
  }),
)

home('a second daemon is refused and told who has the home; the first keeps it', () =>
  inFolder((folder) => {
    const first = takeHome(folder)
    refusal(folder, /Another daemon has .*: stop it with agent-bridge stop, or .*--home/)
    first.announce(daemon(4711))
    refusal(folder, /Another daemon \(pid 4711\) has /)
    assert.ok(existsSync(join(folder, 'daemon.json')), 'what the first one announced stays')
    first.release()
    takeHome(folder).release()
  }),
)

home("another process's home is refused, and free once that process was killed", () =>
  inFolder(async (folder) => {
    const holder = [
      `const { takeHome } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/home.ts'))})`,
      `takeHome(${JSON.stringify(folder)}).announce({ pid: process.pid })`,
      `console.log('taken')`,
      'setInterval(() => {}, 1_000)',
    ].join('\n')
    const args = ['--import', 'tsx', '--input-type=module', '-e', holder]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const closed = new Promise((resolve) => child.once('close', resolve))
    try {
      for await (const line of createInterface(child.stdout)) {
        assert.is(line, 'taken')
        refusal(folder, new RegExp(`Another daemon \\(pid ${child.pid}\\) has`))
        // A refused daemon has looked at the lock, and that has not opened it.
        refusal(folder, /Another daemon/)
        child.kill('SIGKILL')
      }
    } finally {
      child.kill('SIGKILL')
      await closed
    }
    assert.ok(existsSync(join(folder, 'daemon.json')), 'it was killed and could not take it back')
    const taken = takeHome(folder)
    assert.not.ok(existsSync(join(folder, 'daemon.json')), 'nobody is sent to where it listened')
    taken.release()
  }),
)

home('what cannot be a home is refused', () =>
  inFolder((folder) => {
    const file = join(folder, 'file')
    writeFileSync(file, 'x')
    refusal(file, /file cannot be opened for writing .*--home/)
    refusal(join(file, 'below'), /cannot be opened for writing .*--home/)
    const odd = join(folder, 'odd')
    mkdirSync(join(odd, 'lock'), { recursive: true })
    refusal(odd, /lock cannot be opened for writing .*--home/)
    const strange = join(folder, 'strange')
    mkdirSync(strange)
    writeFileSync(join(strange, 'lock'), 'this is no database, and nobody of us wrote it'.repeat(100))
    refusal(strange, /lock is damaged or no database/)
    const readOnly = join(folder, 'read-only')
    mkdirSync(readOnly)
    chmodSync(readOnly, 0o555)
    chmodSync(folder, 0o755)
    unprivileged(() => {
      refusal(readOnly, /read-only.* cannot be opened for writing .*--home/)
      refusal(join(readOnly, 'home'), /home cannot be opened for writing .*--home/)
    })
  }),
)

home.run()
