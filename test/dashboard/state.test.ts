// What the page makes of lists and events, without a browser.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { passesOf, typesOf } from '../../src/dashboard/filters.js'
import { activities, columns, deal, lineUp, waitsBehind } from '../../src/dashboard/state/derive.js'
import { cursorAt, lineOf, seqOf } from '../../src/dashboard/state/line.js'
import { kindOf, readAnswer } from '../../src/dashboard/state/question.js'
import { createRates, RATE_SECONDS } from '../../src/dashboard/state/rates.js'
import { hrefOf, parseInvitation, parseRoute, type Route } from '../../src/dashboard/state/route.js'
import type { Agent, Contract, Lock } from '../../src/dashboard/state/rows.js'
import {
  addLines,
  CARDS_MAX,
  clearState,
  createState,
  foldEvent,
  LINES_MAX,
  putContract,
  putLock,
  putWorker,
  type State,
  waitsFor,
} from '../../src/dashboard/state/state.js'
import { age, bytes, clockTime, count, counted, cut, duration, percentOf } from '../../src/dashboard/state/words.js'
import type { Event } from '../../src/protocol/event.js'

const NOW = '2026-03-01T12:00:00.000Z'

const contract = (fields: Partial<Contract> = {}): Contract =>
  ({
    id: 'ctr_1',
    title: 'Parse',
    createdBy: 'cursor',
    status: 'submitted',
    priority: 'normal',
    attempt: 0,
    failures: 0,
    maxAttempts: 3,
    generation: 1,
    createdAt: NOW,
    updatedAt: NOW,
    ...fields,
  }) as Contract

const lock = (fields: Partial<Lock> = {}): Lock => ({
  lockId: 'lck_1',
  state: 'held',
  holder: 'codex',
  resources: [{ resource: 'file:src/**', mode: 'exclusive' }],
  requestedAt: NOW,
  ...fields,
})

const agent = (fields: Partial<Agent> = {}): Agent => ({
  agent: 'codex',
  capabilities: [],
  presence: 'running',
  contracts: [],
  locks: [],
  lastSeenAt: NOW,
  ...fields,
})

let seq = 0
const event = (type: string, data: Record<string, unknown>, more: Partial<Event> = {}): Event => ({
  cursor: `e-${++seq}`,
  type,
  time: NOW,
  actor: 'codex',
  subject: 'ctr_1',
  data,
  ...more,
})

const state = suite<{ state: State }>('dashboard state')

state.before.each((world) => {
  world.state = createState()
  seq = 0
})

state('an event puts the row it carries, and adds a line', ({ state }) => {
  foldEvent(state, event('contract.created', { contract: contract() }, { actor: 'cursor' }))
  foldEvent(
    state,
    event('contract.accepted', {
      contract: contract({ status: 'accepted', owner: 'codex', attempt: 1, generation: 2 }),
    }),
  )
  assert.is(state.cards.get('ctr_1')?.status, 'accepted')
  assert.equal(
    state.lines.map(({ actor, text }) => `${actor} ${text}`),
    ['cursor asks for “Parse”', 'codex took “Parse”, attempt 1 of 3'],
  )
  assert.is(state.cursor, 'e-2')
})

state('an older row never replaces a newer one, and the same one changes nothing', ({ state }) => {
  putContract(state, contract({ generation: 5, status: 'completed' }))
  const version = state.versions.cards
  foldEvent(state, event('contract.started', { contract: contract({ generation: 4, status: 'working' }) }))
  foldEvent(state, event('contract.completed', { contract: contract({ generation: 5, status: 'completed' }) }))
  assert.is(state.cards.get('ctr_1')?.status, 'completed')
  assert.is(state.versions.cards, version)
})

state('a card keeps what it shows, and not what a page of its own asks for', ({ state }) => {
  putContract(state, contract({ description: 'x'.repeat(1_000), result: { large: true } }))
  assert.not.ok(Object.hasOwn(state.cards.get('ctr_1')!, 'description'))
  assert.not.ok(Object.hasOwn(state.cards.get('ctr_1')!, 'result'))
})

