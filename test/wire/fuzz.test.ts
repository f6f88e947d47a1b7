import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../../src/bridge/index.js'
import {
  connect,
  type DaemonProcess,
  type Message,
  makeHome,
  removeHome,
  serveApart,
  until,
  type Wire,
} from '../socket.js'

// Calls made of whatever comes to hand. None of them may be a fault of the daemon's, and each is answered once.

const CALLS = 6_000
const SOCKETS = 6

const test = suite('the wire: calls at random')
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

/** The same numbers for the same seed. */
function createDice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

/** Values for each parameter that are sometimes right, and values for any. */
function createValues(roll: (sides: number) => number, known: Map<string, unknown[]>) {
  const any = [
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    2 ** 53,
    1e300,
    '',
    'x',
    '*',
    'earliest',
    [],
    {},
    [null],
    [[]],
    { a: 1 },
  ]
  const resource = () => ({
    resource: pick([
      'port:1',
      'file:src/**',
      'file:src/a.ts',
      'file:{a,b}/[a-z]*',
      'file:/etc',
      'file:[',
      'x',
      'file:**',
      'db:é',
    ]),
    ...(roll(2) > 0 && { mode: pick(['shared', 'exclusive', 'both']) }),
    ...(roll(4) === 0 && { literal: true }),
  })
  const wanted = ['accepted', 'working', 'in_progress', 'completed', 'failed', 'canceled', 'submitted', 'rejected']
  const schema = () =>
    pick<unknown>([{ type: 'string' }, { items: { anyOf: [{ const: 1 }] } }, { pattern: '(a+)+' }, { type: 1 }, {}])
  const usual: Record<string, () => unknown> = {
    agent: () => pick(['fuzz-0', 'fuzz-1', 'nobody']),
    to: () => pick(['fuzz-0', 'nobody', ['fuzz-0', 'fuzz-1'], ['fuzz-0', 'fuzz-0'], []]),
    capability: () => pick(['typescript', 'none']),
    capabilities: () => pick([['typescript'], [], ['a', 'a']]),
    topic: () => pick(['a', 'a.b', 'a..b', '>']),
    topics: () => pick([['a'], ['a.>'], ['*'], ['>.a'], []]),
    types: () => pick([['*'], ['contract.*'], ['lock.acquired'], ['x']]),
    text: () => 'text',
    requireAck: () => roll(2) > 0,
    ackWithinMs: () => pick([1_000, 999]),
    threadId: () => pick(known.get('messageId') ?? ['msg_x']),
    query: () => pick(['text', '"a', 'te*', 'OR', '(', 'text text']),
    maxChars: () => pick([2_000, 6_000, 10]),
    ephemeral: () => roll(2) > 0,
    title: () => pick(['title', ' ', 'x'.repeat(200)]),
    contract: () => ({ title: 'in a message', ...(roll(2) > 0 && { resources: [resource()] }) }),
    resources: () => Array.from({ length: roll(4) }, resource),
    resource: () => resource().resource,
    waitMs: () => pick([0, 1, 20]),
    ttlMs: () => pick([1_000, 60_000]),
    attempt: () => pick([1, 1, 1, 2, 3]),
    ifGeneration: () => pick([1, 2, 3]),
    maxAttempts: () => pick([1, 3]),
    retryBackoffMs: () => pick([0, 1]),
    notBefore: () => pick(['2000-01-01T00:00:00.000Z', new Date(Date.now() + 20).toISOString(), 'now']),
    error: () => ({ reason: 'X', message: 'x', ...(roll(2) > 0 && { retryable: roll(2) > 0 }) }),
    after: () => pick(['earliest', 'latest', 'x-1']),
    limit: () => pick([1, 2, 1_000]),
    status: () => pick([['submitted'], ['working', 'failed'], ['x'], ...wanted]),
    dueAt: () => pick([new Date(Date.now() + 20).toISOString(), '2000-01-01T00:00:00.000Z', null]),
    dependsOn: () => [pick(known.get('contractId') ?? ['ctr_x']), 'ctr_x'].slice(roll(2)),
    parentId: () => pick(known.get('contractId') ?? ['ctr_x']),
    checks: () => [{ name: 'a', command: 'b', ...(roll(2) > 0 && { verifier: pick(['other', 'me']) }) }],
    requests: () => [
      { key: pick(['a', 'b']), prompt: '?', ...(roll(2) > 0 && { schema: schema(), default: pick(any) }) },
    ],
    responses: () => pick([{ a: 1 }, { b: null }, { a: 'x', b: [] }, {}]),
    deadlineMs: () => pick([1_000, 60_000]),
    state: () => pick(['read', 'acked', 'held', 'waiting', 'unread', 'all', 'awaiting', 'overdue']),
    idempotencyKey: () => pick(['k1', 'k2', `k${roll(1_000)}`]),
    progress: () => pick([0, 0.5, 1, 2]),
    metadata: () => pick([{}, { a: null }, { a: { b: [1, '2', {}] } }]),
    artifacts: () => [{ name: 'a', text: 'b' }],
    evidence: () => [{ check: 'a', command: 'b', exitCode: 0 }],
    token: () => pick([1, 2, ...((known.get('token') ?? []) as number[])]),
    messageIds: () => [pick(known.get('messageId') ?? ['msg_x'])],
    subscription: () => 1 + roll(5),
  }
  function pick<Value>(values: Value[]): Value {
    return values[roll(values.length)] as Value
  }
  return (name: string): unknown => {
    if (roll(12) === 0) return pick(any)
    const seen = known.get(name)
    if (seen && seen.length > 0 && roll(8) > 0) return pick(seen.slice(-12))
    return usual[name]?.() ?? pick(any)
  }
}

