import { useState } from 'preact/hooks'
import { type Draft, useApp } from './app.js'
import { Dialog } from './dialog.js'
import { ContractLink } from './parts.js'

type To = 'agent' | 'capability' | 'topic'

/** The form that sends a message: to an agent, to all with a capability, or to a topic. */
export function Compose({ draft, onClose }: { draft: Draft; onClose: () => void }) {
  const { act, mayAct, model } = useApp()
  const [kind, setKind] = useState<To>('agent')
  const [to, setTo] = useState(draft.to ?? '')
  const [text, setText] = useState('')
  const [requireAck, setRequireAck] = useState(false)
  const [busy, setBusy] = useState(false)
  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setBusy(true)
    const address = { [kind === 'agent' ? 'to' : kind]: to.trim() }
    const more = {
      ...(draft.contractId && { contractId: draft.contractId }),
      ...(draft.replyTo && { replyTo: draft.replyTo }),
    }
    const sent = await act('Sent.', async (client) => {
      await client.call('message.publish', {
        ...address,
        text,
        ...more,
        ...(requireAck && kind !== 'topic' && { requireAck }),
      })
      // Who has answered has taken notice.
      if (draft.replyTo) await client.call('message.ack', { messageIds: [draft.replyTo], state: 'acked' })
    })
    setBusy(false)
    if (sent) onClose()
  }
  return (
    <Dialog title="Send a message" onClose={onClose}>
      <form onSubmit={send}>
        {draft.contractId !== undefined && (
          <p>
            About <ContractLink id={draft.contractId} />
          </p>
        )}
        <div class="address">
          <label class="field">
            <span>To</span>
            <select value={kind} onChange={({ currentTarget }) => setKind(currentTarget.value as To)}>
              <option value="agent">an agent</option>
              <option value="capability">all who can</option>
              <option value="topic">a topic</option>
            </select>
          </label>
          <label class="field">
            <span>{kind === 'agent' ? 'Agent' : kind === 'topic' ? 'Topic' : 'Capability'}</span>
            <input
              type="text"
              required
              list={kind === 'agent' ? 'known-agents' : undefined}
              value={to}
              onInput={({ currentTarget }) => setTo(currentTarget.value)}
            />
          </label>
          <datalist id="known-agents">
            {[...model.state.workers.keys()].map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </div>
        <label class="field">
          <span>Message</span>
          <textarea rows={5} required value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} />
        </label>
        {kind !== 'topic' && (
          <label class="check">
            <input
              type="checkbox"
              checked={requireAck}
              onChange={({ currentTarget }) => setRequireAck(currentTarget.checked)}
            />{' '}
            It has to be acknowledged
          </label>
        )}
        <div class="buttons">
          <button type="submit" class="primary" disabled={busy || !mayAct}>
            Send
          </button>
        </div>
      </form>
    </Dialog>
  )
}
