import { z } from 'zod'
import { errors } from '../protocol/errors.js'
import { type Method, query } from '../protocol/method.js'
import { jsonSchemaOf } from '../protocol/schema.js'
import { product } from '../protocol/version.js'

/** The OpenRPC 1.3 document of the methods given, and of `rpc.discover` itself. */
export function discoverNoun(methods: readonly Method[]) {
  const discover = query({
    name: 'rpc.discover',
    summary: 'The OpenRPC document of all methods.',
    role: 'observer',
    params: {},
    result: z.record(z.string(), z.json()),
    errors: [],
    run: () => {
      document ??= describe([...methods, discover])
      return document
    },
  })
  let document: Record<string, z.core.util.JSONType> | undefined
  return { tables: [], events: [], methods: [discover] as const }
}

function describe(methods: readonly Method[]) {
  const document = {
    openrpc: '1.3.2',
    info: { title: product.name, version: product.version },
    methods: methods.map(describeMethod),
  }
  // Through JSON, so that what is absent is absent.
  return JSON.parse(JSON.stringify(document)) as Record<string, z.core.util.JSONType>
}

function describeMethod(method: Method) {
  const { properties = {}, required = [] } = jsonSchemaOf(method.params, 'input') as {
    properties?: Record<string, { description?: string }>
    required?: string[]
  }
  return {
    name: method.name,
    summary: method.summary,
    paramStructure: 'by-name',
    params: Object.entries(properties).map(([name, { description, ...schema }]) => ({
      name,
      description,
      required: required.includes(name),
      schema,
    })),
    result: { name: 'result', schema: jsonSchemaOf(method.result, 'output') },
    errors: method.errors.map((reason) => ({ code: errors[reason].rpc, message: reason })),
  }
}
