import type { ResultOf } from '../bridge/index.js'
import type { Answer } from './calls.js'
import { CallError, ConnectionError, readError } from './errors.js'
import type { EndedFrame, EventsFrame, SignalsFrame } from './frames.js'
import type { SocketEnd, SocketLike } from './socket.js'

// The two ends of a socket's life, and what can be read on it between them.

/** How long a daemon may take to accept a socket and open a session, and to answer a goodbye, ms. */
const OPEN_WITHIN_MS = 10_000
const GOODBYE_WITHIN_MS = 1_000

const GOODBYE_CODE = 1000
const TAKEN_OVER_CODE = 4409
const REVOKED_CODE = 4403

/** Closed with one of these, another socket would be closed the same way. */
const finalCodes = new Set<number | undefined>([GOODBYE_CODE, TAKEN_OVER_CODE, REVOKED_CODE])

/** What `session.open` answers. */
export type Session = ResultOf<'session.open'>

/** Opens the session of a new socket. `opened` is called in the turn of the answer: the next frame may be there already. */
export function greet(
  socket: SocketLike,
  params: object,
  opened: (session: Session) => void,
  failed: (error: Error) => void,
): void {
  const leave = () => {
    clearTimeout(timer)
    socket.onmessage = socket.onclose = () => {}
  }
  const fail = (error: Error) => {
    leave()
    socket.close()
    failed(error)
  }
  const timer = setTimeout(
    () => fail(new ConnectionError(`No session was opened within ${OPEN_WITHIN_MS} ms.`)),
    OPEN_WITHIN_MS,
  )
  socket.onopen = () => socket.send(JSON.stringify({ jsonrpc: '2.0', id: 'open', method: 'session.open', params }))
  socket.onclose = (end) => fail(errorOf(end))
  socket.onmessage = (text) => {
    const message = readMessage(text)
    if (!message || !('id' in message)) return fail(new ConnectionError('What answers there is no daemon.'))
    if (message.error) return fail(readError(message.error))
    leave()
    opened(message.result as Session)
  }
}

/** The daemon answers by closing the socket, once it has answered the calls before; `late` is called when it does not. */
export function sayGoodbye(socket: SocketLike, late: () => void): () => void {
  socket.send('{"jsonrpc":"2.0","id":"close","method":"session.close"}')
  const timer = setTimeout(late, GOODBYE_WITHIN_MS)
  return () => clearTimeout(timer)
}

export type Message =
  | Answer
  | { method: 'events'; params: EventsFrame }
  | { method: 'ended'; params: EndedFrame }
  | { method: 'caughtUp'; params: { subscription: number; cursor: string } }
  | { method: 'signals'; params: SignalsFrame }

/** What a frame says; undefined when no daemon can have sent it. */
export function readMessage(text: string): Message | undefined {
  try {
    const message: unknown = JSON.parse(text)
    return typeof message === 'object' && message !== null ? (message as Message) : undefined
  } catch {
    return undefined
  }
}

export function errorOf({ code, reason, error }: SocketEnd): Error {
  if (error) return error
  if (code === REVOKED_CODE) return new ConnectionError('The token was revoked.', code)
  if (code === TAKEN_OVER_CODE) return new ConnectionError('The session was resumed on another socket.', code)
  return new ConnectionError(`The connection was lost (${code}${reason && `: ${reason}`}).`, code)
}

/** Trying again would change nothing or, after a takeover, begin a fight. A daemon with a fault may be restarted. */
export function isFinal(error: Error): boolean {
  if (error instanceof CallError) return !error.retry && error.reason !== 'INTERNAL'
  return error instanceof ConnectionError && finalCodes.has(error.closeCode)
}
