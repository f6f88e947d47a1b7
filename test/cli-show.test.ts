// What people see: tables that fit, blocks, events on a line, and nothing in them that a terminal would obey.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatEvent } from '../src/cli/events.js'
import { formatAnswer } from '../src/cli/show.js'
import { formatTable } from '../src/cli/table.js'
import { createPaint, cut, fit, isColoured, printable, printableJson, widthOf } from '../src/cli/text.js'
import { brief, briefDuration } from '../src/cli/values.js'

const plain = createPaint(false)
const page = { width: 100, paint: plain }
const CONTROL = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u
const EVIL = 'a\u001b[2Jb\u009b31mc\rd\u0007e\nf\u202eg\u2028h\u0000'

const show = suite('cli output')

show('no character that a terminal obeys comes through, wherever a peer wrote it', () => {
  assert.is(printable('a\u001b[31m\n\u009b'), 'a\\e[31m\\n\\u009b')
  const row = {
    id: EVIL,
    title: EVIL,
    resources: [{ resource: EVIL, mode: EVIL }],
    tags: [EVIL],
    [EVIL]: EVIL,
    deep: { [EVIL]: [[EVIL]] },
  }
  const event = {
    cursor: EVIL,
    type: EVIL,
    time: EVIL,
    actor: EVIL,
    subject: EVIL,
    to: [EVIL],
    data: { contract: row, [EVIL]: EVIL, note: EVIL },
  }
  const outputs = [
    formatAnswer({ items: [row, { ...row, lockId: EVIL }], nextPage: EVIL }, page),
    formatAnswer(row, page),
    formatAnswer({ contract: row, locks: [row], attempts: [{ n: 1, note: EVIL }] }, page),
    formatAnswer({ events: [event], cursor: EVIL }, page),
    formatAnswer(EVIL, page),
    [formatEvent(event, plain)],
    [
      formatEvent(
        { ...event, data: undefined, changes: { title: EVIL, error: { reason: EVIL, message: EVIL } } },
        plain,
      ),
    ],
  ]
  for (const lines of outputs) {
    assert.ok(lines.length > 0)
    for (const line of lines) assert.not.match(line, CONTROL)
  }
})

show('JSON is safe on a terminal as well, and the same value', () => {
  const text = printableJson({ text: EVIL })
  assert.not.match(text, CONTROL)
  assert.equal(JSON.parse(text), { text: EVIL })
  assert.is(printableJson({ a: 1 }, 2), '{\n  "a": 1\n}')
})

show('width counts what is seen; cutting keeps within it', () => {
  assert.equal(['abc', '漢字', 'é', '👩‍👩‍👧', ''].map(widthOf), [3, 4, 1, 2, 0])
  assert.is(cut('abcdef', 4), 'abc…')
  assert.is(cut('abc', 3), 'abc')
  assert.is(widthOf(cut('漢字漢字', 4)) <= 4, true)
  assert.is(fit('漢', 4), '漢  ')
})

const contract = (index: number) => ({
  id: `ctr_${'0'.repeat(18)}${index}x`,
  title: `A rather long title of the contract number ${index}, longer than there is room for`,
  description: 'd'.repeat(200),
  createdBy: 'cursor',
  owner: undefined,
  status: 'submitted',
  priority: 'normal',
  tags: [],
  resources: [
    { resource: 'file:src/**', mode: 'exclusive' },
    { resource: 'file:docs/**', mode: 'shared' },
  ],
  attempts: [{ n: 1, owner: 'codex' }],
  generation: index,
  updatedAt: '2026-01-02T03:04:05.678Z',
})

show('tables fit the terminal, with ids whole, columns aligned and empty ones left out', () => {
  const rows = [1, 2, 3].map(contract)
  for (const width of [60, 80, 100, 140, 200]) {
    const lines = formatTable(rows, width, plain)
    assert.is(lines.length, 4)
    for (const line of lines) assert.ok(widthOf(line) <= width, `${widthOf(line)} columns in ${width}: ${line}`)
    for (const [index, row] of rows.entries()) assert.ok(lines[index + 1]!.startsWith(row.id))
    const at = lines[0]!.indexOf('status')
    for (const line of lines.slice(1)) assert.is(line.slice(at, at + 9), 'submitted')
  }
  const [header] = formatTable(rows, 200, plain)
  assert.not.match(header!, /tags|attempts|description|owner/)
  assert.match(formatTable(rows, 200, plain)[1]!, 'file:src/**, file:docs/** (shared)')
})

