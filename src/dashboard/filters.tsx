import type { Line } from './state/line.js'
import type { Route } from './state/route.js'

type TimelineRoute = Extract<Route, { view: 'timeline' }>

const nouns = ['contract', 'lock', 'message', 'agent', 'token', 'bridge'] as const

/** The filter of `event.read` for the nouns that are shown; nothing for all of them. */
export const typesOf = (shown: string | undefined): string[] | undefined =>
  shown === undefined ? undefined : shown.split(' ').map((noun) => `${noun}.*`)

/** Whether a line is shown. */
export function passesOf({ nouns: shown, agent, contract, text }: TimelineRoute): (line: Line) => boolean {
  const kinds = shown === undefined ? undefined : new Set(shown.split(' '))
  const wanted = text?.toLowerCase()
  return (line) =>
    (kinds?.has(line.type.slice(0, line.type.indexOf('.'))) ?? true) &&
    (agent === undefined || line.actor === agent || line.subject === agent || mentions(line.text, agent)) &&
    (contract === undefined || line.contractId === contract) &&
    (wanted === undefined ||
      `${line.type} ${line.actor} ${line.topic ?? ''} ${line.text}`.toLowerCase().includes(wanted))
}

/** The name as a word: `max` is not meant by `maximal`. */
const mentions = (text: string, name: string): boolean =>
  text.split(/[^a-z0-9._-]+/).some((word) => word.replace(/\.$/, '') === name)

/** What of the log is shown, kept in the address so that it can be come back to. */
export function Filters({ route, onChange }: { route: TimelineRoute; onChange: (route: Route) => void }) {
  const shown = new Set(route.nouns?.split(' ') ?? nouns)
  const toggle = (noun: string) => {
    const next = nouns.filter((name) => (name === noun ? !shown.has(name) : shown.has(name)))
    const { nouns: _nouns, ...rest } = route
    onChange(next.length === nouns.length || next.length === 0 ? rest : { ...rest, nouns: next.join(' ') })
  }
  const set = (field: 'agent' | 'text', value: string) => {
    const { [field]: _former, ...rest } = route
    onChange(value === '' ? rest : { ...rest, [field]: value })
  }
  const { contract, ...withoutContract } = route
  return (
    <>
      <fieldset class="chips">
        <legend class="hidden">Kinds of events</legend>
        {nouns.map((noun) => (
          <button key={noun} type="button" class="chip" aria-pressed={shown.has(noun)} onClick={() => toggle(noun)}>
            {noun === 'bridge' ? 'daemon' : `${noun}s`}
          </button>
        ))}
      </fieldset>
      <input
        type="search"
        placeholder="Agent"
        aria-label="Only events of this agent"
        value={route.agent ?? ''}
        onInput={({ currentTarget }) => set('agent', currentTarget.value.trim())}
      />
      <input
        type="search"
        placeholder="Text"
        aria-label="Only events with this text"
        value={route.text ?? ''}
        onInput={({ currentTarget }) => set('text', currentTarget.value)}
      />
      {contract !== undefined && (
        <button type="button" class="chip" aria-pressed="true" onClick={() => onChange(withoutContract)}>
          only {contract} ✕
        </button>
      )}
    </>
  )
}
