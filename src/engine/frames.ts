import { formatCursor } from '../protocol/cursor.js'
import { encodeEvent, type StoredEvent } from '../protocol/event.js'
import type { Encoded, Form } from '../protocol/form.js'
import { limits } from '../protocol/limits.js'
import type { Sent } from './core.js'

// What is pushed, packed so that readers of the same share it.

/** Events that travel together: the shared part of a frame, and the cursor it brings a reader to. */
export interface Frame {
  cursor: number
  rest: Buffer
}

/** Packs events into frames. The events of a command travel in one, unless they are more than a frame may hold. */
export function framesOf(epoch: string, events: readonly StoredEvent[], form: Form): Frame[] {
  const frames: Frame[] = []
  let packed: Encoded[] = []
  let bytes = 0
  let command: StoredEvent[] = []
  const flush = (cursor: number) => {
    if (packed.length > 0) frames.push({ cursor, rest: form.share(packed) })
    packed = []
    bytes = 0
  }
  const full = (more: number, count: number) =>
    packed.length > 0 && (bytes + more > limits.pushBytes || packed.length + count > limits.pushEvents)
  let told = 0
  const close = () => {
    const sizes = command.map(({ body }) => Buffer.byteLength(body))
    if (
      full(
        sizes.reduce((sum, size) => sum + size, 0),
        sizes.length,
      )
    )
      flush(told)
    for (const [index, event] of command.entries()) {
      const size = sizes[index] ?? 0
      if (full(size, 1)) flush(told)
      packed.push({ cursor: formatCursor(epoch, event.seq), json: encodeEvent(epoch, event) })
      bytes += size
      told = event.seq
    }
    command = []
  }
  for (const event of events) {
    if (command[0] && command[0].command !== event.command) close()
    command.push(event)
  }
  close()
  flush(told)
  return frames
}

/** Signals that travel together. */
export interface SignalFrame {
  holds: readonly Sent[]
  rest: Buffer
}

/** Packs signals into frames. */
export function signalFramesOf(sent: readonly Sent[]): SignalFrame[] {
  const groups: Sent[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const one of sent) {
    const size = Buffer.byteLength(one.signal.body)
    if (bytes + size > limits.pushBytes) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(one)
    bytes += size
  }
  return groups.map((holds) => ({
    holds,
    rest: Buffer.from(`"signals":[${holds.map(({ signal }) => signal.body).join(',')}]}}`),
  }))
}
