import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, serve, until, type Wire, within } from '../socket.js'

const test = suite('the wire: sessions')
const daemon = await serve()
const watcher = await connect(daemon, { agent: 'watcher' })
let names = 0

test.after(async () => {
  await watcher.close()
  await daemon.stop()
})

interface Opened {
  wire: Wire
  agent: string
  session: string
  resumeKey: string
}

async function open(agent = `agent-${++names}`, more: object = {}): Promise<Opened> {
  const wire = await connect(daemon)
  const { session, resumeKey = '' } = await wire.ask('session.open', { agent, ...more })
  return { wire, agent, session, resumeKey }
}

/** Opens a session on a new socket as a resumption of another. */
async function resume(agent: string, session: string, resumeKey: string) {
  const wire = await connect(daemon)
  return { wire, result: await wire.ask('session.open', { agent, resume: { session, resumeKey } }) }
}

const isOnline = async (name: string) =>
  (await watcher.ask('agent.list', { online: true, limit: 1_000 })).items.some(({ agent }) => agent === name)

/** Types of the events about an agent, and what they say of their reason. */
async function story(agent: string): Promise<string[]> {
  const told: string[] = []
  for (let from = 'earliest'; ; ) {
    const { events, cursor, head } = await watcher.ask('event.read', { after: from, types: ['agent.*'], limit: 1_000 })
    for (const { subject, type, data } of events) {
      if (subject === agent) told.push(`${type.split('.')[1]}${data.reason ? ` ${data.reason}` : ''}`)
    }
    if (cursor === head) return told
    from = cursor
  }
}

test('a session is resumed on another socket with its key, and what hangs on it is kept', async () => {
  const { wire, agent, session, resumeKey } = await open()
  const { lockId } = await wire.ask('lock.acquire', { resources: [{ resource: 'port:10' }] })
  wire.socket.terminate()
  await until(async () => !(await isOnline(agent)), 'the loss to be noticed')
  const again = await resume(agent, session, resumeKey)
  assert.is(again.result.resumed, true)
  assert.is(again.result.session, session)
  assert.is(again.result.resumeKey, resumeKey, 'the key does not change')
  const { items } = await again.wire.ask('lock.list', { holder: agent })
  assert.equal(
    items.map((lock) => lock.lockId),
    [lockId],
  )
  assert.equal(await story(agent), ['registered', 'connected', 'disconnected dropped', 'connected'])
  await again.wire.close()
})

test('a wrong key, the session of another, or one that never was, gives a new session', async () => {
  const mine = await open()
  const other = await open()
  for (const [agent, session, key] of [
    [mine.agent, mine.session, 'wrong'],
    [mine.agent, mine.session, ''],
    [mine.agent, mine.session, other.resumeKey],
    [mine.agent, other.session, other.resumeKey],
    [mine.agent, 'ses_never', mine.resumeKey],
    [mine.agent, '__proto__', mine.resumeKey],
    [mine.agent, 'constructor', ''],
  ] as const) {
    const { wire, result } = await resume(agent, session, key)
    assert.is(result.resumed, false, `${session} ${key}`)
    assert.not.equal(result.session, session)
    assert.not.equal(result.resumeKey, key)
    await wire.close()
  }
  assert.ok(await mine.wire.ask('bridge.status'), 'nobody was thrown out')
  assert.ok(await other.wire.ask('bridge.status'))
  await mine.wire.close()
  await other.wire.close()
})

test('a session that said goodbye cannot be resumed', async () => {
  const { wire, agent, session, resumeKey } = await open()
  await wire.ask('session.close')
  assert.is((await within(wire.closed, 'the daemon to hang up')).code, 1000)
  const again = await resume(agent, session, resumeKey)
  assert.is(again.result.resumed, false)
  await again.wire.close()
})

test('session.close lets go at once of what hangs on the session', async () => {
  const { wire, agent } = await open()
  await wire.ask('lock.acquire', { resources: [{ resource: 'port:11' }] })
  const { id: contractId } = await watcher.ask('contract.create', { title: 'x' })
  await wire.ask('contract.accept', { contractId })
  await wire.ask('session.close')
  await within(wire.closed, 'the daemon to hang up')
  assert.equal((await watcher.ask('lock.list', { holder: agent })).items, [])
  assert.is((await watcher.ask('contract.get', { contractId })).status, 'submitted')
  assert.equal(await story(agent), ['registered', 'connected', 'disconnected closed'])
})

