import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { type MethodName, nouns, type ParamsOf, type ResultOf } from '../../src/bridge/index.js'
import { systemClock } from '../../src/engine/clock.js'
import { createDoor } from '../../src/engine/door/door.js'
import { createEngine } from '../../src/engine/engine.js'
import type { LogRecord, Store } from '../../src/engine/ports.js'
import { createTail } from '../../src/engine/tail.js'
import { rpcForm } from '../../src/protocol/form.js'
import { openStore } from '../../src/store/store.js'

// The real store, alone or under the real engine, on files of a test's own.

export const tables = nouns.flatMap((noun) => noun.tables)

/** A folder that is gone when `use` has ended. */
export async function inFolder(use: (folder: string) => unknown): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'agent-bridge-store-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Asks a database file, through a connection of its own. */
export function ask<Row>(file: string, sql: string): Row[] {
  const db = new Database(file)
  try {
    return db.prepare<[], Row>(sql).all()
  } finally {
    db.close()
  }
}

/** Runs `act` as a user whom the modes of files bind, which they do not bind root. */
export function unprivileged(act: () => void): void {
  if (process.getuid?.() !== 0) return act()
  process.seteuid?.(65_534)
  try {
    act()
  } finally {
    process.seteuid?.(0)
  }
}

/** An event of no noun, for tests in which only the log counts. */
export const record = (seq: number, fields: Partial<LogRecord> = {}): LogRecord => ({
  seq,
  command: seq,
  type: 'test.happened',
  topic: null,
  contractId: null,
  parties: null,
  body: `{"n":${seq}}`,
  private: null,
  idempotency: null,
  ...fields,
})

/** Commits what `act` does as one batch. */
export async function inBatch(store: Store, act: () => void): Promise<void> {
  await store.begin()
  act()
  await store.commit()
}

export type Call = <N extends MethodName>(name: N, params: ParamsOf<N>) => Promise<ResultOf<N>>

/** A workspace in service in this process; `wrap` may stand between its engine and the store. */
export function openWorkspace(file: string, wrap: (store: Store) => Store = (store) => store) {
  const store = openStore(file, tables)
  const faults: unknown[] = []
  const engine = createEngine({
    store: wrap(store),
    nouns,
    clock: systemClock,
    random: { bytes: randomBytes, hash: (text) => createHash('sha256').update(text).digest('hex') },
    workspace: 'default',
    restored: store.anew,
    report: (fault) => faults.push(fault),
  })
  const tail = createTail(engine.read, systemClock, (fault) => faults.push(fault))
  const runtime = {
    version: '0',
    workspace: 'default',
    uptimeMs: () => 0,
    subscriptions: tail.count,
    store: store.stats,
  }
  const door = createDoor({
    clock: systemClock,
    workspace: () => ({ engine, tail, runtime }),
    fault(error) {
      throw error
    },
  })

  /** Opens a session and gives what calls methods in it. */
  async function connect(agent: string): Promise<Call> {
    const peer = { form: rpcForm, push() {}, writable: () => true, close() {} }
    const connection = door.connect({ role: 'agent', operator: false }, peer)
    const call = (name: string, params: Record<string, unknown>) =>
      new Promise((resolve, reject) => {
        connection.call(name, params, (outcome) =>
          'refusal' in outcome ? reject(outcome.refusal) : resolve(JSON.parse(outcome.result)),
        )
      })
    await call('session.open', { agent })
    return call as Call
  }

  return { store, engine, faults, connect }
}
