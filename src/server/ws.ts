import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import type { Connection, Door, Grant } from '../engine/door/door.js'
import { BridgeError, refuse } from '../protocol/errors.js'
import { rpcForm } from '../protocol/form.js'
import { decodeFrame } from '../protocol/jsonrpc.js'
import { limits } from '../protocol/limits.js'
import { type Guard, SUBPROTOCOL } from './auth.js'
import { makeCalls } from './frame.js'
import { problemOf } from './http/problem.js'

const PATH = '/ws'

export interface Sockets {
  /** Says goodbye to every socket, 1001, and cuts off those that do not answer within `ms`. */
  close(ms: number): Promise<void>
}

/** Takes WebSocket upgrades on an HTTP server, and carries frames between sockets and the door. */
export function serveSockets(http: Server, door: Door, guard: Guard, warn: (error: unknown) => void): Sockets {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    maxPayload: limits.frameBytes,
    perMessageDeflate: false,
    autoPong: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  const unopened = new Set<WebSocket>()
  http.on('upgrade', (request: IncomingMessage, raw: Duplex, head: Buffer) => {
    raw.on('error', warn)
    try {
      if (pathOf(request) !== PATH) throw new BridgeError('NOT_FOUND', `Sockets are at ${PATH}.`)
      guard.checkSource(request)
      const grant = guard.authenticate(request)
      if (unopened.size >= limits.unopenedSockets)
        throw new BridgeError('OVERLOADED', 'Too many sockets have not opened a session.')
      server.handleUpgrade(request, raw, head, (socket) => serve(socket, raw, door, grant, unopened))
    } catch (error) {
      if (!(error instanceof BridgeError)) warn(error)
      refuseUpgrade(
        raw,
        error instanceof BridgeError ? error : new BridgeError('INVALID_REQUEST', 'The request cannot be read.'),
      )
    }
  })
  const heartbeat = setInterval(() => beat(server.clients), limits.pingEveryMs).unref()
  return {
    async close(ms) {
      clearInterval(heartbeat)
      for (const socket of server.clients) socket.close(1001, 'the daemon is stopping')
      const deadline = setTimeout(() => {
        for (const socket of server.clients) socket.terminate()
      }, ms)
      while (server.clients.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
      clearTimeout(deadline)
    },
  }
}

/** Where a request goes. Not every target that HTTP lets through is one: `//` names no host. @throws INVALID_REQUEST */
function pathOf({ url = '/' }: IncomingMessage): string {
  try {
    return new URL(url, 'http://daemon').pathname
  } catch {
    return refuse('INVALID_REQUEST', 'The request names no path that can be read.')
  }
}

/** RFC 6455, 4.2.2: an HTTP answer other than 101 refuses the socket. */
function refuseUpgrade(raw: Duplex, error: BridgeError): void {
  const { status, headers, body } = problemOf(error)
  const told = { ...headers, 'Content-Length': Buffer.byteLength(body), Connection: 'close' }
  const lines = Object.entries(told).map(([name, value]) => `${name}: ${value}\r\n`)
  // The other side may keep its half open for ever, and a socket that was upgraded no longer has HTTP's timeouts.
  raw.once('finish', () => raw.destroy())
  raw.end(`HTTP/1.1 ${status} ${error.reason}\r\n${lines.join('')}\r\n${body}`)
}

/**
 * Heartbeats since a socket last showed life, and since when its output waits. Heartbeats, not time: after a moment in
 * which this process stood still, what everyone has sent meanwhile is read before anyone is given up.
 */
const life = new WeakMap<WebSocket, { silent: number; unread: number }>()

/** Pings everyone, and ends those that are dead: silent, or, with output they do not read, slow for long. */
function beat(sockets: Iterable<WebSocket>): void {
  for (const socket of sockets) {
    const beats = life.get(socket)
    if (!beats) continue
    beats.silent++
    beats.unread = socket.bufferedAmount === 0 ? 0 : beats.unread + 1
    const patienceMs = beats.unread === 0 ? limits.silentMs : limits.unreadMs
    if (Math.max(beats.silent, beats.unread) * limits.pingEveryMs > patienceMs) socket.terminate()
    else if (socket.readyState === WebSocket.OPEN) socket.ping()
  }
}

function serve(socket: WebSocket, raw: Duplex, door: Door, grant: Grant, unopened: Set<WebSocket>): void {
  const beats = { silent: 0, unread: 0 }
  life.set(socket, beats)
  const send = corked(socket, raw)
  const connection = door.connect(grant, {
    form: rpcForm,
    takesSignals: true,
    push(head, rest) {
      cork(raw)
      if (rest === undefined) return socket.send(head)
      // One message in two fragments: the second is one buffer for all sockets that get the same events.
      socket.send(head, { fin: false })
      socket.send(rest, { binary: false, fin: true })
    },
    writable: () => socket.readyState === WebSocket.OPEN && socket.bufferedAmount < limits.highWaterBytes,
    close: (code, reason) => socket.close(code, reason),
  })
  unopened.add(socket)
  const opening = setTimeout(() => socket.close(4401, 'no session was opened'), limits.openWithinMs)
  const { take, more, rest } = createIntake(socket, connection, send, () => {
    if (!connection.opened()) return
    clearTimeout(opening)
    unopened.delete(socket)
  })
  raw.on('data', () => {
    beats.silent = 0
    connection.seen()
  })
  raw.on('drain', () => {
    // It reads, however slowly.
    beats.unread = 0
    connection.drained()
    more()
  })
  socket.on('message', (data: RawData, binary: boolean) => take(binary ? '' : data.toString()))
  // RFC 6455, 5.5.3: a pong may be for the latest of several pings. Who reads none is not piled up with them.
  socket.on('ping', (data) => {
    if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < limits.highWaterBytes) socket.pong(data)
  })
  // Without a listener an error of one socket would end the process; `close` follows in any case.
  socket.on('error', () => {})
  socket.on('close', () => {
    clearTimeout(opening)
    unopened.delete(socket)
    rest()
    connection.closed()
  })
}