state('a lock that ended is gone, whether it was known or not', ({ state }) => {
  putLock(state, lock())
  foldEvent(state, event('lock.released', { lock: null, last: lock() }, { subject: 'lck_1' }))
  assert.is(state.locks.size, 0)
  foldEvent(state, event('lock.released', { lock: null, last: lock({ lockId: 'lck_9' }) }, { subject: 'lck_9' }))
  assert.is(state.locks.size, 0)
})

state('whom a request waits for: those before it that are still there', ({ state }) => {
  putLock(state, lock())
  putLock(state, lock({ lockId: 'lck_2', holder: 'gemini' }))
  const blockers = [
    { lockId: 'lck_1', holder: 'codex' },
    { lockId: 'lck_2', holder: 'gemini' },
  ]
  const waiting = lock({ lockId: 'lck_3', holder: 'claude', state: 'waiting' })
  foldEvent(state, event('lock.queued', { lock: waiting, position: 1, blockers }, { subject: 'lck_3' }))
  assert.equal(waitsFor(state, state.locks.get('lck_3')!), ['codex', 'gemini'])
  assert.ok(waitsBehind(state.locks.get('lck_3')!, state.locks.get('lck_1')!))
  foldEvent(state, event('lock.released', { lock: null }, { subject: 'lck_1' }))
  assert.equal(waitsFor(state, state.locks.get('lck_3')!), ['gemini'])
  foldEvent(state, event('lock.acquired', { lock: { ...waiting, state: 'held' } }, { subject: 'lck_3' }))
  assert.equal(waitsFor(state, state.locks.get('lck_3')!), [])
  assert.equal(
    lineUp(state).held.map(({ lockId }) => lockId),
    ['lck_2', 'lck_3'],
  )
})

state('a request that was listed waits for whom its agent was listed with', ({ state }) => {
  putWorker(state, agent({ agent: 'claude', waitingFor: ['codex'] }))
  putLock(state, lock({ lockId: 'lck_3', holder: 'claude', state: 'waiting' }))
  assert.equal(waitsFor(state, state.locks.get('lck_3')!), ['codex'])
  // An event of the agent does not say whom it waits for, and so does not change it.
  foldEvent(state, event('agent.updated', { agent: { ...agent({ agent: 'claude' }), sessions: [] } }))
  assert.equal(waitsFor(state, state.locks.get('lck_3')!), ['codex'])
})

state('an event that names an agent beside its row is no agent’s row', ({ state }) => {
  foldEvent(state, event('message.receiptChanged', { agent: 'human', state: 'read', message: { from: 'codex' } }))
  assert.is(state.workers.size, 0)
})

state('events are kept up to a bound, and so are contracts that have ended', ({ state }) => {
  const line = lineOf(event('contract.created', { contract: contract() }))
  for (let number = 0; number < 6; number++) addLines(state, Array(LINES_MAX / 2).fill(line))
  assert.ok(state.lines.length >= LINES_MAX && state.lines.length < 2 * LINES_MAX)
  for (let number = 0; number < CARDS_MAX + 1_500; number++) {
    const status = number % 2 === 0 ? 'completed' : 'submitted'
    putContract(
      state,
      contract({ id: `ctr_${number}`, status, ...(number % 2 === 0 && { endedAt: new Date(number).toISOString() }) }),
    )
  }
  assert.ok(state.cards.size <= CARDS_MAX + 500)
  assert.not.ok(state.cards.has('ctr_0'), 'the one that ended first is let go')
  assert.ok(state.cards.has('ctr_1'), 'what is open stays')
  clearState(state)
  assert.equal([state.cards.size, state.lines.length], [0, 0])
})

