import { type Fields, isFields } from '../protocol/fields.js'
import { cut, type Paint, printable, type Style, widthOf } from './text.js'
import { brief, briefTime, isEmpty } from './values.js'

/** An event of the stream, or an item of a history: who did what, when. */
export const isEventLike = (
  row: Fields,
): row is Fields & { cursor: string; type: string; time: string; actor: string } =>
  ['cursor', 'type', 'time', 'actor'].every((name) => typeof row[name] === 'string')

const TYPE_WIDTH = 24
const ACTOR_WIDTH = 12

/** Verbs that people look out for; all others are plain. */
const verbStyles: Record<string, Style> = {
  ...Object.fromEntries(['completed', 'acquired', 'started', 'accepted'].map((verb) => [verb, 'green' as const])),
  ...Object.fromEntries(
    ['failed', 'attemptFailed', 'rejected', 'lost', 'expired', 'canceled'].map((verb) => [verb, 'red' as const]),
  ),
  ...Object.fromEntries(
    ['queued', 'contended', 'abandoned', 'cancelRequested', 'disconnected'].map((verb) => [verb, 'yellow' as const]),
  ),
}

/**
 * One event on one line: time, type, actor, what it is about, and what matters of it. However long it is, nothing is cut
 * off but long texts: what stands at its end is what is new.
 */
export function formatEvent(event: Fields, paint: Paint): string {
  const [time, type, actor] = [event.time, event.type, event.actor].map(String)
  const padded = (text: string, columns: number) => text + ' '.repeat(Math.max(0, columns - widthOf(text)))
  const head = [
    { text: briefTime(time!), style: 'dim' as const },
    { text: padded(printable(type!), TYPE_WIDTH), style: verbStyles[type!.split('.')[1] ?? ''] ?? ('cyan' as const) },
    { text: padded(printable(actor!), ACTOR_WIDTH), style: 'bold' as const },
  ]
  // Who changed only itself has been named already.
  const subject = event.subject === event.actor ? [] : [event.subject]
  const rest = printable([...subject, ...detailsOf(event)].filter((piece) => !isEmpty(piece)).join('  '))
  return [...head.map(({ text, style }) => paint(style, text)), rest].join('  ').trimEnd()
}

/** Fields of a row that tell people what it is about, by name whatever the noun. */
const telling: Record<string, (value: unknown) => string> = {
  title: (value) => `"${value}"`,
  text: (value) => `"${cut(printable(String(value)), 80)}"`,
  resources: (value) => brief('resources', value),
  topic: (value) => `on ${value}`,
  assignee: (value) => `for ${value}`,
  capability: (value) => `for #${value}`,
  owner: (value) => `owner ${value}`,
  holder: (value) => `holder ${value}`,
  attempt: (value) => `attempt ${value}`,
  progress: (value) => progressBar(Number(value)),
  presence: String,
}

const BAR_WIDTH = 10

/** How far it is, as far as the eye can see. */
function progressBar(progress: number): string {
  const full = Math.round(progress * BAR_WIDTH)
  return `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)} ${brief('progress', progress)}`
}

/** Fields beside the row that say nothing to people. */
const silent = new Set(['session', 'daemon'])

function detailsOf(event: Fields): string[] {
  if (isFields(event.changes)) return [...noteOf(event), ...changesOf(event.changes)]
  const data = isFields(event.data) ? event.data : {}
  const noun = String(event.type).split('.')[0]!
  // A dropped row is null, and stands as it was in `last`.
  const row = [data[noun], data.last].find(isFields) ?? {}
  const beside = Object.entries(data).filter(([name]) => name !== noun && name !== 'last' && !silent.has(name))
  const to = Array.isArray(event.to) && noun === 'message' ? [`to ${event.to.join(', ')}`] : []
  return [...tell(row, event), ...to, ...errorOf(row), ...noteOf(data), ...scalars(beside)]
}

function tell(row: Fields, event: Fields): string[] {
  return Object.entries(telling).flatMap(([name, say]) => {
    const value = row[name]
    if (isEmpty(value) || (name === 'attempt' && value === 0)) return []
    // The actor has been named already, and an assignee is of interest until somebody has it.
    if ((name === 'owner' || name === 'holder') && value === event.actor) return []
    if ((name === 'assignee' || name === 'capability') && !isEmpty(row.owner)) return []
    return [say(value)]
  })
}

/** Of a history: the fields that became something else, without those that change every time or run long. */
function changesOf(changes: Fields): string[] {
  const about = [changes.lock, changes.message].find(isFields)
  if (about) return tell(about, {})
  const { title, resources, description: _description, statusMessage: _statusMessage, ...others } = changes
  const shown = Object.entries(others).filter(([name]) => !/(At|Ms|^id|^generation|^session)$/.test(name))
  return [...tell({ title, resources }, {}), ...scalars(shown), ...errorOf(changes)]
}

const noteOf = ({ note }: Fields): string[] => (typeof note === 'string' && note !== '' ? [`— ${note}`] : [])

const errorOf = ({ error }: Fields): string[] => (isFields(error) ? [`${error.reason}: ${error.message}`] : [])

const scalars = (fields: [string, unknown][]): string[] =>
  fields
    .filter(
      ([name, value]) => name !== 'note' && value !== null && ['string', 'number', 'boolean'].includes(typeof value),
    )
    .map(([name, value]) => `${name}=${name === 'progress' ? brief(name, value) : value}`)