/**
 * Makes the calls of a socket's frames, no more at a time than the socket may have unanswered, and none while its
 * answers are not read. Beyond that the socket is not read: TCP pushes back, and nothing is refused.
 */
function createIntake(socket: WebSocket, connection: Connection, send: (text: string) => void, answered: () => void) {
  // What came in one piece with the frame that was enough; then there is no more of it than the piece held.
  const frames: string[] = []
  let making = false
  const full = () =>
    connection.busy() >= limits.outstandingCalls ||
    connection.busyBytes() >= limits.outstandingBytes ||
    socket.bufferedAmount >= limits.highWaterBytes
  const settled = () => {
    answered()
    more()
  }

  const sendAnswer = (answer: string | undefined) => {
    if (answer !== undefined) send(answer)
  }
  const receive = (text: string) => makeCalls(connection, decodeFrame(text), sendAnswer, settled)

  function more(): void {
    // A call that is answered at once comes back here before it has returned.
    if (making) return
    making = true
    for (let text = frames[0]; text !== undefined && !full(); text = frames[0]) {
      frames.shift()
      receive(text)
    }
    making = false
    if (frames.length > 0 || full()) socket.pause()
    else if (socket.isPaused) socket.resume()
  }

  return {
    more,
    take(text: string): void {
      frames.push(text)
      more()
    },
    /** The socket is gone: what was sent before it went still counts, though nobody hears the answers. */
    rest(): void {
      making = true
      for (const text of frames.splice(0)) receive(text)
    },
  }
}

const corks = new WeakSet<Duplex>()

/** All that is written in one turn goes out as one write. */
function cork(raw: Duplex): void {
  if (corks.has(raw)) return
  corks.add(raw)
  raw.cork()
  setImmediate(() => {
    corks.delete(raw)
    raw.uncork()
  })
}

function corked(socket: WebSocket, raw: Duplex): (text: string) => void {
  return (text) => {
    if (socket.readyState !== WebSocket.OPEN) return
    cork(raw)
    socket.send(text)
  }
}
