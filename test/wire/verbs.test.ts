import { fork } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Contract, Status } from '../../src/bridge/contracts/row.js'
import type { Event } from '../../src/protocol/event.js'
import { connect, serve, type Wire, within } from '../socket.js'

// Two processes race through every verb of the same contracts; then the log is read, and has to be a life of each contract
// that the rules allow, in which every step is one that somebody was told of.

const CONTRACTS = 40
const CALLS = 1_600

const from: Record<string, readonly Status[]> = {
  accepted: ['submitted'],
  started: ['accepted'],
  progressed: ['accepted', 'working', 'input_required'],
  inputRequested: ['working'],
  inputProvided: ['input_required'],
  verified: ['working', 'input_required'],
  completed: ['working'],
  attemptFailed: ['accepted', 'working', 'input_required'],
  failed: ['accepted', 'working', 'input_required'],
  released: ['accepted', 'working', 'input_required'],
  rejected: ['submitted'],
  cancelRequested: ['accepted', 'working', 'input_required'],
  canceled: ['submitted', 'accepted', 'working', 'input_required'],
  retried: ['failed', 'rejected'],
  unblocked: ['submitted'],
}
const ownersOwn = ['started', 'progressed', 'inputRequested', 'completed', 'attemptFailed', 'released']

const test = suite('the wire: two processes race through every verb')
const daemon = await serve()
let operator: Wire

test.before(async () => {
  operator = await connect(daemon, { agent: 'operator' })
})
test.after(async () => {
  await operator.close()
  await daemon.stop()
})

type Tally = Record<string, number>

/** A process that races as an agent; its tally. */
function race(agent: string, token: string, seed: number, ids: readonly string[]): Promise<Tally> {
  const args = [daemon.url, token, agent, `${seed}`, `${CALLS}`, ids.join(',')]
  const child = fork(join(import.meta.dirname, '..', 'fixtures', 'racer.ts'), args, {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const told = new Promise<Tally>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Tally))
    child.once('exit', (code) => reject(new Error(`the racer ended with ${code}, and said nothing`)))
  })
  return within(told, `${agent} to have raced`, 60_000)
}

/** Half of the contracts are an agent's own: it may cancel and answer, where the other may not. */
async function offer(agent: string, token: string): Promise<string[]> {
  const wire = await connect({ url: daemon.url, token }, { agent })
  const ids: string[] = []
  for (let n = 0; n < CONTRACTS / 2; n++) {
    const verifier = n % 2 === 0 ? { verifier: 'other' as const } : {}
    const checks = [{ name: 'tests', command: 'c', ...verifier }]
    const assignee = n % 5 === 0 ? { assignee: 'left' } : {}
    const terms = { title: `task ${n}`, maxAttempts: 50, retryBackoffMs: 0, checks, ...assignee }
    ids.push((await wire.ask('contract.create', terms)).id)
  }
  await wire.close()
  return ids
}

async function readLog(): Promise<Event[]> {
  const events: Event[] = []
  for (let after = 'earliest'; ; ) {
    const page = await operator.ask('event.read', { after, types: ['contract.*'], limit: 1_000 })
    events.push(...page.events)
    if (page.cursor === page.head) return events
    after = page.cursor
  }
}

test(`${2 * CALLS} calls, ${CONTRACTS} contracts`, async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  console.log(`seed ${seed}: SEED=${seed} npx tsx test/wire/verbs.test.ts`)
  const left = (await operator.ask('token.create', { agent: 'left', role: 'agent' })).token
  const right = (await operator.ask('token.create', { agent: 'right', role: 'agent' })).token
  const ids = [...(await offer('left', left)), ...(await offer('right', right))]
  const tallies = await Promise.all([race('left', left, seed, ids), race('right', right, seed + 1, ids)])
  const told = (verb: string) => tallies.reduce((sum, tally) => sum + (tally[verb] ?? 0), 0)
  assert.is(told('INTERNAL') + told('INVALID_PARAMS'), 0, JSON.stringify(tallies))

  const events = await readLog()
  const rows = new Map<string, Contract>()
  for (const { type, actor, data } of events) {
    const contract = data.contract as Contract
    const before = rows.get(contract.id)
    const verb = type.replace('contract.', '')
    if (before && verb !== 'updated') checkStep(verb, actor, before, contract)
    assert.is(contract.generation, (before?.generation ?? 0) + 1, `${contract.id} at ${type}`)
    rows.set(contract.id, contract)
  }
  for (const id of ids) assert.equal(await operator.ask('contract.get', { contractId: id }), rows.get(id))
  const happened = (verb: string) => events.filter(({ type }) => type === `contract.${verb}`).length
  // Each of these has an effect whenever it is answered: as often was somebody told of it.
  assert.is(happened('started') + happened('inputProvided'), told('start') + told('provideInput') + told('setStatus'))
  assert.is(happened('inputRequested'), told('requestInput'))
  assert.is(happened('verified'), told('verify'))
  assert.is(happened('retried'), told('retry'))
  assert.ok(happened('started') > 0 && told('CLAIM_LOST') > 0 && told('STALE_ATTEMPT') > 0, JSON.stringify(tallies))
})

function checkStep(verb: string, actor: string, before: Contract, after: Contract): void {
  const what = `${before.id}: ${before.status} -> ${verb} by ${actor}`
  assert.ok(from[verb]?.includes(before.status), what)
  const attempts = before.attempt + (verb === 'accepted' ? 1 : 0)
  assert.is(after.attempt, attempts, what)
  if (verb === 'accepted') assert.is(after.owner, actor, what)
  if (ownersOwn.includes(verb)) assert.is(before.owner, actor, what)
  if (verb === 'verified') assert.is.not(before.owner, actor, what)
}

test.run()
