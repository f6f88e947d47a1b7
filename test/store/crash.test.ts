// Killed in the middle of a batch, again and again on the same file, the store opens with a log that has no hole, rows
// that are the log folded, and everything that was acknowledged.

import { spawn } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openStore } from '../../src/store/store.js'
import { checkFold } from '../rules/agree.js'
import type { Logged, World } from '../world.js'
import { ask, inFolder, openWorkspace, tables } from './workspace.js'

const AGENTS = 8
const crash = suite('kill -9')

/** Where each life ends: by its own hand in a batch, or by another's after so many acknowledgements. */
const ENDS = ['append:57', 'put:90', 'commit:6', 'committed:5', 'append:1', 7]

for (const end of ENDS) {
  const name = typeof end === 'string' ? `at ${end}` : `after ${end} acknowledgements`
  crash(`nothing is lost or half done when it dies ${name}`, () =>
    inFolder(async (folder) => {
      const file = join(folder, 'default.db')
      let epoch: string | undefined
      // The second life begins on what the first one left, and ends in the same way.
      for (const life of [1, 2]) {
        const acknowledged = await live(file, end)
        // A copy is looked into: to open the database is to repair it.
        const copy = join(folder, `after-${life}`)
        mkdirSync(copy)
        for (const name of ['default.db', 'default.db-wal', 'default.head'])
          cpSync(join(folder, name), join(copy, name))
        const store = openStore(join(copy, 'default.db'), tables)
        const { head, epoch: now, earliest } = store.bounds()
        store.close()
        assert.ok(head >= acknowledged, `life ${life}: ${acknowledged} was acknowledged, the log ends at ${head}`)
        assert.is(now, epoch ?? now, 'it is the same history')
        assert.is(earliest, 0)
        epoch = now
        agrees(join(copy, 'default.db'), head)
      }
      const { store, engine, connect, faults } = openWorkspace(file)
      const call = await connect('agent-0')
      await call('message.publish', { topic: 'tasks.after', text: 'it works on' })
      await engine.stop()
      store.close()
      assert.equal(faults, [])
      agrees(file, engine.bounds().head)
    }),
  )
}

crash.run()

/** Runs a committer to its end. @returns the last head it acknowledged */
async function live(file: string, end: string | number): Promise<number> {
  const plan = typeof end === 'string' ? end : 'run'
  const committer = [join(import.meta.dirname, 'committer.ts'), file, String(AGENTS), plan]
  const child = spawn(process.execPath, ['--import', 'tsx', ...committer], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_, signal) => resolve(signal)))
  let acknowledged = 0
  let count = 0
  for await (const line of createInterface(child.stdout)) {
    acknowledged = Number(/^acknowledged (\d+)$/.exec(line)?.[1])
    if (++count === end) child.kill('SIGKILL')
  }
  assert.is(await closed, 'SIGKILL')
  return acknowledged
}

/** The log has every seq up to its head, and the rows are what it says. */
function agrees(file: string, head: number): void {
  const log = ask<Omit<Logged, 'event'>>(file, 'SELECT seq, command, body, private FROM events ORDER BY seq').map(
    (row): Logged => ({ ...row, event: JSON.parse(`{"cursor":"e-${row.seq}",${row.body.slice(1)}`) }),
  )
  assert.equal(
    log.map(({ seq }) => seq),
    Array.from({ length: head }, (_, index) => index + 1),
    'the log is contiguous',
  )
  assert.equal(ask(file, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
  checkFold({ log: () => log, sql: <Row>(query: string) => ask<Row>(file, query) } as unknown as World)
}
