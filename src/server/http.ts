import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { BridgeError, errors, refuse } from '../protocol/errors.js'
import { product } from '../protocol/version.js'
import { type Guard, proveKey } from './auth.js'

export interface HttpOptions {
  guard: Guard
  /** The secret of `daemon.json`. */
  key: string
  /** Commands are served. */
  ready(): boolean
}

/** The daemon's plain HTTP: is it alive, is it ready, is it the one. Sockets are upgraded from it. */
export function createHttp({ guard, key, ready }: HttpOptions): Server {
  return createServer({ maxHeaderSize: 16_384, requestTimeout: 30_000 }, (request, response) => {
    try {
      guard.checkSource(request)
      answer(request, response)
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      refuseHttp(response, error)
    }
  })

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = readTarget(request)
    if (pathname !== '/healthz' && pathname !== '/readyz')
      throw new BridgeError('NOT_FOUND', 'There is nothing at this path.')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return send(response, 405, { reason: 'INVALID_REQUEST' })
    }
    if (pathname === '/readyz') return send(response, ready() ? 200 : 503, { ready: ready() })
    const nonce = searchParams.get('nonce')
    const proof = nonce !== null && nonce.length <= 128 && { proof: proveKey(key, nonce) }
    send(response, 200, { name: product.name, version: product.version, ...proof })
  }
}

/** Where a request goes. Not every target that HTTP lets through is one: `//` names no host. @throws INVALID_REQUEST */
export function readTarget({ url = '/' }: IncomingMessage): URL {
  try {
    return new URL(url, 'http://daemon')
  } catch {
    return refuse('INVALID_REQUEST', 'The request names no path that can be read.')
  }
}

/** RFC 9457: a problem document. */
export function refuseHttp(response: ServerResponse, { reason, message }: BridgeError): void {
  const { http } = errors[reason]
  send(
    response,
    http,
    { type: 'about:blank', title: reason, status: http, detail: message, reason },
    'application/problem+json',
  )
}

function send(response: ServerResponse, status: number, body: object, type = 'application/json'): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
  response.end(`${JSON.stringify(body)}\n`)
}
