import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf } from '../../src/bridge/index.js'
import { trimMessages } from '../../src/bridge/messages/settle.js'
import type { Store } from '../../src/engine/ports.js'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

// Messages found by their words, in an index that follows the log like any other reader.

const publish = (actor: Actor, params: ParamsOf<'message.publish'>) => actor.call('message.publish', params)
const all = (world: World, ...names: string[]) => Promise.all(names.map((name) => world.as(name).opened))
const find = async (actor: Actor, query: string) =>
  (await actor.call('message.search', { query })).items.map(({ text }) => text)

const words = suite('messages: search')

scenario(words, 'all words must be there, in any order and case; the newest comes first', async (world) => {
  await all(world, 'codex', 'cursor')
  const cursor = world.as('cursor')
  await publish(cursor, { to: 'codex', text: 'Please rebase src/bridge/a.ts onto main' })
  await publish(cursor, { topic: 'tasks.api', text: 'the main branch is red: rebase later' })
  await publish(cursor, { to: 'codex', text: 'fix snake_case in Café' })
  await publish(cursor, { to: 'codex', parts: [{ text: 'in a part' }, { data: { secret: 'data' } }] })
  const [first, second, third] = [
    'Please rebase src/bridge/a.ts onto main',
    'the main branch is red: rebase later',
    'fix snake_case in Café',
  ]
  const cases: Array<[string, Array<string | undefined>]> = [
    ['rebase', [second, first]],
    ['MAIN rebase', [second, first]],
    ['rebase please', [first]],
    ['rebase absent', []],
    ['"main branch"', [second]],
    ['"branch main"', []],
    ['src/bridge', [first]],
    ['snake_case', [third]],
    ['cafe', [third]],
    ['reb', []],
    ['reb*', [second, first]],
    ['"main bra"*', [second]],
    ['part', [undefined]],
    ['data', []],
  ]
  for (const [query, expected] of cases) assert.equal(await find(world.as('codex'), query), expected, query)
  assert.equal(await find(world.as('watcher', { role: 'observer' }), 'snake_case'), [third], 'whoever reads may search')
})

scenario(words, 'nothing that is typed is an operator, and nothing is a fault', async (world) => {
  await all(world, 'codex', 'cursor')
  await publish(world.as('cursor'), { to: 'codex', text: 'either AND or OR NOT NEAR(a b) col:x ^first' })
  const codex = world.as('codex')
  const odd = [
    '"',
    '""',
    '"a',
    'a"b',
    '*',
    '**',
    '-a',
    '+',
    '(',
    ')',
    'a AND',
    'NOT',
    'NEAR(',
    '^',
    ':',
    '{}',
    '\\',
    "'",
  ]
  for (const query of [...odd, '\0', 'a\0b', '%', ';--', '😀', 'x '.repeat(256), '"'.repeat(512), 'a'.repeat(512)]) {
    await find(codex, query)
  }
  assert.is((await find(codex, 'OR NOT AND')).length, 1, 'they are words like others')
  assert.is((await find(codex, 'either OR absent')).length, 0)
  assert.is((await find(codex, '!!! either')).length, 1, 'what holds no word says nothing')
  assert.is((await find(codex, '!!!')).length, 0)
  for (const query of ['', 'x'.repeat(limits.queryLength + 1), 1, null, ['a']]) {
    await refused(codex.ask('message.search', { query }), 'INVALID_PARAMS')
  }
  await refused(codex.ask('message.search', {}), 'INVALID_PARAMS')
})

scenario(words, 'what is found has its receipts as they are now', async (world) => {
  await all(world, 'codex', 'cursor')
  const { messageId } = await publish(world.as('cursor'), { to: 'codex', text: 'hello' })
  await find(world.as('codex'), 'hello')
  await world.as('codex').call('message.ack', { messageIds: [messageId], state: 'acked' })
  const [found] = (await world.as('cursor').call('message.search', { query: 'hello' })).items
  assert.is(found?.receipts?.codex?.state, 'acked')
})

scenario(words, 'a page at a time, each once, while more comes in', async (world) => {
  await all(world, 'codex', 'cursor')
  const cursor = world.as('cursor')
  for (let n = 1; n <= 5; n++) {
    await publish(cursor, n % 2 ? { to: 'codex', text: `word ${n}` } : { topic: 'a', text: `word ${n}` })
  }
  const seen = []
  let page: string | undefined
  do {
    const answer = await cursor.call('message.search', { query: 'word', limit: 2, ...(page && { page }) })
    seen.push(...answer.items.map(({ text }) => text))
    page = answer.nextPage
    await publish(cursor, { topic: 'a', text: 'word that came in' })
  } while (page)
  assert.equal(seen, ['word 5', 'word 4', 'word 3', 'word 2', 'word 1'])
  await refused(cursor.call('message.search', { query: 'word', page: 'x' }), 'INVALID_PARAMS')
  const foreign = Buffer.from('["x-1","msg_1"]').toString('base64')
  await refused(cursor.call('message.search', { query: 'word', page: foreign }), 'INVALID_PARAMS')
})

words.run()

const index = suite('the search index')
const upTo = (world: World): number => {
  const [row] = world.sql<{ value: string }>("SELECT value FROM meta WHERE name = 'search messages'")
  return row ? JSON.parse(row.value).upTo : 0
}

