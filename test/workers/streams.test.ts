// What real agents printed, as the adapters read it: Codex 0.169.0, Claude Code 2.1.330 and Gemini CLI 0.61.0 against
// scripted model servers. Cursor's is from its documentation.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Adapter, Milestone, Task, Usage, Verdict } from '../../src/workers/agents/adapter.js'
import { adapters } from '../../src/workers/agents/adapters.js'
import type { Exit } from '../../src/workers/process.js'

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'streams')
const streams = suite('agents’ streams')
const task: Task = { prompt: 'do it', cwd: '/w', more: [], scratch: '/nowhere' }

interface Heard {
  told: Milestone[]
  verdict: Verdict
  usage: Usage | undefined
}

function hear(adapter: Adapter, lines: string[], exit: Partial<Exit> = {}): Heard {
  const told: Milestone[] = []
  const turn = adapter.turn(task, {
    tell: (milestone) => void told.push(milestone),
    send() {},
    finish() {},
    forbids: async () => undefined,
  })
  for (const line of lines) turn.hear(JSON.parse(line))
  return { told, verdict: turn.verdict({ code: 0, signal: null, stderr: '', ...exit }), usage: turn.usage() }
}

const recorded = (name: string): string[] =>
  readFileSync(join(FOLDER, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')

const replay = (name: string, exit?: Partial<Exit>): Heard =>
  hear(adapters[name.split('-')[0] as keyof typeof adapters], recorded(name), exit)

/** `done`, or the reason with what is to follow from it. */
const brief = ({ verdict }: Heard): string =>
  verdict.done
    ? 'done'
    : [verdict.reason, verdict.retryable && 'retry', verdict.fatal && 'fatal'].filter(Boolean).join(' ')

streams('Codex: a command, with the warnings that are no failures', () => {
  const heard = replay('codex-command')
  assert.is(brief(heard), 'done')
  assert.equal(heard.usage, { inputTokens: 200, outputTokens: 20, cachedTokens: 0 })
  assert.equal(
    heard.told.filter(({ kind }) => kind !== 'warning' && kind !== 'thought'),
    [
      { kind: 'session', id: '01a20484-6534-7793-9adf-b21e4c8b35cf' },
      { kind: 'said', text: 'I will run a command.' },
      { kind: 'command', command: 'echo hello > out.txt; cat out.txt', state: 'begun' },
      { kind: 'command', command: 'echo hello > out.txt; cat out.txt', state: 'done', exitCode: 0 },
      { kind: 'said', text: 'All done: wrote out.txt' },
    ],
  )
})

streams('Codex: edits name their files before and after, in both of its modes', () => {
  const edits = ({ told }: Heard) => told.filter(({ kind }) => kind === 'edit')
  assert.equal(edits(replay('codex-edit')), [
    { kind: 'edit', paths: ['/w/src/new.ts'], state: 'begun' },
    { kind: 'edit', paths: ['/w/src/new.ts'], state: 'done' },
  ])
  assert.equal(edits(replay('codex-code-mode')).at(-1), {
    kind: 'edit',
    paths: ['/w/a.txt', '/w/b.txt'],
    state: 'done',
  })
  const failed = replay('codex-edit').told.find(
    (milestone) => milestone.kind === 'command' && milestone.state === 'failed',
  )
  assert.equal(failed, { kind: 'command', command: 'sleep 1; exit 3', state: 'failed', exitCode: 3 })
})

streams('Codex: who is not logged in or has no quota left is not tried again; who was killed is', () => {
  assert.is(brief(replay('codex-401', { code: 1 })), 'NOT_LOGGED_IN fatal')
  assert.is(brief(replay('codex-quota', { code: 1 })), 'QUOTA fatal')
  assert.is(brief(replay('codex-killed', { code: null, signal: 'SIGKILL' })), 'AGENT_CRASHED retry')
  assert.is(brief(replay('codex-killed', { code: 0 })), 'AGENT_CRASHED retry', 'a stream that just stops is no success')
})

streams('Codex: a success that ends with another exit code is none', () => {
  assert.is(brief(replay('codex-command', { code: 1 })), 'AGENT_CRASHED retry')
})

streams('Claude: an API error calls itself a success', () => {
  assert.is(brief(replay('claude-529', { code: 1 })), 'UNAVAILABLE retry')
  assert.is(brief(replay('claude-interrupted')), 'AGENT_FAILED retry', 'after an interrupt it ends with 0')
})

streams('Claude: edits, commands, tools and what they cost', () => {
  const heard = replay('claude-done')
  assert.is(brief(heard), 'done')
  assert.equal(heard.usage, { inputTokens: 400, outputTokens: 40, cachedTokens: 0, costUsd: 0.0024000000000000002 })
  const done = heard.told.filter((milestone) => 'state' in milestone && milestone.state === 'done')
  assert.equal(done, [
    { kind: 'tool', name: 'mcp__bridge__acquire_lock', state: 'done' },
    { kind: 'edit', paths: ['/w/src/a.ts'], state: 'done' },
    { kind: 'command', command: 'cat src/a.ts', state: 'done' },
  ])
  assert.equal(heard.told.filter(({ kind }) => kind === 'said').at(-1), { kind: 'said', text: 'Done: wrote src/a.ts' })
})

streams('Claude: what a hook refused is told, though the end is a success', () => {
  const heard = replay('claude-denied')
  assert.is(brief(heard), 'done')
  assert.equal(heard.told.at(-1), { kind: 'edit', paths: ['/w/locked.ts'], state: 'refused' })
})

streams('Gemini: the same, spoken in pieces', () => {
  const heard = replay('gemini-done')
  assert.is(brief(heard), 'done')
  assert.equal(heard.usage, { inputTokens: 400, outputTokens: 40, cachedTokens: 0 })
  const told = heard.told.filter(
    (milestone) => milestone.kind !== 'session' && !('state' in milestone && milestone.state === 'begun'),
  )
  assert.equal(told, [
    { kind: 'said', text: 'I will take the lock first.' },
    { kind: 'tool', name: 'mcp_bridge_acquire_lock', state: 'done' },
    { kind: 'edit', paths: ['src/a.ts'], state: 'done' },
    { kind: 'command', command: 'cat src/a.ts', state: 'done' },
    { kind: 'said', text: 'Done: wrote src/a.ts' },
  ])
  assert.is(
    brief(hear(adapters.gemini, recorded('gemini-done').slice(0, 4))),
    'AGENT_CRASHED retry',
    'SIGTERM ends it with 0',
  )
})

streams('Cursor: the key that names the tool, whatever stands beside it; a failure without a result', () => {
  const call = (subtype: string, tool_call: object) =>
    JSON.stringify({ type: 'tool_call', subtype, call_id: 'c', tool_call })
  const heard = hear(adapters.cursor, [
    '{"type":"system","subtype":"init","session_id":"s"}',
    call('started', { editToolCall: { args: { path: '/w/a.ts' } }, toolCallId: 'x' }),
    call('completed', { editToolCall: { args: { path: '/w/a.ts' }, result: { rejected: { reason: 'locked' } } } }),
    call('completed', { shellToolCall: { args: { command: 'make' }, result: { failure: { exitCode: 2 } } } }),
    '{"type":"result","subtype":"success","is_error":false,"result":"ok","usage":{"inputTokens":7,"outputTokens":3}}',
  ])
  assert.is(brief(heard), 'done')
  assert.equal(heard.usage, { inputTokens: 7, outputTokens: 3, cachedTokens: 0 })
  assert.equal(heard.told.slice(1), [
    { kind: 'edit', paths: ['/w/a.ts'], state: 'begun' },
    { kind: 'edit', paths: ['/w/a.ts'], state: 'refused' },
    { kind: 'command', command: 'make', state: 'failed', exitCode: 2 },
  ])
  assert.is(brief(hear(adapters.cursor, [], { code: 1, stderr: 'Error: not logged in' })), 'NOT_LOGGED_IN fatal')
})

streams('what an agent says went wrong decides whether it is tried again', () => {
  const fails = (message: string) =>
    brief(hear(adapters.codex, [JSON.stringify({ type: 'turn.failed', error: { message } })], { code: 1 }))
  const wanted: Array<[string, string]> = [
    ['Rate limit reached for requests, try again in 2 s', 'RATE_LIMITED retry'],
    ['unexpected status 429 Too Many Requests', 'RATE_LIMITED retry'],
    ['Your input exceeds the context window of this model', 'CONTEXT_OVERFLOW retry'],
    ['unexpected status 503 Service Unavailable', 'UNAVAILABLE retry'],
    ['stream disconnected before completion', 'UNAVAILABLE retry'],
    ["You've hit your usage limit", 'QUOTA fatal'],
    ['The model gpt-9 does not exist', 'MODEL_UNKNOWN fatal'],
    ['something else', 'AGENT_FAILED retry'],
  ]
  for (const [message, verdict] of wanted) assert.is(fails(message), verdict, message)
})

streams('a program that is not there', () => {
  const { verdict } = hear(adapters.codex, [], { code: null, missing: 'ENOENT' })
  assert.is(verdict.done ? '' : verdict.reason, 'AGENT_MISSING')
})

streams.run()
