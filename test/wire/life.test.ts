import { existsSync, writeFileSync } from 'node:fs'
import { connect as connectRaw } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type DaemonProcess, makeHome, removeHome, seqOf, serveApart, until, within } from '../socket.js'

const test = suite('the wire: the end of a daemon, and its next life')
let home: string
const daemons: DaemonProcess[] = []

test.before.each(() => {
  home = makeHome()
})
test.after.each(async () => {
  // Where a test has failed in the middle.
  for (const { child } of daemons) child.kill('SIGKILL')
  await Promise.all(daemons.splice(0).map(({ ended }) => ended))
  removeHome(home)
})

async function start(): Promise<DaemonProcess> {
  const daemon = await serveApart(home)
  daemons.push(daemon)
  return daemon
}

test('SIGTERM: what waits is answered, sockets are closed with 1001, and the process ends by itself with 0', async () => {
  const daemon = await start()
  assert.ok(existsSync(join(home, 'daemon.json')))
  const holder = await connect(daemon, { agent: 'holder' })
  const waiter = await connect(daemon, { agent: 'waiter' })
  const idle = await connect(daemon)
  // One that was refused and keeps its half of the connection open, and one that asks nothing.
  const halves = [`GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`, ''].map(
    (text) => {
      const half = connectRaw({ host: '127.0.0.1', port: Number(new URL(daemon.http).port), allowHalfOpen: true })
      half.on('error', () => {})
      half.resume()
      if (text) half.write(text)
      return half
    },
  )
  const resources = [{ resource: 'port:1' }]
  await holder.ask('lock.acquire', { resources })
  await holder.ask('event.subscribe', { after: 'earliest' })
  const waiting = [
    waiter.call('lock.acquire', { resources, waitMs: 60_000 }),
    waiter.call('contract.next', { waitMs: 60_000 }),
    waiter.call('event.read', { after: (await waiter.ask('bridge.status')).head, types: ['bridge.*'], waitMs: 50_000 }),
    waiter.call('message.inbox', { waitMs: 50_000 }),
  ]
  await waiter.ask('bridge.status')
  // Sent, but nobody has waited for them: each is answered one way or the other.
  const pressing = Array.from({ length: 500 }, () => holder.call('message.publish', { topic: 'last', text: 'words' }))
  daemon.child.kill('SIGTERM')
  for (const { error } of await Promise.all(waiting)) assert.is(error?.data.reason, 'SHUTTING_DOWN')
  const ends = await Promise.all([holder, waiter, idle].map((wire) => wire.closed))
  assert.equal(
    ends.map(({ code }) => code),
    [1001, 1001, 1001],
  )
  assert.is(await within(daemon.ended, 'the process to end by itself'), 0)
  assert.is(daemon.complaints(), '')
  assert.not(existsSync(join(home, 'daemon.json')))
  for (const half of halves) half.destroy()
  const answers = (await Promise.allSettled(pressing)).flatMap((each) =>
    each.status === 'fulfilled' ? each.value : [],
  )
  for (const { error } of answers) assert.ok(error === undefined || error.data.reason === 'SHUTTING_DOWN')
})

test('the next life: sessions are resumed, locks are held, and nobody waits any longer', async () => {
  const first = await start()
  const holder = await connect(first)
  const opened = await holder.ask('session.open', { agent: 'keeper' })
  const resources = [{ resource: 'port:2' }]
  const lock = await holder.ask('lock.acquire', { resources })
  const { id: contractId } = await holder.ask('contract.create', { title: 'goes on' })
  await holder.ask('contract.accept', { contractId })
  const waiter = await connect(first, { agent: 'waiter' })
  waiter.call('lock.acquire', { resources, waitMs: 60_000 })
  await until(async () => (await waiter.ask('bridge.status')).waiters === 1, 'it to wait')
  const { head } = await waiter.ask('bridge.status')
  first.child.kill('SIGKILL')
  await first.ended
  assert.ok(existsSync(join(home, 'daemon.json')), 'nothing was tidied up')

  const second = await start()
  assert.is(second.token, first.token)
  assert.not.equal(second.url, first.url)
  const again = await connect(second)
  const { session, resumeKey = '' } = opened
  const { resumed, epoch } = await again.ask('session.open', { agent: 'keeper', resume: { session, resumeKey } })
  assert.is(resumed, true)
  assert.is(epoch, opened.epoch)
  const { items } = await again.ask('lock.list', {})
  assert.equal(
    items.map(({ lockId, state, token }) => ({ lockId, state, token })),
    [{ lockId: lock.lockId, state: 'held', token: lock.token }],
  )
  assert.is((await again.ask('contract.get', { contractId })).owner, 'keeper')
  await again.ask('event.subscribe', { after: head })
  await until(() => again.events().some(({ type }) => type === 'agent.connected'), 'the log to go on')
  const types = again.events().map(({ type }) => type)
  assert.ok(types.includes('bridge.started'))
  assert.ok(types.includes('lock.abandoned'))
  assert.is(again.frames()[0]?.prev, head)
  await again.close()
  second.child.kill('SIGTERM')
  assert.is(await within(second.ended, 'its end'), 0)
})

test('a workspace that cannot be opened is refused to whoever asks for it, and the daemon serves the others', async () => {
  const daemon = await start()
  writeFileSync(join(home, 'workspaces', 'damaged.db'), 'this is no database '.repeat(1_000))
  const wire = await connect(daemon)
  for (const workspace of ['damaged', 'damaged']) {
    const { error } = await wire.call('session.open', { agent: 'a', workspace })
    assert.match(error?.message ?? '', /damaged/, 'and says what is wrong')
  }
  assert.ok(await wire.ask('session.open', { agent: 'a' }), 'the socket can still be opened')
  assert.is((await wire.ask('bridge.status')).workspace, 'default')
  const other = await connect(daemon, { agent: 'a', open: { workspace: 'new-one' } })
  assert.is((await other.ask('bridge.status')).workspace, 'new-one')
  assert.is(seqOf((await other.ask('bridge.status')).head), 3, 'with a log of its own')
  await wire.close()
  await other.close()
})

test('a second daemon in the same home is refused and says who is there; the first goes on', async () => {
  const first = await start()
  const complaint = await start().then(
    () => 'it started',
    (error: Error) => error.message,
  )
  assert.match(complaint, `pid ${first.child.pid}`)
  const wire = await connect(first, { agent: 'still' })
  assert.ok(existsSync(join(home, 'daemon.json')), 'the second has not taken it away')
  await wire.close()
  first.child.kill('SIGTERM')
  assert.is(await within(first.ended, 'its end'), 0)
})

test.run()
