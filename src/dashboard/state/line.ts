import type { Event } from '../../client/index.js'
import { type Fields, isFields } from '../../protocol/fields.js'
import { cut, percentOf } from './words.js'

/** One event of the timeline: who did what, when, in words. The event itself is read again where it is wanted whole. */
export interface Line {
  cursor: string
  seq: number
  type: string
  time: string
  actor: string
  unverified: boolean
  subject: string
  contractId: string | undefined
  topic: string | undefined
  text: string
}

const TEXT_MAX = 280

export const seqOf = (cursor: string): number => Number(cursor.slice(cursor.indexOf('-') + 1))
/** The cursor of another place in the same log. */
export const cursorAt = (cursor: string, seq: number): string => `${cursor.slice(0, cursor.indexOf('-'))}-${seq}`

export const lineOf = (event: Event): Line => ({
  cursor: event.cursor,
  seq: seqOf(event.cursor),
  type: event.type,
  time: event.time,
  actor: event.actor,
  unverified: event.unverified === true,
  subject: event.subject,
  contractId: event.contractId,
  topic: event.topic,
  text: cut(describe(event).replace(/\s+/g, ' '), TEXT_MAX),
})

/** What follows the actor's name in the sentence, for the events whose type does not say it all. */
const sentences: Record<string, (row: Fields, data: Fields, to: readonly string[]) => string> = {
  'contract.created': (row) => `asks for ${quoted(row.title)}${offered(row)}`,
  'contract.accepted': (row) => `took ${quoted(row.title)}, attempt ${row.attempt} of ${row.maxAttempts}`,
  'contract.started': (row) => `began ${quoted(row.title)}`,
  'contract.progressed': (row) => `${quoted(row.title)} ${percent(row.progress)}`,
  'contract.updated': (row) => `changed ${quoted(row.title)}`,
  'contract.completed': (row) => `completed ${quoted(row.title)}`,
  'contract.failed': (row) => `${quoted(row.title)} failed for good${because(row)}`,
  'contract.attemptFailed': (row) => `an attempt at ${quoted(row.title)} failed${because(row)}`,
  'contract.released': (row) => `gave back ${quoted(row.title)}`,
  'contract.rejected': (row) => `will not do ${quoted(row.title)}`,
  'contract.cancelRequested': (row) => `asks ${row.owner ?? 'the owner'} to stop ${quoted(row.title)}`,
  'contract.canceled': (row) => `called off ${quoted(row.title)}`,
  'contract.retried': (row) => `offers ${quoted(row.title)} again`,
  'contract.unblocked': (row) => `${quoted(row.title)} can be taken`,
  'contract.blocked': (row) => `${quoted(row.title)} is blocked`,
  'contract.inputRequested': (row) => `needs an answer for ${quoted(row.title)}`,
  'contract.inputProvided': (row) => `answered for ${quoted(row.title)}`,
  'contract.dueDatePassed': (row) => `${quoted(row.title)} is overdue`,
  'contract.verified': (row) => `verified ${quoted(row.title)}`,
  'lock.queued': (row, data) => `waits for ${claims(row)}${blockedBy(data)}`,
  'lock.contended': (_row, data, to) =>
    `needs ${data.resource}${to.length > 0 ? `, which ${to.join(', ')} holds` : ''}`,
  'lock.acquired': (row) => `holds ${claims(row)}`,
  'lock.extended': (row) => `keeps ${claims(row)} for longer`,
  'lock.released': (row) => `let go of ${claims(row)}, held by ${row.holder}`,
  'lock.expired': (row) => `the lease of ${row.holder} on ${claims(row)} ran out`,
  'lock.lost': (row) => `${row.holder} lost ${claims(row)}`,
  'lock.broken': (row) => `broke the lock of ${row.holder} on ${claims(row)}`,
  'lock.abandoned': (row) => `${row.holder} waits no longer for ${claims(row)}`,
  'lock.downgraded': (row) => `shares ${claims(row)} from now on`,
  'lock.violated': (_row, { by, holder, resources }) =>
    `${by} changed ${list(resources)}${holder ? `, which ${holder} has locked` : ' without a lock'}`,
  'lock.cooled': (row) => `${claims(row)} can be taken again`,
  'message.published': (row) => `${recipients(row)}: ${contentOf(row)}`,
  'message.receiptChanged': (row, data) => `${data.agent} has ${data.state} the message of ${row.from}`,
  'message.expired': (row, { agents }) => `the message of ${row.from} came too late for ${list(agents)}`,
  'message.ackDuePassed': (row, { agents }) => `${list(agents)} did not acknowledge the message of ${row.from}`,
  'message.removed': (row) => `a message of ${row.from} went with retention`,
  'token.created': (row) => `gave ${row.agent} a token (${row.role})`,
  'token.revoked': (row) => `revoked a token of ${row.agent}`,
  'agent.registered': () => 'is known from now on',
  'agent.connected': (_row, data) => (data.resumed === true ? 'is back' : 'connected'),
  'agent.disconnected': (_row, data) => (data.ended === true ? 'said goodbye' : `disconnected (${data.reason})`),
  'agent.lost': () => 'did not come back in time',
  'agent.updated': (row) => `is ${String(row.presence).replace('_', ' ')}`,
  'bridge.started': (_row, data) => `the daemon started, version ${data.version}`,
}

function describe(event: Event): string {
  const { data, type } = event
  const row = [data[type.slice(0, type.indexOf('.'))], data.last].find(isFields) ?? {}
  const known = sentences[type]
  const said = known ? known(row, data, event.to ?? []) : type.replace('.', ' ')
  const note = data.note ?? (type === 'agent.updated' ? row.note : undefined) ?? data.reason
  const shown = typeof note === 'string' && note !== '' && type !== 'agent.disconnected'
  return shown ? `${said} — ${note}` : said
}

const quoted = (title: unknown): string => `“${title ?? 'untitled'}”`

const offered = ({ assignee, capability }: Fields): string =>
  assignee ? ` of ${assignee}` : capability ? ` of whoever can ${capability}` : ''

const list = (names: unknown): string => (Array.isArray(names) ? names.join(', ') : 'somebody')

const percent = (progress: unknown): string =>
  typeof progress === 'number' ? `is ${percentOf(progress)} done` : 'moves'

const because = ({ error }: Fields): string => (isFields(error) ? `: ${error.reason}, ${error.message}` : '')

const claims = ({ resources }: Fields): string =>
  Array.isArray(resources) ? resources.map(({ resource }) => resource).join(', ') : 'something'

const blockedBy = ({ blockers }: Fields): string =>
  Array.isArray(blockers) && blockers.length > 0
    ? ` behind ${[...new Set(blockers.map(({ holder }) => holder))].join(', ')}`
    : ''

const recipients = ({ to, topic }: Fields): string => (Array.isArray(to) ? `to ${to.join(', ')}` : `on ${topic}`)

function contentOf({ text, parts }: Fields): string {
  if (typeof text === 'string') return text
  const first = Array.isArray(parts) ? parts.find(isFields) : undefined
  return String(first?.text ?? first?.uri ?? 'data')
}
