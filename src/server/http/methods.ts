import { methods } from '../../bridge/index.js'
import type { Door, Who } from '../../engine/door/door.js'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import type { Method, Route } from '../../protocol/method.js'
import { readParams } from './body.js'
import { answerJson, WrongRequest } from './problem.js'
import { readQuery } from './query.js'
import type { Handlers, Request, Router } from './router.js'

/** Every method under `POST /v1/<noun>/<verb>`, and those that have one on a route of their own. */
export function serveMethods(router: Router, door: Door): void {
  router.shut('/v1/:noun/:verb', {
    POST: async (request) => {
      const { noun, verb } = request.req.param() as { noun: string; verb: string }
      return call(door, request, `${noun}.${verb}`, await fromBody(request))
    },
  })
  for (const [path, handlers] of routesOf(door)) router.shut(path, handlers)
}

/** The routes by path: several methods may share one. */
function routesOf(door: Door): Map<string, Handlers> {
  const paths = new Map<string, Handlers>()
  for (const method of methods.values()) {
    const route = method.http
    if (!route) continue
    const handlers = paths.get(route.path) ?? {}
    handlers[route.method] = (request) => serveRoute(door, request, method, route)
    paths.set(route.path, handlers)
  }
  return paths
}

async function serveRoute(door: Door, request: Request, method: Method, route: Route): Promise<Response> {
  const bodiless = route.method === 'GET' || route.method === 'DELETE'
  const given = bodiless ? readQuery(request.req.queries(), method) : await fromBody(request)
  for (const [name, value] of Object.entries(request.req.param())) set(given, name, value, 'path')
  const condition = request.req.header('If-Match')
  if (route.ifMatch && condition !== undefined && condition !== '*') {
    set(given, route.ifMatch, readTag(condition), 'If-Match header')
  }
  return call(door, request, method.name, given, route)
}

/** @throws INVALID_PARAMS when a parameter comes twice and differs */
function set(params: Record<string, unknown>, name: string, value: unknown, from: string): void {
  if (Object.hasOwn(params, name) && params[name] !== value) {
    refuse('INVALID_PARAMS', `\`${name}\` differs from what the ${from} says.`)
  }
  params[name] = value
}

/** RFC 9110, 8.8.3: an entity tag stands in quotes; they are not insisted on. @throws INVALID_PARAMS */
function readTag(tag: string): number {
  const [, digits] = /^"?(\d{1,15})"?$/.exec(tag) ?? []
  return digits === undefined
    ? refuse('INVALID_PARAMS', 'If-Match holds one ETag that the bridge gave out, such as "3".')
    : Number(digits)
}

/** @throws BridgeError, also for parameters in the query, where they would be overlooked */
async function fromBody(request: Request): Promise<Record<string, unknown>> {
  const params = await readParams(request)
  if (request.env.incoming.url?.includes('?')) {
    throw new WrongRequest(400, 'The parameters of this call go into the body, none into the URL.')
  }
  return params
}

/** Whom the request's headers name. */
export const whoOf = ({ req }: Request): Who => ({
  agent: req.header('Agent-Bridge-Agent'),
  workspace: req.header('Agent-Bridge-Workspace'),
})

/** The parameters with the `Idempotency-Key` of the request's headers, where the method changes anything. @throws INVALID_PARAMS */
export function withKey({ req }: Request, name: string, params: Record<string, unknown>): Record<string, unknown> {
  const key = req.header('Idempotency-Key')
  if (key !== undefined && methods.get(name)?.kind === 'command')
    set(params, 'idempotencyKey', key, 'Idempotency-Key header')
  return params
}

/** Makes one call, and answers with its result. @throws BridgeError, the call's own refusal */
async function call(
  door: Door,
  request: Request,
  name: string,
  params: Record<string, unknown>,
  route?: Route,
): Promise<Response> {
  const { signal } = request.req.raw
  try {
    const given = withKey(request, name, params)
    const bytes = bytesOf(request)
    const outcome = await door.request(request.get('grant'), whoOf(request), name, given, { signal, bytes })
    if ('refusal' in outcome) throw outcome.refusal
    return respond(outcome.result, route)
  } catch (error) {
    // Nobody hears it.
    if (signal.aborted) return new Response(null)
    throw error
  }
}

function respond(json: string, route: Route | undefined): Response {
  if (!route?.etag && !route?.location) return answerJson(json, route?.status)
  const result: Record<string, unknown> = JSON.parse(json)
  const headers: Record<string, string> = {}
  if (route.location) {
    headers.Location = route.location.replace(/:(\w+)/g, (_all, name) => encodeURIComponent(String(result[name])))
  }
  if (route.etag) headers.ETag = `"${result[route.etag]}"`
  return answerJson(json, route.status, headers)
}

/** What its body takes of memory, as far as the request says: one sent in pieces may be as large as any. */
function bytesOf(request: Request): number {
  const length = Number(request.req.header('Content-Length') ?? 0)
  return request.req.header('Transfer-Encoding') === undefined ? length : limits.frameBytes
}
