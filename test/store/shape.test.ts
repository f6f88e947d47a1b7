// A noun that changes what it declares finds its rows again: filed anew, nothing of them or of the log lost.

import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Table } from '../../src/protocol/method.js'
import { product } from '../../src/protocol/version.js'
import { openStore } from '../../src/store/store.js'
import { ask, inBatch, inFolder, record } from './workspace.js'

const shape = suite('reshaping')

interface Thing {
  id: string
  colour: string
  size: number
  dueAt?: string
}

const plain: Table<Thing> = {
  name: 'things',
  noun: 'thing',
  id: (row) => row.id,
  columns: { colour: 'TEXT' },
  index: ({ colour }) => ({ colour }),
  indexes: [['colour']],
  about: () => ({ parties: [] }),
}

const kept: Thing[] = [
  { id: 'a', colour: 'red', size: 2, dueAt: '2030-01' },
  { id: 'b', colour: 'green', size: 1 },
  { id: 'c', colour: 'red', size: 3, dueAt: '2030-02' },
]

async function makeDatabase(file: string, table: Table<Thing>): Promise<void> {
  const store = openStore(file, [table])
  await inBatch(store, () => {
    for (const row of kept) store.put(table, row, JSON.stringify(row), row.id === 'c' ? null : `{"of":"${row.id}"}`)
    store.append(record(1))
  })
  store.close()
}

/** Opens as `table`, and checks that everything is still there before `check` looks further. */
async function reopened(file: string, table: Table<Thing>, check: (find: FindIds) => void): Promise<void> {
  const store = openStore(file, [table])
  try {
    const { committed, bounds, anew } = store
    assert.equal(committed.find(table, {}), kept)
    assert.equal(
      kept.map(({ id }) => committed.secret(table, id)),
      [{ of: 'a' }, { of: 'b' }, undefined],
    )
    assert.equal([bounds().head, anew], [1, false])
    check((find) => committed.find(table, find).map(({ id }) => id))
    await inBatch(store, () => store.put(table, kept[0]!, JSON.stringify(kept[0]), undefined))
    assert.equal(committed.secret(table, 'a'), { of: 'a' })
  } finally {
    store.close()
  }
}

type FindIds = (find: Parameters<ReturnType<typeof openStore>['committed']['find']>[1]) => string[]

const withDatabase = (table: Table<Thing>, use: (file: string) => Promise<void>) => () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    await makeDatabase(file, table)
    await use(file)
  })

const sized: Table<Thing> = {
  ...plain,
  columns: { size: 'INTEGER', colour: 'TEXT' },
  index: ({ colour, size }) => ({ colour, size }),
  indexes: [['colour', '-size']],
}
const keyed: Table<Thing> = { ...plain, keys: ({ colour, size }) => [colour, `size/${size}`] }
const timed: Table<Thing> = { ...plain, deadline: ({ dueAt }) => dueAt }

shape(
  'columns added and removed',
  withDatabase(plain, async (file) => {
    await reopened(file, sized, (find) => {
      assert.equal(find({ where: { size: { from: 2 } }, order: ['-size'] }), ['c', 'a'])
    })
    await reopened(file, plain, (find) => assert.equal(find({ where: { colour: 'red' } }), ['a', 'c']))
    assert.equal(
      ask<{ name: string }>(file, "SELECT name FROM pragma_table_info('things')").map(({ name }) => name),
      ['id', 'body', 'secret', 'colour'],
    )
  }),
)

shape(
  'keys added and removed',
  withDatabase(plain, async (file) => {
    await reopened(file, keyed, (find) => {
      assert.equal(find({ key: 'red' }), ['a', 'c'])
      assert.equal(find({ key: { from: 'size/', to: 'size/3' } }), ['a', 'b'])
    })
    await reopened(file, plain, () => {})
    assert.equal(ask(file, "SELECT name FROM sqlite_master WHERE name LIKE 'things_keys%'"), [])
    await reopened(file, keyed, (find) => assert.equal(find({ key: 'red' }), ['a', 'c']))
  }),
)

shape(
  'a deadline added and removed',
  withDatabase(plain, async (file) => {
    const due = { where: { deadline: { upTo: '2030-09' } }, order: ['-deadline'] }
    await reopened(file, timed, (find) => assert.equal(find(due), ['c', 'a']))
    await reopened(file, plain, (find) => assert.throws(() => find(due), /no such column/))
  }),
)

shape(
  'only indexes changed',
  withDatabase(plain, async (file) => {
    await reopened(file, { ...plain, indexes: [] }, () => {})
    assert.equal(ask(file, "SELECT name FROM sqlite_master WHERE type = 'index' AND name = 'things_colour'"), [])
  }),
)

shape(
  'another release files its rows anew, for its functions may give other values in the same shape',
  withDatabase(keyed, async (file) => {
    const louder: Table<Thing> = { ...keyed, keys: ({ colour }) => [colour.toUpperCase()] }
    await reopened(file, louder, (find) => assert.equal(find({ key: 'RED' }), [], 'the same release does not'))
    const db = new Database(file)
    db.exec(`UPDATE meta SET value = replace(value, '${product.version}', '0.0.1')`)
    db.close()
    await reopened(file, louder, (find) => assert.equal(find({ key: 'RED' }), ['a', 'c']))
  }),
)

shape(
  'a table that is not declared any more, or not yet, is left alone',
  withDatabase(plain, async (file) => {
    const other: Table<Thing> = { ...plain, name: 'others' }
    const store = openStore(file, [other])
    assert.equal(store.committed.find(other, {}), [])
    store.close()
    await reopened(file, plain, () => {})
  }),
)

shape(
  'a reshaping that fails changes nothing',
  withDatabase(plain, async (file) => {
    const broken: Table<Thing> = {
      ...sized,
      index() {
        throw new Error('a bug')
      },
    }
    assert.throws(() => openStore(file, [broken]), 'a bug')
    await reopened(file, plain, (find) => assert.equal(find({ where: { colour: 'red' } }), ['a', 'c']))
  }),
)

shape.run()