show('what happens by default is seen where attention is listed, in a usual width', () => {
  const item = {
    kind: 'input',
    contractId: `ctr_${'0'.repeat(20)}`,
    agent: 'codex',
    since: '2026-01-02T03:04:05.678Z',
    deadline: '2026-01-03T03:04:05.678Z',
    default: 'the defaults become the answers',
    text: 'codex asks about "Ask": "From which branch?"',
  }
  const [header, row] = formatTable([item], 120, plain)
  assert.match(header!, /deadline +default/)
  assert.match(row!, 'the defaults')
})

show('a column that matters is never dropped while all would fit', () => {
  const problem = 'is not one of submitted, accepted, working, completed, failed, canceled, rejected'
  const lines = formatAnswer({ problems: [{ path: 'status.0', problem }] }, page)
  assert.match(lines.join('\n'), problem)
})

show('lists say when they are empty and when there is more', () => {
  assert.equal(formatAnswer({ items: [], at: 'e-1' }, page), ['none'])
  assert.is(
    formatAnswer({ items: [contract(1)], nextPage: 'abc', at: 'e-1' }, page).at(-1),
    'there is more: --page abc',
  )
  assert.equal(formatAnswer(null, page), ['none'])
  assert.equal(formatAnswer({}, page), ['done'])
})

show('a row is a block of its fields; text of several lines cannot pass for one', () => {
  const lines = formatAnswer(
    { id: 'x', text: 'one\nstatus: completed', tags: [], store: { bytes: 5 }, note: undefined },
    page,
  )
  assert.equal(lines, ['id: x', 'text:', '  | one', '  | status: completed', 'store:', '  bytes: 5'])
})

show('an event is one line: time, type, actor, subject and what matters', () => {
  const time = '2026-01-02T03:04:05.678Z'
  const lock = { lockId: 'lck_1', holder: 'codex', resources: [{ resource: 'file:a', mode: 'shared' }] }
  const line = (event: object) =>
    formatEvent({ cursor: 'e-1', time, actor: 'codex', ...event }, plain)
      .replace(/^\S+ \S+ +/, '')
      .replace(/ {2,}/g, '  ')
  assert.is(
    line({
      type: 'contract.progressed',
      subject: 'ctr_1',
      data: { contract: { title: 'Do it', progress: 0.4, attempt: 2 }, note: 'half' },
    }),
    'contract.progressed  codex  ctr_1  "Do it"  attempt 2  ████░░░░░░ 40%  — half',
  )
  assert.is(
    line({ type: 'lock.released', subject: 'lck_1', data: { lock: null, last: lock } }),
    'lock.released  codex  lck_1  file:a (shared)',
  )
  assert.is(
    line({
      type: 'lock.contended',
      subject: 'lck_1',
      actor: 'bridge',
      data: { lock, waiter: 'cursor', resource: 'file:a' },
    }),
    'lock.contended  bridge  lck_1  file:a (shared)  holder codex  waiter=cursor  resource=file:a',
  )
  assert.is(
    line({
      type: 'message.published',
      subject: 'msg_1',
      to: ['cursor'],
      data: { message: { text: 'hi', topic: undefined } },
    }),
    'message.published  codex  msg_1  "hi"  to cursor',
  )
})

show('values are brief in tables', () => {
  assert.equal([5, 1_500, 65_000, 3_700_000].map(briefDuration), ['5ms', '1.5s', '1m05s', '1h01m'])
  assert.equal(
    [brief('ageMs', 2_000), brief('live', true), brief('progress', 0.5), brief('tags', [])],
    ['2.0s', 'yes', '50%', ''],
  )
  assert.is(brief('receipts', { codex: { state: 'read', at: 'x' } }), 'codex read')
})

show('colour is for terminals that want it', () => {
  const tty = { isTTY: true }
  assert.is(isColoured(tty, {}, true), true)
  assert.equal(
    [
      isColoured({}, {}, true),
      isColoured(tty, { NO_COLOR: '1' }, true),
      isColoured(tty, { TERM: 'dumb' }, true),
      isColoured(tty, {}, false),
    ],
    [false, false, false, false],
  )
  assert.is(createPaint(true)('red', 'x'), '\u001b[31mx\u001b[0m')
})

show.run()