test(`${CALLS} calls at random on ${SOCKETS} sockets: no fault, and one answer each`, async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  console.log(`seed ${seed}: SEED=${seed} npx tsx test/wire/fuzz.test.ts`)
  const roll = createDice(seed)
  const known = new Map<string, unknown[]>()
  const makeValue = createValues(roll, known)
  const names = [...methods.keys()].filter((name) => name !== 'session.close' && name !== 'rpc.discover')
  const wires = await Promise.all(
    Array.from({ length: SOCKETS }, (_, n) =>
      connect(daemon, { agent: `fuzz-${n}`, open: { capabilities: ['typescript'] } }),
    ),
  )
  const answers: Message[] = []
  const learn = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [name, item] of Object.entries(value)) {
      const as = name === 'id' ? 'contractId' : name
      if (['contractId', 'messageId', 'lockId', 'token', 'nextPage', 'cursor'].includes(as)) {
        const list = known.get(as === 'nextPage' ? 'page' : as === 'cursor' ? 'after' : as) ?? []
        known.set(as === 'nextPage' ? 'page' : as === 'cursor' ? 'after' : as, [...list, item].slice(-40))
      } else learn(item)
    }
  }
  const makeCall = async (wire: Wire) => {
    const method = methods.get(names[roll(names.length)] as string)
    const shape = Object.entries(method?.params.shape ?? {})
    const params: Record<string, unknown> = {}
    for (const [name, schema] of shape) {
      const optional = (schema as { safeParse(value: unknown): { success: boolean } }).safeParse(undefined).success
      if (optional ? roll(4) === 0 : roll(30) > 0) params[name] = makeValue(name)
    }
    const answer = await wire.call(method?.name ?? '', params)
    answers.push(answer)
    learn(answer.result)
    assert.is.not(answer.error?.data.reason, 'INTERNAL', `${method?.name} ${JSON.stringify(params)}`)
  }
  for (let round = 0; round < CALLS / (SOCKETS * 20); round++) {
    await Promise.all(wires.flatMap((wire) => Array.from({ length: 20 }, () => makeCall(wire))))
  }
  assert.is(answers.length, CALLS)
  const refused = answers.filter(({ error }) => error).length
  assert.ok(refused > CALLS / 20 && refused < (CALLS * 19) / 20, `${refused} of ${CALLS} refused: neither all nor none`)
  await checkWhole(wires[0] as Wire)
  await Promise.all(wires.map((wire) => wire.close()))
  assert.is(daemon.complaints(), '')
  assert.is(daemon.child.exitCode, null)
})

/** The stream still tells the whole log. */
async function checkWhole(wire: Wire): Promise<void> {
  const { subscription, head } = await wire.ask('event.subscribe', { after: 'earliest' })
  await until(() => wire.frames(subscription).some(({ cursor }) => cursor === head), 'the log')
  let told = wire.frames(subscription)[0]?.prev
  for (const { prev, cursor } of wire.frames(subscription)) {
    assert.is(prev, told)
    told = cursor
  }
}

test.run()
