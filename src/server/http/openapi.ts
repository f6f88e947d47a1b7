import type { z } from 'zod'
import { agentRow } from '../../bridge/agents/row.js'
import { contractRow } from '../../bridge/contracts/row.js'
import { eventSchema } from '../../bridge/events.js'
import { methods } from '../../bridge/index.js'
import { lockRow } from '../../bridge/locks/row.js'
import { messageRow } from '../../bridge/messages/row.js'
import { errors, type Reason } from '../../protocol/errors.js'
import type { Method, Route } from '../../protocol/method.js'
import { jsonSchemaOf } from '../../protocol/schema.js'
import { product } from '../../protocol/version.js'
import { fixedPaths } from './paths.js'
import { answerJson } from './problem.js'
import type { Router } from './router.js'

type Json = Record<string, unknown>

/** Rows that many methods answer, described once. */
const NAMED = new Map<unknown, string>([
  [contractRow, 'Contract'],
  [lockRow, 'Lock'],
  [messageRow, 'Message'],
  [agentRow, 'Agent'],
  [eventSchema, 'Event'],
])

/** How any call may end, whatever it asks for. */
const ANYWAY: readonly Reason[] = [
  'INVALID_REQUEST',
  'INVALID_PARAMS',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'OVERLOADED',
  'RATE_LIMITED',
  'TOO_LARGE',
  'SHUTTING_DOWN',
  'INTERNAL',
]

/** `GET /openapi.json`, made at its first use. */
export function serveDocument(router: Router): void {
  let document: string | undefined
  router.shut('/openapi.json', {
    GET: () => {
      document ??= JSON.stringify(describeHttp())
      return answerJson(document)
    },
  })
}

/** The OpenAPI 3.1 document of everything that is served over HTTP but for the dashboard and MCP. */
function describeHttp(): Json {
  const paths: Record<string, Json> = fixedPaths()
  for (const method of methods.values()) {
    if (method.socket) continue
    add(paths, `/v1/${method.name.replace('.', '/')}`, 'POST', describeCall(method))
    if (method.http) add(paths, method.http.path, method.http.method, describeRoute(method, method.http))
  }
  return {
    openapi: '3.1.0',
    info: {
      title: product.name,
      version: product.version,
      summary: 'Coding agents that share a repository coordinate: messages, task contracts, locks, one event stream.',
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      parameters: HEADERS,
      schemas: {
        ...Object.fromEntries([...NAMED].map(([row, name]) => [name, schemaOf(row as z.ZodType, 'output', row)])),
        Problem: PROBLEM,
      },
      responses: {
        Problem: { description: `Any call: ${reasonsOf(ANYWAY)}.`, content: problemContent },
      },
    },
  }
}

/** `/contracts/:contractId` is written `/contracts/{contractId}`. */
function add(paths: Record<string, Json>, path: string, verb: string, operation: Json): void {
  const key = path.replace(/:(\w+)/g, '{$1}')
  paths[key] = { ...paths[key], [verb.toLowerCase()]: operation }
}

const describeCall = (method: Method): Json => ({
  ...common(method, method.name),
  requestBody: bodyOf(schemaOf(method.params, 'input')),
  responses: responsesOf(method, '200'),
})

function describeRoute(method: Method, route: Route): Json {
  const { properties = {}, required = [], ...schema } = schemaOf(method.params, 'input') as Shape
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name as string)
  const others = Object.keys(properties).filter((name) => !inPath.includes(name))
  const place = (name: string, where: 'path' | 'query') => {
    const { description, ...rest } = properties[name] ?? {}
    return { name, in: where, required: required.includes(name), description, schema: rest }
  }
  const bodiless = route.method === 'GET' || route.method === 'DELETE'
  const own = [
    ...inPath.map((name) => place(name, 'path')),
    ...(bodiless ? others.filter((name) => name !== 'idempotencyKey').map((name) => place(name, 'query')) : []),
    ...(route.ifMatch
      ? [
          {
            name: 'If-Match',
            in: 'header',
            schema: { type: 'string' },
            description: `\`${route.ifMatch}\`, as an ETag`,
          },
        ]
      : []),
  ]
  const body = {
    ...schema,
    properties: Object.fromEntries(others.map((name) => [name, properties[name]])),
    required: required.filter((name) => others.includes(name)),
  }
  const { parameters, ...rest } = common(method, `${method.name}.route`)
  return {
    ...rest,
    parameters: [...parameters, ...own],
    ...(!bodiless && { requestBody: bodyOf(body) }),
    responses: responsesOf(method, `${route.status ?? 200}`, headersOf(route)),
  }
}

interface Shape {
  properties?: Record<string, Json>
  required?: string[]
}

const common = (method: Method, operationId: string) => ({
  operationId,
  summary: method.summary,
  tags: [method.name.split('.')[0]],
  parameters: ['Agent', 'Workspace', ...(method.kind === 'command' ? ['IdempotencyKey'] : [])].map(
    (name): Json => ({ $ref: `#/components/parameters/${name}` }),
  ),
})

const bodyOf = (schema: Json): Json => ({ content: { 'application/json': { schema } } })

function responsesOf(method: Method, status: string, headers: Json = {}): Json {
  const refusals = new Map<string, Reason[]>()
  for (const reason of [...method.errors, ...(method.kind === 'command' ? (['IDEMPOTENCY_CONFLICT'] as const) : [])]) {
    const http = String(errors[reason].http)
    refusals.set(http, [...(refusals.get(http) ?? []), reason])
  }
  return {
    [status]: {
      description: 'Done.',
      headers,
      content: { 'application/json': { schema: schemaOf(method.result, 'output') } },
    },
    ...Object.fromEntries(
      [...refusals].map(([http, reasons]) => [
        http,
        { description: `${reasonsOf(reasons)}.`, content: problemContent },
      ]),
    ),
    default: { $ref: '#/components/responses/Problem' },
  }
}

const reasonsOf = (reasons: readonly Reason[]): string =>
  reasons.map((reason) => `${reason} (${errors[reason].http}): ${errors[reason].summary}`).join(' ')

const headersOf = ({ etag, location }: Route): Json => ({
  ...(etag && { ETag: { description: `\`${etag}\` of the result`, schema: { type: 'string' } } }),
  ...(location && { Location: { description: 'where what was made is found', schema: { type: 'string' } } }),
})

/** The schema of a value; rows that have a name are pointed to, except `whole`. */
const schemaOf = (type: z.ZodType, io: 'input' | 'output', whole?: unknown): Json =>
  jsonSchemaOf(type, io, (met) => {
    const name = met === whole ? undefined : NAMED.get(met)
    return name === undefined ? undefined : `#/components/schemas/${name}`
  })

const header = (name: string, description: string): Json => ({
  name,
  in: 'header',
  description,
  schema: { type: 'string' },
})

const HEADERS = {
  Agent: header('Agent-Bridge-Agent', "Who calls: the token's own name unless told; `human` for the operator's."),
  Workspace: header('Agent-Bridge-Workspace', "The token's own unless told; `default` for the operator's."),
  IdempotencyKey: header('Idempotency-Key', 'The same key with the same parameters has effect once.'),
}

const PROBLEM = {
  type: 'object',
  description: 'RFC 9457. Further members are the facts of the refusal.',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    reason: { type: 'string', enum: Object.keys(errors) },
    requestId: { type: 'string' },
  },
  required: ['type', 'title', 'status', 'detail', 'reason'],
}

const problemContent = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }
