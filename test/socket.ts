import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { WebSocket } from 'ws'
import type { MethodName, ParamsOf, ResultOf } from '../src/bridge/index.js'
import type { Signal } from '../src/bridge/messages/row.js'
import type { Config } from '../src/config.js'
import { type Daemon, startDaemon } from '../src/daemon.js'
import type { Event } from '../src/protocol/event.js'

// A daemon to talk to, and a socket that sends what it is told to the letter and keeps all that comes back.

/** Nothing here takes so long, ms, unless it never comes. */
const PATIENCE_MS = 30_000

export interface RunningDaemon {
  url: string
  http: string
  home: string
  token: string
}

/** The fields of any JSON-RPC answer or notification. */
export interface Message {
  jsonrpc: string
  id?: string | number | null
  method?: string
  params?: Frame
  result?: unknown
  error?: { code: number; message: string; data: { reason: string; [fact: string]: unknown } }
}

/** The parameters of a pushed notification. */
export interface Frame {
  subscription: number
  prev: string
  cursor: string
  events: Event[]
  signals?: Signal[]
}

export const makeHome = (): string => mkdtempSync(join(tmpdir(), 'agent-bridge-test-'))

export const removeHome = (home: string): void => rmSync(home, { recursive: true, force: true })

/**
 * Starts a daemon in this process, in a folder of its own unless one is named; `stop` also removes a folder of its own,
 * and throws when the daemon met a fault in its life.
 */
export async function serve(home?: string, port = 0): Promise<RunningDaemon & { stop(): Promise<void> }> {
  const folder = home ?? makeHome()
  const faults: string[] = []
  const logger = pino({ level: 'error' }, { write: (line) => void faults.push(line) })
  const config = { home: folder, host: '127.0.0.1', port, logLevel: 'error' }
  const daemon: Daemon = await startDaemon(config, logger)
  const { url, http, tokenFile } = daemon
  return {
    url,
    http,
    home: folder,
    token: readFileSync(tokenFile, 'utf8').trim(),
    async stop() {
      await daemon.stop()
      if (home === undefined) removeHome(folder)
      if (faults.length > 0) throw new Error(`the daemon met ${faults.length} faults, the first: ${faults[0]}`)
    },
  }
}

export interface DaemonProcess extends RunningDaemon {
  child: ChildProcess
  /** Exit code, or the signal that ended it. */
  ended: Promise<number | string>
  /** What the process printed on standard error: faults and uncaught errors, if there were any. */
  complaints(): string
  /** Bytes of memory that it takes, after a collection. */
  memory(): Promise<number>
  /** Bytes in buffers, after a collection: what waits to be sent is there. */
  buffers(): Promise<number>
}

