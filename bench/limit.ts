// What these packages can do with no rules at all, in one file: ws, zod and better-sqlite3 with group commit at
// synchronous=FULL. The figures of the daemon are to be read beside the figures of this, from the same run.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { type WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'

const home = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'agent-bridge-limit-'))
const db = new Database(join(home, 'limit.db'))
db.pragma('journal_mode = WAL')
db.pragma('synchronous = FULL')
db.pragma('wal_autocheckpoint = 16384')
db.exec('CREATE TABLE events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)')
const insert = db.prepare('INSERT INTO events VALUES (?, ?)')
const call = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id: z.number(),
  method: z.string(),
  params: z.record(z.string(), z.json()),
})
let seq = 0
let queue: Array<{ socket: WebSocket; id: number; params: unknown }> = []
const subscribers = new Set<WebSocket>()

function commit() {
  const batch = queue
  queue = []
  const bodies: string[] = []
  db.exec('BEGIN IMMEDIATE')
  for (const { params } of batch) {
    const body = JSON.stringify({ type: 'message.published', data: params })
    insert.run(++seq, body)
    bodies.push(`{"cursor":"e-${seq}",${body.slice(1)}`)
  }
  db.exec('COMMIT')
  for (const { socket, id } of batch) socket.send(`{"jsonrpc":"2.0","id":${id},"result":{"cursor":"e-${seq}"}}`)
  const rest = Buffer.from(`"events":[${bodies.join(',')}]}}`)
  for (const socket of subscribers) {
    socket.send(`{"jsonrpc":"2.0","method":"events","params":{"subscription":1,`, { fin: false })
    socket.send(rest, { binary: false })
  }
}

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false }, () => {
  const { port } = server.address() as { port: number }
  console.log(JSON.stringify({ url: `ws://127.0.0.1:${port}/ws`, token: 'none' }))
})
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    const { id, method, params } = call.parse(JSON.parse(data.toString()))
    if (method === 'event.subscribe') subscribers.add(socket)
    if (method !== 'message.publish') return socket.send(`{"jsonrpc":"2.0","id":${id},"result":{}}`)
    if (queue.push({ socket, id, params }) === 1) setImmediate(commit)
  })
})
process.on('SIGTERM', () => {
  db.close()
  rmSync(home, { recursive: true })
  process.exit(0)
})
