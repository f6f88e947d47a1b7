import { useCallback, useMemo, useRef, useState } from 'preact/hooks'
import { useApp } from './app.js'
import { EventDialog } from './event.js'
import { Filters, passesOf, typesOf } from './filters.js'
import { Empty } from './parts.js'
import { Scroll } from './scroll.js'
import { cursorAt, type Line, seqOf } from './state/line.js'
import { readBack } from './state/past.js'
import { hrefOf, type Route } from './state/route.js'
import { clockTime, count } from './state/words.js'
import { TimelineRow } from './timerow.js'

type TimelineRoute = Extract<Route, { view: 'timeline' }>

/** Older events kept while one scrolls; further back one goes with the slider. */
const OLDER_MAX = 5_000

const keyOf = ({ cursor }: Line): string => cursor
const goTo = (route: Route) => location.replace(hrefOf(route))

/** The log, the newest first: live, or as it was at a cursor. */
export function Timeline({ route, narrow }: { route: TimelineRoute; narrow: boolean }) {
  const { model } = useApp()
  const [opened, setOpened] = useState<Line>()
  const { lines, older, end } = useLines(route)
  const draw = useCallback((line: Line) => <TimelineRow line={line} onOpen={setOpened} />, [])
  return (
    <div class="view timeline">
      <div class="toolbar">
        <h1>Timeline</h1>
        <Filters route={route} onChange={goTo} />
      </div>
      <Travel route={route} />
      <Scroll
        label="Events, the newest first"
        items={lines}
        rowHeight={narrow ? 64 : 36}
        keyOf={keyOf}
        draw={draw}
        onEnd={older}
        empty={<Empty title={end ? 'No event passes this filter.' : 'Reading the log…'} />}
      />
      <p class="sub foot" role="status">
        {count(lines.length)} shown{end === 'beginning' && ', back to the beginning of the log'}
        {end === 'enough' && '; what is older is found with the slider'}
        {model.connection.state !== 'open' && ', not live: the daemon is away'}
      </p>
      {opened && <EventDialog line={opened} onClose={() => setOpened(undefined)} />}
    </div>
  )
}

interface Past {
  /** What was looked for. */
  view: object
  lines: Line[]
  /** Everything after this seq, up to where reading began, has been looked at. */
  reached: number
  began: number
}

/** Live lines or those up to a cursor, and in either case older ones as far as one scrolls. */
function useLines(route: TimelineRoute) {
  const { model } = useApp()
  const { state, client, status } = model
  const { after, nouns, agent, contract, text } = route
  const passes = useMemo(() => passesOf(route), [nouns, agent, contract, text])
  const view = useMemo(() => ({}), [after, passes, client])
  const latest = useRef(view)
  latest.current = view
  const reading = useRef<object | undefined>(undefined)
  const [kept, setPast] = useState<Past>()

  const head = state.cursor ?? status?.head
  const oldestLive = state.lines[0]?.seq ?? (head === undefined ? 1 : seqOf(head) + 1)
  const begin = after === undefined ? oldestLive - 1 : seqOf(after)
  // What was read before joins what is live, unless so much came since that there is a gap between them.
  const past = kept?.view === view && (after !== undefined || kept.began >= begin) ? kept : undefined
  const reached = past?.reached ?? begin
  const earliest = status ? seqOf(status.earliest) : 0
  const end = reached <= earliest ? 'beginning' : (past?.lines.length ?? 0) > OLDER_MAX ? 'enough' : undefined

  const older = useCallback(async () => {
    if (!client || head === undefined || end !== undefined || reading.current === view) return
    reading.current = view
    try {
      const wanted = { types: typesOf(nouns), contractId: contract, passes }
      const found = await readBack(client, head, reached, earliest, wanted)
      const lines = past ? [...found.lines, ...past.lines] : found.lines
      if (latest.current === view) setPast({ view, lines, reached: found.reached, began: past?.began ?? begin })
    } catch {
      // The connection tells of itself, and scrolling asks again.
    } finally {
      if (reading.current === view) reading.current = undefined
    }
  }, [view, end, reached])

  const live = useMemo(
    () => (after === undefined ? state.lines.filter(passes) : []),
    [state.versions.lines, after, passes],
  )
  const lines = useMemo(() => [...(past?.lines ?? []), ...live].reverse(), [past, live])
  return { lines, older, end }
}

/** The way through time: a slider over the whole log, and back to what happens now. */
function Travel({ route }: { route: TimelineRoute }) {
  const { model, nowMs } = useApp()
  const { status, state } = model
  if (!status) return null
  const head = state.cursor ?? status.head
  const [from, to] = [seqOf(status.earliest), seqOf(head)]
  const at = route.after === undefined ? to : Math.min(seqOf(route.after), to)
  const time = state.lines.find(({ seq }) => seq === at)?.time
  const move = (seq: number) => {
    const { after: _after, ...rest } = route
    goTo(seq >= to ? rest : { ...rest, after: cursorAt(head, seq) })
  }
  return (
    <div class="travel">
      <label>
        <span class="hidden">Show the log as it was at event number</span>
        <input
          type="range"
          min={from}
          max={to}
          step={Math.max(1, Math.floor((to - from) / 1_000))}
          value={at}
          onChange={({ currentTarget }) => move(Number(currentTarget.value))}
        />
      </label>
      <span class="travel-at">
        {route.after === undefined ? (
          <span class="live">
            <span class="dot" aria-hidden="true" /> live
          </span>
        ) : (
          <>
            up to event {count(at)}
            {time !== undefined && `, ${clockTime(time, nowMs)}`}
          </>
        )}
      </span>
      {route.after !== undefined && (
        <button type="button" onClick={() => move(to)}>
          Back to now
        </button>
      )}
    </div>
  )
}
