import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Event } from '../../src/protocol/event.js'
import {
  connect,
  type DaemonProcess,
  type Message,
  makeHome,
  removeHome,
  seqOf,
  serveApart,
  until,
  type Wire,
} from '../socket.js'

const ROUNDS = 5
const CALLERS = 4

const test = suite('the wire: kill -9 under load')
const home = makeHome()
let daemon: DaemonProcess

test.before(async () => {
  daemon = await serveApart(home)
})
test.after(async () => {
  daemon.child.kill('SIGKILL')
  await daemon.ended
  removeHome(home)
})

/** A command that somebody made, under a key, and what came of it. */
interface Made {
  key: string
  agent: string
  method: 'message.publish' | 'contract.create'
  params: object
  answer?: Message
}

/** Makes commands, many at a time, until the socket breaks. */
async function load(wire: Wire, agent: string, round: number, made: Made[]): Promise<void> {
  let broken = false
  wire.closed.then(() => {
    broken = true
  })
  for (let n = 0; !broken; n += 32) {
    const calls = Array.from({ length: 32 }, async (_, k) => {
      const key = `${agent} ${round} ${n + k}`
      const method = k % 8 === 0 ? 'contract.create' : 'message.publish'
      const params = { idempotencyKey: key, ...(k % 8 === 0 ? { title: key } : { topic: 'load', text: key }) }
      const entry: Made = { key, agent, method, params }
      made.push(entry)
      entry.answer = await wire.call(method, params)
    })
    await Promise.allSettled(calls)
  }
}

/** What an event was made by, where it is one of ours. */
function keyOf({ type, data }: Event): string | undefined {
  if (type === 'message.published') return (data.message as { text: string }).text
  if (type === 'contract.created') return (data.contract as { title: string }).title
  return undefined
}

/** Where a message is in the log, by the answer to its publishing; contracts do not say. */
const cursorOf = (answer: Message | undefined) => (answer?.result as { cursor?: string } | undefined)?.cursor

async function readLog(wire: Wire, after: string): Promise<Event[]> {
  const log: Event[] = []
  for (let from = after; ; ) {
    const { events, cursor, head } = await wire.ask('event.read', { after: from, limit: 1_000 })
    log.push(...(events as Event[]))
    if (cursor === head) return log
    from = cursor
  }
}

test(`${ROUNDS} times: nothing acknowledged is lost, nothing is there twice, and the log has no gap`, async () => {
  const made: Made[] = []
  let epoch = ''
  for (let round = 0; round < ROUNDS; round++) {
    const agents = Array.from({ length: CALLERS }, (_, n) => `caller-${n}`)
    const callers = await Promise.all(agents.map((agent) => connect(daemon, { agent })))
    const follower = await connect(daemon, { agent: 'follower' })
    await follower.ask('event.subscribe', { after: 'earliest' })
    const from = made.length
    const loads = callers.map((wire, n) => load(wire, agents[n] as string, round, made))
    // Killed at another moment each time.
    const answered = () => made.slice(from).filter(({ answer }) => answer).length
    await until(() => answered() >= 200 + round * 151, 'enough to be under way')
    daemon.child.kill('SIGKILL')
    assert.is(await daemon.ended, 'SIGKILL')
    assert.is(daemon.complaints(), '')
    await Promise.all(loads)
    const told = follower.events()

    daemon = await serveApart(home)
    const wire = await connect(daemon, { agent: 'reader' })
    const opening = await wire.ask('bridge.status')
    epoch ||= opening.epoch
    assert.is(opening.epoch, epoch, 'the history goes on')
    const log = await readLog(wire, 'earliest')
    const places = new Map<string, number>()
    for (const [index, event] of log.entries()) {
      assert.is(event.cursor, `${epoch}-${index + 1}`, 'no gap')
      const key = keyOf(event)
      if (key === undefined) continue
      assert.not(places.has(key), `${key} is there once`)
      places.set(key, index + 1)
    }
    assert.equal(told, log.slice(0, told.length), 'whoever followed was told nothing that is not in the log')
    const acknowledged = made.filter(({ answer }) => answer)
    for (const { key, answer } of acknowledged) {
      assert.is(answer?.error, undefined)
      assert.ok(places.has(key), `${key} was acknowledged`)
      const cursor = cursorOf(answer)
      if (cursor !== undefined) assert.is(seqOf(cursor), places.get(key))
    }
    await retry(made, places, wire)
    await checkReplays(wire, log.length)
    await wire.close()
  }
})

/** Makes every unanswered command again under its key: it has effect once, whether or not it had before. */
async function retry(made: Made[], places: ReadonlyMap<string, number>, reader: Wire): Promise<void> {
  const agents = new Map<string, Wire>()
  const { head } = await reader.ask('bridge.status')
  // Some that were answered as well: they are answered as the first time.
  const again = made.filter(({ answer }, index) => !answer || index % 97 === 0)
  for (const entry of again) {
    const wire = agents.get(entry.agent) ?? (await connect(daemon, { agent: entry.agent, open: { oneShot: true } }))
    agents.set(entry.agent, wire)
    const answer = await wire.call(entry.method, entry.params)
    assert.is(answer.error, undefined, entry.key)
    if (entry.answer) assert.equal(answer.result, entry.answer.result, `${entry.key} is answered as the first time`)
    else if (entry.method === 'message.publish' && places.has(entry.key)) {
      assert.is(seqOf(cursorOf(answer) ?? ''), places.get(entry.key), 'it had happened')
    }
    entry.answer = answer
  }
  const fresh = (await readLog(reader, head)).map(keyOf)
  for (const entry of again) {
    const times = (places.has(entry.key) ? 1 : 0) + fresh.filter((key) => key === entry.key).length
    assert.is(times, 1, `${entry.key} has effect once`)
  }
  await Promise.all([...agents.values()].map((wire) => wire.close()))
}

/** A replay from any earlier cursor is the rest of the log, without a gap. */
async function checkReplays(wire: Wire, length: number): Promise<void> {
  const { head, epoch } = await wire.ask('bridge.status')
  const whole = await readLog(wire, 'earliest')
  for (const part of [0, 1, 0.13, 0.77]) {
    const seq = Math.floor(length * part)
    const on = await connect(daemon, { agent: 'replayer', open: { oneShot: true } })
    const { cursor } = await on.ask('event.subscribe', { after: `${epoch}-${seq}` })
    while (seqOf(on.frames().at(-1)?.cursor ?? '0-0') < seqOf(head)) await on.next()
    let told = cursor
    for (const frame of on.frames()) {
      assert.is(frame.prev, told)
      told = frame.cursor
    }
    assert.equal(on.events().slice(0, whole.length - seq), whole.slice(seq))
    await on.close()
  }
}

test.run()
