import { z } from 'zod'
import { limits } from '../protocol/limits.js'
import { type Noun, type QueryContext, query, type Read } from '../protocol/method.js'
import { type Instant, later } from '../protocol/time.js'
import { agents } from './agents/row.js'
import { type Contract, concernOf, contracts, FAILED, inputRequestParam, WAITING } from './contracts/row.js'
import {
  agentName,
  decodePage,
  encodePage,
  headCursor,
  instant,
  listOf,
  pageParams,
  quoted,
  refusePage,
} from './fields.js'
import { expiryOf, type Message, messages, OVERDUE, owing } from './messages/row.js'

/** One thing that waits for a person. */
export const attentionItem = z.strictObject({
  kind: z
    .enum(['action', 'input', 'overdue', 'stalled', 'broken', 'blocked', 'failed', 'ack'])
    .describe(
      '`action`: an agent says that it cannot go on alone; `input`: a question is open; `overdue`: past its `dueAt`; `stalled`: nothing is heard of an attempt; `broken`: an attempt lost a lock, and nobody has taken the contract since; `blocked`: it waits for one that ended otherwise than completed; `failed`: for good; `ack`: an acknowledgement is overdue',
    ),
  contractId: z.string().optional(),
  messageId: z.string().optional(),
  agent: agentName.optional().describe('who waits, worked on it, or owes it'),
  since: instant,
  deadline: instant.optional().describe('when it is decided without you'),
  default: z.string().optional().describe('what happens if nobody does anything'),
  text: z.string().describe('what it is about; what agents wrote stands in quotation marks'),
  questions: z
    .array(inputRequestParam)
    .optional()
    .describe('`input`: the open ones; answered with contract.provideInput'),
})

type Item = z.output<typeof attentionItem>

/** An item, and where it stands: by age, then by source, then by id. */
interface Placed {
  item: Item
  source: number
  id: string
}

interface Place {
  since: Instant
  source: number
  id: string
}

const list = query({
  name: 'attention.list',
  summary: 'What waits for a person, the oldest first: with its age, its deadline, and what happens by default.',
  role: 'observer',
  params: {
    page: pageParams.page,
    limit: z.int().min(1).max(limits.attentionItemsMax).default(limits.pageItems),
  },
  result: listOf(attentionItem),
  errors: [],
  run(read, { page, limit }, ctx) {
    const { at, behind } = page === undefined ? { at: headCursor(read), behind: undefined } : placeOf(page)
    // One more of each than wanted: whether there is more is seen in what is left.
    const placed = sources
      .flatMap((find, source) =>
        find(read, ctx, startOf(behind, source), limit + 1).map((found) => ({ ...found, source })),
      )
      .sort((a, b) => compare(placeOfItem(a), placeOfItem(b)))
    const shown = placed.slice(0, limit)
    const last = shown.at(-1)
    const { since, source, id } = last ? placeOfItem(last) : { since: '', source: 0, id: '' }
    return {
      items: shown.map(({ item }) => item),
      ...(placed.length > limit && { nextPage: encodePage(at, [since, source, id]) }),
      at,
    }
  },
})

const placeOfItem = ({ item, source, id }: Placed): Place => ({ since: item.since, source, id })

const compare = (a: Place, b: Place): number => {
  if (a.since !== b.since) return a.since < b.since ? -1 : 1
  if (a.source !== b.source) return a.source - b.source
  return a.id < b.id ? -1 : 1
}

function placeOf(page: string): { at: string; behind: Place } {
  const { at, after } = decodePage(page, 3)
  const [since, source, id] = after
  if (typeof since !== 'string' || typeof source !== 'number' || typeof id !== 'string') refusePage()
  return { at, behind: { since, source, id } }
}

/** What a source gives comes behind this instant, and, at it, behind this id. */
type Start = readonly [since: Instant, id: string]

/** Sources before the one that a page ended with have given all of that instant, those behind it none. */
function startOf(behind: Place | undefined, source: number): Start {
  if (!behind) return ['', '']
  return [behind.since, source < behind.source ? '~' : source > behind.source ? '' : behind.id]
}

type Source = (read: Read, ctx: QueryContext, start: Start, limit: number) => Array<Omit<Placed, 'source'>>

const waiting: Source = (read, { now }, [since, id], limit) =>
  read
    .find(contracts, {
      where: { attention: { from: WAITING, upTo: WAITING + now } },
      order: ['attention'],
      after: [WAITING + since, id],
      limit,
    })
    .map(contractItem)

