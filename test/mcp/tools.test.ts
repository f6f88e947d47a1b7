// The tools as clients are told of them: derived from the registry, few, small, and run without asking.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { statuses } from '../../src/bridge/contracts/row.js'
import { methods } from '../../src/bridge/index.js'
import { instructions } from '../../src/server/mcp/server.js'
import { methodOf, toolName, toolsOf } from '../../src/server/mcp/tools.js'
import { briefRow, cutText, shape } from '../../src/server/mcp/views.js'

const isStatus = (name: string) => (statuses as readonly string[]).includes(name)

const tools = suite('mcp tools')

tools('the full profile has every method that needs no socket, and wait', () => {
  const expected = [...methods.values()].filter(({ socket }) => !socket).map(({ name }) => toolName(name))
  assert.equal(
    toolsOf('full')
      .map(({ name }) => name)
      .sort(),
    ['wait', ...expected].sort(),
  )
  assert.is(methodOf('contract_get')?.name, 'contract.get')
  assert.is(methodOf('session_open'), undefined)
  assert.is(methodOf('constructor'), undefined)
})

tools('the default profile is a dozen tools in few words', () => {
  const listed = toolsOf('default')
  assert.ok(listed.length <= 12, `${listed.length} tools: ${listed.map(({ name }) => name)}`)
  for (const name of ['wait', 'contract_next', 'contract_start', 'lock_acquire', 'message_publish']) {
    assert.ok(
      listed.some((tool) => tool.name === name),
      `${name} is missing`,
    )
  }
  const long = listed.filter(({ description = '' }) => description.length < 10 || description.length > 300)
  assert.equal(
    long.map(({ name }) => name),
    [],
  )
  assert.ok(JSON.stringify(listed).length < 20_000, `${JSON.stringify(listed).length} characters`)
})

tools('every tool named in the instructions is one of the default profile', () => {
  const listed = new Set(toolsOf('default').map(({ name }) => name))
  const named = instructions.match(/\b[a-z]+(_[a-z]+)+\b/g) ?? []
  assert.ok(named.length > 5)
  assert.equal(
    named.filter((name) => !listed.has(name) && !isStatus(name)),
    [],
  )
})

tools('names, schemas and hints are what clients accept without asking their user', () => {
  for (const { name, inputSchema, outputSchema, annotations = {} } of toolsOf('full')) {
    // OpenAI's rule for names, with room for a prefix such as `mcp__bridge__`.
    assert.match(name, /^[a-z_]{1,40}$/)
    assert.is(inputSchema.type, 'object')
    assert.is(outputSchema?.type, 'object')
    assert.not.ok('idempotencyKey' in (inputSchema.properties ?? {}), name)
    assert.not.match(JSON.stringify(inputSchema), /"(\$ref|\$defs|\$schema|pattern|propertyNames|const)":/, name)
    const { readOnlyHint, destructiveHint, openWorldHint } = annotations
    assert.is(openWorldHint, false, name)
    if (readOnlyHint) continue
    assert.is(readOnlyHint, false, name)
    assert.type(destructiveHint, 'boolean', name)
  }
  const asking = toolsOf('default').filter(({ annotations }) => annotations?.destructiveHint)
  assert.equal(asking, [])
  const lasting = toolsOf('full').filter(({ annotations }) => annotations?.destructiveHint)
  assert.equal(lasting.map(({ name }) => name).sort(), ['lock_break', 'token_revoke'])
})

tools('queries say that they only read, and nothing else does', () => {
  for (const { name, annotations } of toolsOf('full')) {
    assert.is(annotations?.readOnlyHint ?? false, methodOf(name)?.kind === 'query', name)
  }
})

tools('an answer in short has no bookkeeping, no empty fields and no long texts', () => {
  const row = {
    id: 'ctr_1',
    description: 'long '.repeat(1_000),
    tags: [],
    attempts: [{ n: 1 }],
    resources: [{ resource: 'file:a', mode: 'exclusive' }],
    metadata: { a: 1 },
    session: 'ses_1',
    createdAt: '2026-01-01T00:00:00.000Z',
    dueAt: '2026-01-01T00:00:00.000Z',
  }
  const short = briefRow(row)
  assert.equal(Object.keys(short).sort(), ['description', 'dueAt', 'id', 'resources'])
  assert.ok(String(short.description).length < 500)
  assert.match(String(short.description), /… \(4600 more characters\)$/)
  const whole = shape(row, true)
  assert.equal(Object.keys(whole).sort(), ['attempts', 'description', 'dueAt', 'id', 'metadata', 'resources'])
  assert.is(whole.description, row.description)
  assert.equal(shape(null, true), { result: null })
  assert.equal(shape({ items: [row], at: 'x' }, false).items, [short])
})

tools('a text is not cut inside a character', () => {
  assert.is(cutText('a😀b', 2), 'a… (2 more characters)')
  assert.is(cutText('a😀b', 4), 'a😀b')
})

tools.run()
