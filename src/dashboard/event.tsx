import { useEffect, useState } from 'preact/hooks'
import type { Event } from '../client/index.js'
import { reasonOf, useApp } from './app.js'
import { Dialog } from './dialog.js'
import { ContractLink } from './parts.js'
import { cursorAt, type Line } from './state/line.js'
import { hrefOf } from './state/route.js'
import { clockTime } from './state/words.js'

/** An event as the log has it. */
export function EventDialog({ line, onClose }: { line: Line; onClose: () => void }) {
  const { model, nowMs } = useApp()
  const { client } = model
  const [event, setEvent] = useState<Event>()
  const [problem, setProblem] = useState<string>()
  useEffect(() => {
    const read = client?.call('event.read', { after: cursorAt(line.cursor, line.seq - 1), limit: 1 })
    read?.then(
      ({ events }) => setEvent(events[0]),
      (error) => setProblem(reasonOf(error)),
    )
  }, [client, line])
  return (
    <Dialog title={line.type} onClose={onClose}>
      <dl class="facts">
        <dt>When</dt>
        <dd>{clockTime(line.time, nowMs)}</dd>
        <dt>Who</dt>
        <dd>
          {line.actor}
          {line.unverified && <span class="sub"> (a name chosen by a holder of the operator's token)</span>}
        </dd>
        {line.contractId !== undefined && (
          <>
            <dt>Contract</dt>
            <dd>
              <ContractLink id={line.contractId} />
            </dd>
          </>
        )}
        <dt>Cursor</dt>
        <dd>
          <code>{line.cursor}</code>{' '}
          <a href={hrefOf({ view: 'timeline', after: line.cursor })} onClick={onClose}>
            the log up to here
          </a>
        </dd>
      </dl>
      {problem !== undefined && <p class="problem">{problem}</p>}
      <pre class="source" tabIndex={0}>
        {event ? JSON.stringify(event, null, 2) : 'Reading…'}
      </pre>
    </Dialog>
  )
}
