import { useState } from 'preact/hooks'
import { useApp } from './app.js'
import { EventDialog } from './event.js'
import { Peer } from './parts.js'
import type { Line } from './state/line.js'
import { clockTime } from './state/words.js'

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

/** A few events, each of which can be opened. */
export function TimelineRows({ lines }: { lines: readonly Line[] }) {
  const [opened, setOpened] = useState<Line>()
  return (
    <>
      <ol class="plain events">
        {lines.map((line) => (
          <li key={line.cursor}>
            <TimelineRow line={line} onOpen={setOpened} />
          </li>
        ))}
      </ol>
      {opened && <EventDialog line={opened} onClose={() => setOpened(undefined)} />}
    </>
  )
}
