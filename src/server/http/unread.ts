import type { IncomingMessage, ServerResponse } from 'node:http'
import { limits } from '../../protocol/limits.js'

/**
 * Hangs up on who asked and does not read the answer: it stays in memory until it is read, and HTTP itself would wait for
 * ever. Who reads, however slowly, is heard to the end. A call that waits, and a stream of events, has not ended.
 */
export function giveUpUnread(
  { socket }: IncomingMessage,
  response: ServerResponse,
  ms: number = limits.unreadMs,
): void {
  // All of it is written now, and has yet to go. Each part that goes begins the time anew.
  response.once('prefinish', () => socket.setTimeout(ms))
  // What was sent behind it on the same connection may wait for longer. Where nothing was, Node has set a time of its own.
  response.once('finish', () => {
    if (socket.timeout === ms) socket.setTimeout(0)
  })
}
