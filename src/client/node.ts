import { type RawData, WebSocket } from 'ws'
import { type Environment, homeOf } from '../config.js'
import { SetupError } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import { Client, type ClientOptions, type SessionOptions } from './client.js'
import { CallError, ConnectionError, isReason } from './errors.js'
import type { Address } from './link.js'
import { locate } from './locate.js'
import type { SocketLike } from './socket.js'
import { workspaceOf } from './workspace.js'

export * from './client.js'
export { type Located, locate } from './locate.js'
export { workspaceOf } from './workspace.js'

export interface LocalOptions extends SessionOptions {
  /** The daemon's folder; the default one unless told. */
  home?: string
  /** Whose workspace is wanted, unless `workspace` names it; the current folder unless told. */
  cwd?: string
  env?: Environment
}

/** Opens a client with the token in the `Authorization` header. The first connect is tried once. */
export const connect = (options: ClientOptions): Promise<Client> => Client.open({ socket: nodeSocket, ...options })

/**
 * Opens a client of the daemon on this machine, in the workspace of the repository around `cwd`.
 * `AGENT_BRIDGE_URL` with `AGENT_BRIDGE_TOKEN` name another daemon, `AGENT_BRIDGE_WORKSPACE` another workspace.
 * @throws ConnectionError when none answers, SetupError, CallError
 */
export async function connectLocal(options: LocalOptions): Promise<Client> {
  const { home, cwd = process.cwd(), env = process.env, workspace = workspaceOf(cwd, env), ...rest } = options
  return connect({ ...rest, workspace, locate: () => find(home, env) })
}

async function find(home: string | undefined, env: Environment): Promise<Address> {
  const { AGENT_BRIDGE_URL: url, AGENT_BRIDGE_TOKEN: token } = env
  if (!url) return locate(homeOf(home, env), token || undefined)
  // The token of the home is for the daemon of the home, and goes nowhere else.
  if (!token) throw new SetupError('AGENT_BRIDGE_URL names a daemon: set AGENT_BRIDGE_TOKEN to its token as well.')
  if (!/^wss?:\/\/./.test(url) || !URL.canParse(url)) {
    throw new SetupError(
      'The URL of a daemon is written ws://host:port/ws: agent-bridge status tells that of the one that runs here.',
    )
  }
  return { url, token }
}

/** A refused upgrade's answer is read this far. */
const REFUSAL_BYTES = 16_384
const CLOSE_WITHIN_MS = 1_000

/** A socket of `ws`. The daemon pings: when nothing at all has come for as long as it would wait for us, it is dead. */
export function nodeSocket(url: string, token: string): SocketLike {
  const ws = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` }, perMessageDeflate: false })
  let error: Error | undefined
  const silence = setTimeout(() => ws.terminate(), limits.silentMs)
  const handlers: SocketLike = {
    onopen() {},
    onmessage() {},
    onclose() {},
    send: (text) => ws.send(text),
    close() {
      ws.close()
      setTimeout(() => ws.terminate(), CLOSE_WITHIN_MS).unref()
    },
  }
  ws.on('open', () => handlers.onopen())
  ws.on('ping', () => silence.refresh())
  ws.on('message', (data: RawData) => {
    silence.refresh()
    handlers.onmessage(data.toString())
  })
  ws.on('unexpected-response', (_request, response) => {
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (text: string) => {
      body += text
      if (body.length > REFUSAL_BYTES) response.destroy()
    })
    response.on('close', () => {
      error = readRefusal(url, response.statusCode ?? 0, body)
      ws.terminate()
    })
  })
  // Follows a failed handshake; `close` comes after it.
  ws.on('error', (cause: NodeJS.ErrnoException) => {
    error ??= new ConnectionError(`${url} cannot be reached (${cause.code ?? cause.message}).`)
  })
  ws.on('close', (code, reason) => {
    clearTimeout(silence)
    handlers.onclose({ code, reason: reason.toString(), ...(error && { error }) })
  })
  return handlers
}

/** RFC 9457: what a daemon answers instead of 101. Anything else in its place, such as a proxy, may pass. */
function readRefusal(url: string, status: number, body: string): Error {
  try {
    const { reason, detail } = JSON.parse(body)
    if (isReason(reason)) return new CallError(reason, String(detail))
  } catch {}
  return new ConnectionError(`${url} answers ${status}, and is no daemon.`)
}
