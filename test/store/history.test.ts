// No cursor is given out twice: a database that has come less far than was seen beside it begins a new epoch, above
// everything seen.

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type LogBounds, resolveCursor } from '../../src/protocol/cursor.js'
import { UNSEEN_MAX } from '../../src/store/history.js'
import { openStore } from '../../src/store/store.js'
import { ask, inBatch, inFolder, openWorkspace, record, tables } from './workspace.js'

const history = suite('epoch and head')

interface Place {
  file: string
  head: string
}

const withDatabase = (use: (place: Place) => Promise<void>) => () =>
  inFolder((folder) => use({ file: join(folder, 'default.db'), head: join(folder, 'default.head') }))

/** Opens, appends up to a seq, and closes. @returns the bounds at opening */
async function appendUpTo(file: string, last: number): Promise<LogBounds & { anew: boolean }> {
  const store = openStore(file, tables)
  const { anew } = store
  const bounds = store.bounds()
  for (let seq = bounds.head + 1; seq <= last; seq++) await inBatch(store, () => store.append(record(seq)))
  assert.is(store.bounds().head, Math.max(last, bounds.head))
  store.close()
  return { ...bounds, anew }
}

const bounds = (file: string) => appendUpTo(file, 0)

history(
  'a new log begins at 0, and goes on where it was',
  withDatabase(async ({ file, head }) => {
    const first = await appendUpTo(file, 5)
    assert.match(first.epoch, /^[a-z0-9]{1,16}$/)
    assert.equal(first, { epoch: first.epoch, earliest: 0, head: 0, anew: false })
    assert.is(readFileSync(head, 'utf8'), `${first.epoch}-5\n`)
    assert.equal(await appendUpTo(file, 9), { ...first, head: 5 })
    assert.equal(await bounds(file), { ...first, head: 9 })
  }),
)

history(
  'two logs never share an epoch',
  withDatabase(async ({ file }) => {
    const other = await bounds(file.replace('default', 'other'))
    assert.is.not((await bounds(file)).epoch, other.epoch)
  }),
)

history(
  'a copy that was put back begins a new epoch above everything seen',
  withDatabase(async ({ file }) => {
    const first = await appendUpTo(file, 10)
    cpSync(file, `${file}.backup`)
    await appendUpTo(file, 20)
    cpSync(`${file}.backup`, file)
    const restored = await bounds(file)
    assert.is.not(restored.epoch, first.epoch)
    assert.equal(restored, { epoch: restored.epoch, earliest: 20 + UNSEEN_MAX, head: 20 + UNSEEN_MAX, anew: true })
    const second = await appendUpTo(file, 22 + UNSEEN_MAX)
    assert.is(second.epoch, restored.epoch, 'the epoch that was begun is kept')
    assert.equal(
      ask<{ seq: number }>(file, 'SELECT seq FROM events ORDER BY seq').map(({ seq }) => seq),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 21 + UNSEEN_MAX, 22 + UNSEEN_MAX],
    )
    const third = await bounds(file)
    assert.equal(third, { ...restored, head: 22 + UNSEEN_MAX, anew: false })
    assert.throws(() => resolveCursor(`${first.epoch}-15`, third), /another history/)
    assert.throws(() => resolveCursor(`${third.epoch}-15`, third), /have been removed/)
    assert.is(resolveCursor('earliest', third), 20 + UNSEEN_MAX)
  }),
)

history(
  'that an epoch is new is told until its first event, whatever crashes before',
  withDatabase(async ({ file, head }) => {
    await appendUpTo(file, 3)
    rmSync(head)
    const { epoch } = await bounds(file)
    for (let life = 0; life < 2; life++) {
      const again = await bounds(file)
      assert.equal([again.epoch, again.anew], [epoch, true])
    }
    await appendUpTo(file, 4 + UNSEEN_MAX)
    assert.is((await bounds(file)).anew, false)
  }),
)