test('what is sent behind session.close, in one go with it, has no effect', async () => {
  const { wire, agent } = await open()
  const { id: contractId } = await watcher.ask('contract.create', { title: 'not for the dead' })
  wire.send({ jsonrpc: '2.0', id: 1, method: 'session.close' })
  wire.send({ jsonrpc: '2.0', id: 2, method: 'contract.accept', params: { contractId } })
  wire.send({ jsonrpc: '2.0', id: 3, method: 'lock.acquire', params: { resources: [{ resource: 'port:16' }] } })
  wire.send({ jsonrpc: '2.0', id: 4, method: 'session.open', params: { agent } })
  assert.is((await within(wire.closed, 'the daemon to hang up')).code, 1000)
  await watcher.ask('message.publish', { topic: 't', text: 'so that what follows has happened' })
  assert.is((await watcher.ask('contract.get', { contractId })).status, 'submitted')
  assert.equal((await watcher.ask('lock.list', { holder: agent })).items, [])
  assert.equal(await story(agent), ['registered', 'connected', 'disconnected closed'])
})

test('who waits for work and says goodbye as it comes does not take it along', async () => {
  for (let round = 0; round < 20; round++) {
    const { wire, agent } = await open()
    wire.call('contract.next', { waitMs: 60_000 })
    await wire.ask('bridge.status')
    const offer = { jsonrpc: '2.0', method: 'contract.create', params: { title: 'x', tags: [agent] } }
    // Work for the writer, so that the goodbye is in the batch in which the waiting call is run again.
    for (let n = 0; n < 255; n++)
      watcher.send({ jsonrpc: '2.0', method: 'message.publish', params: { topic: 't', text: 'x' } })
    watcher.send(offer)
    wire.send({ jsonrpc: '2.0', id: 'bye', method: 'session.close' })
    await within(wire.closed, 'the daemon to hang up')
    await watcher.ask('message.publish', { topic: 't', text: 'so that what follows has happened' })
    const { items } = await watcher.ask('contract.list', { tag: agent })
    assert.is(items[0]?.status, 'submitted', `round ${round}`)
  }
})

test('without grace what hangs on a session is lost with its socket', async () => {
  const { wire, agent, session, resumeKey } = await open(undefined, { graceMs: 0 })
  await wire.ask('lock.acquire', { resources: [{ resource: 'port:12' }] })
  wire.socket.terminate()
  await until(async () => (await story(agent)).includes('lost'), 'the session to be lost')
  assert.equal((await watcher.ask('lock.list', { holder: agent })).items, [])
  const again = await resume(agent, session, resumeKey)
  assert.is(again.result.resumed, false)
  await again.wire.close()
})

test('with grace nobody else gets what a dropped session holds', async () => {
  const { wire, agent } = await open(undefined, { graceMs: 60_000 })
  const resources = [{ resource: 'port:13' }]
  await wire.ask('lock.acquire', { resources })
  wire.socket.terminate()
  await until(async () => !(await isOnline(agent)), 'the loss to be noticed')
  assert.is(await watcher.refused('lock.acquire', { resources }), 'LOCK_CONFLICT')
})

test('a newer socket takes the session over: the older is closed with 4409 and is heard no more', async () => {
  const first = await open()
  const { agent, session, resumeKey } = first
  await first.wire.ask('event.subscribe')
  const holder = await open()
  const resources = [{ resource: 'port:14' }]
  await holder.wire.ask('lock.acquire', { resources })
  first.wire.call('lock.acquire', { resources, waitMs: 60_000 })
  await until(async () => (await watcher.ask('bridge.status')).waiters === 1, 'it to wait')
  const subscriptions = (await watcher.ask('bridge.status')).subscriptions
  const second = await resume(agent, session, resumeKey)
  assert.is(second.result.resumed, true)
  const { code, reason } = await within(first.wire.closed, 'the older to be closed')
  assert.is(code, 4409)
  assert.match(reason, 'resumed on another socket')
  await until(async () => (await watcher.ask('bridge.status')).waiters === 0, 'its waiting to end')
  assert.is((await watcher.ask('bridge.status')).subscriptions, subscriptions - 1)
  assert.ok(await second.wire.ask('agent.update', { note: 'here' }))
  assert.ok(await isOnline(agent), 'the end of the older socket is not the end of the session')
  assert.equal(await story(agent), ['registered', 'connected', 'connected', 'updated'])
  await second.wire.close()
  await until(async () => !(await isOnline(agent)), 'the newer to be noticed gone')
  await holder.wire.close()
})

