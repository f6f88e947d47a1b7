import { createRequire } from 'node:module'
import { Validator } from '@seriousme/openapi-schema-validator'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../../src/bridge/index.js'
import { errors } from '../../src/protocol/errors.js'
import { connect, serve } from '../socket.js'
import { ask } from './ask.js'

// What the bridge says of itself, judged by validators of others.

/** Its types are sources that this project's compiler refuses, so they are not looked at. */
const { validateOpenRPCDocument } = createRequire(import.meta.url)('@open-rpc/schema-utils-js') as {
  validateOpenRPCDocument(document: object): true | { message: string }
}

interface Operation {
  operationId: string
  parameters?: Array<{ name?: string; in?: string; required?: boolean }>
  requestBody?: { content: { 'application/json': { schema: { properties: object; required: string[] } } } }
  responses: Record<string, object>
}

interface Document extends Record<string, unknown> {
  openapi: string
  paths: Record<string, Record<string, Operation>>
}

const test = suite('documents')
const daemon = await serve()

test.after(() => daemon.stop())

const read = async (): Promise<Document> => JSON.parse((await ask(daemon, '/openapi.json')).text)

test('the OpenAPI document is valid, and one that is not would be noticed', async () => {
  const document = await read()
  assert.is(document.openapi, '3.1.0')
  assert.equal(await new Validator().validate(structuredClone(document)), { valid: true })
  const { responses: _responses, ...broken } = document.paths['/contracts']!.get!
  document.paths['/contracts']!.get = { ...broken, responses: 'none' } as unknown as Operation
  assert.is((await new Validator().validate(document)).valid, false)
})

test('every method that needs no socket is in it, with its own route if it has one, and every reference leads somewhere', async () => {
  const document = await read()
  const { paths } = document
  const ids = Object.values(paths).flatMap((operations) =>
    Object.values(operations).map(({ operationId }) => operationId),
  )
  assert.is(new Set(ids).size, ids.length, 'no id twice')
  for (const { name, socket, http } of methods.values()) {
    assert.is(paths[`/v1/${name.replace('.', '/')}`] === undefined, socket === true, name)
    if (http) assert.ok(paths[http.path.replace(/:(\w+)/g, '{$1}')]?.[http.method.toLowerCase()], name)
  }
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, path = '']) => path)
  assert.ok(references.length > 100)
  for (const reference of new Set(references)) {
    const found = reference
      .split('/')
      .slice(1)
      .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document)
    assert.ok(found, reference)
  }
})

test('what a route takes from path, query, headers and body is all that its method takes', async () => {
  const { paths } = await read()
  for (const { name, http, params } of methods.values()) {
    if (!http) continue
    const { parameters = [], requestBody } = paths[http.path.replace(/:(\w+)/g, '{$1}')]![http.method.toLowerCase()]!
    const given = parameters.flatMap(({ name, in: where }) =>
      where === 'path' || where === 'query' ? (name ?? []) : [],
    )
    const body = Object.keys(requestBody?.content['application/json'].schema.properties ?? {})
    const all = [...given, ...body, ...(requestBody ? [] : ['idempotencyKey'])]
    const known = Object.keys(params.shape)
    assert.equal(all.filter((field) => known.includes(field)).sort(), known.sort(), name)
    for (const { in: where, required } of parameters) if (where === 'path') assert.is(required, true)
  }
})

test('what it says of refusals is what is answered', async () => {
  const { paths } = await read()
  const { responses } = paths['/contracts/{contractId}']!.get!
  const { status, json } = await ask(daemon, '/contracts/none')
  assert.ok(responses[String(status)])
  assert.is(errors[json.reason as keyof typeof errors].http, status)
})

test('the OpenRPC document is valid, and one that is not would be noticed', async () => {
  const wire = await connect(daemon, { agent: 'reader' })
  const document = await wire.ask('rpc.discover')
  assert.is(validateOpenRPCDocument(structuredClone(document)), true)
  assert.equal((document.methods as Array<{ name: string }>).map(({ name }) => name).sort(), [...methods.keys()].sort())
  assert.not.match(JSON.stringify(document), '#/$defs')
  const { methods: _methods, ...broken } = document
  assert.is.not(validateOpenRPCDocument(broken), true)
  await wire.close()
})

test.run()
