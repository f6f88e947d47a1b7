import type { Signal } from '../bridge/messages/row.js'
import type { Filter } from '../protocol/event.js'
import type { Feed, StreamPort } from './stream.js'

export type { Signal } from '../bridge/messages/row.js'

export interface SignalsOptions extends Partial<Pick<Filter, 'topics' | 'contractId'>> {
  onSignal(signal: Signal): void
  /** There will be no more, and nobody closed it. */
  onFailed?(error: Error): void
}

/** Follows signals for as long as the client lives. What is sent while the socket is away is missed. */
export function createSignalFeed({ onSignal, onFailed, ...terms }: SignalsOptions, port: StreamPort): Feed {
  let subscription: number | undefined
  let ended = false

  function subscribe(): void {
    port.subscribe({ ...terms, types: ['message.signalled'] }, (subscribed) => begin(subscribed.subscription), end)
  }

  function begin(id: number): void {
    subscription = id
    if (ended) port.unsubscribe(id)
  }

  function end(error?: Error): void {
    if (ended) return
    ended = true
    if (subscription !== undefined) port.unsubscribe(subscription)
    port.ended()
    if (error) onFailed?.(error)
  }

  subscribe()
  return {
    frame() {},
    caughtUp() {},
    signals({ signals }) {
      for (const signal of signals) if (!ended) onSignal(signal)
    },
    lost() {
      if (subscription === undefined) return
      subscription = undefined
      subscribe()
    },
    end,
  }
}
