import { useId, useState } from 'preact/hooks'
import { useApp } from './app.js'
import { AgentLink, Panel, Peer, Since } from './parts.js'
import { type Kind, kindOf, type Question, readAnswer } from './state/question.js'
import type { Contract } from './state/rows.js'
import { duration, textOf } from './state/words.js'

/** What the owner of a contract has asked and nobody has answered, as a form; and what was answered before. */
export function Answers({ contract }: { contract: Contract }) {
  const all = contract.inputRequests
  const open = contract.status === 'input_required' ? all.filter(({ answeredAt }) => answeredAt === undefined) : []
  const answered = all.filter(({ answeredAt }) => answeredAt !== undefined)
  if (all.length === 0) return null
  return (
    <Panel title={open.length > 0 ? 'Needs an answer' : 'Questions'} class={open.length > 0 ? 'attention' : ''}>
      {open.length > 0 && (
        <AnswerForm contractId={contract.id} asker={contract.owner} deadline={contract.inputDueAt} questions={open} />
      )}
      {answered.map(({ key, prompt, answer, answeredBy, answeredAt }) => (
        <p key={key}>
          <Peer>{prompt}</Peer>{' '}
          <b>
            <Peer>{textOf(answer)}</Peer>
          </b>{' '}
          <span class="sub">
            {answeredBy && <AgentLink name={answeredBy} />} <Since at={answeredAt ?? contract.updatedAt} /> ago
          </span>
        </p>
      ))}
    </Panel>
  )
}

interface AnswerFormProps {
  contractId: string
  asker: string | undefined
  /** When it is decided without an answer. */
  deadline: string | undefined
  questions: readonly Question[]
}

/** One field for each question, of the kind that its schema asks for. */
export function AnswerForm({ contractId, asker, deadline, questions }: AnswerFormProps) {
  const { act, mayAct, nowMs } = useApp()
  const [values, setValues] = useState<Record<string, string>>({})
  const [problem, setProblem] = useState<string>()
  const [busy, setBusy] = useState(false)
  const id = useId()

  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    const read = questions.map((question) => [question.key, readAnswer(question, values[question.key] ?? '')] as const)
    const wrong = read.find(([, answer]) => 'problem' in answer)
    setProblem(wrong && 'problem' in wrong[1] ? wrong[1].problem : undefined)
    if (wrong) return
    const responses = Object.fromEntries(
      read.flatMap(([key, answer]) => ('value' in answer ? [[key, answer.value]] : [])),
    )
    setBusy(true)
    await act('Answered.', (client) => client.call('contract.provideInput', { contractId, responses }))
    setBusy(false)
  }
  return (
    <form class="answers" onSubmit={send}>
      {questions.map((question) => (
        <div key={question.key} class="field">
          <label htmlFor={`${id} ${question.key}`}>
            <Peer>{question.prompt}</Peer>
            {question.default !== undefined && (
              <span class="sub">
                {' '}
                (without an answer: <Peer>{textOf(question.default)}</Peer>)
              </span>
            )}
          </label>
          <AnswerField
            id={`${id} ${question.key}`}
            kind={kindOf(question)}
            required={question.default === undefined}
            value={values[question.key] ?? ''}
            onValue={(value) => setValues((before) => ({ ...before, [question.key]: value }))}
          />
        </div>
      ))}
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <div class="buttons">
        <button type="submit" class="primary" disabled={busy || !mayAct}>
          Answer {asker}
        </button>
        {deadline !== undefined && <span class="sub">within {duration(Date.parse(deadline) - nowMs)}</span>}
      </div>
    </form>
  )
}

interface AnswerFieldProps {
  id: string
  kind: Kind
  required: boolean
  value: string
  onValue(value: string): void
}

function AnswerField({ kind, onValue, ...field }: AnswerFieldProps) {
  const onInput = ({ currentTarget }: { currentTarget: { value: string } }) => onValue(currentTarget.value)
  if (kind.kind === 'choice') {
    return (
      <select {...field} onChange={onInput}>
        <option value="" />
        {kind.choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    )
  }
  if (kind.kind === 'number') return <input type="number" step="any" {...field} onInput={onInput} />
  return <textarea rows={kind.kind === 'json' ? 4 : 2} {...field} onInput={onInput} />
}
