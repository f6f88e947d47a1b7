// The queries that calls ask many times a second go straight to their rows: no table is read whole, and nothing is
// sorted that an index could have given in order. The plans are of the very SQL that ran, over the nouns' own tables.

import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createWorld, type World } from '../world.js'

const plans = suite('query plans')
const world = await createWorld()

/** The SELECTs that were prepared since they were last asked for. */
const prepared = new Set<string>()
const prepare = Database.prototype.prepare
Database.prototype.prepare = function (this: Database.Database, source: string) {
  if (/^\s*(SELECT|DELETE|UPDATE)/.test(source)) prepared.add(source)
  return prepare.call(this, source)
} as typeof prepare

interface Step {
  sql: string
  detail: string
  /** Asked for what was done, and not before by the daemon that began its life. */
  later: boolean
}

/** How SQLite runs what is asked in a daemon's life in which `act` is done: each statement is prepared once in it. */
async function plansOf(act: (world: World) => Promise<unknown>): Promise<Step[]> {
  prepared.clear()
  await world.restart()
  const early = new Set(prepared)
  await act(world)
  await world.idle()
  return [...prepared].flatMap((sql) =>
    world
      .sql<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql.replaceAll('?', 'NULL')}`)
      .map(({ detail }) => ({ sql, detail, later: !early.has(sql) })),
  )
}

/** The plan of the queries that match; there must be such. */
function about(steps: readonly Step[], query: RegExp): string[] {
  const found = steps.filter(({ sql }) => query.test(sql)).map(({ detail }) => detail)
  assert.ok(found.length > 0, `${query} was asked: ${steps.map(({ sql }) => sql).join('\n')}`)
  return found
}

/** The steps that read a table whole, or sort what an index does not give in order. */
const slow = (details: readonly string[]) => details.filter((detail) => /^SCAN|TEMP B-TREE|AUTOMATIC/.test(detail))

plans('a contract from offer to end, with its locks, reads only what it is about', async () => {
  const steps = await plansOf(async (world) => {
    const [cursor, codex] = [world.as('cursor'), world.as('codex')]
    const contract = await cursor.call('contract.create', {
      title: 'x',
      tags: ['ts'],
      resources: [{ resource: 'file:src/**' }],
    })
    await codex.call('contract.next', { tags: ['ts'] })
    await codex.call('contract.start', { contractId: contract.id, attempt: 1 })
    await cursor.ask('lock.acquire', { resources: [{ resource: 'file:src/a.ts' }] }).catch(() => {})
    await codex.ask('contract.complete', { contractId: contract.id, attempt: 1, idempotencyKey: 'k' })
    await codex.call('contract.next', {})
    await codex.call('contract.history', { contractId: contract.id })
  })
  assert.equal(slow(steps.filter(({ later }) => later).map(({ detail }) => detail)), [])
  assert.match(
    about(steps, /FROM contracts WHERE ready = .*ORDER BY priority DESC, id LIMIT/).join('\n'),
    /contracts_ready_offered_priority \(ready=\? AND offered=\?\)/,
  )
  assert.match(about(steps, /EXISTS/).join('\n'), /contracts_ready_offered_priority \(ready=\? AND offered=\?\)/)
  assert.match(about(steps, /locks_keys .*key = \?/).join('\n'), /locks_keys USING PRIMARY KEY \(key=\?\)/)
  assert.match(about(steps, /locks_keys WHERE key >= \?/).join('\n'), /PRIMARY KEY \(key>\? AND key<\?\)/)
  assert.match(about(steps, /events WHERE contract_id/).join('\n'), /events_contract \(contract_id=\? AND seq>\?\)/)
  assert.match(about(steps, /idempotency = \?/).join('\n'), /events_idempotency \(idempotency=\?\)/)
})

plans('an inbox is read in the order of its keys, from any page', async () => {
  const steps = await plansOf(async (world) => {
    const [cursor, codex] = [world.as('cursor'), world.as('codex')]
    for (let count = 0; count < 3; count++) await cursor.call('message.publish', { to: 'codex', text: 'x' })
    const { nextPage } = await codex.call('message.inbox', { limit: 1 })
    await codex.call('message.inbox', { limit: 1, page: nextPage! })
  })
  const inbox = steps.filter(
    ({ sql }) => sql.includes('messages_keys JOIN') || sql.includes('messages_keys CROSS JOIN'),
  )
  assert.equal(slow(about(inbox, /./)), [])
  assert.match(about(inbox, /row_id > \?/).join('\n'), /messages_keys USING PRIMARY KEY \(key=\? AND row_id>\?\)/)
})

plans('deadlines are found by an index, the next one and those that have passed', async () => {
  const steps = await plansOf(async (world) => {
    await world.as('codex').call('lock.acquire', { resources: [{ resource: 'port:1' }], ttlMs: 1_000 })
    await world.advance(2_000)
  })
  for (const table of ['agents', 'contracts', 'locks', 'messages']) {
    for (const asked of ['deadline >= \\?', 'deadline <= \\?']) {
      const details = about(steps, new RegExp(`FROM ${table} WHERE ${asked} ORDER BY deadline`))
      assert.equal(slow(details), [])
      assert.match(details.join('\n'), new RegExp(`${table}_deadline \\(deadline[<>]\\?\\)`))
    }
  }
})

plans('a search goes from the words to the rows, in the order of its places', async () => {
  const steps = await plansOf((world) => world.as('codex').call('message.search', { query: 'word' }))
  const details = about(steps, /messages_words MATCH/)
  assert.match(details[0] as string, /VIRTUAL TABLE INDEX .*M1<$/)
  assert.equal(slow(details.slice(1)), [])
  assert.equal(about(steps, /FROM messages_found WHERE kept = 0/), [
    'SEARCH messages_found USING INDEX messages_found_kept (kept=? AND place<?)',
  ])
})

plans('what waits for a person is found by its age', async () => {
  const steps = await plansOf((world) => world.as('codex').call('attention.list', {}))
  const details = about(steps, /attention >= /)
  assert.equal(slow(details), [])
  assert.match(details.join('\n'), /contracts_attention \(attention>\? AND attention<\?\)/)
})

plans('a page of the log begins where it is wanted', async () => {
  const steps = await plansOf((world) => world.as('codex').call('event.read', { after: 'earliest' }))
  assert.equal(about(steps, /FROM events WHERE seq > \? ORDER/), ['SEARCH events USING INTEGER PRIMARY KEY (rowid>?)'])
})

plans('negative control: a table read whole and a sort are seen', () => {
  const detail = (sql: string) => world.sql<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).map(({ detail }) => detail)
  assert.equal(slow(detail("SELECT body FROM contracts WHERE body = 'x'")), ['SCAN contracts'])
  assert.equal(slow(detail('SELECT body FROM contracts WHERE ready = 1 ORDER BY priority DESC, id LIMIT 1')), [
    'USE TEMP B-TREE FOR ORDER BY',
  ])
})

plans.after(async () => {
  Database.prototype.prepare = prepare
  await world.end()
})

plans.run()