scenario(index, 'is filled when nothing has happened for a while, and not before', async (world) => {
  await all(world, 'codex', 'cursor')
  for (let n = 0; n < 3; n++) {
    await publish(world.as('cursor'), { topic: 'a', text: `word ${n}` })
    await world.advance(900)
  }
  assert.is(upTo(world), 0)
  await world.advance(200)
  assert.is(upTo(world), world.head())
})

scenario(index, 'catches up before a search is answered, in steps, and commands go on meanwhile', async (world) => {
  await all(world, 'codex', 'cursor')
  const cursor = world.as('cursor')
  const count = limits.searchStepEvents * 2
  const sent = Array.from({ length: count }, (_, n) =>
    cursor.pipeline('message.publish', { topic: 'a', text: `w${n}` }),
  )
  await Promise.all(sent)
  assert.is(upTo(world), 0)
  const order: string[] = []
  const searching = world.as('codex').call('message.search', { query: 'w0' })
  searching.then(() => order.push('search'))
  const other = publish(cursor, { topic: 'a', text: 'meanwhile' }).then(() => order.push('publish'))
  assert.is((await searching).items.length, 1)
  await other
  assert.equal(order, ['publish', 'search'])
  assert.equal(await find(cursor, 'meanwhile'), ['meanwhile'], 'it sees what its own socket has done')
})

scenario(index, 'goes on where it was after a restart, and is made anew when it is gone', async (world) => {
  await all(world, 'codex', 'cursor')
  await publish(world.as('cursor'), { to: 'codex', text: 'word one' })
  assert.is((await find(world.as('codex'), 'word')).length, 1)
  await publish(world.as('cursor'), { topic: 'a', text: 'word two' })
  await world.restart()
  assert.equal(await find(world.as('codex'), 'word'), ['word two', 'word one'])
  await world.restart({ between: (file) => run(file, "DELETE FROM meta WHERE name = 'search messages'") })
  assert.equal(await find(world.as('codex'), 'word'), ['word two', 'word one'])
})

scenario(
  index,
  'lets go what was removed, and what went with the log',
  async (world) => {
    await all(world, 'codex', 'cursor')
    const cursor = world.as('cursor')
    const { messageId } = await publish(cursor, { to: 'codex', text: 'word settled' })
    await publish(cursor, { to: 'codex', text: 'word open' })
    await publish(cursor, { topic: 'a', text: 'word topic' })
    await find(cursor, 'word')
    await world.as('codex').call('message.ack', { messageIds: [messageId], state: 'read' })
    await world.advance(1)
    world.engine.internal((tx) => void trimMessages(tx, world.now(), 10))
    await world.idle()
    assert.equal(await find(cursor, 'word'), ['word topic', 'word open'])
    await world.restart({ between: (file) => run(file, trimming(world.head())) })
    assert.equal(await find(world.as('cursor'), 'word'), ['word open'])
    assert.equal(world.sql('SELECT kept FROM messages_found'), [{ kept: 1 }])
  },
  { checked: false },
)

scenario(
  index,
  'knows mail that is older than the log, in its place',
  async (world) => {
    await all(world, 'codex', 'cursor')
    for (const text of ['word one', 'word two']) await publish(world.as('cursor'), { to: 'codex', text })
    const between = (file: string) => run(file, trimming(world.head()))
    await world.restart({ between })
    await publish(world.as('cursor'), { topic: 'a', text: 'word three' })
    await publish(world.as('cursor'), { to: 'codex', text: 'word four' })
    assert.equal(await find(world.as('codex'), 'word'), ['word four', 'word three', 'word two', 'word one'])
  },
  { checked: false },
)

scenario(
  index,
  'in another history finds the mail of before, and the topics since',
  async (world) => {
    await all(world, 'codex', 'cursor')
    await publish(world.as('cursor'), { to: 'codex', text: 'word of mail' })
    await publish(world.as('cursor'), { topic: 'a', text: 'word of before' })
    assert.is((await find(world.as('codex'), 'word')).length, 2)
    await world.restart({ between: (file) => rmSync(file.replace(/\.db$/, '.head')) })
    await publish(world.as('cursor'), { topic: 'a', text: 'word of since' })
    assert.equal(await find(world.as('codex'), 'word'), ['word of since', 'word of mail'])
  },
  { checked: false },
)

let failing = false
const breaking = (store: Store): Store => ({
  ...store,
  catchUp(events) {
    if (failing) throw new Error('the index is broken')
    return store.catchUp(events)
  },
})

scenario(
  index,
  'that fails is told to who searches, and to nobody else',
  async (world) => {
    await all(world, 'codex', 'cursor')
    await publish(world.as('cursor'), { to: 'codex', text: 'word' })
    failing = true
    await refused(world.as('codex').call('message.search', { query: 'word' }), 'INTERNAL')
    assert.match(String(world.faults.splice(0)), /the index is broken/)
    await publish(world.as('cursor'), { to: 'codex', text: 'word' })
    failing = false
    assert.is((await find(world.as('codex'), 'word')).length, 2)
  },
  { wrap: breaking },
)

scenario(index, 'a search is answered when the daemon stops', async (world) => {
  await all(world, 'codex')
  const searching = world.as('codex').call('message.search', { query: 'word' })
  const stopping = world.stop()
  await refused(searching, 'SHUTTING_DOWN')
  await stopping
})

/** As retention does: events go, and with them the cursors before. */
const trimming = (seq: number): string =>
  `DELETE FROM events WHERE seq <= ${seq}; INSERT OR REPLACE INTO meta VALUES ('earliest', '${seq}')`

function run(file: string, sql: string): void {
  const db = new Database(file)
  db.exec(sql)
  db.close()
}

index.run()
