import { CallError, type Client } from '../client/index.js'
import { cursorAt, lineOf, seqOf } from './line.js'
import { paced } from './pace.js'
import type { Rates } from './rates.js'
import type { Contract, Held, Status } from './rows.js'
import {
  addLines,
  CARDS_MAX,
  clearState,
  endedStatuses,
  foldEvent,
  putContract,
  putLock,
  putWorker,
  type State,
} from './state.js'

const PAGE = 1_000
const ENDED_PAGE = 200
/** Events read at the start, so that the timeline is not empty. */
const LINES_AT_START = 300
const STATUS_EVERY_MS = 5_000
/** How often at most what the bridge alone can tell is asked for anew. */
const ASK_EVERY_MS = 1_000

const openStatuses = ['submitted', 'accepted', 'working', 'input_required'] as const

export interface FeedPort {
  client: Client
  state: State
  rates: Rates
  /** Something the page shows has become another. */
  changed(): void
  status(status: Status): void
  attention(items: Attention[]): void
}

/** Something that a person should look at. */
export interface Attention {
  kind: string
  contractId?: string | undefined
  agent?: string | undefined
  since: string
  deadline?: string | undefined
  default?: unknown
  text: string
}

/** Keeps the state as the workspace is. */
export interface Feed {
  /** Lists what is, then follows the log; begins anew where the log cannot be continued. Ends with the client. */
  run(): Promise<void>
  /** Loads older contracts that have ended. */
  moreEnded(): Promise<void>
  hasMoreEnded(): boolean
  stop(): void
}

export function createFeed(port: FeedPort): Feed {
  const { client, state, changed } = port
  const older = createOlder(port)
  let stopped = false
  const asking = (ask: () => Promise<void>) => paced(ASK_EVERY_MS, () => ask().then(changed, ignore))
  const askStatus = asking(async () => port.status(await client.call('bridge.status')))
  const askWorkers = asking(() => listWorkers(port))
  const askAttention = asking(async () => port.attention(await listAttention(client)))
  const timer = setInterval(() => document.hidden || askStatus(), STATUS_EVERY_MS)

  /** Gives the cursor to follow from: where the log was before anything was listed. */
  async function begin(): Promise<string> {
    clearState(state)
    const status = await client.call('bridge.status')
    port.status(status)
    await Promise.all([listWorkers(port), listLocks(port), listOpen(port), older.first()])
    await readLines(port, status)
    askAttention()
    changed()
    return status.head
  }

  async function follow(after: string): Promise<void> {
    for await (const event of client.events({ after })) {
      if (stopped) return
      foldEvent(state, event)
      port.rates.add(Date.now(), Date.parse(event.time))
      // Whom a request waits for, and what a person should look at, the bridge alone can tell.
      if (event.type.startsWith('lock.')) askWorkers()
      askAttention()
      changed()
    }
  }

  return {
    async run() {
      while (!stopped) {
        try {
          await follow(await begin())
        } catch (error) {
          if (!(error instanceof CallError && isAnew.has(error.reason))) throw error
          await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS))
        }
      }
    },
    moreEnded: older.more,
    hasMoreEnded: older.hasMore,
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}

/** What was trimmed or restored cannot be followed: what is now is listed anew. */
const isAnew: ReadonlySet<string> = new Set(['CURSOR_EXPIRED', 'EPOCH_CHANGED', 'CURSOR_AHEAD', 'INTERNAL'])

/** The connection tells of itself; and what is missing is asked for again with the next event. */
const ignore = () => {}

/** Contracts that have ended, page by page. */
function createOlder({ client, state, changed }: FeedPort) {
  let next: string | undefined
  let loading: Promise<void> | undefined

  async function load(page: string | undefined): Promise<void> {
    const status = [...endedStatuses] as Contract['status'][]
    const answer = await client.call('contract.list', { status, limit: ENDED_PAGE, ...(page && { page }) })
    for (const contract of answer.items) putContract(state, contract)
    next = answer.nextPage
    changed()
  }

  return {
    first: () => load(undefined),
    hasMore: () => next !== undefined && state.cards.size < CARDS_MAX,
    async more() {
      if (next === undefined) return
      loading ??= load(next).finally(() => {
        loading = undefined
      })
      await loading
    },
  }
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

const listWorkers = ({ client, state }: FeedPort): Promise<void> =>
  listAll(
    (paging) => client.call('agent.list', paging),
    (agent) => putWorker(state, { ...agent, waitingFor: agent.waitingFor ?? [] }),
  )

const listLocks = ({ client, state }: FeedPort): Promise<void> =>
  listAll(
    (paging) => client.call('lock.list', paging),
    (lock) => putLock(state, lock),
  )

const listOpen = ({ client, state }: FeedPort): Promise<void> =>
  listAll(
    (paging) => client.call('contract.list', { ...paging, status: [...openStatuses] }),
    (contract) => putContract(state, contract),
    () => state.cards.size >= CARDS_MAX,
  )

/** The last events before the page looked. */
async function readLines({ client, state }: FeedPort, { head, earliest }: Status): Promise<void> {
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
async function listAttention(client: Client): Promise<Attention[]> {
  const { items } = await client.call('attention.list' as 'agent.list')
  return items as unknown as Attention[]
}