/** Not for ever: what nobody has retried within the time is not going to be. */
const failed: Source = (read, { now }, [since, id], limit) =>
  read
    .find(contracts, {
      where: { attention: { from: FAILED + later(now, -limits.failedShownMs), upTo: FAILED + now } },
      order: ['attention'],
      after: [FAILED + since, id],
      limit,
    })
    .map(contractItem)

/** The oldest thousand of them. */
const owed: Source = (read, _ctx, [since, id], limit) =>
  read
    .find(messages, { key: OVERDUE, limit: limits.pageItemsMax, bytes: limits.pageBytes })
    .map(messageItem)
    .filter((found) => found.item.since > since || (found.item.since === since && found.id > id))
    .sort((a, b) => compare({ ...a, since: a.item.since, source: 0 }, { ...b, since: b.item.since, source: 0 }))
    .slice(0, limit)

/** It said so itself, with agent.update; one that has gone since waits for nobody. */
const stuck: Source = (read, _ctx, [since, id], limit) =>
  read
    .find(agents, { where: { attention: { from: '' } }, order: ['attention'], after: [since, id], limit })
    .map(({ agent, note, presenceAt, lastSeenAt }) => {
      const text = `${agent} needs somebody to act${note === undefined ? '' : `: ${quoted(note)}`}`
      return { id: agent, item: { kind: 'action', agent, since: presenceAt ?? lastSeenAt, default: 'it waits', text } }
    })

const sources: readonly Source[] = [waiting, failed, owed, stuck]

function contractItem(contract: Contract): Omit<Placed, 'source'> {
  const { id, title, owner, error, attempts } = contract
  // Found by its concern, so it has one.
  const { kind, since } = concernOf(contract)!
  const about = { kind, contractId: id, agent: owner ?? attempts.at(-1)?.owner, since }
  const named = quoted(title)
  switch (kind) {
    case 'input': {
      const open = contract.inputRequests.filter(({ answeredAt }) => answeredAt === undefined)
      const questions = open.map((request) => ({
        key: request.key,
        prompt: request.prompt,
        schema: request.schema,
        default: request.default,
      }))
      const decided = open.every((request) => request.default !== undefined)
      const fallback = decided ? 'the defaults become the answers' : 'the attempt fails'
      const text = `${owner} asks about ${named}: ${open.map(({ prompt }) => quoted(prompt)).join(' ')}`
      return { id, item: { ...about, deadline: contract.inputDueAt, default: fallback, text, questions } }
    }
    case 'stalled': {
      const deadline = contract.progressDueAt
      const fallback = deadline ? 'the attempt is lost, and the contract offered again' : 'it goes on'
      const text = `Nothing has been heard of attempt ${contract.attempt} by ${owner} at ${named}.`
      return { id, item: { ...about, deadline, default: fallback, text } }
    }
    case 'broken':
      return { id, item: { ...about, default: 'it is offered again', text: `An attempt at ${named} lost a lock.` } }
    case 'blocked': {
      const ended = contract.stuckOn?.map(({ contractId, status }) => `${contractId}, which is ${status}`) ?? []
      const text = `${named} waits for ${ended.join(', and ')}.`
      return { id, item: { ...about, default: 'it waits, until that is retried or this canceled', text } }
    }
    case 'overdue':
      return { id, item: { ...about, default: 'it goes on', text: `${named} is not done by the time it was due.` } }
    case 'failed': {
      const deadline = later(since, limits.failedShownMs)
      const text = `${named} failed for good: ${quoted(error?.message ?? '')}`
      return { id, item: { ...about, deadline, default: 'it stays failed, and leaves this list', text } }
    }
  }
}

function messageItem(message: Message): Omit<Placed, 'source'> {
  const { messageId, contractId, overdueAt, sentAt } = message
  const names = owing(message, 'acked')
  const text = `${names.join(', ')} did not acknowledge what ${message.from} sent: ${quoted(message.text ?? '')}`
  const deadline = expiryOf(message)
  const fallback = deadline ? 'it expires' : 'it stays unacknowledged'
  const about = { kind: 'ack' as const, messageId, contractId, agent: names[0], since: overdueAt ?? sentAt }
  return { id: messageId, item: { ...about, deadline, default: fallback, text } }
}

/** Derived from rows alone, so that it is as durable as they are. */
export const attentionNoun = { tables: [], events: [], methods: [list] as const } satisfies Noun
