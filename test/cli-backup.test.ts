// agent-bridge backup and restore, beside a daemon at work, and while one is killed.

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { backUp, restore } from '../src/backup.js'
import { nouns } from '../src/bridge/index.js'
import { examine } from '../src/store/examine.js'
import { begin, run } from './cli.js'
import { connect, makeHome, removeHome, seqOf, serve, until, within } from './socket.js'

const test = suite('cli: backup and restore')

const tables = nouns.flatMap((noun) => noun.tables)
const events = nouns.flatMap((noun) => noun.events)
const look = (file: string) => examine(file, tables, events)

const failure = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'it succeeded',
    (error: Error) => error.message,
  )

/** The parts of the database that a test may count on. */
const dataOf = (file: string) => readFileSync(file).length

test('a copy made while commands go on is of one moment, whole, and holds all that was acknowledged before', async () => {
  const daemon = await serve()
  const wire = await connect(daemon, { agent: 'writer' })
  let going = true
  const writing = (async () => {
    for (let n = 0; going; n++) await wire.ask('contract.create', { title: `task ${n}` })
  })()
  await until(async () => seqOf((await wire.ask('bridge.status')).head) > 50, 'some contracts')
  for (let n = 0; n < 5; n++) {
    const before = seqOf((await wire.ask('bridge.status')).head)
    const file = join(daemon.home, `copy ${n}.abrg`)
    const copied = await backUp(daemon.home, 'default', file)
    const found = look(file)
    assert.equal([found.integrity, found.missing, found.differing], ['ok', 0, []])
    assert.ok(found.head >= before, `${found.head} < ${before}`)
    assert.equal([copied.head, copied.epoch, copied.bytes], [found.head, found.epoch, dataOf(file)])
    assert.is(statSync(file).mode & 0o777, 0o600)
  }
  going = false
  await writing
  const beside = readdirSync(daemon.home).filter((name) => name.startsWith('copy'))
  assert.is(beside.length, 5, 'nothing else is left')
  await wire.close()
  await daemon.stop()
})

test('restored, it is another history: what was held is free, sessions are over, old cursors are refused', async () => {
  const home = makeHome()
  let daemon = await serve(home)
  let wire = await connect(daemon)
  const { session, resumeKey = '', epoch } = await wire.ask('session.open', { agent: 'codex' })
  const { id } = await wire.ask('contract.create', { title: 'before the backup' })
  await wire.ask('lock.acquire', { resources: [{ resource: 'file:a' }] })
  await wire.ask('event.subscribe', { durable: 'worker' })
  await wire.ask('event.ack', { subscription: 1, cursor: 'latest' })
  const file = join(home, 'b.abrg')
  await within(
    (async () => {
      while ((await looksLike(home)) === 0) await pause(20)
    })(),
    'the reader to be written',
  )
  await backUp(home, 'default', file)
  const after = await wire.ask('contract.create', { title: 'after the backup' })
  const { head } = await wire.ask('bridge.status')
  await wire.close()
  assert.match(await failure(restore(home, 'default', file)), 'Another daemon')
  await daemon.stop()

  const { replaced = '' } = await restore(home, 'default', file)
  assert.is(look(replaced).integrity, 'ok', 'what was there is kept')
  daemon = await serve(home)
  wire = await connect(daemon)
  const opened = await wire.ask('session.open', { agent: 'codex', resume: { session, resumeKey } })
  assert.is(opened.resumed, false)
  assert.is.not(opened.epoch, epoch)
  assert.ok(seqOf(opened.earliest) > seqOf(head), 'no seq is given out twice')
  assert.is((await wire.ask('contract.get', { contractId: id })).title, 'before the backup')
  assert.is(await wire.refused('contract.get', { contractId: after.id }), 'NOT_FOUND')
  assert.equal(
    (await wire.ask('lock.list')).items.filter(({ state }) => state !== 'cooling'),
    [],
  )
  assert.is(await wire.refused('event.read', { after: head }), 'EPOCH_CHANGED')
  assert.is(await wire.refused('event.subscribe', { durable: 'worker' }), 'EPOCH_CHANGED')
  await wire.close()
  await daemon.stop()
  removeHome(home)
})

