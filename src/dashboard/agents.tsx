import { useApp } from './app.js'
import { AgentLink, AgentLinks, ContractLink, Empty, Peer, Presence, Progress, Since } from './parts.js'
import { type Activity, activities } from './state/derive.js'
import { hrefOf } from './state/route.js'
import { counted } from './state/words.js'

/** Everybody, with what each does. */
export function Agents() {
  const { model, compose } = useApp()
  const all = activities(model.state)
  return (
    <div class="view">
      <div class="toolbar">
        <h1>Agents</h1>
      </div>
      {all.length === 0 ? (
        <Empty title="Nobody is here yet.">
          An agent is known from its first word on: its hooks, its MCP server or the command line say it.
        </Empty>
      ) : (
        <div class="table-box reflow">
          <table>
            <thead>
              <tr>
                <th scope="col">Agent</th>
                <th scope="col">Presence</th>
                <th scope="col">Doing</th>
                <th scope="col">Locks</th>
                <th scope="col">Seen</th>
                <th scope="col">
                  <span class="hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {all.map(({ worker, ...rest }) => (
                <tr key={worker.agent}>
                  <th scope="row">
                    <AgentLink name={worker.agent} />
                    {worker.kind !== undefined && worker.kind !== worker.agent && (
                      <span class="sub"> {worker.kind}</span>
                    )}
                    {worker.capabilities.length > 0 && (
                      <div class="sub">{worker.capabilities.map((can) => `#${can}`).join(' ')}</div>
                    )}
                  </th>
                  <td>
                    <Presence presence={worker.presence} />
                  </td>
                  <td class="full">
                    <Doing activity={{ worker, ...rest }} />
                  </td>
                  <td>{rest.locks > 0 && <a href={hrefOf({ view: 'locks' })}>{counted(rest.locks, 'lock')}</a>}</td>
                  <td>
                    <span class="narrow-only">seen </span>
                    <Since at={worker.lastSeenAt} />
                  </td>
                  <td>
                    <button type="button" class="quiet" onClick={() => compose({ to: worker.agent })}>
                      Write<span class="hidden"> to {worker.agent}</span>
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  )
}

/** What an agent says and does. */
export function Doing({ activity: { worker, contracts, waitsFor } }: { activity: Activity }) {
  return (
    <div class="doing">
      {contracts.map((card) => (
        <div key={card.id} class="doing-line">
          <ContractLink id={card.id} />
          <Progress progress={card.progress} title={card.title} />
        </div>
      ))}
      {waitsFor.length > 0 && (
        <div class="doing-line waits">
          waits for <AgentLinks names={waitsFor} />
        </div>
      )}
      {worker.note && (
        <div class="doing-line sub">
          <Peer>{worker.note}</Peer>
        </div>
      )}
    </div>
  )
}
