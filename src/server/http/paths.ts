import { z } from 'zod'
import { filterTerms } from '../../protocol/event.js'
import { jsonSchemaOf } from '../../protocol/schema.js'

// What is served over HTTP and is no method of the registry, as OpenAPI describes it.

type Json = Record<string, unknown>

const problem = { $ref: '#/components/responses/Problem' }
const answer = (description: string, type: string, schema: Json): Json => ({
  description,
  content: { [type]: { schema } },
})

/** Anyone on this machine may ask these. */
const unguarded = { security: [] }

const who = ['Agent', 'Workspace'].map((name) => ({ $ref: `#/components/parameters/${name}` }))

export const fixedPaths = (): Record<string, Json> => ({
  '/healthz': {
    get: {
      ...unguarded,
      operationId: 'healthz',
      summary: 'Is the daemon alive, and is it the one that wrote daemon.json?',
      parameters: [
        {
          name: 'nonce',
          in: 'query',
          description: 'answered with its HMAC',
          schema: { type: 'string', maxLength: 128 },
        },
      ],
      responses: { 200: answer('It is.', 'application/json', { type: 'object' }) },
    },
  },
  '/readyz': {
    get: {
      ...unguarded,
      operationId: 'readyz',
      summary: 'Are commands served?',
      responses: {
        200: answer('They are.', 'application/json', { type: 'object' }),
        503: answer('A workspace has failed.', 'application/json', { type: 'object' }),
      },
    },
  },
  '/openapi.json': {
    get: {
      operationId: 'openapi',
      summary: 'This document.',
      responses: { 200: answer('OpenAPI 3.1.', 'application/json', { type: 'object' }), default: problem },
    },
  },
  '/metrics': {
    get: {
      operationId: 'metrics',
      summary: 'How the daemon is, for Prometheus.',
      responses: { 200: answer('The text format.', 'text/plain', { type: 'string' }), default: problem },
    },
  },
  '/rpc': {
    post: {
      operationId: 'rpc',
      summary: 'JSON-RPC 2.0: a call, or a batch made in its order. The methods are those of rpc.discover.',
      parameters: [...who, { $ref: '#/components/parameters/IdempotencyKey' }],
      requestBody: { required: true, content: { 'application/json': { schema: {} } } },
      responses: {
        200: answer('The answer, or a batch of them.', 'application/json', {}),
        204: { description: 'There was nothing to answer: notifications alone.' },
        400: answer('No call: an error of JSON-RPC.', 'application/json', { type: 'object' }),
        default: problem,
      },
    },
  },
  '/events': { get: describeStream() },
})

function describeStream(): Json {
  const { properties = {} } = jsonSchemaOf(z.strictObject(filterTerms), 'input') as {
    properties?: Record<string, Json>
  }
  const terms = Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', explode: false, schema }))
  const cursor = { type: 'string' }
  return {
    operationId: 'events',
    summary:
      'The event stream as Server-Sent Events: `id` is the cursor, `data` an Event; a block without data is a bookmark.',
    parameters: [
      ...who,
      { name: 'after', in: 'query', description: '`earliest`, `latest` or a cursor; else `latest`', schema: cursor },
      ...terms,
      { name: 'Last-Event-ID', in: 'header', description: 'wins over `after`', schema: cursor },
    ],
    responses: {
      200: answer('A stream without an end.', 'text/event-stream', { type: 'string' }),
      410: answer('The cursor cannot be continued.', 'application/problem+json', {
        $ref: '#/components/schemas/Problem',
      }),
      default: problem,
    },
  }
}
