import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import type { Grant } from '../../engine/door/door.js'
import type { Guard } from '../auth.js'
import { PLAIN, WrongRequest } from './problem.js'

/** A request on its way, with Node's own request and response, and what its token allows. */
export type Request = Context<{ Bindings: HttpBindings; Variables: { grant: Grant } }>
export type Handler = (request: Request) => Response | Promise<Response>

/** What a path answers, by HTTP method; GET answers HEAD too. */
export type Handlers = Partial<Record<'GET' | 'POST' | 'PATCH' | 'DELETE', Handler>>

/** Where paths get their handlers. Host and Origin have been checked before any is called. */
export interface Router {
  /** A path for which no token is needed. */
  open(path: string, handlers: Handlers): void
  /** A path for callers with a token: `request.get('grant')` is what it allows. */
  shut(path: string, handlers: Handlers): void
}

type App = Hono<{ Bindings: HttpBindings; Variables: { grant: Grant } }>

export function createRouter(guard: Guard): Router & { app: App } {
  const app: App = new Hono()
  const authenticate: MiddlewareHandler = async (request, next) => {
    request.set('grant', guard.authenticate(request.env.incoming))
    await next()
  }
  app.notFound(() => {
    throw new WrongRequest(404, 'There is nothing at this path.')
  })
  return {
    app,
    open: (path, handlers) => place(app, path, handlers),
    shut(path, handlers) {
      app.all(path, authenticate)
      place(app, path, handlers)
    },
  }
}

function place(app: App, path: string, handlers: Handlers): void {
  const allowed = Object.keys(handlers).flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  const Allow = [...allowed, 'OPTIONS'].join(', ')
  for (const [method, handler] of Object.entries(handlers)) app.on(method, path, handler)
  app.on('OPTIONS', path, () => new Response(null, { status: 204, headers: { Allow, ...PLAIN } }))
  // RFC 9110, 15.5.6: a refused method is told which ones there are.
  app.all(path, () => {
    throw new WrongRequest(405, `This path answers ${allowed.join(', ')}.`, { Allow })
  })
}
