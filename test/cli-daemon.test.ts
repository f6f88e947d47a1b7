// The daemon's life from the command line: start, stop, status, and everything that keeps it from starting.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { exits } from '../src/cli/exits.js'
import { begin, type Run, run } from './cli.js'
import { connect, makeHome, removeHome, serve, until, within } from './socket.js'

interface World {
  home: string
  /** Ends what was begun. */
  ends: Array<() => unknown>
}

const daemon = suite<World>('cli daemon')

daemon.before.each((world) => {
  world.home = makeHome()
  world.ends = [() => removeHome(world.home)]
})
daemon.after.each(async ({ ends }) => {
  for (const end of ends.reverse()) await end()
})

const start = ({ home, ends }: World, args: string[] = []): Run => {
  const started = begin(['start', '--port', '0', ...args], { home })
  ends.push(() => started.end('SIGKILL'))
  return started
}

const oneLine = (text: string) => assert.match(text, /^error: [^\n]+\n$/)

daemon(
  'start says where everything is and what to type; stop ends it; status and its code tell which it is',
  async (world) => {
    const { home } = world
    const started = start(world)
    await started.says('Ctrl-C stops it.')
    const file = JSON.parse(readFileSync(join(home, 'daemon.json'), 'utf8'))
    for (const told of [file.url, file.http, home, join(home, 'token'), 'contract create', 'watch --after earliest']) {
      assert.ok(started.stdout().includes(told), `start does not say ${told}`)
    }
    assert.ok(started.stdout().includes(`--home ${home}`), 'another home than the usual must be named in what to type')
    const log = JSON.parse(started.stderr().trim().split('\n')[0]!)
    assert.is(log.msg, 'listening', 'the log is JSON on standard error')

    const [human, json] = await Promise.all([run(['status'], { home }), run(['status', '--json'], { home })])
    assert.is(human.code, 0)
    assert.match(human.stdout, new RegExp(`^running: true\npid: ${file.pid}\n`))
    const status = JSON.parse(json.stdout)
    assert.equal([status.running, status.pid, status.store.synchronous], [true, started.child.pid, 'full'])

    const stopped = await run(['stop'], { home })
    assert.equal([stopped.code, stopped.stdout], [0, `The daemon (pid ${file.pid}) has stopped.\n`])
    assert.is(started.child.exitCode, 0, 'stop waits until the daemon is gone')
    assert.not.ok(existsSync(join(home, 'daemon.json')))

    const [again, off, offJson] = await Promise.all([
      run(['stop'], { home }),
      run(['status'], { home }),
      run(['status', '--json'], { home }),
    ])
    assert.equal([again.code, again.stdout], [0, `No daemon runs in ${home}.\n`])
    assert.is(off.code, exits.unreachable.code)
    assert.match(off.stdout, 'No daemon runs in')
    assert.equal([offJson.code, JSON.parse(offJson.stdout).running], [exits.unreachable.code, false])
  },
)

daemon('Ctrl-C ends it in good order, also when npm tells it twice; so does SIGHUP', async (world) => {
  const first = start(world, ['--json'])
  await first.says('"pid"')
  assert.is(JSON.parse(first.stdout()).home, world.home)
  // Both at the same time: signals wait while a process is stopped.
  for (const signal of ['SIGSTOP', 'SIGINT', 'SIGTERM', 'SIGCONT'] as const) first.child.kill(signal)
  assert.is(await within(first.ended, 'the daemon to end'), 0)
  assert.not.ok(existsSync(join(world.home, 'daemon.json')), 'a drained daemon takes its announcement back')
  const second = start(world)
  await second.says('Ctrl-C')
  assert.is(await second.end('SIGHUP'), 0)
})

