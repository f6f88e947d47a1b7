import type { Event } from '../protocol/event.js'

/** Events that came in one frame, and where it ended. Empty when a filter let nothing pass. */
export interface Batch {
  events: Event[]
  cursor: string
  /** What it weighs, in characters of JSON. */
  size: number
  /** All that had happened by then came before it. */
  caughtUp?: true
}

/** Stands between the frames of a socket and whoever takes their events, one at a time. */
export interface Queue {
  /** Of the last event given out, or of the last batch that was passed. */
  cursor(): string | undefined
  begin(cursor: string): void
  put(batch: Batch): void
  /** What is in it, in characters. */
  size(): number
  clear(): void
  /** Nothing comes after what is in it but this error, thrown once, if there is one. */
  end(error?: Error): void
  next(): Promise<IteratorResult<Event, undefined>>
}

interface Waiter {
  resolve(result: IteratorResult<Event, undefined>): void
  reject(error: Error): void
}

/** `passed` is told of each batch when the consumer, done with its events, asks for more. */
export function createQueue(passed: (batch: Batch) => void): Queue {
  const batches: Batch[] = []
  const waiters: Waiter[] = []
  let taken = 0
  let size = 0
  let cursor: string | undefined
  let ended = false
  let failure: Error | undefined

  function take(): Event | undefined {
    for (let batch = batches[0]; batch; batch = batches[0]) {
      const event = batch.events[taken++]
      if (event) {
        cursor = event.cursor
        return event
      }
      batches.shift()
      taken = 0
      size -= batch.size
      cursor = batch.cursor
      passed(batch)
    }
    return undefined
  }

  function serve(): void {
    while (waiters.length > 0) {
      const event = take()
      if (!event && !ended) return
      const waiter = waiters.shift()
      if (event) waiter?.resolve({ value: event, done: false })
      else if (failure) waiter?.reject(failure)
      else waiter?.resolve({ value: undefined, done: true })
      if (!event) failure = undefined
    }
  }

  return {
    cursor: () => cursor,
    begin(at) {
      cursor ??= at
    },
    size: () => size,
    put(batch) {
      batches.push(batch)
      size += batch.size
      serve()
    },
    clear() {
      batches.length = size = taken = 0
    },
    end(error) {
      if (ended) return
      ended = true
      failure = error
      serve()
    },
    next: () =>
      new Promise((resolve, reject) => {
        waiters.push({ resolve, reject })
        serve()
      }),
  }
}
