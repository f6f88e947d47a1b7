import { Doing } from './agents.js'
import { useApp } from './app.js'
import { AttentionList } from './attention.js'
import { ContractCard } from './card.js'
import { Flow, Numbers } from './gauges.js'
import { Chain } from './locks.js'
import { AgentLink, Empty, Panel, Presence } from './parts.js'
import { activities, lineUp, orderCards } from './state/derive.js'
import { hrefOf } from './state/route.js'
import { count } from './state/words.js'
import { TimelineRows } from './timerow.js'

/** Rows of each panel; the views show all. */
const SHOWN_MAX = 12

/** Everything at a glance: what needs a person, who is here, what is in work, who waits. */
export function Now() {
  return (
    <div class="view now">
      <h1 class="hidden">Now</h1>
      <Numbers />
      <div class="now-columns">
        <div class="now-main">
          <AttentionList />
          <InWork />
          <Lately />
        </div>
        <div class="now-side">
          <Here />
          <Waiters />
          <Flow />
        </div>
      </div>
    </div>
  )
}

function InWork() {
  const { state } = useApp().model
  const open = [...state.cards.values()].filter(({ status }) =>
    ['accepted', 'working', 'input_required'].includes(status),
  )
  const cards = open.sort(orderCards).slice(0, SHOWN_MAX)
  return (
    <Panel title="In work" note={open.length > 0 && <a href={hrefOf({ view: 'contracts' })}>the board</a>}>
      {open.length === 0 ? (
        <Empty title="Nobody is at work.">
          <code>agent-bridge contract create --title 'Say hello'</code> offers a first task.
        </Empty>
      ) : (
        <ul class="card-grid">
          {cards.map((card) => (
            <li key={card.id}>
              <ContractCard card={card} />
            </li>
          ))}
        </ul>
      )}
      {open.length > SHOWN_MAX && <p class="sub more">and {count(open.length - SHOWN_MAX)} more</p>}
    </Panel>
  )
}

/** The last of the timeline. */
function Lately() {
  const { state } = useApp().model
  const lines = state.lines.slice(-SHOWN_MAX).reverse()
  return (
    <Panel title="Lately" note={<a href={hrefOf({ view: 'timeline' })}>the timeline</a>} class="history">
      {lines.length === 0 && <Empty title="Nothing has happened yet." />}
      <TimelineRows lines={lines} />
    </Panel>
  )
}

function Here() {
  const all = activities(useApp().model.state)
  const here = all.filter(({ worker }) => worker.presence !== 'offline')
  const shown = [
    ...here,
    ...all.filter(({ worker, contracts }) => worker.presence === 'offline' && contracts.length > 0),
  ]
  return (
    <Panel title="Who is here" note={<a href={hrefOf({ view: 'agents' })}>all {count(all.length)}</a>}>
      {shown.length === 0 ? (
        <Empty title="No agent is connected." />
      ) : (
        <ul class="plain here">
          {shown.slice(0, SHOWN_MAX * 2).map((activity) => (
            <li key={activity.worker.agent}>
              <p class="here-head">
                <AgentLink name={activity.worker.agent} />
                <Presence presence={activity.worker.presence} />
              </p>
              <Doing activity={activity} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

function Waiters() {
  const { state } = useApp().model
  const { waiting } = lineUp(state)
  if (waiting.length === 0) return null
  return (
    <Panel title="Who waits for whom" note={<a href={hrefOf({ view: 'locks' })}>all locks</a>}>
      <ol class="plain waits-list">
        {waiting.slice(0, SHOWN_MAX).map((lock) => (
          <li key={lock.lockId}>
            <Chain lock={lock} />
          </li>
        ))}
      </ol>
    </Panel>
  )
}
