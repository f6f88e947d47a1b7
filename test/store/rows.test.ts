// Rows and pages of the log, against what a list in memory would give.

import { statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogRecord, Rows } from '../../src/engine/ports.js'
import { limits } from '../../src/protocol/limits.js'
import type { Find, Table, Value } from '../../src/protocol/method.js'
import { openStore, type SqliteStore } from '../../src/store/store.js'
import { ask, inBatch, inFolder, record } from './workspace.js'

const rows = suite('rows and pages')

interface Thing {
  id: string
  colour: string
  size: number
  owner?: string
  tags: string[]
  dueAt?: string
}

const things: Table<Thing> = {
  name: 'things',
  noun: 'thing',
  id: (row) => row.id,
  columns: { colour: 'TEXT', size: 'INTEGER', owner: 'TEXT' },
  index: ({ colour, size, owner }) => ({ colour, size, owner }),
  indexes: [['colour', '-size'], ['owner']],
  keys: (row) => row.tags,
  deadline: (row) => row.dueAt,
  about: () => ({ parties: [] }),
}

const withStore = (use: (store: SqliteStore, file: string) => Promise<void>) => () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    const store = openStore(file, [things])
    try {
      await use(store, file)
    } finally {
      store.close()
    }
  })

const put = (store: SqliteStore, row: Thing, secret?: string | null) =>
  store.put(things, row, JSON.stringify(row), secret)

const few = <Item>(...items: Item[]) => fc.constantFrom(...items)
const thing: fc.Arbitrary<Omit<Thing, 'id'>> = fc.record(
  {
    colour: few('red', 'green', 'blue'),
    size: fc.integer({ min: -2, max: 3 }),
    owner: few('ada', 'bob', "o'neill"),
    tags: fc.array(few('a', 'a/b', 'a/c', 'a0', 'b'), { maxLength: 4 }),
    dueAt: few('2030-01', '2030-02', '2030-03'),
  },
  { requiredKeys: ['colour', 'size', 'tags'] },
)

const end = fc.integer({ min: -2, max: 4 })
const find: fc.Arbitrary<Find> = fc
  .record(
    {
      where: fc.record(
        {
          colour: fc.oneof(few('red', 'none'), fc.array(few('red', 'green', 'blue'), { maxLength: 3 })),
          size: fc.oneof(end, fc.record({ from: end, to: end, upTo: end }, { requiredKeys: [] })),
          owner: few('ada', "o'neill", null),
          deadline: few({ upTo: '2030-02' }, { from: '' }),
        },
        { requiredKeys: [] },
      ),
      key: fc.oneof(few('a', 'a/b', 'none'), few({ from: 'a/', to: 'a0' }, { from: '', to: 'zz' })),
      order: few(['size'], ['-size'], ['colour', '-size'], ['-colour', '-size', '-id'], ['-id'], ['size', 'id']),
      limit: fc.integer({ min: 0, max: 5 }),
      bytes: fc.integer({ min: 1, max: 400 }),
    },
    { requiredKeys: [] },
  )
  .map((terms) => terms as Find)

/** What a find means. */
function expected(all: readonly Thing[], { where = {}, key, order = [], after, limit, bytes }: Find): Thing[] {
  const columns = (row: Thing): Record<string, Value | undefined> => ({
    ...things.index(row),
    id: row.id,
    deadline: row.dueAt,
  })
  const meets = (value: Value | undefined, wanted: NonNullable<Find['where']>[string]): boolean => {
    if (wanted === null) return value === undefined
    if (Array.isArray(wanted)) return wanted.includes(value as Value)
    if (typeof wanted !== 'object') return value === wanted
    const { from, to, upTo } = wanted as { from?: Value; to?: Value; upTo?: Value }
    const ends = [from, to, upTo].filter((end) => end !== undefined)
    if (value === undefined || value === null) return ends.length === 0
    const below = (a: Value | undefined, b: Value | undefined) => (a as never) < (b as never)
    return !(
      (from !== undefined && below(value, from)) ||
      (to !== undefined && !below(value, to)) ||
      (upTo !== undefined && below(upTo, value))
    )
  }
  const filed = ({ tags }: Thing) =>
    key === undefined || tags.some((tag) => (typeof key === 'string' ? tag === key : tag >= key.from && tag < key.to))
  const names = order.at(-1)?.endsWith('id') ? order : [...order, 'id']
  const compare = (a: readonly (Value | undefined)[], b: readonly (Value | undefined)[]): number => {
    for (const [index, name] of names.entries()) {
      const [x, y] = [a[index] as never, b[index] as never]
      if (x !== y) return (x < y ? -1 : 1) * (name.startsWith('-') ? -1 : 1)
    }
    return 0
  }
  const place = (row: Thing) => names.map((name) => columns(row)[name.replace('-', '')])
  const found = all
    .filter((row) => Object.entries(where).every(([name, wanted]) => meets(columns(row)[name], wanted)) && filed(row))
    .sort((a, b) => compare(place(a), place(b)))
    .filter((row) => !after || compare(place(row), after) > 0)
    .slice(0, limit)
  let length = 0
  return found.filter((row) => {
    const room = bytes === undefined || length < bytes
    length += JSON.stringify(row).length
    return room
  })
}

