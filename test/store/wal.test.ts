// The WAL is copied into the database when there is nothing else to do, and stays bounded when there always is.

import { cpSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openStore } from '../../src/store/store.js'
import { ask, inBatch, inFolder, record, tables } from './workspace.js'

const MIB = 1024 * 1024
const wal = suite('WAL')

const sizeOf = (file: string): number => statSync(file).size

/** What the database alone holds, without its WAL. */
function headWithoutWal(folder: string, file: string): number {
  const copy = join(folder, 'copy.db')
  cpSync(file, copy)
  const [events] = ask(copy, "SELECT 1 FROM sqlite_master WHERE name = 'events'")
  return events ? (ask<{ head: number | null }>(copy, 'SELECT max(seq) AS head FROM events')[0]?.head ?? 0) : 0
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!condition() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20))
  assert.ok(condition(), 'in time')
}

wal('an idle workspace has all of its log in the database, and begins its WAL again', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    const store = openStore(file, tables)
    const body = JSON.stringify({ text: 'x'.repeat(1_000) })
    let seq = 0
    const some = () =>
      inBatch(store, () => {
        for (let count = 0; count < 500; count++) store.append(record(++seq, { body }))
      })
    await some()
    await until(() => headWithoutWal(folder, file) === seq)
    const size = sizeOf(`${file}-wal`)
    for (let round = 0; round < 2; round++) {
      await some()
      store.committed.events(0, { limit: 10 })
      await until(() => headWithoutWal(folder, file) === seq)
    }
    assert.ok(sizeOf(`${file}-wal`) < 2 * size, 'the WAL was used again')
    store.close()
  }),
)

wal('under a load that never pauses, with a reader, the WAL stays below its bound', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    const store = openStore(file, tables)
    const body = JSON.stringify({ text: 'x'.repeat(50_000) })
    let largest = 0
    let seq = 0
    // Nothing is awaited but commits, so no timer fires: this is a load without the shortest pause.
    while (seq < 4_000) {
      await inBatch(store, () => {
        for (let count = 0; count < 50; count++) store.append(record(++seq, { body }))
      })
      store.committed.events(seq - 100)
      store.committed.events(0, { limit: 1 })
      largest = Math.max(largest, sizeOf(`${file}-wal`))
    }
    assert.ok(sizeOf(file) > 2 * 64 * MIB, `${sizeOf(file)} bytes were written`)
    assert.ok(largest < 72 * MIB, `the WAL grew to ${largest} bytes`)
    store.close()
  }),
)

wal.run()
