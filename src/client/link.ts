import { backoffMs, createPause } from './backoff.js'
import type { Answer } from './calls.js'
import type { EndedFrame, EventsFrame, SignalsFrame } from './frames.js'
import { errorOf, greet, isFinal, readMessage, type Session, sayGoodbye } from './greet.js'
import { browserSocket, type SocketEnd, type SocketLike } from './socket.js'

/** `waiting`: for the next try to connect. `closed`: for good. */
export type State = 'connecting' | 'open' | 'waiting' | 'closed'

export interface StateDetail {
  /** `open`: whether the session is the one of before; with a new one, what hung on the old is gone. */
  resumed?: boolean
  /** `waiting`: which try comes next, from 1, and in how long. */
  tries?: number
  delayMs?: number
  /** `waiting`, `closed`: why; nothing when the client was closed on purpose. */
  error?: Error
}

export interface Address {
  /** `ws://host:port/ws` */
  url: string
  token: string
}

/** How to find the daemon anew before each connect, for a restarted one may listen elsewhere. */
export interface Finder {
  locate(): Promise<Address>
}

export interface SessionOptions {
  /** The token's own name unless told; `human` for the operator's. */
  agent?: string
  /** What sort of agent, such as `codex`. */
  kind?: string
  capabilities?: string[]
  /** `default` unless named. */
  workspace?: string
  /** How long after its socket broke the daemon keeps the session, ms. */
  graceMs?: number
  /** Nothing is to depend on this session. */
  oneShot?: boolean
  /** Makes the socket; the platform's own way, unless told. */
  socket?: (url: string, token: string) => SocketLike
  /** Default true; with false a lost socket ends the client. */
  reconnect?: boolean
  onState?: (state: State, detail: StateDetail) => void
}

export type ClientOptions = SessionOptions & (Address | Finder)

/** What is told of the connection, each in the turn in which it happened. */
export interface LinkPort {
  opened(): void
  answered(answer: Answer): void
  events(frame: EventsFrame, size: number): void
  caughtUp(subscription: number, cursor: string): void
  /** The daemon has ended a subscription. */
  streamEnded(frame: EndedFrame): void
  signals(frame: SignalsFrame): void
  /** The socket is gone; another is sought. */
  lost(error: Error): void
  /** There will be no other. No error: it was closed on purpose. */
  ended(error?: Error): void
}

/** One session, over one socket after another. */
export interface Link {
  session(): Session
  /** False when there is no socket. */
  send(frame: string): boolean
  /** Opens the first socket. It is tried once. @throws whatever kept it from opening */
  open(): Promise<void>
  /** To be called once. */
  close(): Promise<void>
}

export function createLink(options: ClientOptions, port: LinkPort): Link {
  const pause = createPause()
  let session: Session | undefined
  let current: SocketLike | undefined
  let latest: SocketLike | undefined // in use, or being opened
  let closed: (() => void) | undefined
  let ended = false
  const tell = (state: State, detail: StateDetail = {}) => options.onState?.(state, detail)

  async function open(): Promise<void> {
    tell('connecting')
    const { url, token } = 'locate' in options ? await options.locate() : options
    if (ended) return
    const socket = (options.socket ?? browserSocket)(url, token)
    latest = socket
    await new Promise<void>((resolve, reject) => {
      greet(socket, openParams(options, session), (opened) => resolve(enter(socket, opened)), reject)
    })
  }

  function enter(socket: SocketLike, opened: Session): void {
    if (ended) return socket.close()
    current = socket
    session = opened
    socket.onmessage = (text) => socket === current && receive(socket, text, port)
    socket.onclose = lose
    port.opened()
    tell('open', { resumed: opened.resumed })
  }

  function lose(end: SocketEnd): void {
    current = undefined
    if (closed) return finish()
    const error = errorOf(end)
    if (options.reconnect === false || isFinal(error)) return finish(error)
    port.lost(error)
    void reopen(error)
  }

  async function reopen(cause: Error): Promise<void> {
    for (let tries = 1; !ended; tries++) {
      const delayMs = backoffMs(tries, Math.random())
      tell('waiting', { tries, delayMs, error: cause })
      await pause.wait(delayMs)
      const failed = ended || (await open().catch((error: Error) => error))
      if (!(failed instanceof Error)) return
      if (isFinal(failed)) return finish(failed)
      cause = failed
    }
  }

  function finish(error?: Error): void {
    if (ended) return
    ended = true
    pause.end()
    latest?.close()
    current = undefined
    port.ended(error)
    tell('closed', error && { error })
    closed?.()
  }

  return {
    session: () => session as Session,
    send(frame) {
      current?.send(frame)
      return current !== undefined
    },
    open: () =>
      open().catch((error: Error) => {
        finish(error)
        throw error
      }),
    async close() {
      // Without a socket there is nobody to tell: the session ends when its grace is over.
      if (!current) return finish()
      const stop = sayGoodbye(current, finish)
      await new Promise<void>((resolve) => {
        closed = resolve
      })
      stop()
    },
  }
}

function openParams(options: SessionOptions, former: Session | undefined): object {
  const { agent, kind, capabilities, workspace, graceMs, oneShot } = options
  const resume = former?.resumeKey && { session: former.session, resumeKey: former.resumeKey }
  return { agent, kind, capabilities, workspace, graceMs, oneShot, ...(resume && { resume }) }
}

function receive(socket: SocketLike, text: string, port: LinkPort): void {
  const message = readMessage(text)
  // Whatever sends that is no daemon; the next one may be.
  if (!message) socket.close()
  else if ('id' in message) port.answered(message)
  else if (message.method === 'events') port.events(message.params, text.length)
  else if (message.method === 'signals') port.signals(message.params)
  else if (message.method === 'ended') port.streamEnded(message.params)
  else if (message.method === 'caughtUp') port.caughtUp(message.params.subscription, message.params.cursor)
}
