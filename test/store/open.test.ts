// What cannot be relied on is refused before anything is written to it, in words that say what to do.

import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SetupError } from '../../src/protocol/errors.js'
import { checkLibrary } from '../../src/store/open.js'
import { openStore } from '../../src/store/store.js'
import { ask, inBatch, inFolder, record, tables, unprivileged } from './workspace.js'

const opening = suite('opening a database')

/** The refusal: a SetupError whose message names the file and matches; no connection is left open. */
function refusal(file: string, says: RegExp): SetupError {
  const open = openFiles(file)
  try {
    openStore(file, tables).close()
  } catch (error) {
    assert.instance(error, SetupError)
    assert.match((error as SetupError).message, file)
    assert.match((error as SetupError).message, says)
    assert.equal(openFiles(file), open, 'no connection is left open')
    return error as SetupError
  }
  throw new Error(`${file} was opened`)
}

/** The files of this process that belong to a database, where the system tells. */
function openFiles(file: string): number {
  try {
    return readdirSync('/proc/self/fd').filter((link) => targetOf(link).startsWith(file)).length
  } catch {
    return 0
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${link}`)
  } catch {
    return ''
  }
}

async function makeDatabase(file: string): Promise<void> {
  const store = openStore(file, tables)
  await inBatch(store, () => store.append(record(1)))
  store.close()
}

opening('a new database is durable, private, and says what it is', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    const umask = process.umask(0)
    const store = openStore(file, tables)
    process.umask(umask)
    await inBatch(store, () => store.append(record(1)))
    for (const name of readdirSync(folder)) assert.is(statSync(join(folder, name)).mode & 0o777, 0o600, name)
    assert.equal(readdirSync(folder).sort(), ['default.db', 'default.db-shm', 'default.db-wal', 'default.head'])
    assert.is(store.stats().synchronous, 'full')
    assert.ok(store.stats().bytes >= statSync(file).size)
    store.close()
    assert.equal(readdirSync(folder).sort(), ['default.db', 'default.head'], 'closing leaves no WAL')
    assert.equal(ask(file, 'PRAGMA journal_mode'), [{ journal_mode: 'wal' }])
    assert.equal(ask(file, 'PRAGMA application_id'), [{ application_id: 0x61627267 }])
    assert.equal(ask(file, 'PRAGMA user_version'), [{ user_version: 1 }])
  }),
)

opening('a connection that is not synchronous=FULL after all is refused', () =>
  inFolder(async (folder) => {
    // better-sqlite3 gives a database that is in WAL mode already NORMAL.
    await makeDatabase(join(folder, 'default.db'))
    const pragma = Database.prototype.pragma
    Database.prototype.pragma = function (source, options) {
      return source === 'synchronous = FULL' ? undefined : pragma.call(this, source, options)
    }
    try {
      refusal(join(folder, 'default.db'), /synchronous 1.*--home/)
    } finally {
      Database.prototype.pragma = pragma
    }
  }),
)

opening('a version of SQLite that can corrupt a database is refused', () => {
  for (const version of ['3.51.2', '3.50.99', '3.7.0', '2.99.99', '3.51']) {
    assert.throws(
      () => checkLibrary(version),
      /SQLite .* can corrupt a database; 3\.51\.3 or later.*npm install/,
      version,
    )
  }
  for (const version of ['3.51.3', '3.51.10', '3.52.0', '4.0.0']) checkLibrary(version)
})

opening('every opening asks for the version of SQLite', () =>
  inFolder((folder) => {
    const prepare = Database.prototype.prepare
    const file = join(folder, 'default.db')
    Database.prototype.prepare = function (this: Database.Database, source: string) {
      return prepare.call(this, source === 'SELECT sqlite_version()' ? "SELECT '3.51.2'" : source)
    } as typeof prepare
    try {
      assert.throws(() => openStore(file, tables), /SQLite 3\.51\.2 can corrupt/)
    } finally {
      Database.prototype.prepare = prepare
    }
    assert.is(readFileSync(file).length, 0)
  }),
)

opening('a database of a newer version is refused and left as it is', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    await makeDatabase(file)
    const db = new Database(file)
    db.pragma('user_version = 2')
    db.exec('CREATE TABLE later (what TEXT)')
    db.close()
    const before = readFileSync(file)
    refusal(file, /newer agent-bridge \(schema 2, this one knows 1\): run that version/)
    assert.ok(readFileSync(file).equals(before))
  }),
)

opening('a database of something else is refused and left as it is', () =>
  inFolder((folder) => {
    const file = join(folder, 'default.db')
    const db = new Database(file)
    db.exec('CREATE TABLE accounts (id INTEGER)')
    db.pragma('user_version = 7')
    db.close()
    const before = readFileSync(file)
    refusal(file, /something else: move it away/)
    assert.ok(readFileSync(file).equals(before))
    assert.equal(readdirSync(folder), ['default.db'])
  }),
)

opening('a file that is no database, or a damaged one, is refused', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    writeFileSync(file, 'this is a note to myself, and long enough to be taken for a header'.repeat(40))
    refusal(file, /damaged or no database.*backup/)
    const sound = join(folder, 'sound.db')
    await makeDatabase(sound)
    const damaged = readFileSync(sound)
    damaged.fill(0x5a, 100, 4096)
    writeFileSync(file, damaged)
    refusal(file, /damaged or no database.*backup/)
    writeFileSync(file, readFileSync(sound).subarray(0, 3 * 4096))
    refusal(file, /damaged or no database.*backup/)
  }),
)

opening('an empty file is a new database: its maker may have died early', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    writeFileSync(file, '')
    await makeDatabase(file)
    assert.equal(ask(file, 'SELECT seq FROM events'), [{ seq: 1 }])
  }),
)

opening('what is in the place of the file, or of its folder, is refused', () =>
  inFolder((folder) => {
    mkdirSync(join(folder, 'default.db'))
    refusal(join(folder, 'default.db'), /cannot be opened for writing.*--home/)
    assert.throws(() => openStore(join(folder, 'none', 'default.db'), tables), /none cannot be opened.*--home/)
    mkdirSync(join(folder, 'other.head'))
    assert.throws(() => openStore(join(folder, 'other.db'), tables), /other\.head.* cannot be opened.*--home/)
  }),
)

opening('a file or folder that may only be read is refused', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    await makeDatabase(file)
    const readOnly = join(folder, 'read-only')
    mkdirSync(readOnly)
    cpSync(file, join(readOnly, 'default.db'))
    chmodSync(folder, 0o777)
    chmodSync(readOnly, 0o555)
    chmodSync(join(readOnly, 'default.db'), 0o666)
    chmodSync(file, 0o444)
    unprivileged(() => {
      refusal(file, /cannot be opened for writing.*--home/)
      refusal(join(readOnly, 'default.db'), /cannot be opened for writing.*--home/)
      assert.throws(() => openStore(join(readOnly, 'new.db'), tables), /new\.db cannot be opened for writing/)
    })
    chmodSync(readOnly, 0o755)
  }),
)

opening('a database that another process is writing to is refused, not waited for without end', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'default.db')
    await makeDatabase(file)
    const other = new Database(file)
    other.exec('BEGIN IMMEDIATE')
    assert.throws(() => openStore(file, tables), /in use by another process.*stop that one first/)
    other.close()
    assert.is(openFiles(file), 0, 'no connection is left open')
    openStore(file, tables).close()
  }),
)

opening.run()
