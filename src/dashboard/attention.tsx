import { useEffect, useState } from 'preact/hooks'
import { AnswerForm } from './answer.js'
import { useApp } from './app.js'
import type { Attention } from './feed.js'
import { AgentLink, ContractLink, Empty, Panel, Peer, Since } from './parts.js'
import type { Contract } from './rows.js'
import { count, duration, words } from './words.js'

/** Items drawn. */
const SHOWN_MAX = 50

/** What waits for a person, each with the way to deal with it. */
export function AttentionList() {
  const { model } = useApp()
  const { attention } = model
  return (
    <Panel
      title="Needs you"
      note={attention.length > 0 && count(attention.length)}
      class={attention.length > 0 ? 'attention' : ''}
    >
      {attention.length === 0 ? (
        <Empty title="Nothing needs you." />
      ) : (
        <ul class="attention-list">
          {attention.slice(0, SHOWN_MAX).map((item) => (
            <AttentionItem key={`${item.kind} ${item.contractId ?? item.agent} ${item.since}`} item={item} />
          ))}
        </ul>
      )}
      {attention.length > SHOWN_MAX && <p class="sub more">and {count(attention.length - SHOWN_MAX)} more</p>}
    </Panel>
  )
}

function AttentionItem({ item }: { item: Attention }) {
  const { nowMs, compose } = useApp()
  const { kind, contractId, agent, since, deadline, text } = item
  return (
    <li>
      <p class="attention-head">
        <span class="badge warn">{words(kind)}</span>
        {agent !== undefined && <AgentLink name={agent} />}
        <span class="sub">
          <Since at={since} /> ago
          {deadline !== undefined && `, due in ${duration(Date.parse(deadline) - nowMs)}`}
        </span>
      </p>
      {contractId !== undefined && (
        <p>
          <ContractLink id={contractId} />
        </p>
      )}
      {contractId !== undefined && kind.startsWith('input') ? (
        <AnswerHere contractId={contractId} text={text} />
      ) : (
        <p class="long">
          <Peer>{text}</Peer>
        </p>
      )}
      {kind.startsWith('message') && agent !== undefined && (
        <button type="button" onClick={() => compose({ to: agent, ...(contractId !== undefined && { contractId }) })}>
          Answer
        </button>
      )}
    </li>
  )
}

/** The questions of a contract, to be answered without leaving the list. */
function AnswerHere({ contractId, text }: { contractId: string; text: string }) {
  const { model } = useApp()
  const { client, state } = model
  const [contract, setContract] = useState<Contract>()
  const generation = state.cards.get(contractId)?.generation
  useEffect(() => {
    client?.call('contract.get', { contractId }).then(setContract, () => {})
  }, [client, contractId, generation])
  const open = contract?.inputRequests?.filter(({ answeredAt }) => answeredAt === undefined) ?? []
  if (!contract || open.length === 0) {
    return (
      <p class="long">
        <Peer>{text}</Peer>
      </p>
    )
  }
  return <AnswerForm contract={contract} questions={open} />
}