/** Both views, when everything is committed. */
const views = (store: SqliteStore): Rows[] => [store.writing, store.committed]

rows(
  'find gives what it says, whatever the terms, and pages come to the whole',
  withStore(async (store) => {
    let kept: Thing[] = []
    const property = fc.asyncProperty(
      fc.array(thing, { maxLength: 12 }),
      fc.array(find, { maxLength: 12 }),
      async (made, finds) => {
        const old = kept
        kept = made.map((fields, index) => ({ id: `thing-${index}`, ...fields }))
        await inBatch(store, () => {
          for (const row of kept) put(store, row)
          for (const row of old.slice(kept.length)) store.remove(things, row.id)
        })
        for (const view of views(store)) {
          for (const terms of finds) {
            assert.equal(view.find(things, terms), expected(kept, terms), JSON.stringify(terms))
            const { where } = terms
            const counted = expected(kept, where ? { where } : {})
            assert.is(view.count(things, where), counted.length)
            assert.is(
              view.count(things, where, 'size'),
              counted.reduce((sum, { size }) => sum + size, 0),
            )
            checkPages(view, terms)
          }
        }
      },
    )
    await fc.assert(property, { numRuns: 60 })
  }),
)

/** Each page begins behind the last row of the one before: over ties too, none is left out and none comes twice. */
function checkPages(view: Rows, { bytes: _bytes, limit: _limit, ...terms }: Find): void {
  const whole = view.find(things, terms)
  const names = (terms.order ?? []).filter((name) => !name.endsWith('id')).map((name) => name.replace('-', ''))
  const seen: Thing[] = []
  for (let after: Value[] | undefined; seen.length <= whole.length; ) {
    const page: Thing[] = view.find(things, { ...terms, limit: 2, ...(after && { after }) })
    const last = page.at(-1)
    if (!last) break
    seen.push(...page)
    after = [...names.map((name) => (things.index(last)[name] ?? null) as Value), last.id]
  }
  assert.equal(seen, whole, JSON.stringify(terms))
}

rows(
  'a row is put, changed and removed with its columns, keys and secret',
  withStore(async (store, file) => {
    const row: Thing = { id: 'x', colour: 'red', size: 1, tags: ['a', 'b', 'a'], dueAt: '2030-01' }
    const keys = () => ask<{ key: string }>(file, 'SELECT key FROM things_keys ORDER BY key').map(({ key }) => key)
    await inBatch(store, () => put(store, row, '{"key":"hash"}'))
    assert.equal(store.committed.get(things, 'x'), row)
    assert.equal(store.committed.secret(things, 'x'), { key: 'hash' })
    assert.equal(keys(), ['a', 'b'])
    await inBatch(store, () => put(store, { ...row, tags: ['b', 'c'], colour: 'blue' }))
    assert.equal(store.committed.secret(things, 'x'), { key: 'hash' }, 'a secret not spoken of is kept')
    assert.equal(keys(), ['b', 'c'])
    assert.equal(store.committed.find(things, { where: { colour: 'red' } }), [])
    await inBatch(store, () => put(store, row, null))
    assert.is(store.committed.secret(things, 'x'), undefined)
    await inBatch(store, () => store.remove(things, 'x'))
    assert.is(store.committed.get(things, 'x'), undefined)
    assert.equal(keys(), [])
  }),
)

rows(
  'what is written is seen by others only once it is committed, and not at all when undone',
  withStore(async (store) => {
    const row: Thing = { id: 'x', colour: 'red', size: 1, tags: ['a'] }
    await store.begin()
    put(store, row)
    store.mark('savepoint')
    put(store, { ...row, id: 'y' }, '{}')
    put(store, { ...row, size: 2 })
    store.mark('undo')
    store.mark('savepoint')
    put(store, { ...row, id: 'z' })
    store.mark('release')
    assert.equal(
      store.writing.find(things, {}).map(({ id, size }) => [id, size]),
      [
        ['x', 1],
        ['z', 1],
      ],
    )
    assert.equal(store.committed.find(things, { key: 'a' }), [])
    await store.commit()
    assert.equal(
      store.committed.find(things, { key: 'a' }).map(({ id }) => id),
      ['x', 'z'],
    )
  }),
)

rows(
  'a table that no noun declares is a bug, not a row lost in silence',
  withStore(async (store) => {
    await store.begin()
    assert.throws(() => store.put({ ...things, name: 'others' }, {}, '{}', undefined), /declares the table others/)
    assert.throws(() => store.remove({ ...things, name: 'others' }, 'x'), /declares the table others/)
    await store.commit()
  }),
)

/** A log of commands with these numbers of events, each event's body of this length. */
async function appendCommands(store: SqliteStore, sizes: readonly number[], length = 20): Promise<LogRecord[]> {
  const log: LogRecord[] = []
  for (const size of sizes) {
    const command = log.length + 1
    for (let index = 0; index < size; index++) {
      const body = JSON.stringify({ text: 'x'.repeat(Math.max(0, length - 11)) })
      log.push(record(command + index, { command, body, contractId: index % 2 === 0 ? 'even' : null }))
    }
  }
  await inBatch(store, () => log.forEach(store.append))
  return log
}

