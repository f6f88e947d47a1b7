import type { ResultOf } from '../bridge/index.js'
import type { Calls } from './calls.js'
import type { EndedFrame, EventsFrame, SignalsFrame } from './frames.js'
import { createSignalFeed, type SignalsOptions } from './signals.js'
import { createStream, type EventStream, type EventsOptions, type Feed, reasonOf, type StreamPort } from './stream.js'

/** The streams of one client, and which subscription of the present socket feeds which. */
export interface Streams {
  open(options: EventsOptions): EventStream
  /** Gives a way to stop. */
  openSignals(options: SignalsOptions): () => void
  frame(frame: EventsFrame, size: number): void
  caughtUp(subscription: number, cursor: string): void
  signals(frame: SignalsFrame): void
  ended(frame: EndedFrame): void
  /** The socket is about to be closed on purpose. */
  leaving(): void
  /** The socket is gone, and its subscriptions: each stream asks for the rest on the next. */
  lost(): void
  end(error?: Error): void
}

export function createStreams({ start }: Pick<Calls, 'start'>): Streams {
  const open = new Set<Feed>()
  /** A socket numbers its subscriptions anew. Frames of one that was given up find nobody here. */
  const subscribed = new Map<number, Feed>()

  function unsubscribe(subscription: number): void {
    subscribed.delete(subscription)
    const ignore = { done() {}, failed() {} }
    start('event.unsubscribe', { subscription }, 'never', ignore)
  }

  /** What a feed asks of the socket. It is known once its maker has returned it. */
  const portOf = (feed: () => Feed): StreamPort => ({
    subscribe(params, done, failed) {
      const began = (result: unknown) => {
        const answer = result as ResultOf<'event.subscribe'>
        subscribed.set(answer.subscription, feed())
        done(answer)
      }
      start('event.subscribe', params, 'freely', { done: began, failed })
    },
    unsubscribe,
    acknowledge(subscription, cursor) {
      start('event.ack', { subscription, cursor }, 'never', { done() {}, failed() {} })
    },
    ended: () => void open.delete(feed()),
  })

  return {
    open(options) {
      const { stream, feed } = createStream(
        options,
        portOf(() => feed),
      )
      open.add(feed)
      return stream
    },
    openSignals(options) {
      const feed: Feed = createSignalFeed(
        options,
        portOf(() => feed),
      )
      open.add(feed)
      return () => feed.end()
    },
    signals: (frame) => subscribed.get(frame.subscription)?.signals?.(frame),
    frame: (frame, size) => subscribed.get(frame.subscription)?.frame(frame, size),
    caughtUp: (subscription, cursor) => subscribed.get(subscription)?.caughtUp(cursor),
    ended(frame) {
      const feed = subscribed.get(frame.subscription)
      subscribed.delete(frame.subscription)
      feed?.end(reasonOf(frame))
    },
    leaving() {
      for (const feed of open) feed.leaving?.()
    },
    lost() {
      subscribed.clear()
      for (const feed of [...open]) feed.lost()
    },
    end(error) {
      subscribed.clear()
      for (const feed of [...open]) feed.end(error)
    },
  }
}
