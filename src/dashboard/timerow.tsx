import { useApp } from './app.js'
import type { Line } from './line.js'
import { Peer } from './parts.js'
import { clockTime } from './words.js'

/** One event: when, what kind, who, and the rest in words. */
export function TimelineRow({ line, onOpen }: { line: Line; onOpen: (line: Line) => void }) {
  const { nowMs } = useApp()
  const noun = line.type.slice(0, line.type.indexOf('.'))
  return (
    <button type="button" class={`event event-${noun}`} onClick={() => onOpen(line)}>
      <time dateTime={line.time}>{clockTime(line.time, nowMs)}</time>
      <span class="event-type">{line.type}</span>
      <span class="event-said">
        <b>{line.actor}</b> <Peer>{line.text}</Peer>
      </span>
    </button>
  )
}
