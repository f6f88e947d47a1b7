import type { ServerResponse } from 'node:http'
import { BridgeError, errors } from '../../protocol/errors.js'

/** What HTTP itself refuses a request for, with a status of its own: 404, 405 or 415. */
export class WrongRequest extends BridgeError {
  readonly status: number
  readonly headers: Record<string, string>

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(status === 404 ? 'NOT_FOUND' : 'INVALID_REQUEST', message)
    this.status = status
    this.headers = headers
  }
}

/** Headers of everything the bridge answers but for the dashboard's files: it is neither kept nor taken for a page. */
export const PLAIN = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' }

/** How long a caller is told to wait when nothing better is known, s. */
const RETRY_AFTER_S = 1

export interface Problem {
  status: number
  headers: Record<string, string>
  body: string
}

/**
 * RFC 9457: a problem document. The facts of the refusal are members of it, as they are of `error.data` in JSON-RPC; where
 * one has the name of a member of the RFC's own, that stands.
 */
export function problemOf(error: BridgeError): Problem {
  const { reason, message, facts } = error
  const { http, retry } = errors[reason]
  const wrong = error instanceof WrongRequest ? error : undefined
  const status = wrong?.status ?? http
  // The document's own `status` is HTTP's.
  const { status: contractStatus, ...others } = facts
  const document = {
    type: 'about:blank',
    title: reason,
    status,
    detail: message,
    reason,
    ...(contractStatus !== undefined && { contractStatus }),
  }
  const afterMs = typeof facts.retryAfterMs === 'number' ? facts.retryAfterMs : RETRY_AFTER_S * 1_000
  return {
    status,
    headers: {
      'Content-Type': 'application/problem+json',
      ...PLAIN,
      ...(status === 401 && { 'WWW-Authenticate': 'Bearer' }),
      ...(retry && { 'Retry-After': `${Math.max(1, Math.ceil(afterMs / 1_000))}` }),
      ...wrong?.headers,
    },
    body: `${JSON.stringify({ ...document, ...others, ...document })}\n`,
  }
}

export function problem(error: BridgeError): Response {
  const { status, headers, body } = problemOf(error)
  return new Response(body, { status, headers })
}

/** A refusal before any route is looked for. */
export function refuseRaw(response: ServerResponse, error: BridgeError): void {
  const { status, headers, body } = problemOf(error)
  response.writeHead(status, headers)
  response.end(body)
}

/** JSON text as an answer. */
export const answerJson = (json: string, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(`${json}\n`, { status, headers: { 'Content-Type': 'application/json', ...PLAIN, ...headers } })
