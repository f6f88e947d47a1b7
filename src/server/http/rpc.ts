import type { Door } from '../../engine/door/door.js'
import { refuse } from '../../protocol/errors.js'
import { decodeFrame, type Frame } from '../../protocol/jsonrpc.js'
import { makeCalls } from '../frame.js'
import { readText } from './body.js'
import { whoOf, withKey } from './methods.js'
import { answerJson, PLAIN } from './problem.js'
import type { Request, Router } from './router.js'

/** JSON-RPC 2.0 over HTTP: a frame a request, its calls made in their order. */
export function serveRpc(router: Router, door: Door): void {
  router.shut('/rpc', {
    POST: async (request) => {
      const frame = decodeFrame(await readText(request))
      keyed(request, frame)
      const answer = await exchange(door, request, frame)
      if (answer === undefined) return new Response(null, { status: 204, headers: PLAIN })
      // A refused call is an answer. What was no call at all is a request that cannot be understood.
      const [only] = frame.items
      const understood = frame.batch || (only && 'call' in only)
      return answerJson(answer, understood ? 200 : 400)
    },
  })
}

/** @throws INVALID_REQUEST for a key beside a batch: it would be every call's */
function keyed(request: Request, { batch, items }: Frame): void {
  if (request.req.header('Idempotency-Key') === undefined) return
  if (batch)
    refuse('INVALID_REQUEST', 'Idempotency-Key is for one call: in a batch each has an `idempotencyKey` of its own.')
  for (const item of items) if ('call' in item) withKey(request, item.call.method, item.call.params)
}

/** @throws BridgeError when the caller may not come in */
function exchange(door: Door, request: Request, frame: Frame): Promise<string | undefined> {
  const { signal } = request.req.raw
  if (signal.aborted) return Promise.resolve(undefined)
  const visitor = door.visit(request.get('grant'), whoOf(request))
  return new Promise((resolve) => {
    const leave = () => {
      visitor.closed()
      resolve(undefined)
    }
    signal.addEventListener('abort', leave, { once: true })
    makeCalls(visitor, frame, (answer) => {
      signal.removeEventListener('abort', leave)
      visitor.closed()
      resolve(answer)
    })
  })
}