for (const [what, text] of [
  ['missing', undefined],
  ['empty', ''],
  ['garbage', 'Lorem ipsum-9\n'],
  ['cut off', 'abc-1'],
  ['of another epoch', 'abc-2\n'],
  ['beyond what a seq can be', 'abc-99999999999999999999\n'],
] as const) {
  history(
    `a head file that is ${what} vouches for nothing`,
    withDatabase(async ({ file, head }) => {
      const first = await appendUpTo(file, 7)
      if (text === undefined) rmSync(head)
      else writeFileSync(head, text)
      const second = await bounds(file)
      assert.is.not(second.epoch, first.epoch)
      assert.equal(second, { epoch: second.epoch, earliest: 7 + UNSEEN_MAX, head: 7 + UNSEEN_MAX, anew: true })
      assert.is(readFileSync(head, 'utf8'), `${second.epoch}-${7 + UNSEEN_MAX}\n`)
    }),
  )
}

history(
  'a head file that is behind is no sign of anything: it is written lazily',
  withDatabase(async ({ file, head }) => {
    const { epoch } = await appendUpTo(file, 7)
    writeFileSync(head, `${epoch}-4\n`)
    assert.equal(await bounds(file), { epoch, earliest: 0, head: 7, anew: false })
  }),
)

history(
  'opening brings the head file up to date, so that a copy put back later is found out',
  withDatabase(async ({ file, head }) => {
    const { epoch } = await appendUpTo(file, 7)
    writeFileSync(head, `${epoch}-4\n`)
    const store = openStore(file, tables)
    assert.is(readFileSync(head, 'utf8'), `${epoch}-7\n`)
    store.close()
  }),
)

history(
  'a database that is gone leaves its head behind, and the next one begins above it',
  withDatabase(async ({ file }) => {
    const first = await appendUpTo(file, 12)
    rmSync(file)
    const second = await bounds(file)
    assert.is.not(second.epoch, first.epoch)
    assert.equal([second.earliest, second.head], [12 + UNSEEN_MAX, 12 + UNSEEN_MAX])
  }),
)

history(
  'a copy of an older epoch begins a third one',
  withDatabase(async ({ file, head }) => {
    const first = await appendUpTo(file, 5)
    cpSync(file, `${file}.backup`)
    rmSync(head)
    const second = await appendUpTo(file, 9 + UNSEEN_MAX)
    cpSync(`${file}.backup`, file)
    const third = await bounds(file)
    assert.is(new Set([first.epoch, second.epoch, third.epoch]).size, 3)
    assert.equal([third.earliest, third.head], [9 + 2 * UNSEEN_MAX, 9 + 2 * UNSEEN_MAX])
  }),
)

history(
  'the head file follows the log while it is open, within seconds',
  withDatabase(async ({ file, head }) => {
    const store = openStore(file, tables)
    const { epoch } = store.bounds()
    await inBatch(store, () => store.append(record(1)))
    const deadline = Date.now() + 10_000
    while (readFileSync(head, 'utf8') !== `${epoch}-1\n` && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.is(readFileSync(head, 'utf8'), `${epoch}-1\n`)
    store.close()
  }),
)

history(
  'who held anything in a history that was rolled back holds it no more',
  withDatabase(async ({ file }) => {
    const first = openWorkspace(file)
    const call = await first.connect('codex')
    await call('lock.acquire', { resources: [{ resource: 'file:src/**' }] })
    await first.engine.stop()
    first.store.close()
    cpSync(file, `${file}.backup`)
    const later = openWorkspace(file)
    await (await later.connect('codex'))('message.publish', { topic: 'later', text: 'seen' })
    await later.engine.stop()
    later.store.close()
    cpSync(`${file}.backup`, file)
    // A life that ends before its first commit takes nothing of this from the next one.
    openStore(file, tables).close()
    const restored = openWorkspace(file)
    await restored.engine.stop()
    assert.equal(ask(file, "SELECT id FROM locks WHERE state <> 'cooling'"), [])
    assert.is(restored.store.bounds().epoch, restored.engine.bounds().epoch)
    restored.store.close()
  }),
)

history.run()
