import { useState } from 'preact/hooks'
import type { Client } from '../client/index.js'
import { useApp } from './app.js'
import { Dialog } from './dialog.js'

interface AskProps {
  /** On the button that opens the question, and on the one that answers it. */
  label: string
  question: string
  /** Told when it is done. */
  done: string
  /** What the text is called that goes with it, and whether there has to be one. */
  text?: { label: string; required: boolean }
  danger?: boolean
  call(client: Client, text: string): Promise<unknown>
}

/** A button for something that is not to happen by a slip: it asks first. */
export function AskButton({ label, question, done, text, danger, call }: AskProps) {
  const { act, mayAct } = useApp()
  const [asking, setAsking] = useState(false)
  const [written, setWritten] = useState('')
  const [busy, setBusy] = useState(false)
  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    setBusy(true)
    if (await act(done, (client) => call(client, written.trim()))) setAsking(false)
    setBusy(false)
  }
  return (
    <>
      <button type="button" class={danger ? 'danger' : ''} disabled={!mayAct} onClick={() => setAsking(true)}>
        {label}
      </button>
      {asking && (
        <Dialog title={label} onClose={() => setAsking(false)}>
          <form onSubmit={send}>
            <p>{question}</p>
            {text && (
              <label class="field">
                <span>{text.label}</span>
                <input
                  type="text"
                  required={text.required}
                  maxLength={500}
                  value={written}
                  onInput={({ currentTarget }) => setWritten(currentTarget.value)}
                />
              </label>
            )}
            <div class="buttons">
              <button type="submit" class={danger ? 'danger' : 'primary'} disabled={busy || !mayAct}>
                {label}
              </button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  )
}
