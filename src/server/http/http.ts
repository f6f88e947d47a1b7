import { createServer, type Server } from 'node:http'
import { getRequestListener, RequestError } from '@hono/node-server'
import type { Door } from '../../engine/door.js'
import type { Outcome } from '../../engine/engine.js'
import { BridgeError } from '../../protocol/errors.js'
import type { Guard } from '../auth.js'
import { serveMcp } from '../mcp/http.js'
import { type DashboardOptions, serveDashboard } from './dashboard.js'
import { serveHealth } from './health.js'
import { serveMethods } from './methods.js'
import { problem, refuseRaw } from './problem.js'
import { createRouter } from './router.js'
import { serveRpc } from './rpc.js'

export interface HttpOptions extends DashboardOptions {
  guard: Guard
  door: Door
  /** The secret of `daemon.json`. */
  key: string
  /** Commands are served. */
  ready(): boolean
  /** Reports a bug, and gives what its caller is told. */
  fault(error: unknown): Outcome
}

/** The daemon's HTTP. Sockets are upgraded from it. Every other surface over HTTP gets its paths here. */
export function createHttp(options: HttpOptions): Server {
  const { guard, door, fault } = options
  const refuseFault = (error: unknown) => (fault(error) as { refusal: BridgeError }).refusal
  const router = createRouter(guard)
  serveHealth(router, options)
  serveDashboard(router, options)
  serveRpc(router, door)
  serveMethods(router, door)
  serveMcp(router, door, refuseFault)

  const answerError = (error: unknown): Response => {
    if (error instanceof BridgeError) return problem(error)
    if (error instanceof RequestError) {
      return problem(new BridgeError('INVALID_REQUEST', 'The request names no path that can be read.'))
    }
    return problem(refuseFault(error))
  }
  router.app.onError(answerError)
  const listener = getRequestListener(router.app.fetch, {
    overrideGlobalObjects: false,
    hostname: 'daemon',
    errorHandler: answerError,
  })
  return createServer({ maxHeaderSize: 16_384, requestTimeout: 30_000 }, (request, response) => {
    try {
      // Before anything else is made of what a web page, or another name for this address, could have sent.
      guard.checkSource(request)
    } catch (error) {
      return refuseRaw(response, error as BridgeError)
    }
    listener(request, response)
  })
}
