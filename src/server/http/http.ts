import { createServer, type Server } from 'node:http'
import { getRequestListener, RequestError } from '@hono/node-server'
import type { Door } from '../../engine/door/door.js'
import type { Outcome } from '../../engine/engine.js'
import { BridgeError } from '../../protocol/errors.js'
import type { Guard } from '../auth.js'
import { serveMcp } from '../mcp/http.js'
import { type DashboardOptions, serveDashboard } from './dashboard.js'
import { serveEvents } from './events.js'
import { serveHealth } from './health.js'
import { serveMethods } from './methods.js'
import type { Metrics } from './metrics.js'
import { serveDocument } from './openapi.js'
import { problem, refuseRaw } from './problem.js'
import { createRouter } from './router.js'
import { serveRpc } from './rpc.js'
import { giveUpUnread } from './unread.js'

export interface HttpOptions extends DashboardOptions {
  guard: Guard
  door: Door
  /** The secret of `daemon.json`. */
  key: string
  /** Commands are served. */
  ready(): boolean
  metrics: Metrics
  /** Reports a bug, and gives what its caller is told. */
  fault(error: unknown): Outcome
}

export interface Http {
  /** Sockets are upgraded from it. */
  server: Server
  /** Takes no more, ends streams, and cuts off what has not been answered and read within `ms`. */
  close(ms: number): Promise<void>
}

/** How often, while closing, connections are looked for that have been answered, ms. */
const IDLE_LOOK_MS = 5

/** The daemon's HTTP. Every surface over it gets its paths here. */
export function createHttp(options: HttpOptions): Http {
  const { guard, door, fault } = options
  const refuseFault = (error: unknown) => (fault(error) as { refusal: BridgeError }).refusal
  const router = createRouter(guard)
  serveHealth(router, options)
  serveDashboard(router, options)
  serveRpc(router, door)
  serveMethods(router, door)
  serveMcp(router, door, refuseFault)
  serveDocument(router)
  options.metrics.serve(router)
  const streams = serveEvents(router, door)

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
  const server = createServer({ maxHeaderSize: 16_384, requestTimeout: 30_000 }, (request, response) => {
    giveUpUnread(request, response)
    try {
      // Before anything else is made of what a web page, or another name for this address, could have sent.
      guard.checkSource(request)
    } catch (error) {
      return refuseRaw(response, error as BridgeError)
    }
    listener(request, response)
  })
  return {
    server,
    async close(ms) {
      streams.end()
      await drain(server, ms)
    },
  }
}

/** Waits for the answers under way; connections that are kept for more requests are not waited for. */
async function drain(server: Server, ms: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  const deadline = setTimeout(() => server.closeAllConnections(), ms)
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_LOOK_MS)
  await closed
  clearTimeout(deadline)
  clearInterval(idle)
}
