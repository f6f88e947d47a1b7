import { useEffect, useState } from 'preact/hooks'
import { CallError } from '../client/index.js'
import { Answers } from './answer.js'
import { reasonOf, useApp } from './app.js'
import { AskButton } from './ask.js'
import { Artifacts, Attempts, Checks, Facts, Result } from './details.js'
import { History } from './history.js'
import { Claims } from './locks.js'
import { AgentLink, Empty, Panel, Peer, Progress, Since, StatusBadge } from './parts.js'
import { hrefOf } from './state/route.js'
import type { Contract } from './state/rows.js'
import { isEnded } from './state/state.js'

/** One contract, whole: what it is, how it stands, what came of it, and everything that happened. */
export function ContractPage({ contractId }: { contractId: string }) {
  const { contract, problem } = useContract(contractId)
  if (problem !== undefined) {
    return (
      <div class="view">
        <Empty title={problem}>
          <a href={hrefOf({ view: 'contracts' })}>All contracts</a>
        </Empty>
      </div>
    )
  }
  if (!contract) return <div class="view" aria-busy="true" />
  return (
    <div class="view contract">
      <Head contract={contract} />
      <div class="contract-columns">
        <div class="contract-main">
          <Answers contract={contract} />
          {contract.description && (
            <Panel title="Task">
              <p class="long">
                <Peer>{contract.description}</Peer>
              </p>
            </Panel>
          )}
          <Result contract={contract} />
          <Artifacts contract={contract} />
          <Checks contract={contract} />
          <Attempts contract={contract} />
          <History key={contractId} contractId={contractId} />
        </div>
        <div class="contract-side">
          <Facts contract={contract} />
          <OwnLocks contractId={contractId} />
        </div>
      </div>
    </div>
  )
}

/** The contract as it is; asked for again whenever its generation has risen. */
function useContract(contractId: string): { contract: Contract | undefined; problem: string | undefined } {
  const { model } = useApp()
  const { client, state } = model
  const [contract, setContract] = useState<Contract>()
  const [problem, setProblem] = useState<string>()
  const generation = state.cards.get(contractId)?.generation
  useEffect(() => {
    let over = false
    client?.call('contract.get', { contractId }).then(
      (found) => {
        if (over) return
        setProblem(undefined)
        setContract(found)
      },
      (error) => {
        if (over || !(error instanceof CallError)) return
        setContract(undefined)
        setProblem(error.reason === 'NOT_FOUND' ? 'There is no such contract.' : reasonOf(error))
      },
    )
    return () => {
      over = true
    }
  }, [client, contractId, generation])
  return contract && contract.id !== contractId ? { contract: undefined, problem } : { contract, problem }
}

function Head({ contract }: { contract: Contract }) {
  return (
    <header class="contract-head">
      <p class="sub">
        <a href={hrefOf({ view: 'contracts' })}>Contracts</a> / <code>{contract.id}</code>
      </p>
      <h1>
        <Peer>{contract.title}</Peer>
      </h1>
      <p class="card-facts">
        <StatusBadge status={contract.status} />
        {contract.priority !== 'normal' && <span class="badge">{contract.priority}</span>}
        {contract.overdue && !isEnded(contract) && <span class="badge warn">overdue</span>}
        {contract.cancelRequestedAt && !isEnded(contract) && <span class="badge warn">asked to stop</span>}
        {contract.owner && (
          <span>
            by <AgentLink name={contract.owner} />
          </span>
        )}
        <span>
          changed <Since at={contract.updatedAt} /> ago
        </span>
        {!isEnded(contract) && <Progress progress={contract.progress} title={contract.title} />}
      </p>
      {contract.statusMessage && (
        <p class="status-message">
          <Peer>{contract.statusMessage}</Peer>
        </p>
      )}
      <Actions contract={contract} />
    </header>
  )
}

function Actions({ contract }: { contract: Contract }) {
  const { compose } = useApp()
  const { id: contractId, status, owner } = contract
  return (
    <div class="buttons">
      {!isEnded(contract) && (
        <AskButton
          label="Cancel"
          danger
          question={
            status === 'submitted' || !owner
              ? 'Nobody has it: it is called off at once.'
              : `${owner} is asked to stop, and made to after 30 seconds.`
          }
          done="Called off, or its owner is asked to stop."
          text={{ label: 'Why (optional)', required: false }}
          call={(client, note) => client.call('contract.cancel', { contractId, ...(note !== '' && { note }) })}
        />
      )}
      {(status === 'failed' || status === 'rejected') && (
        <AskButton
          label="Retry"
          question="It is offered again, with one more attempt."
          done="It is offered again."
          call={(client) => client.call('contract.retry', { contractId })}
        />
      )}
      <button
        type="button"
        onClick={() =>
          compose({ contractId, ...((owner ?? contract.assignee) && { to: owner ?? contract.assignee! }) })
        }
      >
        Write about it
      </button>
      <a class="button" href={hrefOf({ view: 'timeline', contract: contractId })}>
        In the timeline
      </a>
    </div>
  )
}

function OwnLocks({ contractId }: { contractId: string }) {
  const { model } = useApp()
  const own = [...model.state.locks.values()].filter((lock) => lock.contractId === contractId)
  return (
    <Panel title="Locks">
      {own.length === 0 ? (
        <p class="sub">It holds none now.</p>
      ) : (
        <ul class="plain">
          {own.map((lock) => (
            <li key={lock.lockId}>
              <Claims lock={lock} />
              <span class="sub">
                {' '}
                {lock.state}, <Since at={lock.acquiredAt ?? lock.requestedAt} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}
