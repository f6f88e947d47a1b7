import type { MethodName, ResultOf } from '../bridge/index.js'
import { type CallOptions, type Calls, createCalls } from './calls.js'
import { ConnectionError } from './errors.js'
import type { Session } from './greet.js'
import { type ClientOptions, createLink, type Link } from './link.js'
import type { SignalsOptions } from './signals.js'
import type { EventStream, EventsOptions } from './stream.js'
import { createStreams, type Streams } from './streams.js'
import { type Params, repeatOf } from './verbs.js'

export type { MethodName, ResultOf } from '../bridge/index.js'
export type { Reason } from '../protocol/errors.js'
export type { Event } from '../protocol/event.js'
export type { CallOptions } from './calls.js'
export { CallError, ConnectionError } from './errors.js'
export type { Session } from './greet.js'
export type { Address, ClientOptions, Finder, SessionOptions, State, StateDetail } from './link.js'
export type { Signal, SignalsOptions } from './signals.js'
export type { SocketEnd, SocketLike } from './socket.js'
export type { EventStream, EventsOptions } from './stream.js'
export type { Params } from './verbs.js'

/** Parameters, which may be left out when none is needed, then how long to wait. */
export type Rest<Name extends MethodName> =
  Record<never, never> extends Params<Name>
    ? [params?: Params<Name>, options?: CallOptions]
    : [params: Params<Name>, options?: CallOptions]

/**
 * One agent's session with a daemon; `connect` opens it. While the daemon is away calls wait and streams pause. When it
 * is back the session is resumed, each stream goes on at its cursor, and each call without an answer is made again: a
 * query as it is, a command under its idempotency key, so that it takes effect once.
 */
export class Client {
  readonly #link: Link
  readonly #calls: Calls
  readonly #streams: Streams
  readonly #newKey = createKeys()
  #over: Error | undefined
  #closing: Promise<void> | undefined

  private constructor(options: ClientOptions) {
    this.#link = createLink(options, {
      opened: () => this.#calls.opened(),
      answered: (answer) => this.#calls.answered(answer),
      events: (frame, size) => this.#streams.frame(frame, size),
      caughtUp: (subscription, cursor) => this.#streams.caughtUp(subscription, cursor),
      streamEnded: (frame) => this.#streams.ended(frame),
      signals: (frame) => this.#streams.signals(frame),
      lost: (error) => {
        this.#calls.lost(error)
        this.#streams.lost()
      },
      ended: (error) => this.#end(error),
    })
    this.#calls = createCalls({ send: this.#link.send, reconnects: options.reconnect ?? true })
    this.#streams = createStreams(this.#calls)
  }

  /** @internal Use `connect`. */
  static async open(options: ClientOptions): Promise<Client> {
    const client = new Client(options)
    await client.#link.open()
    return client
  }

  /** Who speaks. */
  get agent(): string {
    return this.session.agent
  }

  /** What `session.open` answered last. */
  get session(): Session {
    return this.#link.session()
  }

  /**
   * Calls a method. Rejects with a `CallError` when it is refused, with a `ConnectionError` when the client ends first.
   * Without `timeoutMs` or a `signal` it waits for as long as the daemon is away.
   */
  async call<Name extends MethodName>(method: Name, ...[params, options]: Rest<Name>): Promise<ResultOf<Name>> {
    if (this.#over) throw this.#over
    const repeat = repeatOf(method)
    const given = (params ?? {}) as { idempotencyKey?: string }
    const full = repeat === 'by-key' ? { ...given, idempotencyKey: given.idempotencyKey ?? this.#newKey() } : given
    return (await this.#calls.make(method, full, repeat, options ?? {})) as ResultOf<Name>
  }

  /**
   * Follows the log, from now unless told otherwise: `for await (const event of client.events({ after, types }))`. The
   * daemon is asked at once, so that whatever is called after this is seen by it. @throws when the client has ended
   */
  events(options: EventsOptions = {}): EventStream {
    if (this.#over) throw this.#over
    return this.#streams.open(options)
  }

  /**
   * Follows the ephemeral messages to topics, such as an agent's output, from now on; gives a way to stop. What is sent
   * while this client is slow or its socket away is missed. @throws when the client has ended
   */
  signals(options: SignalsOptions): () => void {
    if (this.#over) throw this.#over
    return this.#streams.openSignals(options)
  }

  /** Says goodbye, so that what hangs on the session is let go at once. Streams end; calls not answered by then reject. */
  close(): Promise<void> {
    this.#over ??= closedError()
    if (!this.#closing) this.#streams.leaving()
    this.#closing ??= this.#link.close()
    return this.#closing
  }

  #end(error: Error | undefined): void {
    this.#over ??= error ?? closedError()
    this.#streams.end(error)
    this.#calls.end(this.#over)
  }
}

/** Opens a client. The first connect is tried once; what kept it from working is thrown. */
export const connect = (options: ClientOptions): Promise<Client> => Client.open(options)

const closedError = () => new ConnectionError('The client was closed.')

/** Idempotency keys that nobody else makes. `crypto.randomUUID` is missing where a page came over plain HTTP. */
function createKeys(): () => string {
  const random = crypto.getRandomValues(new Uint8Array(16))
  const prefix = Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')
  let count = 0
  return () => `${prefix}-${++count}`
}