/** How many readers are on the disk. */
async function looksLike(home: string): Promise<number> {
  const db = new Database(join(home, 'workspaces', 'default.db'), { readonly: true })
  try {
    return Number(db.prepare('SELECT count(*) FROM readers').pluck().get())
  } finally {
    db.close()
  }
}

test('what is no backup is refused, and what is there stays as it is', async () => {
  const home = makeHome()
  await (await serve(home)).stop()
  const good = join(home, 'good.abrg')
  await backUp(home, 'default', good)
  const file = (name: string, data: string | Buffer) => {
    writeFileSync(join(home, name), data)
    return join(home, name)
  }
  const foreign = join(home, 'foreign.db')
  const db = new Database(foreign)
  db.exec('CREATE TABLE mine (a)')
  db.close()
  const bytes = readFileSync(good)
  const torn = Buffer.from(bytes)
  torn.fill(0x55, 4096 * 4, 4096 * 20)
  const newer = Buffer.from(bytes)
  newer.writeUInt32BE(99, 60)
  const cases: Array<[string, RegExp]> = [
    [join(home, 'none'), /does not exist/],
    [home, /./],
    [file('text', 'hello\n'.repeat(1_000)), /no database|no backup/],
    [file('empty', ''), /no backup/],
    [foreign, /something else/],
    [file('torn', torn), /damaged/],
    [file('short', bytes.subarray(0, bytes.length / 2)), /damaged/],
    [file('newer', newer), /newer agent-bridge/],
  ]
  const database = join(home, 'workspaces', 'default.db')
  const before = readFileSync(database)
  const listed = readdirSync(join(home, 'workspaces')).sort()
  for (const [source, complaint] of cases) {
    assert.match(await failure(restore(home, 'default', source)), complaint, source)
    assert.ok(readFileSync(database).equals(before), `after ${source}`)
  }
  assert.match(await failure(restore(home, '../x', good)), 'named with')
  assert.match(await failure(restore(home, 'DEFAULT', good)), 'one name')
  assert.equal(readdirSync(join(home, 'workspaces')).sort(), listed)
  assert.match(await failure(backUp(home, 'default', good)), 'exists')
  assert.match(await failure(backUp(home, 'other', join(home, 'x'))), 'There is no workspace other')
  assert.match(await failure(backUp(home, 'default', join(home, 'no', 'folder', 'x'))), /./)
  removeHome(home)
})

test('killed while it copies, a backup leaves no file that could be taken for one, and can be made again', async () => {
  const home = makeHome()
  await (await serve(home)).stop()
  const db = new Database(join(home, 'workspaces', 'default.db'))
  // So large that there is a moment to kill it in.
  db.exec('CREATE TABLE ballast (a)')
  const insert = db.prepare('INSERT INTO ballast VALUES (randomblob(1000000))')
  db.transaction(() => {
    for (let n = 0; n < 60; n++) insert.run()
  })()
  db.close()
  const folder = join(home, 'copies')
  mkdirSync(folder)
  const target = join(folder, 'b.abrg')
  const args = ['backup', target, '--workspace', 'default']
  const killed = begin(args, { home })
  await until(() => existsSync(`${target}.part`) || existsSync(target), 'the copy to begin')
  await killed.end('SIGKILL')
  if (existsSync(target)) assert.is(look(target).integrity, 'ok', 'it was over already')
  else {
    const again = begin(args, { home })
    assert.is(await again.ended, 0, again.stderr())
    assert.is(look(target).integrity, 'ok')
    assert.equal(readdirSync(folder), ['b.abrg'], 'what the first left is gone')
  }
  removeHome(home)
})

test('over the command line: words for people, JSON for programs, exit codes', async () => {
  const home = makeHome()
  const daemon = await serve(home)
  const cli = (...args: string[]) => run([...args, '--workspace', 'default'], { home })
  const file = join(home, 'b.abrg')
  const made = await cli('backup', file, '--json')
  assert.equal([made.code, JSON.parse(made.stdout).workspace], [0, 'default'])
  const twice = await cli('backup', file)
  assert.equal([twice.code, /exists/.test(twice.stderr)], [4, true])
  const refused = await cli('restore', file)
  assert.equal([refused.code, /Another daemon/.test(refused.stderr)], [4, true])
  await daemon.stop()
  const restored = await cli('restore', file)
  assert.equal([restored.code, /replaced: /.test(restored.stdout)], [0, true])
  removeHome(home)
})

test.run()
