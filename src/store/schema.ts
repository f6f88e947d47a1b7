import type { Table } from '../protocol/method.js'
import { product } from '../protocol/version.js'
import { type Connection, mark } from './open.js'

/** The value of a table's columns for a row, in the order of `columnsOf`. */
function valuesOf(table: Table<object>, row: object): Array<string | number | null> {
  const columns: Record<string, string | number | null | undefined> = {
    ...table.index(row),
    deadline: table.deadline?.(row),
  }
  return columnsOf(table).map((name) => columns[name] ?? null)
}

const columnsOf = (table: Table<object>): string[] => [
  ...Object.keys(table.columns),
  ...(table.deadline ? ['deadline'] : []),
]

/**
 * Creates what is missing, and files anew the rows of any table whose declaration has changed. The reader sees the
 * rows as they were meanwhile.
 */
export function migrate(db: Connection, reader: Connection, tables: readonly Table<object>[]): void {
  db.transaction(() => {
    db.exec(`
      CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY,
        command INTEGER NOT NULL,
        type TEXT NOT NULL,
        topic TEXT,
        contract_id TEXT,
        parties TEXT,
        body TEXT NOT NULL,
        private TEXT,
        idempotency TEXT
      );
      CREATE TABLE IF NOT EXISTS readers (
        agent TEXT NOT NULL,
        name TEXT NOT NULL,
        cursor TEXT NOT NULL,
        PRIMARY KEY (agent, name)
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS events_contract ON events (contract_id, seq) WHERE contract_id IS NOT NULL;
      CREATE INDEX IF NOT EXISTS events_idempotency ON events (idempotency) WHERE idempotency IS NOT NULL;
    `)
    for (const table of tables) shape(db, reader, table)
    mark(db)
  }).immediate()
}

/**
 * Columns and keys are pure functions of the rows, so a table of another shape needs no migration of its own: its rows
 * are filed anew. That is also done for each release, whose functions may give other values in the same shape.
 */
function shape(db: Connection, reader: Connection, table: Table<object>): void {
  const { name } = table
  const ddl = definitionOf(table)
  const made = `${product.version}\n${ddl}`
  const former = db.prepare('SELECT value FROM meta WHERE name = ?').pluck().get(`table ${name}`)
  if (former === made) return
  db.exec(
    `DROP TABLE IF EXISTS ${name}; DROP TABLE IF EXISTS ${name}_keys; DROP TABLE IF EXISTS ${name}_totals; ${ddl}`,
  )
  if (former !== undefined) {
    const put = rowWriter(db, table)
    const rows = reader.prepare<[], { body: string; secret: string | null }>(`SELECT body, secret FROM ${name}`)
    for (const { body, secret } of rows.iterate()) put(JSON.parse(body), body, secret)
  }
  db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(`table ${name}`, made)
}

function definitionOf(table: Table<object>): string {
  const { name } = table
  const columns = columnsOf(table).map((column) => `${column} ${table.columns[column] ?? 'TEXT'}`)
  const indexes = table.indexes.map((index) => {
    const sorted = [...index, 'id'].map((column) => column.replace(/^-(.*)/, '$1 DESC'))
    return `CREATE INDEX ${name}_${index.join('_').replaceAll('-', '')} ON ${name} (${sorted.join(', ')});`
  })
  return [
    `CREATE TABLE ${name} (${['id TEXT PRIMARY KEY', 'body TEXT NOT NULL', 'secret TEXT', ...columns].join(', ')});`,
    ...indexes,
    table.deadline ? `CREATE INDEX ${name}_deadline ON ${name} (deadline, id) WHERE deadline IS NOT NULL;` : '',
    table.keys ? `CREATE TABLE ${name}_keys (key TEXT, row_id TEXT, PRIMARY KEY (key, row_id)) WITHOUT ROWID;` : '',
    table.keys ? `CREATE INDEX ${name}_keys_row ON ${name}_keys (row_id);` : '',
    table.totals ? `CREATE TABLE ${name}_totals (name TEXT PRIMARY KEY, total INTEGER NOT NULL) WITHOUT ROWID;` : '',
    ...(table.totals ?? []).map((column) => totalOf(name, column)),
  ].join('\n')
}

/** A running sum, kept by the database itself: it goes back with every savepoint. */
const totalOf = (table: string, column: string): string => {
  const on = (when: string, change: string) =>
    `CREATE TRIGGER ${table}_${column}_${when.split(' ')[0]?.toLowerCase()} AFTER ${when} ON ${table}
      BEGIN UPDATE ${table}_totals SET total = total + (${change}) WHERE name = '${column}'; END;`
  return [
    `INSERT INTO ${table}_totals VALUES ('${column}', 0);`,
    on('INSERT', `NEW.${column}`),
    on(`UPDATE OF ${column}`, `NEW.${column} - OLD.${column}`),
    on('DELETE', `-OLD.${column}`),
  ].join('\n')
}

export type RowWriter = (row: object, json: string, secret: string | null | undefined) => void

/** Puts rows of a table, filed under their columns and keys. An undefined secret leaves the one there is. */
export function rowWriter(db: Connection, table: Table<object>): RowWriter {
  const { name } = table
  const columns = columnsOf(table)
  const all = ['id', 'body', 'secret', ...columns]
  const upsert = (changed: string[]) =>
    db.prepare(`INSERT INTO ${name} (${all.join(', ')}) VALUES (${all.map(() => '?').join(', ')})
      ON CONFLICT (id) DO UPDATE SET ${changed.map((column) => `${column} = excluded.${column}`).join(', ')}`)
  const putKeeping = upsert(['body', ...columns])
  const putSecret = upsert(['body', 'secret', ...columns])
  const file = table.keys && keyWriter(db, table)
  return (row, json, secret) => {
    const id = table.id(row)
    const statement = secret === undefined ? putKeeping : putSecret
    statement.run(id, json, secret ?? null, ...valuesOf(table, row))
    file?.(id, new Set(table.keys?.(row)))
  }
}

function keyWriter(db: Connection, { name }: Table<object>): (id: string, keys: ReadonlySet<string>) => void {
  const read = db.prepare<[string], string>(`SELECT key FROM ${name}_keys WHERE row_id = ?`).pluck()
  const add = db.prepare(`INSERT INTO ${name}_keys (key, row_id) VALUES (?, ?)`)
  const remove = db.prepare(`DELETE FROM ${name}_keys WHERE key = ? AND row_id = ?`)
  return (id, keys) => {
    const former = new Set(read.all(id))
    for (const key of keys) if (!former.delete(key)) add.run(key, id)
    for (const key of former) remove.run(key, id)
  }
}

export function rowRemover(db: Connection, table: Table<object>): (id: string) => void {
  const row = db.prepare(`DELETE FROM ${table.name} WHERE id = ?`)
  const keys = table.keys && db.prepare(`DELETE FROM ${table.name}_keys WHERE row_id = ?`)
  return (id) => {
    row.run(id)
    keys?.run(id)
  }
}
