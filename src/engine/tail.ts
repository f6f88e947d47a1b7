import { formatCursor, type LogBounds } from '../protocol/cursor.js'
import type { EventFilter, StoredEvent } from '../protocol/event.js'
import type { Form } from '../protocol/form.js'
import { limits } from '../protocol/limits.js'
import type { Read } from '../protocol/method.js'
import type { Sent } from './core.js'
import { type Frame, framesOf, type SignalFrame, signalFramesOf } from './frames.js'
import type { Clock } from './ports.js'

/** Where a subscription's frames go: one socket, or one stream. */
export interface Sink {
  readonly form: Form
  /** Sends one frame; a second part of it may be shared with other sinks. */
  push(head: string, rest?: Buffer): void
  /** False while too much waits to be sent; whoever holds the sink tells the tail when that has changed. */
  writable(): boolean
  /** It also takes what is not in the log. */
  readonly takesSignals?: true
}

/** One reader of the log: a place in it, and whether it has caught up. */
interface Subscription {
  id: number
  sink: Sink
  filter: EventFilter
  /** Equal for readers to whom the same events are written in the same form. */
  key: string
  /** The seq it has to see next. */
  next: number
  /** The cursor of the frame before. */
  told: number
  live: boolean
  /** A pump is under way, or waits for the sink. */
  pumping: boolean
  caughtUp: boolean
  ended: boolean
  terms: Terms
}

export interface Terms {
  /** A name under which only one reads at a time, its agent's before it. */
  durable?: string | undefined
  /** The tail has ended it: it was taken over, or fell off the log. Its sink has been told. */
  ended(): void
}

/** Everyone who follows the log of one workspace. A reader that has caught up is live; a slow one costs one number. */
export interface Tail {
  subscribe(sink: Sink, id: number, after: number, filter: EventFilter, terms: Terms): () => void
  /** What was committed; told in order, after the commit and in the same turn. */
  committed(events: readonly StoredEvent[]): void
  /** Pushes signals to readers that are live and have room; the others miss them. */
  signalled(sent: readonly Sent[]): void
  /** A sink takes frames again. */
  drained(sink: Sink): void
  count(): number
  /** Readers that have caught up, those that have not, and how many events the last of these is behind. */
  stats(): { live: number; behind: number; lagEvents: number }
  stop(): void
}

/** How long a reader waits before the log is read again for it after that has failed, ms. */
const RETRY_MS = 1_000

export function createTail(read: Read, clock: Clock, report: (fault: unknown) => void): Tail {
  const readers = { subscriptions: new Set<Subscription>(), named: new Map<string, Subscription>() }
  const { subscriptions, named } = readers
  const { epoch } = read.bounds()
  let stopTimer: (() => void) | undefined

  /** Bookmarks for live readers whose filter has let nothing pass for a while. */
  function bookmarkLater(): void {
    stopTimer ??= clock.after(limits.bookmarkMs, () => {
      stopTimer = undefined
      for (const subscription of subscriptions) {
        if (subscription.live && subscription.told < subscription.next - 1) bookmark(epoch, subscription)
      }
    })
  }

  function pumpSoon(subscription: Subscription): void {
    if (subscription.pumping || subscription.live) return
    subscription.pumping = true
    setImmediate(() => {
      subscription.pumping = false
      try {
        // Retention has overtaken it: to go on would be to skip.
        if (!subscription.ended && subscription.next - 1 < read.bounds().earliest)
          return end(subscription, 'CURSOR_EXPIRED')
        pump(read, epoch, subscription, pumpSoon)
      } catch (error) {
        // The log cannot be read just now. Its reader is told nothing wrong: it goes on from where it is.
        report(error)
        clock.after(RETRY_MS, () => pumpSoon(subscription))
      }
    })
  }

  function end(subscription: Subscription, reason: 'TAKEN_OVER' | 'CURSOR_EXPIRED'): void {
    remove(readers, subscription)
    tellEnd(read.bounds(), subscription, reason)
    subscription.terms.ended()
  }

  return {
    count: () => subscriptions.size,
    stats: () => statsOf(subscriptions, read.bounds().head),
    subscribe(sink, id, after, filter, terms) {
      const { durable } = terms
      const former = durable === undefined ? undefined : named.get(durable)
      if (former) end(former, 'TAKEN_OVER')
      const subscription = begin({ id, sink, filter, after, terms })
      subscriptions.add(subscription)
      if (durable !== undefined) named.set(durable, subscription)
      pumpSoon(subscription)
      return () => remove(readers, subscription)
    },
    committed(events) {
      const first = events[0]
      const last = events.at(-1)
      if (!first || !last) return
      const shared = new Map<string, Frame[]>()
      for (const subscription of subscriptions) {
        if (!subscription.live) continue
        if (!subscription.sink.writable()) {
          // It reads the log from where it is when it has made room.
          subscription.live = false
          continue
        }
        const { key, filter, sink } = subscription
        const frames = shared.get(key) ?? framesOf(epoch, events.filter(filter.passes), sink.form)
        shared.set(key, frames)
        for (const frame of frames) push(epoch, subscription, frame)
        subscription.next = last.seq + 1
        if (last.seq - subscription.told >= limits.bookmarkEvents) bookmark(epoch, subscription)
        else if (subscription.told < last.seq) bookmarkLater()
      }
    },
    signalled: (sent) => pushSignals(subscriptions, sent),
    drained(sink) {
      for (const subscription of subscriptions) if (subscription.sink === sink) pumpSoon(subscription)
    },
    stop() {
      stopTimer?.()
      for (const subscription of subscriptions) subscription.ended = true
      subscriptions.clear()
      named.clear()
    },
  }
}

