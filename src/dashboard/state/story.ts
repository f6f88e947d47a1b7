import type { Client, Event, ResultOf } from '../../client/index.js'
import { type Line, lineOf, seqOf } from './line.js'
import type { Message } from './rows.js'

type Item = ResultOf<'contract.history'>['items'][number]

/** What happened to one contract, as far as it has been read. */
export interface Story {
  /** The oldest first. */
  lines: Line[]
  messages: Message[]
  /** There is more than was read. */
  more: boolean
  /** Earlier events have been removed from the log. */
  truncated: boolean
  /** Everything up to this seq has been looked at; what comes after it comes live. */
  upTo: number
}

const PAGE = 200
/** Pages read at once: a contract that reports every second for an hour has this many. */
const PAGES_MAX = 20

/** Reads a contract's history, from its beginning. @throws CallError, ConnectionError */
export async function readStory(client: Client, contractId: string): Promise<Story> {
  const items: Item[] = []
  let page: string | undefined
  let upTo = 0
  let truncated = false
  let pages = 0
  do {
    const answer = await client.call('contract.history', { contractId, limit: PAGE, ...(page && { page }) })
    items.push(...answer.items)
    upTo = seqOf(answer.at)
    truncated ||= answer.truncatedBefore !== undefined
    page = answer.nextPage
    pages++
  } while (page !== undefined && pages < PAGES_MAX)
  const last = items.at(-1)
  const events = toEvents(items, contractId)
  return {
    lines: events.map((event) => lineOf(event)),
    messages: events.flatMap(({ type, data }) => (type === 'message.published' ? (data.message as Message) : [])),
    more: page !== undefined,
    truncated,
    upTo: Math.max(upTo, last ? seqOf(last.cursor) : 0),
  }
}

/** A history tells what changed; an event holds the whole row. */
function toEvents(items: readonly Item[], contractId: string): Event[] {
  let contract: Record<string, unknown> = {}
  return items.map(({ cursor, type, time, actor, note, changes }) => {
    const about = { cursor, type, time, actor, subject: contractId, contractId }
    if (!type.startsWith('contract.')) return { ...about, data: { ...changes, ...(changes.lock as object) } }
    contract = { ...contract, ...changes }
    return { ...about, data: { contract, ...(note !== undefined && { note }) } }
  })
}
