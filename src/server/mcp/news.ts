import { BridgeError } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { type Fields, isFields } from '../../protocol/fields.js'
import { limits } from '../../protocol/limits.js'
import type { Desk, Port } from './desk.js'
import { briefRow, cutText } from './views.js'

/** What happened to an agent's contracts, locks and messages by another's doing, and what it should do about it. */
const CONCERNS: Record<string, string | undefined> = {
  'contract.accepted': undefined,
  'contract.completed': 'Look at it with contract_get.',
  'contract.failed': 'Look at it with contract_get; it can be retried.',
  'contract.attemptFailed': 'It is offered again: nothing to do, unless the attempt was yours.',
  'contract.released': undefined,
  'contract.rejected': 'Offer it to another.',
  'contract.cancelRequested': 'Stop working on it, then say so: contract_set_status to canceled.',
  'contract.canceled': 'Stop if you were working on it.',
  'contract.inputRequested':
    'The worker asks: see the prompts in contract_get, answer with contract_set_status to working and responses.',
  'contract.inputProvided': 'Your question was answered: read it with contract_get and go on.',
  'contract.updated': undefined,
  'contract.dueDatePassed': undefined,
  'contract.blocked': 'What it depends on has failed.',
  'contract.verified': undefined,
  'lock.contended': 'Release the lock as soon as you can do without.',
  'lock.expired': 'You no longer hold it: stop writing there.',
  'lock.lost': 'You no longer hold it: stop writing there.',
  'lock.broken': 'You no longer hold it: stop writing there.',
  'lock.violated': 'Look at what was changed under your lock.',
  'message.expired': 'It was not read in time.',
  'message.ackDuePassed': 'It was to be acknowledged by now: a recipient does so with wait { acked }.',
}

const concerns = Object.keys(CONCERNS)

/** Events by which a contract may come to be offered to the agent. */
const offering = ['created', 'attemptFailed', 'released', 'retried', 'unblocked'].map((verb) => `contract.${verb}`)

/** What `wait` wakes up for. */
export const wakers = [{ types: [...concerns, 'message.published'], mine: true }, { types: offering }]

/** One piece of news, or an answer that came late. */
export type Item = Fields

/** What happened since the agent was last told, and answers that came late; they count as told from now on. */
export async function readNews(port: Port, desk: Desk, signal?: AbortSignal): Promise<Item[]> {
  const late = desk.late.splice(0).map(tellLate)
  const events = await readEvents(port, desk, signal)
  const told = events.slice(-limits.toolNews).map((event) => tell(event))
  const missed = events.length - told.length
  return [
    ...late,
    ...(missed > 0 ? [{ todo: `${missed} older news are left out: agent_brief has what matters.` }] : []),
    ...told,
  ]
}

const tellLate = ({ tool, answer }: Desk['late'][number]): Item =>
  answer instanceof BridgeError
    ? { event: `${tool} was refused`, reason: answer.reason, todo: answer.message }
    : { event: `${tool} was granted`, ...answer }

async function readEvents(port: Port, desk: Desk, signal: AbortSignal | undefined): Promise<Event[]> {
  const options = signal ? { signal } : {}
  const found: Event[] = []
  for (;;) {
    const after = desk.cursor ?? 'latest'
    const limit = limits.pushEvents
    try {
      const page = await port.call('event.read', { after, types: concerns, mine: true, limit }, options)
      const { events, cursor, head } = page as { events: Event[]; cursor: string; head: string }
      found.push(...events.filter(({ actor }) => actor !== port.agent()))
      desk.cursor = cursor
      if (cursor === head) return found
    } catch (error) {
      if (!(error instanceof BridgeError) || error.facts.head === undefined) throw error
      // The log was trimmed or is another: what was missed is in the rows, and agent_brief tells it.
      desk.cursor = String(error.facts.head)
      return found
    }
  }
}

/** Words of the bridge in `event` and `todo`, peers' text in the fields that name it, beside who said it. */
function tell({ type, actor, data, contractId, subject }: Event): Item {
  const noun = type.slice(0, type.indexOf('.'))
  const row = [data[noun], data.last].find(isFields) ?? {}
  const {
    id,
    lockId = noun === 'lock' ? subject : undefined,
    messageId,
    title,
    status,
    error,
    resources,
  } = briefRow(row)
  const { note, reason, waiter, resource } = data
  const todo = CONCERNS[type]
  return Object.fromEntries(
    Object.entries({
      event: type,
      by: actor,
      contractId: id ?? contractId,
      lockId,
      messageId,
      title,
      status,
      ...(noun === 'lock' && { resource: resource ?? resources, waiter, reason }),
      note: typeof note === 'string' ? cutText(note, limits.toolNoteLength) : undefined,
      error,
      todo,
    }).filter(([, value]) => value !== undefined),
  )
}

/** How many messages wait for the agent, and from whom; nothing when there are none. */
export async function readUnread(port: Port, desk: Desk): Promise<string | undefined> {
  const limit = limits.toolNews + desk.given.size
  const { items, nextPage } = (await port.call('message.inbox', { state: 'unread', limit })) as Inbox
  const unread = items.filter(({ messageId }) => !desk.given.has(messageId))
  if (unread.length === 0) return undefined
  const from = [...new Set(unread.map(({ from }) => from))].join(', ')
  const count = `${unread.length}${nextPage === undefined ? '' : ' or more'}`
  return `${count} unread message${count === '1' ? '' : 's'} from ${from}: read with wait.`
}

export interface Inbox {
  items: Array<Fields & { messageId: string; from: string }>
  nextPage?: string
}