test('of two sockets that resume one session at the same moment one is left, and the session lives on', async () => {
  for (let round = 0; round < 20; round++) {
    const { wire, agent, session, resumeKey } = await open(undefined, { graceMs: 0 })
    await wire.ask('lock.acquire', { resources: [{ resource: `port:${100 + round}` }] })
    const rivals = await Promise.all([connect(daemon), connect(daemon)])
    // Work for the writer, so that both are in its next batch.
    for (let n = 0; n < 300; n++)
      watcher.send({ jsonrpc: '2.0', method: 'message.publish', params: { topic: 't', text: 'x' } })
    const opened = rivals.map((rival) => rival.call('session.open', { agent, resume: { session, resumeKey } }))
    const ends = await Promise.all(
      rivals.map((rival, index) =>
        Promise.race([
          rival.closed.then(({ code }) => code),
          opened[index]!.then(() => rival.call('bridge.status')).then(
            () => 'in',
            () => 'out',
          ),
        ]),
      ),
    )
    await until(
      () => rivals.filter(({ socket }) => socket.readyState !== socket.OPEN).length === 1,
      `one of ${ends} to be closed`,
    )
    const survivor = rivals.find(({ socket }) => socket.readyState === socket.OPEN) as Wire
    await survivor.ask('agent.update', { note: 'alive' })
    await watcher.ask('message.publish', { topic: 't', text: 'so that what follows has happened' })
    assert.ok(await isOnline(agent), `round ${round}`)
    assert.is((await survivor.ask('lock.list', { holder: agent })).items.length, 1, `round ${round}: it keeps its lock`)
    await survivor.ask('session.close')
  }
})

test('a socket that is gone before its session is open leaves no session behind that seems to live', async () => {
  for (let round = 0; round < 20; round++) {
    const agent = `ghost-${round}`
    const wire = await connect(daemon)
    wire.send({ jsonrpc: '2.0', id: 1, method: 'session.open', params: { agent, graceMs: 0 } })
    wire.send({ jsonrpc: '2.0', id: 2, method: 'message.publish', params: { topic: 't', text: 'x' } })
    await new Promise((resolve) => setImmediate(resolve))
    wire.socket.terminate()
  }
  await watcher.ask('message.publish', { topic: 't', text: 'x' })
  await until(
    async () =>
      (await watcher.ask('agent.list', { online: true, limit: 1_000 })).items.every(
        ({ agent }) => !agent.startsWith('ghost'),
      ),
    'the ghosts to go',
  )
})

test('a oneShot session is not kept: it has no key, and nothing is lost with it', async () => {
  const wire = await connect(daemon)
  const { resumeKey } = await wire.ask('session.open', { agent: 'visitor', oneShot: true })
  assert.is(resumeKey, undefined)
  const lock = await wire.ask('lock.acquire', { resources: [{ resource: 'port:15' }] })
  assert.ok(lock.expiresAt, 'its locks are timed')
  await wire.close()
  assert.is((await watcher.ask('lock.list', { holder: 'visitor' })).items.length, 1)
  assert.equal(await story('visitor'), ['registered'])
})

test('one agent has a limited number of sessions', async () => {
  const wires: Wire[] = []
  for (let n = 0; n < 32; n++) wires.push((await open('many')).wire)
  const wire = await connect(daemon)
  assert.is(await wire.refused('session.open', { agent: 'many' }), 'OVERLOADED')
  await wires[0]?.ask('session.close')
  assert.is((await wire.ask('session.open', { agent: 'many' })).resumed, false)
  for (const each of [...wires, wire]) each.socket.terminate()
})

test.run()
