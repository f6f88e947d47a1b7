import { limits } from '../protocol/limits.js'
import { CallError, ConnectionError, readError, type WireError } from './errors.js'
import type { Repeat } from './verbs.js'

/** Calls that wait for an answer, or for a socket; one more is refused. */
const CALLS_MAX = 16_384
/** The longest a timer runs: above it, it would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** JSON-RPC 2.0, 5. */
export interface Answer {
  id: number | string | null
  result?: unknown
  error?: WireError
}

export interface CallOptions {
  /** Rejects with a `TimeoutError` after so many milliseconds. What was sent may take effect all the same. */
  timeoutMs?: number
  /** Rejects with the signal's reason. What was sent may take effect all the same. */
  signal?: AbortSignal
}

/** Told in the turn in which the answer came, before the next frame is looked at. */
export interface Asker {
  done(result: unknown): void
  failed(error: Error): void
}

/** The calls under way, in the order made: an answer lost with its socket is asked for again on the next. */
export interface Calls {
  /** Gives a way to forget the call. What cannot even be sent fails too, in a turn of its own. */
  start(method: string, params: object, repeat: Repeat, asker: Asker): () => void
  make(method: string, params: object, repeat: Repeat, options: CallOptions): Promise<unknown>
  answered(answer: Answer): void
  /** There is a socket: whatever has not been sent on it is. */
  opened(): void
  lost(error: Error): void
  end(error: Error): void
}

interface Call extends Asker {
  frame: string
  repeat: Repeat
  sent: boolean
}

export interface CallsOptions {
  /** False when there is no socket to send on. */
  send(frame: string): boolean
  /** A stopping daemon is followed by another. */
  reconnects: boolean
}

export function createCalls({ send, reconnects }: CallsOptions): Calls {
  const calls = new Map<number, Call>()
  let lastId = 0

  function fail(error: Error, which: (call: Call) => boolean): void {
    for (const [id, call] of [...calls]) if (which(call) && calls.delete(id)) call.failed(error)
  }

  /** @throws CallError, ConnectionError, and what JSON cannot say */
  function add(method: string, params: object, repeat: Repeat, asker: Asker): number {
    if (calls.size >= CALLS_MAX) {
      throw new CallError('OVERLOADED', `At most ${CALLS_MAX} calls of a client may wait for their answers.`)
    }
    const id = ++lastId
    const frame = JSON.stringify({ jsonrpc: '2.0', id, method, params })
    // The daemon would close the socket, and the call would be sent again on the next, for ever.
    if (!fits(frame)) throw new CallError('TOO_LARGE', `A call is at most ${limits.frameBytes} bytes.`)
    const sent = send(frame)
    if (!sent && repeat === 'never') throw new ConnectionError('There is no connection, and this cannot wait for one.')
    calls.set(id, { ...asker, frame, repeat, sent })
    return id
  }

  function start(method: string, params: object, repeat: Repeat, asker: Asker): () => void {
    try {
      const id = add(method, params, repeat, asker)
      return () => void calls.delete(id)
    } catch (error) {
      queueMicrotask(() => asker.failed(error as Error))
      return () => {}
    }
  }

  return {
    start,
    make: (method, params, repeat, options) =>
      new Promise((resolve, reject) => {
        options.signal?.throwIfAborted()
        let release = () => {}
        const forget = start(method, params, repeat, {
          done(result) {
            release()
            resolve(result)
          },
          failed(error) {
            release()
            reject(error)
          },
        })
        release = limitCall(method, options, (reason) => {
          forget()
          reject(reason)
        })
      }),
    answered({ id, result, error }) {
      const call = calls.get(id as number)
      if (!call) return
      // It stays, and goes to the daemon that follows.
      if (error?.data?.reason === 'SHUTTING_DOWN' && reconnects && call.repeat !== 'never') return
      calls.delete(id as number)
      if (error) call.failed(readError(error))
      else call.done(result)
    },
    opened() {
      for (const call of calls.values()) if (!call.sent) call.sent = send(call.frame)
    },
    lost(error) {
      fail(error, ({ repeat }) => repeat === 'never')
      for (const call of calls.values()) call.sent = false
    },
    end: (error) => fail(error, () => true),
  }
}

/** Gives the call up when its time is over or its signal says so; until it is released. */
function limitCall(method: string, { timeoutMs, signal }: CallOptions, giveUp: (reason: unknown) => void): () => void {
  const release = () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
  const abort = () => {
    release()
    giveUp(signal?.reason)
  }
  const late = () => {
    release()
    giveUp(new DOMException(`${method} was not answered within ${timeoutMs} ms.`, 'TimeoutError'))
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(late, Math.min(timeoutMs, TIMER_MS_MAX))
  signal?.addEventListener('abort', abort)
  return release
}

/** A character is at most three bytes: most frames need no counting. */
const fits = (frame: string): boolean =>
  frame.length * 3 <= limits.frameBytes || new TextEncoder().encode(frame).length <= limits.frameBytes
