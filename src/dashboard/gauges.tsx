import { useApp } from './app.js'
import { Panel } from './parts.js'
import { Plot } from './plot.js'
import { columns } from './state/derive.js'
import { hrefOf, type View } from './state/route.js'
import { bytes, count, duration } from './state/words.js'

interface Tile {
  title: string
  number: number
  view: View
  /** Worth a look, when there are any. */
  urgent?: boolean
}

/** How many there are of everything, as the bridge counts them. */
export function Numbers() {
  const { status } = useApp().model
  if (!status) return null
  const all = Object.entries(status.contracts.byStatus)
  const tiles: Tile[] = [
    ...columns.map(({ key, title, holds }) => ({
      title,
      number: all.reduce((sum, [name, number]) => sum + (holds(name) ? number : 0), 0),
      view: 'contracts' as const,
      urgent: key === 'input',
    })),
    { title: 'Agents here', number: status.agents, view: 'agents' },
    { title: 'Locks held', number: status.locks, view: 'locks' },
    { title: 'Wait for locks', number: status.waiters, view: 'locks', urgent: true },
  ]
  return (
    <dl class="numbers">
      {tiles.map(({ title, number, view, urgent }) => (
        <div key={title} class={urgent && number > 0 ? 'urgent' : ''}>
          <dt>{title}</dt>
          <dd>
            <a href={hrefOf({ view })}>{count(number)}</a>
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** What comes in, how late, and how the daemon is. */
export function Flow() {
  const { model, nowMs } = useApp()
  const { counts, delays } = model.rates.series(nowMs)
  const lately = counts.slice(-11, -1).reduce((sum, number) => sum + number, 0) / 10
  const delay = Math.max(0, ...delays.slice(-10))
  return (
    <Panel title="Flow">
      <Plot
        values={counts}
        label="Events a second"
        value={`${lately < 10 ? lately.toFixed(1) : count(Math.round(lately))} lately`}
      />
      <Plot
        values={delays}
        label="Delay from the log to this page"
        value={delay > 0 ? `${count(Math.round(delay))} ms at most` : 'nothing lately'}
      />
      {model.status && (
        <p class="sub">
          {bytes(model.status.store.bytes)} of data, daemon up for {duration(model.status.uptimeMs)},{' '}
          {count(model.status.subscriptions)} subscriptions
        </p>
      )}
    </Panel>
  )
}
