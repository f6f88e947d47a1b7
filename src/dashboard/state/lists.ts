import type { Client } from '../../client/index.js'
import { cursorAt, lineOf, seqOf } from './line.js'
import type { Attention, Held, Message, Status } from './rows.js'
import { addLines, CARDS_MAX, putContract, putLock, putWorker, type State } from './state.js'

// The lists that the page begins with, and asks for again where events do not tell.

const PAGE = 1_000
/** Events read at the start, so that the timeline is not empty. */
const LINES_AT_START = 300

const openStatuses = ['submitted', 'accepted', 'working', 'input_required'] as const

/** Who is asked, and where the rows go. */
interface Into {
  client: Client
  state: State
}

/** What waits for the person at the page: the first page of each list, and whether there is more. */
export interface Waiting {
  attention: Attention[]
  inbox: Message[]
  more: boolean
}

interface Answer<Item> {
  items: Item[]
  nextPage?: string | undefined
}

/** Every item of a list, one page after the other; no more pages once `enough` says so. */
async function listAll<Item>(
  ask: (paging: { limit: number; page?: string }) => Promise<Answer<Item>>,
  put: (item: Item) => void,
  enough: () => boolean = () => false,
): Promise<void> {
  let page: string | undefined
  do {
    const { items, nextPage } = await ask({ limit: PAGE, ...(page && { page }) })
    for (const item of items) put(item)
    page = nextPage
  } while (page !== undefined && !enough())
}

export const listWorkers = ({ client, state }: Into): Promise<void> =>
  listAll(
    (paging) => client.call('agent.list', paging),
    (agent) => putWorker(state, { ...agent, waitingFor: agent.waitingFor ?? [] }),
  )

export const listLocks = ({ client, state }: Into): Promise<void> =>
  listAll(
    (paging) => client.call('lock.list', paging),
    (lock) => putLock(state, lock),
  )

export const listOpen = ({ client, state }: Into): Promise<void> =>
  listAll(
    (paging) => client.call('contract.list', { ...paging, status: [...openStatuses] }),
    (contract) => putContract(state, contract),
    () => state.cards.size >= CARDS_MAX,
  )

/** The last events before the page looked. */
export async function readLines({ client, state }: Into, { head, earliest }: Status): Promise<void> {
  const from = Math.max(seqOf(earliest), seqOf(head) - LINES_AT_START)
  const { events } = await client.call('event.read', { after: cursorAt(head, from), limit: LINES_AT_START })
  const before = events.filter(({ cursor }) => seqOf(cursor) <= seqOf(head))
  // A list does not say what a request waits for; the event of its queueing does.
  for (const { subject, data } of before) {
    const lock = data.blockers ? state.locks.get(subject) : undefined
    if (lock) putLock(state, lock, data.blockers as Held['blockers'])
  }
  addLines(
    state,
    before.map((event) => lineOf(event)),
  )
}

/** @throws CallError, ConnectionError */
export async function listWaiting(client: Client): Promise<Waiting> {
  const [attention, inbox] = await Promise.all([
    client.call('attention.list', {}),
    client.call('message.inbox', { state: 'unread' }),
  ])
  const more = attention.nextPage !== undefined || inbox.nextPage !== undefined
  return { attention: attention.items, inbox: inbox.items, more }
}
