// A disk that is full, or fails: the batch fails whole, nothing more is taken, and what was acknowledged is there when
// there is room again.

import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { UNSEEN_MAX } from '../../src/store/history.js'
import { openStore } from '../../src/store/store.js'
import { ask, inBatch, inFolder, openWorkspace, record, tables } from './workspace.js'

const full = suite('a full disk')

const limited = process.platform === 'win32' ? full.skip : full
limited('a commit that cannot be written fails its batch, and what was acknowledged stays', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    const filler = [join(import.meta.dirname, 'filler.ts'), file]
    // No file of this process may grow past 2 or 4 MiB (`-f` counts blocks of 512 or 1024 bytes); without the signal that
    // would end it, its writes fail as on a full disk.
    const script = `trap '' XFSZ; ulimit -f 4096; exec "$@"`
    const command = ['-c', script, 'sh', process.execPath, '--import', 'tsx', ...filler]
    const child = spawn('sh', command, { stdio: ['ignore', 'pipe', 'inherit'] })
    const closed = new Promise((resolve) => child.once('close', resolve))
    const said: string[] = []
    for await (const line of createInterface(child.stdout)) said.push(line)
    assert.is(await closed, 0, 'it is not ended by its own upkeep')
    const acknowledged = said
      .filter((line) => line.startsWith('acknowledged '))
      .map((line) => Number(line.split(' ')[1]))
    assert.ok(acknowledged.length > 10)
    const refused = said.filter((line) => line.startsWith('refused '))
    assert.equal([...new Set(refused)], ['refused INTERNAL'])
    // One batch of eight fails, and eight more calls are not taken.
    assert.is(refused.length, 16)
    assert.ok(said.includes('failed SQLITE_FULL') || said.includes('failed SQLITE_IOERR_WRITE'), said.at(-1))
    assert.is(said.at(-1), 'closed')

    const { store, engine, connect, faults } = openWorkspace(file)
    const { head } = store.bounds()
    assert.ok(head >= Math.max(...acknowledged))
    const seqs = ask<{ seq: number }>(file, 'SELECT seq FROM events ORDER BY seq')
    assert.equal(
      seqs.map(({ seq }) => seq),
      Array.from({ length: head }, (_, index) => index + 1),
    )
    await (await connect('ada'))('message.publish', { topic: 'tasks.again', text: 'there is room again' })
    await engine.stop()
    store.close()
    assert.equal(faults, [])
  }),
)

full('a database that cannot grow while it is opened is refused, in words that say what to do', () =>
  inFolder((folder) => {
    const prepare = Database.prototype.exec
    Database.prototype.exec = function (source) {
      this.pragma('max_page_count = 2')
      return prepare.call(this, source)
    }
    try {
      assert.throws(
        () => openStore(join(folder, 'default.db'), tables),
        /default\.db has no room to grow.*free some space/,
      )
    } finally {
      Database.prototype.exec = prepare
    }
    openStore(join(folder, 'default.db'), tables).close()
  }),
)

full('a head file that cannot be written ends nothing', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    const store = openStore(file, tables)
    const headFile = join(folder, 'default.head')
    rmSync(headFile)
    mkdirSync(headFile)
    await inBatch(store, () => store.append(record(1)))
    const draft = `${headFile}.new`
    const deadline = Date.now() + 10_000
    // The lazy writer has tried: its draft is there, and could not take the folder's place.
    while (!statSync(draft, { throwIfNoEntry: false }) && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.ok(statSync(draft).isFile())
    await inBatch(store, () => store.append(record(2)))
    store.close()
    rmSync(headFile, { recursive: true })
    writeFileSync(headFile, '')
    assert.is(openAndClose(file), 2 + UNSEEN_MAX)
  }),
)

function openAndClose(file: string): number {
  const store = openStore(file, tables)
  const { head } = store.bounds()
  store.close()
  return head
}

full.run()
