// How what is pushed to those who follow the log is written: one form for each kind of transport.

/** An event ready to send, and its cursor. */
export interface Encoded {
  cursor: string
  /** The whole event. */
  json: string
}

/** A frame's own part comes first; the shared one is the same for all readers that get the same events. */
export interface Form {
  /** Tells forms apart. */
  name: string
  /** The shared part of a frame of events. */
  share(events: readonly Encoded[]): Buffer
  /** What stands before it. `prev` and `cursor` are where the reader was, and where the frame brings it. */
  head(subscription: number, prev: string, cursor: string): string
  /** A frame without events: how far the log has come. */
  bookmark(subscription: number, prev: string, cursor: string): string
  /** Said once, at the head of the log; or not at all. */
  caughtUp?(subscription: number, cursor: string): string
  /** The bridge has ended the subscription, and why. */
  ended?(subscription: number, why: { reason: string; epoch: string; earliest: string; head: string }): string
}

const notification = (method: string, subscription: number) =>
  `{"jsonrpc":"2.0","method":"${method}","params":{"subscription":${subscription},`

/** JSON-RPC 2.0, 4.1: notifications. */
export const rpcForm: Form = {
  name: 'rpc',
  share: (events) => Buffer.from(`"events":[${events.map(({ json }) => json).join(',')}]}}`),
  head: (subscription, prev, cursor) => `${notification('events', subscription)}"prev":"${prev}","cursor":"${cursor}",`,
  bookmark: (subscription, prev, cursor) => `${rpcForm.head(subscription, prev, cursor)}"events":[]}}`,
  caughtUp: (subscription, cursor) => `${notification('caughtUp', subscription)}"cursor":"${cursor}"}}`,
  ended: (subscription, why) => `${notification('ended', subscription)}${JSON.stringify(why).slice(1)}}`,
}

/** A bookmark has no data: a reader keeps its id, and is not told of an event. */
export const streamBookmark = (cursor: string): string => `id: ${cursor}\n\n`

/**
 * HTML, 9.2: `text/event-stream`. The JSON of an event has no line break, so it is one line of data. No event is named,
 * for a named one never reaches `onmessage`.
 */
export const streamForm: Form = {
  name: 'stream',
  share: (events) => Buffer.from(events.map(({ cursor, json }) => `id: ${cursor}\ndata: ${json}\n\n`).join('')),
  head: () => '',
  bookmark: (_subscription, _prev, cursor) => streamBookmark(cursor),
}