const seqs = (page: readonly { seq: number }[]) => page.map(({ seq }) => seq)

rows(
  'a page of the log ends with a whole command, unless that command is all it holds',
  withStore(async (store) => {
    await appendCommands(store, [1, 3, 2, 5, 1])
    const { committed } = store
    assert.equal(seqs(committed.events(0)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    assert.equal(seqs(committed.events(0, { limit: 1 })), [1])
    assert.equal(seqs(committed.events(0, { limit: 3 })), [1])
    assert.equal(seqs(committed.events(0, { limit: 4 })), [1, 2, 3, 4])
    assert.equal(seqs(committed.events(0, { limit: 5 })), [1, 2, 3, 4])
    assert.equal(seqs(committed.events(0, { limit: 6 })), [1, 2, 3, 4, 5, 6])
    assert.equal(seqs(committed.events(1, { limit: 2 })), [2, 3], 'one command alone may be cut')
    assert.equal(seqs(committed.events(3, { limit: 2 })), [4], 'and goes on where it was cut')
    assert.equal(seqs(committed.events(12)), [])
    assert.equal(committed.events(11), [
      {
        seq: 12,
        command: 12,
        type: 'test.happened',
        topic: null,
        contractId: 'even',
        parties: null,
        body: '{"text":"xxxxxxxxx"}',
      },
    ])
  }),
)

rows(
  'a page of the log ends at so many bytes, and with a whole command there too',
  withStore(async (store) => {
    const quarter = limits.pageBytes / 4
    await appendCommands(store, [3, 3, 1, 9, 1], quarter)
    const { committed } = store
    assert.equal(seqs(committed.events(0)), [1, 2, 3], 'the second command would be cut')
    assert.equal(seqs(committed.events(3)), [4, 5, 6, 7])
    assert.equal(seqs(committed.events(7)), [8, 9, 10, 11], 'larger than a page by itself')
    assert.equal(seqs(committed.events(11)), [12, 13, 14, 15])
    assert.equal(seqs(committed.events(15)), [16, 17])
    assert.equal(seqs(committed.events(0, { contractId: 'even' })), [1, 3, 4, 6])
    assert.equal(seqs(committed.events(6, { contractId: 'even', limit: 2 })), [7, 8])
  }),
)

rows(
  'the pages of any log are the log',
  withStore(async (store) => {
    let before = 0
    const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 })
    const property = fc.asyncProperty(sizes, fc.integer({ min: 1, max: 8 }), async (commands, limit) => {
      const start = before
      const log: LogRecord[] = []
      for (const size of commands) {
        const command = before + 1
        for (let index = 0; index < size; index++) log.push(record(++before, { command }))
      }
      await inBatch(store, () => log.forEach(store.append))
      const pages: number[] = []
      for (let after = start; after < before; after = pages.at(-1)!) {
        const page = store.committed.events(after, { limit })
        assert.ok(page.length > 0 && page.length <= limit)
        const [first, last] = [page[0]!, page.at(-1)!]
        const cut = log.some(({ seq, command }) => seq > last.seq && command === last.command)
        if (cut) assert.is(first.command, last.command, 'only a command that is alone on its page is cut')
        pages.push(...seqs(page))
      }
      assert.equal(pages, seqs(log))
    })
    await fc.assert(property, { numRuns: 100 })
  }),
)

rows(
  'a key is remembered with the last event that answered it',
  withStore(async (store) => {
    await inBatch(store, () => {
      store.append(record(1, { idempotency: 'ada k', private: '{"n":1}' }))
      store.append(record(2, { idempotency: 'ada k', private: '{"n":2}' }))
      store.append(record(3, { idempotency: 'bob k', private: '{"n":3}' }))
    })
    assert.equal(store.remembered('ada k'), { private: '{"n":2}', body: '{"n":2}' })
    assert.is(store.remembered('ada'), undefined)
  }),
)

rows(
  'a read that ends early leaves nothing open that would pin the WAL',
  withStore(async (store, file) => {
    await appendCommands(store, Array(50).fill(3), limits.pageBytes / 10)
    await inBatch(store, () => {
      for (let index = 0; index < 50; index++) put(store, { id: `t${index}`, colour: 'red', size: 1, tags: ['a'] })
    })
    store.committed.events(0)
    store.committed.events(0, { contractId: 'even' })
    store.committed.events(0, { limit: 1 })
    store.committed.find(things, { bytes: 1 })
    store.committed.find(things, { key: 'a', bytes: 1 })
    assert.throws(() => store.committed.find({ ...things, name: 'none' }, { bytes: 1 }))
    assert.equal(ask(file, 'PRAGMA wal_checkpoint(TRUNCATE)'), [{ busy: 0, log: 0, checkpointed: 0 }])
    assert.is(statSync(`${file}-wal`).size, 0)
  }),
)

rows.run()
