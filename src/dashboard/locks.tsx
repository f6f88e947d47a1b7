import { useApp } from './app.js'
import { AskButton } from './ask.js'
import { AgentLink, AgentLinks, ContractLink, Empty, Panel, Peer, Since } from './parts.js'
import { lineUp, waitsBehind } from './state/derive.js'
import type { Held } from './state/rows.js'
import { waitsFor } from './state/state.js'
import { count, duration } from './state/words.js'

/** Rows of each table that are drawn. */
const SHOWN_MAX = 300

/** Who holds what, who waits, and for whom. */
export function Locks() {
  const { model } = useApp()
  const { held, waiting } = lineUp(model.state)
  return (
    <div class="view locks">
      <div class="toolbar">
        <h1>Locks</h1>
      </div>
      <Panel title="Who waits for whom" note={count(waiting.length)}>
        {waiting.length === 0 ? <Empty title="Nobody waits." /> : <Waiting waiting={waiting} />}
      </Panel>
      <Panel title="Held" note={count(held.length)}>
        {held.length === 0 ? (
          <Empty title="Nothing is locked.">A contract's resources are locked while it is worked on.</Empty>
        ) : (
          <HeldTable held={held} waiting={waiting} />
        )}
      </Panel>
    </div>
  )
}

/** Who waits for whom, and for what. */
export function Chain({ lock }: { lock: Held }) {
  const { state } = useApp().model
  return (
    <>
      <span class="chain">
        <AgentLink name={lock.holder} />
        <span class="arrow" aria-hidden="true">
          →
        </span>
        <span class="hidden">waits for</span>
        <AgentLinks names={waitsFor(state, lock)} />
      </span>
      <Claims lock={lock} />
    </>
  )
}

function Waiting({ waiting }: { waiting: Held[] }) {
  return (
    <>
      <ol class="waits-list">
        {waiting.slice(0, SHOWN_MAX).map((lock) => (
          <li key={lock.lockId}>
            <Chain lock={lock} />
            <span class="sub">
              {lock.contractId && (
                <>
                  for <ContractLink id={lock.contractId} />,{' '}
                </>
              )}
              waiting <Since at={lock.requestedAt} />
              {lock.reason && (
                <>
                  {' '}
                  — <Peer>{lock.reason}</Peer>
                </>
              )}
            </span>
          </li>
        ))}
      </ol>
      <More shown={waiting.length} />
    </>
  )
}

function HeldTable({ held, waiting }: { held: Held[]; waiting: Held[] }) {
  return (
    <div class="table-box reflow">
      <table>
        <thead>
          <tr>
            <th scope="col">Resource</th>
            <th scope="col">Holder</th>
            <th scope="col">For</th>
            <th scope="col">Held</th>
            <th scope="col">Behind it</th>
            <th scope="col">
              <span class="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {held.slice(0, SHOWN_MAX).map((lock) => (
            <HeldRow key={lock.lockId} lock={lock} behind={waiting.filter((other) => waitsBehind(other, lock))} />
          ))}
        </tbody>
      </table>
      <More shown={held.length} />
    </div>
  )
}

function HeldRow({ lock, behind }: { lock: Held; behind: Held[] }) {
  return (
    <tr>
      <th scope="row" class="full">
        <Claims lock={lock} />
      </th>
      <td>
        <AgentLink name={lock.holder} />
      </td>
      <td>{lock.contractId ? <ContractLink id={lock.contractId} /> : lock.reason && <Peer>{lock.reason}</Peer>}</td>
      <td>
        <Since at={lock.acquiredAt ?? lock.requestedAt} />
        <Lease lock={lock} />
      </td>
      <td>
        {behind.length > 0 && (
          <>
            <span class="narrow-only">behind it: </span>
            <AgentLinks names={[...new Set(behind.map(({ holder }) => holder))]} />
          </>
        )}
      </td>
      <td>
        <AskButton
          label="Break"
          danger
          question={`Takes the lock from ${lock.holder}, whatever it is doing. An attempt that needs it ends with it.`}
          done="The lock is broken."
          text={{ label: 'Why', required: true }}
          call={(client, reason) => client.call('lock.break', { lockId: lock.lockId, reason })}
        />
      </td>
    </tr>
  )
}

function Lease({ lock }: { lock: Held }) {
  const { nowMs } = useApp()
  if (!lock.expiresAt) return null
  const left = duration(Date.parse(lock.expiresAt) - nowMs)
  return <div class="sub">{lock.state === 'cooling' ? `cools for ${left}` : `ends in ${left}`}</div>
}

/** What a request is for. */
export const Claims = ({ lock }: { lock: Pick<Held, 'resources'> }) => (
  <span class="claims">
    {lock.resources.map(({ resource, mode }) => (
      <span key={`${mode} ${resource}`} class="claim">
        <code>
          <Peer>{resource}</Peer>
        </code>
        {mode === 'shared' && <span class="sub"> shared</span>}
      </span>
    ))}
  </span>
)

const More = ({ shown }: { shown: number }) =>
  shown > SHOWN_MAX ? (
    <p class="sub more">and {count(shown - SHOWN_MAX)} more: `agent-bridge lock list` shows all.</p>
  ) : null