function statsOf(subscriptions: ReadonlySet<Subscription>, head: number) {
  const stats = { live: 0, behind: 0, lagEvents: 0 }
  for (const { live, next } of subscriptions) {
    stats[live ? 'live' : 'behind']++
    if (!live) stats.lagEvents = Math.max(stats.lagEvents, head - next + 1)
  }
  return stats
}

interface Beginning extends Pick<Subscription, 'id' | 'sink' | 'filter' | 'terms'> {
  after: number
}

const begin = ({ after, ...beginning }: Beginning): Subscription => ({
  ...beginning,
  key: `${beginning.sink.form.name} ${beginning.filter.key}`,
  next: after + 1,
  told: after,
  live: false,
  pumping: false,
  caughtUp: false,
  ended: false,
})

interface TailReaders {
  subscriptions: Set<Subscription>
  /** Those with a durable name, by it. */
  named: Map<string, Subscription>
}

function remove({ subscriptions, named }: TailReaders, subscription: Subscription): void {
  subscription.ended = true
  subscriptions.delete(subscription)
  const { durable } = subscription.terms
  if (durable !== undefined && named.get(durable) === subscription) named.delete(durable)
}

function tellEnd({ epoch, earliest, head }: LogBounds, { sink, id }: Subscription, reason: string): void {
  const bounds = { epoch, earliest: formatCursor(epoch, earliest), head: formatCursor(epoch, head) }
  const told = sink.form.ended?.(id, { reason, ...bounds })
  if (told !== undefined) sink.push(told)
}

/** Serves a reader that is behind one page from the store, and again until it has caught up or its sink is full. */
function pump(
  read: Read,
  epoch: string,
  subscription: Subscription,
  again: (subscription: Subscription) => void,
): void {
  const { sink, filter } = subscription
  if (subscription.ended || !sink.writable()) return
  if (subscription.next > read.bounds().head) return goLive(epoch, subscription)
  const page = read.events(subscription.next - 1)
  for (const frame of framesOf(epoch, page.filter(filter.passes), sink.form)) push(epoch, subscription, frame)
  subscription.next = (page.at(-1)?.seq ?? read.bounds().head) + 1
  if (subscription.next - 1 - subscription.told >= limits.bookmarkEvents) bookmark(epoch, subscription)
  // No await stands between "there is nothing after this" and "it is told of what comes".
  if (subscription.next > read.bounds().head) goLive(epoch, subscription)
  else again(subscription)
}

function goLive(epoch: string, subscription: Subscription): void {
  const { next, sink, id } = subscription
  if (subscription.told < next - 1) bookmark(epoch, subscription)
  subscription.live = true
  if (subscription.caughtUp) return
  subscription.caughtUp = true
  const told = sink.form.caughtUp?.(id, formatCursor(epoch, next - 1))
  if (told !== undefined) sink.push(told)
}

/** Whoever is behind, or has no room, is passed by. */
function pushSignals(subscriptions: Iterable<Subscription>, sent: readonly Sent[]): void {
  const shared = new Map<string, SignalFrame[]>()
  for (const { live, id, sink, filter } of subscriptions) {
    if (!live || !sink.takesSignals) continue
    const frames = shared.get(filter.key) ?? signalFramesOf(sent.filter(({ signal }) => filter.passes(signal)))
    shared.set(filter.key, frames)
    for (const { rest, holds } of frames) {
      if (!sink.writable()) break
      sink.push(`{"jsonrpc":"2.0","method":"signals","params":{"subscription":${id},`, rest)
      for (const { readers } of holds) readers.add(sink)
    }
  }
}

/** Tells a reader how far the log has come past what its filter let pass. */
function bookmark(epoch: string, subscription: Subscription): void {
  const { id, told, next, sink } = subscription
  subscription.told = next - 1
  sink.push(sink.form.bookmark(id, formatCursor(epoch, told), formatCursor(epoch, next - 1)))
}

function push(epoch: string, subscription: Subscription, { cursor, rest }: Frame): void {
  const { id, told, sink } = subscription
  subscription.told = cursor
  sink.push(sink.form.head(id, formatCursor(epoch, told), formatCursor(epoch, cursor)), rest)
}
