import type { ComponentChildren } from 'preact'
import { useApp } from './app.js'
import { AgentLink, ContractLink, Panel, Peer, Since } from './parts.js'
import type { Contract } from './state/rows.js'
import { clockTime, duration, textOf } from './state/words.js'

/** Only the schemes that lead to a page: a peer's `javascript:` stays text. */
const isPage = (uri: string): boolean => /^https?:\/\//i.test(uri) && URL.canParse(uri)

/** A value as it is, in a box that scrolls; whatever scrolls has to be reachable by keyboard. */
function Source({ value }: { value: unknown }) {
  return (
    <pre class="source" tabIndex={0}>
      <Peer>{textOf(value)}</Peer>
    </pre>
  )
}

export function Result({ contract: { result, error } }: { contract: Contract }) {
  if (result === undefined && !error) return null
  return (
    <Panel title={error ? 'What went wrong' : 'Result'}>
      {error && (
        <p class="problem">
          <b>
            <Peer>{error.reason}</Peer>
          </b>
          : <Peer>{error.message}</Peer> {!error.retryable && '(not to be tried again)'}
        </p>
      )}
      {result !== undefined && <Source value={result} />}
    </Panel>
  )
}

export function Artifacts({ contract: { artifacts } }: { contract: Contract }) {
  if (artifacts.length === 0) return null
  return (
    <Panel title="Artifacts" note={String(artifacts.length)}>
      <ul class="plain">
        {artifacts.map(({ name, mediaType, uri, text, data }) => (
          <li key={name}>
            <b>
              <Peer>{name}</Peer>
            </b>{' '}
            <span class="sub">
              <Peer>{mediaType}</Peer>
            </span>
            {uri !== undefined &&
              (isPage(uri) ? (
                <div>
                  <a href={uri} rel="noopener noreferrer" target="_blank">
                    <Peer>{uri}</Peer>
                  </a>
                </div>
              ) : (
                <div>
                  <code>
                    <Peer>{uri}</Peer>
                  </code>
                </div>
              ))}
            {(text ?? data) !== undefined && <Source value={text ?? data} />}
          </li>
        ))}
      </ul>
    </Panel>
  )
}

/** Each check with the evidence that was brought for it. */
export function Checks({ contract: { checks, evidence } }: { contract: Contract }) {
  const { nowMs } = useApp()
  if (checks.length === 0 && evidence.length === 0) return null
  const named = new Set(checks.map(({ name }) => name))
  const all = [
    ...checks,
    ...evidence.filter(({ check }) => !named.has(check)).map(({ check, command }) => ({ name: check, command })),
  ]
  return (
    <Panel title="Checks and evidence">
      <ul class="plain checks">
        {all.map(({ name, command }) => {
          const brought = evidence.filter(({ check }) => check === name)
          return (
            <li key={name}>
              <b>
                <Peer>{name}</Peer>
              </b>{' '}
              <code>
                <Peer>{command}</Peer>
              </code>
              {brought.length === 0 && (
                <>
                  {' '}
                  <span class="badge">no evidence yet</span>
                </>
              )}
              {brought.map(({ by, at, exitCode, output, head }) => (
                <div key={`${by} ${at}`} class="evidence">
                  <span class={`badge ${exitCode === 0 ? 'status-completed' : 'status-failed'}`}>exit {exitCode}</span>{' '}
                  by <AgentLink name={by} /> <span class="sub">{clockTime(at, nowMs)}</span>
                  {head !== undefined && (
                    <span class="sub">
                      {' '}
                      at <Peer>{head}</Peer>
                    </span>
                  )}
                  {output && <Source value={output} />}
                </div>
              ))}
            </li>
          )
        })}
      </ul>
    </Panel>
  )
}

export function Attempts({ contract: { attempts, failures, maxAttempts } }: { contract: Contract }) {
  const { nowMs } = useApp()
  if (attempts.length === 0) return null
  return (
    <Panel title="Attempts" note={`${failures} of ${maxAttempts} failed`}>
      <div class="table-box">
        <table>
          <thead>
            <tr>
              <th scope="col">No.</th>
              <th scope="col">Owner</th>
              <th scope="col">Outcome</th>
              <th scope="col">Took</th>
              <th scope="col">Note</th>
            </tr>
          </thead>
          <tbody>
            {attempts.map(({ n, owner, outcome, startedAt, endedAt, note }) => (
              <tr key={n}>
                <td>{n}</td>
                <td>
                  <AgentLink name={owner} />
                </td>
                <td>{outcome ?? 'open'}</td>
                <td>{duration((endedAt ? Date.parse(endedAt) : nowMs) - Date.parse(startedAt))}</td>
                <td>{note && <Peer>{note}</Peer>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

/** Everything else, as a list of terms. */
export function Facts({ contract }: { contract: Contract }) {
  const { nowMs } = useApp()
  const links = (ids: readonly string[]) => ids.map((id) => <ContractLink key={id} id={id} />)
  const facts: Array<[string, ComponentChildren]> = [
    ['Asked by', <AgentLink key="by" name={contract.createdBy} />],
    ['Asked', clockTime(contract.createdAt, nowMs)],
    ['For', contract.assignee ?? (contract.capability ? `#${contract.capability}` : 'anyone')],
    ['Due', contract.dueAt && clockTime(contract.dueAt, nowMs)],
    ['Not before', contract.notBefore && clockTime(contract.notBefore, nowMs)],
    ['Ended', contract.endedAt && clockTime(contract.endedAt, nowMs)],
    ['Part of', contract.parentId && links([contract.parentId])],
    ['Depends on', contract.dependsOn?.length ? <span class="stack">{links(contract.dependsOn)}</span> : undefined],
    ['Blocked by', contract.blockedBy?.length ? <span class="stack">{links(contract.blockedBy)}</span> : undefined],
    ['Tags', contract.tags.length > 0 && <Peer>{contract.tags.join(', ')}</Peer>],
    [
      'Resources',
      contract.resources.length > 0 && <Peer>{contract.resources.map(({ resource }) => resource).join(' ')}</Peer>,
    ],
    ['Progress told', contract.progressedAt && <Since key="told" at={contract.progressedAt} />],
    ['Generation', String(contract.generation)],
  ]
  return (
    <Panel title="Facts">
      <dl class="facts">
        {facts.map(([term, value]) =>
          value ? (
            <div key={term}>
              <dt>{term}</dt>
              <dd>{value}</dd>
            </div>
          ) : null,
        )}
      </dl>
      {Object.keys(contract.metadata).length > 0 && <Source value={contract.metadata} />}
    </Panel>
  )
}
