import { AnswerForm } from './answer.js'
import { useApp } from './app.js'
import { AskButton } from './ask.js'
import { Letter } from './letter.js'
import { AgentLink, ContractLink, Empty, Panel, Peer, Since } from './parts.js'
import type { Attention } from './state/rows.js'
import { count, duration } from './state/words.js'

const kinds: Record<Attention['kind'], string> = {
  action: 'cannot go on alone',
  input: 'asks you',
  overdue: 'overdue',
  stalled: 'gone quiet',
  broken: 'lost a lock',
  failed: 'failed',
  blocked: 'cannot begin',
  ack: 'not acknowledged',
}

/** What waits for a person, each with the way to deal with it. */
export function AttentionList() {
  const { waiting } = useApp().model
  const { attention, inbox, more } = waiting
  const number = attention.length + inbox.length
  return (
    <Panel
      title="Needs you"
      note={number > 0 && `${count(number)}${more ? '+' : ''}`}
      class={number > 0 ? 'attention' : ''}
    >
      {number === 0 ? (
        <Empty title="Nothing needs you." />
      ) : (
        <ul class="attention-list">
          {attention.map((item) => (
            <li key={`${item.kind} ${item.contractId ?? item.messageId ?? item.agent}`}>
              <AttentionItem item={item} />
            </li>
          ))}
          {inbox.map((message) => (
            <li key={message.messageId}>
              <Letter message={message} />
            </li>
          ))}
        </ul>
      )}
      {more && <p class="sub more">These are the oldest of each kind; more wait behind them.</p>}
    </Panel>
  )
}

function AttentionItem({ item }: { item: Attention }) {
  const { nowMs, compose } = useApp()
  const { kind, contractId, agent, since, deadline, text, questions } = item
  return (
    <>
      <p class="attention-head">
        {agent !== undefined && <AgentLink name={agent} />}
        <span class={`badge ${kind === 'failed' || kind === 'broken' ? 'status-failed' : 'warn'}`}>{kinds[kind]}</span>
        {contractId !== undefined && <ContractLink id={contractId} />}
        <span class="sub">
          <Since at={since} />
        </span>
      </p>
      {questions && contractId !== undefined ? (
        <AnswerForm contractId={contractId} asker={agent} deadline={deadline} questions={questions} />
      ) : (
        <p class="long">
          <Peer>{text}</Peer>
        </p>
      )}
      {item.default !== undefined && !questions && (
        <p class="sub">
          Without you {item.default}
          {deadline !== undefined && `, in ${duration(Date.parse(deadline) - nowMs)}`}.
        </p>
      )}
      {!questions && (
        <div class="buttons">
          {kind === 'failed' && contractId !== undefined && (
            <AskButton
              label="Retry"
              question="It is offered again, with one more attempt."
              done="It is offered again."
              call={(client) => client.call('contract.retry', { contractId })}
            />
          )}
          {agent !== undefined && (
            <button
              type="button"
              onClick={() => compose({ to: agent, ...(contractId !== undefined && { contractId }) })}
            >
              Write to {agent}
            </button>
          )}
        </div>
      )}
    </>
  )
}
