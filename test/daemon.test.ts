import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startDaemon } from '../src/daemon.js'

const daemons = suite('the daemon')

daemons('a start that fails late leaves nothing that listens, and nothing that holds the home', async () => {
  const home = mkdtempSync(join(tmpdir(), 'agent-bridge-late-'))
  const config = { home, host: '127.0.0.1', port: 0, logLevel: 'silent' }
  const first = await startDaemon(config)
  const port = Number(new URL(first.http).port)
  await first.stop()
  // What is announced cannot be written: the daemon listens already.
  mkdirSync(join(home, 'daemon.json.new'))
  try {
    await startDaemon({ ...config, port })
    assert.unreachable('it started')
  } catch (error) {
    assert.match(String(error), /daemon\.json/)
  }
  rmSync(join(home, 'daemon.json.new'), { recursive: true })
  const second = await startDaemon({ ...config, port })
  assert.ok(existsSync(join(home, 'daemon.json')))
  await second.stop()
  rmSync(home, { recursive: true })
})

daemons.run()
