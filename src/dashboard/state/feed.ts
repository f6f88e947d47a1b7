import { CallError, type Client } from '../../client/index.js'
import { listLocks, listOpen, listWaiting, listWorkers, readLines, type Waiting } from './lists.js'
import { paced } from './pace.js'
import type { Rates } from './rates.js'
import type { Contract, Status } from './rows.js'
import { CARDS_MAX, clearState, endedStatuses, foldEvent, putContract, type State } from './state.js'

const ENDED_PAGE = 200
/** How often the bridge is asked how it is; and at most, when something has happened. */
const STATUS_EVERY_MS = 5_000
const COUNT_EVERY_MS = 2_000
/** How often at most what the bridge alone can tell is asked for anew. */
const ASK_EVERY_MS = 1_000

export interface FeedPort {
  client: Client
  state: State
  rates: Rates
  /** Something the page shows has become another. */
  changed(): void
  status(status: Status): void
  waiting(waiting: Waiting): void
}

/** Keeps the state as the workspace is. */
export interface Feed {
  /** Lists what is, then follows the log; begins anew where the log cannot be continued. Ends with the client. */
  run(): Promise<void>
  /** Loads older contracts that have ended. */
  moreEnded(): Promise<void>
  stop(): void
}

export function createFeed(port: FeedPort): Feed {
  const { client, state, changed } = port
  const older = createOlder(port)
  let stopped = false
  const asking = (ask: () => Promise<void>, ms = ASK_EVERY_MS) => paced(ms, () => ask().then(changed, ignore))
  const askStatus = asking(async () => port.status(await client.call('bridge.status')), COUNT_EVERY_MS)
  const askWorkers = asking(() => listWorkers(port))
  const askWaiting = asking(async () => port.waiting(await listWaiting(client)))
  // What only time makes, such as an attempt that has gone quiet, no event tells.
  const timer = setInterval(() => {
    if (document.hidden) return
    askStatus()
    askWaiting()
  }, STATUS_EVERY_MS)

  /** Gives the cursor to follow from: where the log was before anything was listed. */
  async function begin(): Promise<string> {
    clearState(state)
    const status = await client.call('bridge.status')
    port.status(status)
    await Promise.all([listWorkers(port), listLocks(port), listOpen(port), older.first()])
    await readLines(port, status)
    askWaiting()
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
      askWaiting()
      askStatus()
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
    async more() {
      if (next === undefined || state.cards.size >= CARDS_MAX) return
      loading ??= load(next).finally(() => {
        loading = undefined
      })
      await loading
    },
  }
}