state('the board: each status has one column; the urgent first, then the old; the last ended first', ({ state }) => {
  const statuses = ['submitted', 'accepted', 'working', 'input_required', 'completed', 'failed', 'canceled', 'rejected']
  for (const status of statuses) assert.is(columns.filter(({ holds }) => holds(status)).length, 1, status)
  putContract(state, contract({ id: 'ctr_b' }))
  putContract(state, contract({ id: 'ctr_a' }))
  putContract(state, contract({ id: 'ctr_c', priority: 'critical' }))
  putContract(state, contract({ id: 'ctr_d', status: 'completed', endedAt: '2026-03-01T10:00:00.000Z' }))
  putContract(
    state,
    contract({ id: 'ctr_e', status: 'completed', endedAt: '2026-03-01T11:00:00.000Z', title: 'Print' }),
  )
  const ids = (text: string, key: string) =>
    deal(state, text)
      .get(key)
      ?.map(({ id }) => id)
  assert.equal(ids('', 'offered'), ['ctr_c', 'ctr_a', 'ctr_b'])
  assert.equal(ids('', 'completed'), ['ctr_e', 'ctr_d'])
  assert.equal(ids('PRINT', 'completed'), ['ctr_e'])
  assert.equal(ids('print', 'offered'), [])
})

state('agents: what each owns, holds and waits for; who needs somebody first', ({ state }) => {
  putWorker(state, agent())
  putWorker(state, agent({ agent: 'gemini', presence: 'requires_action' }))
  putWorker(state, agent({ agent: 'away', presence: 'offline' }))
  putContract(state, contract({ status: 'working', owner: 'codex' }))
  putContract(state, contract({ id: 'ctr_2', status: 'completed', owner: 'codex' }))
  putLock(state, lock())
  const [first, second, third] = activities(state)
  assert.equal([first?.worker.agent, second?.worker.agent, third?.worker.agent], ['gemini', 'codex', 'away'])
  assert.equal(
    second?.contracts.map(({ id }) => id),
    ['ctr_1'],
  )
  assert.is(second?.locks, 1)
})

state.run()

const words = suite('dashboard words')

words('events have sentences, and an unknown one its type', () => {
  const said = (type: string, data: Record<string, unknown>, more: Partial<Event> = {}) =>
    lineOf(event(type, data, more)).text
  assert.is(
    said('contract.progressed', { contract: contract({ progress: 0.456 }), note: 'soon' }),
    '“Parse” is 46% done — soon',
  )
  const error = { reason: 'TESTS', message: '2 fail', retryable: true }
  assert.is(said('contract.failed', { contract: contract({ error }) }), '“Parse” failed for good: TESTS, 2 fail')
  assert.is(said('lock.released', { lock: null, last: lock() }), 'let go of file:src/**, held by codex')
  assert.is(said('message.published', { message: { to: ['a', 'b'], text: 'two\n lines' } }), 'to a, b: two lines')
  assert.is(said('message.published', { message: { topic: 't', parts: [{ uri: 'x:y' }] } }), 'on t: x:y')
  assert.is(
    said('lock.contended', { waiter: 'cursor', resource: 'port:1' }, { to: ['codex'] }),
    'needs port:1, which codex holds',
  )
  const changed = { by: 'cursor', holder: 'codex', resources: ['file:a', 'file:b'] }
  assert.is(said('lock.violated', changed), 'cursor changed file:a, file:b, which codex has locked')
  assert.is(said('new.happened', {}), 'new happened')
  assert.is(said('contract.created', { contract: null }), 'asks for “untitled”')
  assert.ok(said('message.published', { message: { topic: 't', text: 'x'.repeat(5_000) } }).length <= 280)
})

words('times, numbers and texts', () => {
  assert.equal([0, 59_400, 60_000, 3_600_000, 40 * 3_600_000, -5].map(duration), [
    '0 s',
    '59 s',
    '1 min',
    '1 h',
    '2 d',
    '0 s',
  ])
  assert.is(age(NOW, Date.parse(NOW) + 5_000), '5 s')
  assert.match(clockTime(NOW, Date.parse(NOW)), /^\d\d:\d\d:\d\d$/)
  assert.match(clockTime(NOW, Date.parse(NOW) + 3 * 86_400_000), /^2026-0[23]-\d\d \d\d:\d\d:\d\d$/)
  assert.is(clockTime('never', 0), 'never')
  assert.equal([count(12_345), counted(1, 'lock'), counted(2, 'lock')], ['12,345', '1 lock', '2 locks'])
  assert.equal([0, 999, 1_500, 2_000_000].map(bytes), ['0 B', '999 B', '1.5 KB', '2.0 MB'])
  assert.is(percentOf(0.005), '1%')
  assert.is(cut('abcdef', 4), 'abc…')
  assert.is(cut('ab😀def', 4), 'ab…', 'not through a pair')
  assert.equal([seqOf('e9-12'), cursorAt('e9-12', 3)], [12, 'e9-3'])
})

