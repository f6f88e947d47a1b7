// kill -9 while events are being removed.

import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, makeHome, removeHome, seqOf, serveApart, until } from '../socket.js'

const test = suite('the wire: retention')

const LITTLE = { ms: 30 * 86_400_000, events: 1_000_000, bytes: 2_000_000 }

/** What lies in the database of a daemon that is gone. */
function look(home: string) {
  const db = new Database(join(home, 'workspaces', 'default.db'))
  try {
    const meta = (name: string) => db.prepare('SELECT value FROM meta WHERE name = ?').pluck().get(name)
    const events = db.prepare('SELECT count(*) AS count, min(seq) AS first, max(seq) AS last FROM events').get()
    return {
      integrity: db.pragma('integrity_check', { simple: true }),
      earliest: Number(meta('earliest') ?? 0),
      epoch: meta('epoch'),
      ...(events as { count: number; first: number; last: number }),
    }
  } finally {
    db.close()
  }
}

test('killed while it trims, a daemon leaves a log without a gap, and goes on', async () => {
  const home = makeHome()
  const text = 'x'.repeat(20_000)
  let before = { earliest: 0, epoch: undefined as unknown }
  for (let life = 0; life < 3; life++) {
    const daemon = await serveApart(home, LITTLE)
    const wire = await connect(daemon, { agent: 'writer', open: { oneShot: true } })
    let last = 0
    let going = true
    const writing = (async () => {
      while (going) last = seqOf((await wire.ask('message.publish', { topic: 't', text })).cursor)
    })().catch(() => {})
    await until(async () => seqOf((await wire.ask('bridge.status')).earliest) > before.earliest + 50, 'events to go')
    daemon.child.kill('SIGKILL')
    going = false
    await daemon.ended
    await writing
    const found = look(home)
    assert.is(found.integrity, 'ok')
    assert.is(found.first, found.earliest + 1, 'what is removed and what is told to be are one')
    assert.is(found.count, found.last - found.earliest, 'no gap')
    assert.ok(found.last >= last, 'nothing acknowledged is lost')
    assert.ok(found.earliest > before.earliest)
    if (before.epoch !== undefined) assert.is(found.epoch, before.epoch)
    before = found
  }
  removeHome(home)
})

test.run()
