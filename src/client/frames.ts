import type { Signal } from '../bridge/messages/row.js'
import type { Event } from '../protocol/event.js'

// What the daemon sends over a socket that nobody asked for in a call of its own.

/** `events` on the wire: `prev` is where the frame before it ended. */
export interface EventsFrame {
  subscription: number
  prev: string
  cursor: string
  events: Event[]
}

/** `ended` on the wire. */
export interface EndedFrame {
  subscription: number
  reason: 'TAKEN_OVER' | 'CURSOR_EXPIRED'
  epoch: string
  earliest: string
  head: string
}

/** `signals` on the wire. */
export interface SignalsFrame {
  subscription: number
  signals: Signal[]
}