words('an address says what is shown, and comes back the same', () => {
  const routes: Route[] = [
    { view: 'now' },
    { view: 'contracts' },
    { view: 'contract', contractId: 'ctr/1 %' },
    { view: 'timeline', after: 'e-5', nouns: 'lock agent', text: 'a&b=c' },
  ]
  for (const route of routes) assert.equal(parseRoute(hrefOf(route)), route)
  assert.equal(
    ['', '#', '#/', '#/nothing', '#%'].map((hash) => parseRoute(hash).view),
    Array(5).fill('now'),
  )
  assert.equal(parseRoute('#/contracts/%E0%A4%A'), { view: 'contract', contractId: '%E0%A4%A' })
  assert.equal(parseInvitation('#code=abc&workspace=shop'), { code: 'abc', workspace: 'shop' })
  assert.is(parseInvitation('#/now'), undefined)
})

words('the filters of the timeline', () => {
  const line = lineOf(event('lock.queued', { lock: lock({ holder: 'max' }) }, { actor: 'max', contractId: 'ctr_1' }))
  const passes = (fields: object) => passesOf({ view: 'timeline', ...fields })(line)
  assert.equal(
    [{}, { nouns: 'lock agent' }, { agent: 'max' }, { contract: 'ctr_1' }, { text: 'SRC' }].map(passes),
    Array(5).fill(true),
  )
  assert.equal(
    [{ nouns: 'agent' }, { agent: 'maxim' }, { agent: 'ma' }, { contract: 'ctr' }, { text: 'doc' }].map(passes),
    Array(5).fill(false),
  )
  const said = lineOf(event('message.published', { message: { to: ['max'], text: 'hello' } }))
  assert.ok(passesOf({ view: 'timeline', agent: 'max' })(said), 'who is spoken to')
  assert.equal(typesOf('lock agent'), ['lock.*', 'agent.*'])
  assert.is(typesOf(undefined), undefined)
})

words('answers are read as their schema asks', () => {
  const ask = (schema: unknown, text: string, more = {}) => readAnswer({ key: 'k', prompt: 'p', schema, ...more }, text)
  assert.equal(ask(undefined, 'as it is '), { value: 'as it is ' })
  assert.equal(ask({ type: 'integer' }, '20'), { value: 20 })
  assert.equal(ask({ type: 'boolean' }, 'false'), { value: false })
  assert.equal(ask({ enum: [1, 'two', null] }, 'null'), { value: null })
  assert.equal(ask({ type: 'array' }, '[1]'), { value: [1] })
  assert.equal(ask(undefined, '', { default: 7 }), { value: 7 }, 'blank is the default')
  for (const [schema, text] of [
    [undefined, ' '],
    [{ type: 'number' }, 'x'],
    [{ enum: ['a'] }, 'b'],
    [{ type: 'object' }, '{'],
  ] as const) {
    assert.ok('problem' in ask(schema, text), text)
  }
  assert.is(kindOf({ key: 'k', prompt: 'p', schema: null }).kind, 'text')
})

words('events a second, and how late they were, for two minutes', () => {
  const rates = createRates()
  const nowMs = 1_000_000_000_000
  rates.add(nowMs, nowMs - 5)
  rates.add(nowMs + 10, nowMs - 40)
  rates.add(nowMs + 3_000, nowMs + 3_000)
  const { counts, delays } = rates.series(nowMs + 3_000)
  assert.equal(counts.slice(-4), [2, 0, 0, 1])
  assert.equal(delays.slice(-4), [50, 0, 0, 0])
  assert.is(counts.length, RATE_SECONDS)
  assert.equal(
    rates.series(nowMs + 3_000 + RATE_SECONDS * 1_000).counts,
    Array(RATE_SECONDS).fill(0),
    'all of it has passed',
  )
  rates.add(nowMs, nowMs)
  assert.equal(
    rates.series(nowMs + 3_000).counts,
    Array(RATE_SECONDS).fill(0),
    'a clock that was set back adds nothing',
  )
})

words.run()