/** Starts a daemon in a process of its own. */
export async function serveApart(home: string, retention?: Config['retention']): Promise<DaemonProcess> {
  const child = fork(
    join(import.meta.dirname, 'fixtures', 'serve.ts'),
    [home, ...(retention ? [JSON.stringify(retention)] : [])],
    {
      execArgv: ['--import', 'tsx', '--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    },
  )
  process.once('exit', () => child.kill('SIGKILL'))
  let complaints = ''
  child.stderr?.on('data', (chunk) => (complaints += chunk))
  const ended = new Promise<number | string>((resolve) =>
    // With its last words read.
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown')),
  )
  const told = <Told>() => new Promise<Told>((resolve) => child.once('message', (message) => resolve(message as Told)))
  const ready = await within(
    Promise.race([
      told<{ url: string; http: string; tokenFile: string }>(),
      ended.then((how) => {
        throw new Error(`the daemon ended at its start (${how}): ${complaints}`)
      }),
    ]),
    'the daemon to start',
  )
  const weigh = () => {
    const answer = told<{ bytes: number; buffers: number }>()
    child.send('memory')
    return answer
  }
  return {
    child,
    ended,
    complaints: () => complaints,
    url: ready.url,
    http: ready.http,
    home,
    token: readFileSync(ready.tokenFile, 'utf8').trim(),
    memory: async () => (await weigh()).bytes,
    buffers: async () => (await weigh()).buffers,
  }
}

/** One socket, and everything that came in on it. */
export interface Wire {
  readonly socket: WebSocket
  /** Every message, in the order in which it came; a batch's answer is one array. */
  readonly inbox: Array<Message | Message[]>
  /** Sends a text as it is, or a value as JSON. */
  send(frame: string | object): void
  /** Makes a call and gives its whole answer. */
  call(method: string, params?: object): Promise<Message>
  /** Makes a call that is expected to succeed and gives its result. */
  ask<Name extends MethodName>(method: Name, params?: ParamsOf<Name>): Promise<ResultOf<Name>>
  /** Makes a call that is expected to be refused and gives the reason. */
  refused(method: string, params?: object): Promise<string>
  /** The next message that nobody asked for with `call`, from where the last `next` ended. */
  next(): Promise<Message | Message[]>
  /** The `events` frames of a subscription so far. */
  frames(subscription?: number): Frame[]
  /** The events of a subscription so far. */
  events(subscription?: number): Event[]
  /** How the socket ended. */
  readonly closed: Promise<{ code: number; reason: string }>
  close(): Promise<void>
}

export interface WireOptions {
  /** Open a session under this name; none is opened without. */
  agent?: string
  /** More of session.open's parameters. */
  open?: Omit<ParamsOf<'session.open'>, 'agent'>
  headers?: Record<string, string>
  protocols?: string[]
}

/** Connects to a daemon; the handshake is over, and the session open if one was named, when this resolves. */
export async function connect(
  { url, token }: Pick<RunningDaemon, 'url' | 'token'>,
  { agent, open, headers = { Authorization: `Bearer ${token}` }, protocols = [] }: WireOptions = {},
): Promise<Wire> {
  const socket = new WebSocket(url, protocols, { headers, perMessageDeflate: false })
  const wire = createWire(socket)
  await within(
    new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    }),
    'the socket to open',
  )
  if (agent !== undefined) await wire.ask('session.open', { agent, ...open })
  return wire
}

function createWire(socket: WebSocket): Wire {
  const inbox: Wire['inbox'] = []
  const asked = new Map<string, (answer: Message) => void>()
  const unclaimed: Wire['inbox'] = []
  const taken = { count: 0 }
  let calls = 0
  socket.on('message', (data) => {
    const message: Message | Message[] = JSON.parse(data.toString())
    inbox.push(message)
    const waiting = Array.isArray(message) ? undefined : asked.get(String(message.id))
    if (!waiting) return void unclaimed.push(message)
    asked.delete(String((message as Message).id))
    waiting(message as Message)
  })
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  )
  socket.on('error', () => {})
  const send = (frame: string | object) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  const call: Wire['call'] = (method, params) => {
    const id = `call ${++calls}`
    const answer = new Promise<Message>((resolve, reject) => {
      asked.set(id, resolve)
      closed.then(({ code }) => reject(new Error(`the socket was closed (${code}) before ${method} was answered`)))
    })
    send({ jsonrpc: '2.0', id, method, ...(params && { params }) })
    return unminded(within(answer, `an answer to ${method}`))
  }
  const frames = (subscription = 1): Frame[] =>
    inbox.flatMap((message) =>
      !Array.isArray(message) && message.method === 'events' && message.params?.subscription === subscription
        ? message.params
        : [],
    )
  return {
    socket,
    inbox,
    send,
    call,
    ask<Name extends MethodName>(method: Name, params?: ParamsOf<Name>) {
      const result = call(method, params).then(({ result, error }) => {
        if (error) throw new Error(`${method} was refused: ${JSON.stringify(error)}`)
        return result as ResultOf<Name>
      })
      return unminded(result)
    },
    async refused(method, params) {
      const { error } = await call(method, params)
      return error?.data.reason ?? 'nothing was refused'
    },
    async next() {
      await until(() => unclaimed.length > taken.count, 'a message')
      return unclaimed[taken.count++] as Message
    },
    frames,
    events: (subscription) => frames(subscription).flatMap(({ events }) => events),
    closed,
    async close() {
      if (socket.readyState === WebSocket.OPEN) socket.close()
      else socket.terminate()
      await closed
    },
  }
}

/** A promise that may fail without anybody waiting for it: a test that has failed already, say. */
function unminded<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {})
  return promise
}

/** Waits for a condition, without assuming how long it takes. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Gives up on a promise that never settles. */
export async function within<Value>(promise: Promise<Value>, what: string, ms = PATIENCE_MS): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The number in a cursor. */
export const seqOf = (cursor: string): number => Number(cursor.split('-')[1])