daemon('a second signal, after a while, ends it at once', async (world) => {
  const { child, says, ended } = start(world, ['--json'])
  await says('"pid"')
  const { url, http } = JSON.parse(readFileSync(join(world.home, 'daemon.json'), 'utf8'))
  const wire = await connect({ url, token: readFileSync(join(world.home, 'token'), 'utf8').trim() }, { agent: 'codex' })
  // It never answers the goodbye, which the daemon waits for.
  wire.socket.pause()
  child.kill('SIGTERM')
  await until(
    () =>
      fetch(`${http}/healthz`).then(
        () => false,
        () => true,
      ),
    'the daemon to drain',
  )
  child.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 600))
  child.kill('SIGINT')
  child.kill('SIGCONT')
  assert.is(await within(ended, 'the daemon to end'), 128 + 2)
  wire.socket.terminate()
})

daemon('a file left by a daemon that was killed is no daemon, and keeps none from starting', async (world) => {
  const { home } = world
  const killed = start(world)
  await killed.says('Ctrl-C')
  await killed.end('SIGKILL')
  assert.ok(existsSync(join(home, 'daemon.json')))
  const [stop, status, list] = await Promise.all(
    [['stop'], ['status'], ['contract', 'list']].map((args) => run(args, { home })),
  )
  assert.equal([stop!.code, stop!.stdout], [0, `No daemon runs in ${home}.\n`])
  assert.is(status!.code, exits.unreachable.code)
  assert.is(list!.code, exits.unreachable.code)
  oneLine(list!.stderr)
  await start(world).says('Ctrl-C')
})

daemon('stop ends no process that does not prove to be the daemon', async ({ home, ends }) => {
  const impostor = createServer((_request, response) => response.end('{"name":"agent-bridge","proof":"0000"}'))
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve))
  const http = `http://127.0.0.1:${(impostor.address() as AddressInfo).port}`
  const url = `${http.replace('http', 'ws')}/ws`
  // Were the pid believed, this test would be told to end.
  writeFileSync(join(home, 'daemon.json'), JSON.stringify({ pid: process.pid, url, http, version: '0', key: 'k' }))
  ends.push(() => impostor.close())
  const stop = await run(['stop'], { home })
  assert.is(stop.code, exits.setup.code)
  oneLine(stop.stderr)
})

daemon('what keeps it from starting is told in one line', async ({ home, ends }) => {
  const running = await serve(home)
  ends.push(running.stop)
  const elsewhere = makeHome()
  ends.push(() => removeHome(elsewhere))
  const port = new URL(running.http).port
  const [second, inUse, shape, level, file, open] = await Promise.all([
    run(['start', '--port', '0'], { home }),
    run(['start', '--port', port], { home: elsewhere }),
    run(['start', '--port', 'x'], { home: elsewhere }),
    run(['start', '--log-level', 'loud', '--json'], { home: elsewhere }),
    run(['start', '--port', '0', '--home', join(home, 'token', 'home')], { home }),
    run(['start', '--port', '0', '--host', '0.0.0.0'], { home: elsewhere }),
  ])
  for (const { stderr } of [second, inUse, shape, file, open]) oneLine(stderr)
  assert.match(JSON.parse(level.stderr).error.message, '--log-level')
  assert.equal(
    [second, inUse, shape, level, file, open].map(({ code }) => code),
    [exits.setup, exits.setup, exits.setup, exits.usage, exits.setup, exits.setup].map(({ code }) => code),
  )
  assert.match(second.stderr, `pid ${process.pid}`)
  assert.match(inUse.stderr, `Port ${port} is in use`)
  assert.match(open.stderr, '--insecure')
})

daemon('a damaged database, and one of a newer version, are told and left as they are', async (world) => {
  const { home } = world
  const running = await serve(home)
  await running.stop()
  const file = join(home, 'workspaces', 'default.db')
  const db = new Database(file)
  db.pragma('user_version = 999')
  db.close()
  const newer = await run(['start', '--port', '0'], { home })
  writeFileSync(file, 'no database'.repeat(1_000))
  const damaged = await run(['start', '--port', '0', '--json'], { home })
  assert.equal([newer.code, damaged.code], [exits.setup.code, exits.setup.code])
  oneLine(newer.stderr)
  assert.match(newer.stderr, 'newer agent-bridge')
  assert.match(JSON.parse(damaged.stderr).error.message, 'damaged')
  assert.is(readFileSync(file, 'utf8'), 'no database'.repeat(1_000))
})

daemon.run()
