// Commands are derived from the registry: every method has one, and every parameter can be written.

import type { Command } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { methods } from '../src/bridge/index.js'
import { commandOf } from '../src/cli/calls.js'
import { Failure } from '../src/cli/exits.js'
import { createProgram } from '../src/cli/main.js'
import { inFlags, paramsOf } from '../src/cli/params.js'
import { command } from '../src/protocol/method.js'

const find = (program: Command, ...path: string[]): Command | undefined =>
  path.reduce<Command | undefined>((at, name) => at?.commands.find((child) => child.name() === name), program)

/** A method that the bridge does not have, with a parameter of every kind. */
const invented = command({
  name: 'thing.makeAll',
  summary: 'Makes `thingId` as `maxSize` says, and `nothing` else.',
  role: 'agent',
  params: {
    thingId: z.string(),
    otherIds: z.array(z.string()),
    maxSize: z.int(),
    share: z.number().optional(),
    loud: z.boolean().optional(),
    colour: z.enum(['red', 'blue']).default('red'),
    names: z.array(z.string().regex(/^[a-z]+$/)).optional(),
    words: z.array(z.string()).optional(),
    entries: z.array(z.strictObject({ key: z.string().describe('its key'), size: z.int().optional() })).optional(),
    pairs: z.array(z.strictObject({ a: z.string(), b: z.string() })).optional(),
    either: z.union([z.string(), z.array(z.string())]).optional(),
    error: z.strictObject({ reason: z.string(), retryable: z.boolean().default(true) }).optional(),
    extra: z.json().optional(),
    status: z.array(z.string()).optional(),
    tag: z.string().optional(),
    tags: z.array(z.string()).optional(),
  },
  result: z.null(),
  errors: [],
  run: () => null,
})
const invent = new Map(paramsOf(invented).map((param) => [param.name, param]))
const flagsOf = (name: string) => invent.get(name)!.options.map(({ flags }) => flags)
const read = (name: string, ...texts: string[]) => invent.get(name)!.read(texts)
const isUsage = (act: () => unknown) =>
  assert.throws(act, (error: unknown) => error instanceof Failure && error.exit === 'usage')

const params = suite('cli parameters')
const program = await createProgram()

params('every method that needs no lasting socket has a command, and every command of a noun a method', () => {
  const wanted = [...methods.values()].filter(({ socket }) => !socket).map((method) => commandOf(method).join(' '))
  assert.ok(wanted.includes('contract acknowledge-cancel'))
  const lifecycle = ['start', 'stop', 'status', 'watch', 'mcp', 'work', 'hooks', 'guard', 'delegate']
  const there = program.commands
    .filter((noun) => !lifecycle.includes(noun.name()))
    .flatMap((noun) => noun.commands.map((verb) => `${noun.name()} ${verb.name()}`))
  assert.equal(there.sort(), wanted.sort())
  for (const name of lifecycle) assert.ok(find(program, name), `there is no ${name}`)
})

params(
  'a line that begins with a command that is no call is read without the calls, and any other with them',
  async () => {
    const names = async (first?: string) => (await createProgram(first)).commands.map((command) => command.name())
    for (const first of ['status', 'watch', 'run', 'mcp'])
      assert.not.ok((await names(first)).includes('contract'), first)
    for (const first of [undefined, 'contract', '--as', 'help', 'completion', 'nothing'])
      assert.ok((await names(first)).includes('contract'), first)
  },
)

params('every parameter of every method has its option, and every command the global ones', () => {
  for (const method of methods.values()) {
    if (method.socket) continue
    const options = find(program, ...commandOf(method))!.options.map((option) => option.attributeName())
    for (const name of Object.keys(method.params.shape)) {
      assert.ok(options.includes(name), `${method.name} has no option for ${name}`)
    }
    for (const name of ['home', 'url', 'tokenFile', 'workspace', 'as', 'json', 'color']) {
      assert.ok(options.includes(name), `${method.name} has no option ${name}`)
    }
  }
})

params('options are named after parameters; lists go by their singular too, unless that is another parameter', () => {
  assert.equal(flagsOf('thingId'), ['--thing-id <text>'])
  assert.equal(flagsOf('maxSize'), ['--max-size <number>'])
  assert.equal(flagsOf('loud'), ['--loud', '--no-loud'])
  assert.equal(flagsOf('entries'), ['--entry, --entries <key>'])
  assert.equal(flagsOf('pairs'), ['--pair, --pairs <json>'])
  assert.equal(flagsOf('status'), ['--status <text>'])
  assert.equal([flagsOf('tag'), flagsOf('tags')], [['--tag <text>'], ['--tags <text>']])
  assert.equal(flagsOf('colour'), ['--colour <choice>'])
})

params(
  'help tells choices, defaults, the shape of JSON and what is required, and names parameters as typed here',
  () => {
    const help = (name: string) => invent.get(name)!.options[0]!.description
    assert.is(help('colour'), 'one of: red, blue; default: red')
    assert.is(help('entries'), 'its key; or JSON: { key, size? }; repeatable')
    assert.is(help('error'), 'JSON: { reason, retryable? }')
    assert.is(help('maxSize'), 'required')
    assert.match(help('thingId'), 'required, here or as an argument')
    assert.is(inFlags(invented.summary, invented), 'Makes --thing-id as --max-size says, and `nothing` else.')
  },
)

params('ids that a method cannot do without may be arguments, and only those', () => {
  const positional = [...invent.values()].flatMap(({ positional }) => positional ?? [])
  assert.equal(positional, ['thing-id', 'other-id'])
})

params('texts become the values that the schema asks for', () => {
  assert.equal(read('maxSize', '12'), 12)
  assert.equal(read('maxSize', '-3'), -3)
  assert.equal(read('share', '0.5'), 0.5)
  assert.equal(read('thingId', 'first', 'last'), 'last')
  assert.equal(read('colour', 'green'), 'green', 'the bridge, not the command line, says what is a colour')
  assert.equal(read('error', '{"reason":"x"}'), { reason: 'x' })
  assert.equal(read('extra', '{"a":[1]}'), { a: [1] })
  assert.equal(read('extra', 'null'), null)
  assert.equal(read('extra', 'plain words'), 'plain words')
})

params('lists take several options; commas part only what could not be one value', () => {
  assert.equal(read('names', 'a,b', 'c'), ['a', 'b', 'c'])
  assert.equal(read('words', 'one, two', 'three'), ['one, two', 'three'])
  assert.equal(read('either', 'a'), ['a'])
  assert.equal(read('entries', 'plain', '{"key":"k","size":2}', '[{"key":"x"},{"key":"y"}]'), [
    { key: 'plain' },
    { key: 'k', size: 2 },
    { key: 'x' },
    { key: 'y' },
  ])
  assert.equal(read('pairs', '{"a":"1","b":"2"}'), [{ a: '1', b: '2' }])
})

params('what is no number or no JSON is a wrong command line', () => {
  for (const text of ['', ' ', 'ten', '1.5', 'NaN', 'Infinity', '1e999']) isUsage(() => read('maxSize', text))
  isUsage(() => read('share', 'half'))
  isUsage(() => read('error', '{reason:1'))
  isUsage(() => read('pairs', 'a'))
  isUsage(() => read('entries', '{"key":'))
})

params.run()
