import { useApp } from './app.js'
import { columns } from './derive.js'
import { Panel } from './parts.js'
import { Plot } from './plot.js'
import { hrefOf } from './route.js'
import { bytes, count, duration } from './words.js'

/** How many there are of everything, as the bridge counts them. */
export function Numbers() {
  const { status } = useApp().model
  if (!status) return null
  const { byStatus } = status.contracts
  const all = Object.entries(byStatus)
  return (
    <dl class="numbers">
      {columns.map(({ key, title, holds }) => (
        <div key={key} class={`number-${key}`}>
          <dt>{title}</dt>
          <dd>
            <a href={hrefOf({ view: 'contracts' })}>
              {count(all.reduce((sum, [name, n]) => sum + (holds(name) ? n : 0), 0))}
            </a>
          </dd>
        </div>
      ))}
      <div>
        <dt>Agents here</dt>
        <dd>
          <a href={hrefOf({ view: 'agents' })}>{count(status.agents)}</a>
        </dd>
      </div>
      <div>
        <dt>Locks held</dt>
        <dd>
          <a href={hrefOf({ view: 'locks' })}>{count(status.locks)}</a>
        </dd>
      </div>
      <div class={status.waiters > 0 ? 'number-waiters' : ''}>
        <dt>Wait for locks</dt>
        <dd>
          <a href={hrefOf({ view: 'locks' })}>{count(status.waiters)}</a>
        </dd>
      </div>
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
