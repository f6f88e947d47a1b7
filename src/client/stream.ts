import type { ParamsOf, ResultOf } from '../bridge/index.js'
import type { Event } from '../protocol/event.js'
import { type Acks, createAcks } from './acks.js'
import { CallError, ConnectionError } from './errors.js'
import type { EndedFrame, EventsFrame, SignalsFrame } from './frames.js'
import { type Batch, createQueue, type Queue } from './queue.js'

/** What a stream keeps for a consumer that is slower than the log, in characters of JSON; one frame may exceed it. */
const KEPT_MAX = 1024 * 1024

type Subscribe = ParamsOf<'event.subscribe'>
type Subscribed = ResultOf<'event.subscribe'>

export type EventsOptions = Subscribe & {
  /** Called once, when all that had happened before has been given out. */
  onCaughtUp?: (cursor: string) => void
}

/**
 * The events after a cursor and then the new ones, each once and in order, whatever happens to the socket.
 *
 * A cursor that cannot be continued ends it by throwing the daemon's refusal (CURSOR_EXPIRED, EPOCH_CHANGED,
 * CURSOR_AHEAD) once what came before has been given out. A slow consumer costs about a MiB at most: beyond it the
 * subscription is given up, and taken up again at its cursor when half of that has been consumed.
 *
 * With a `durable` name an event is acknowledged when the next one is asked for, and not by asking alone: after a crash,
 * or a loop that was left, the name goes on with the event that was being dealt with. Another session that reads under
 * the name ends this one.
 */
export interface EventStream extends AsyncIterableIterator<Event, undefined> {
  /** Of the last event given out, or of what the filter has let go by since: go on from it with `after`. */
  readonly cursor: string | undefined
  /** Ends it at once; what was received and not given out is dropped. */
  close(): void
}

/** As a stream tells it to whoever takes its events. */
export function reasonOf({ reason, epoch, earliest, head }: EndedFrame): Error {
  if (reason === 'TAKEN_OVER') return new ConnectionError('Another session reads under this durable name now.')
  return new CallError('CURSOR_EXPIRED', 'Events that were not read yet have been removed.', { epoch, earliest, head })
}

/** What the socket's side tells a stream. */
export interface Feed {
  frame(frame: EventsFrame, size: number): void
  caughtUp(cursor: string): void
  signals?(frame: SignalsFrame): void
  /** The socket is about to be closed on purpose: what is left to be said is said. */
  leaving?(): void
  /** Its subscription went with the socket. */
  lost(): void
  end(error?: Error): void
}

/** What a stream asks of the socket's side. */
export interface StreamPort {
  /** Subscribes, on this socket or the next. */
  subscribe(params: Subscribe, done: (subscribed: Subscribed) => void, failed: (error: Error) => void): void
  unsubscribe(subscription: number): void
  acknowledge(subscription: number, cursor: string): void
  ended(): void
}

export function createStream(options: EventsOptions, port: StreamPort): { stream: EventStream; feed: Feed } {
  const { onCaughtUp, ...params } = options
  const queue = createQueue(passed)
  const acks = params.durable === undefined ? undefined : createAcks(port.acknowledge)
  /** Where the last frame ended; what "latest" and "earliest" are, the daemon says. */
  let received = params.after === 'latest' || params.after === 'earliest' ? undefined : params.after
  let subscription: number | undefined
  let paused = false
  let ended = false
  let begun = false
  let told = onCaughtUp === undefined
  if (received !== undefined) queue.begin(received)

  function subscribe(): void {
    paused = false
    const after = received ?? params.after ?? 'latest'
    port.subscribe({ ...params, after }, (subscribed) => begin(subscribed), end)
  }

  function begin(subscribed: Subscribed): void {
    subscription = subscribed.subscription
    // A durable name may be further on than where it was asked to begin.
    received = (acks && !begun ? undefined : received) ?? subscribed.cursor
    begun = true
    queue.begin(received)
    acks?.on(subscription)
    if (ended) unsubscribe()
  }

  function unsubscribe(): void {
    acks?.off()
    if (subscription !== undefined) port.unsubscribe(subscription)
    subscription = undefined
  }

  function put(batch: Batch): void {
    queue.put(batch)
    if (queue.size() <= KEPT_MAX || ended) return
    paused = true
    unsubscribe()
  }

  function passed({ caughtUp, cursor }: Batch): void {
    acks?.upTo(cursor)
    if (paused && !ended && queue.size() <= KEPT_MAX / 2) subscribe()
    if (!caughtUp || told) return
    told = true
    onCaughtUp?.(cursor)
  }

  function end(error?: Error): void {
    if (ended) return
    ended = true
    unsubscribe()
    port.ended()
    queue.end(error)
  }

  const close = () => {
    queue.clear()
    end()
  }

  const feed: Feed = {
    frame({ prev, cursor, events }, size) {
      if (prev !== received) return end(gap({ expected: received, prev, cursor }))
      received = cursor
      put({ events, cursor, size })
    },
    caughtUp: (cursor) => put({ events: [], cursor, size: 0, caughtUp: true }),
    leaving: () => acks?.off(),
    lost() {
      if (subscription === undefined) return
      acks?.lost()
      subscription = undefined
      subscribe()
    },
    end,
  }
  subscribe()
  return { feed, stream: iterable(acks ? acking(queue, acks) : queue.next, queue.cursor, close) }
}

/** Whoever asks for the next event is done with the one before. */
const acking =
  (queue: Queue, acks: Acks): EventStream['next'] =>
  () => {
    const done = queue.cursor()
    if (done !== undefined) acks.upTo(done)
    return queue.next()
  }

const gap = (facts: Record<string, unknown>) =>
  new CallError('INTERNAL', 'The daemon left out events, or sent some twice.', facts)

const iterable = (next: EventStream['next'], cursor: () => string | undefined, close: () => void): EventStream => ({
  next,
  close,
  get cursor() {
    return cursor()
  },
  async return() {
    close()
    return { value: undefined, done: true }
  },
  [Symbol.asyncIterator]() {
    return this
  },
})
