import { useApp } from './app.js'
import { AgentLink, ContractLink, Peer, Since } from './parts.js'
import type { Message } from './state/rows.js'

/** A message to the person at the page, with the ways to deal with it. */
export function Letter({ message }: { message: Message }) {
  const { act, compose, mayAct } = useApp()
  const { messageId, from, sentAt, contractId, requireAck } = message
  const state = requireAck ? 'acked' : 'read'
  return (
    <>
      <p class="attention-head">
        <AgentLink name={from} />
        <span class="badge">writes</span>
        {contractId !== undefined && <ContractLink id={contractId} />}
        <span class="sub">
          <Since at={sentAt} />
        </span>
      </p>
      <p class="long">
        <Peer>{contentOf(message)}</Peer>
      </p>
      <div class="buttons">
        <button
          type="button"
          class="primary"
          disabled={!mayAct}
          onClick={() => compose({ to: from, replyTo: messageId, ...(contractId !== undefined && { contractId }) })}
        >
          Reply
        </button>
        <button
          type="button"
          disabled={!mayAct}
          onClick={() =>
            act(requireAck ? 'Acknowledged.' : 'Marked as read.', (client) =>
              client.call('message.ack', { messageIds: [messageId], state }),
            )
          }
        >
          {requireAck ? 'Acknowledge' : 'Mark as read'}
        </button>
      </div>
    </>
  )
}

/** The text, or in place of it the first part that can be shown as such. */
export function contentOf({ text, parts }: Pick<Message, 'text' | 'parts'>): string {
  const [part] = parts ?? []
  return text ?? part?.text ?? part?.uri ?? JSON.stringify(part?.data ?? 'nothing')
}
