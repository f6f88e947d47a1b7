import type { StoredEvent } from '../protocol/event.js'
import { limits } from '../protocol/limits.js'
import type { Read } from '../protocol/method.js'
import { type Instant, toInstant, toMs } from '../protocol/time.js'
import type { Batch, Core, Job, Retention } from './core.js'

// What is too old or too much goes, a little at a time. A step is a transaction among others: it removes a page of the
// oldest events and moves `earliest` with them. Rows stay, but for those a noun says are of no use any more. Nothing is
// given back to the file system: SQLite fills the space again.

export interface Trimmer {
  /** To be called after each commit that has events. */
  committed(): void
  stop(): void
}

/** Between two steps commands go on, ms. */
const PAUSE_MS = 50
/** While there are commits it is asked so often how many bytes are in use, ms. */
const BYTES_MS = 1_000
/** After a look at which nothing could go, ms. */
const REST_MS = 60_000

export function createTrimmer(core: Core, retention: Retention, submit: (job: Job) => void): Trimmer {
  const { clock } = core.options
  let timer: { atMs: number; stop(): void } | undefined
  let looking = false
  let stopped = false
  /** There were too many events when the timer was set. */
  let over = false

  function look(): void {
    timer = undefined
    looking = true
    let rows = 0
    submit({
      rule(tx) {
        const before = toInstant(clock.wallMs() - retention.ms)
        for (const noun of core.options.nouns) rows += noun.trim?.(tx, before, limits.trimRows) ?? 0
      },
    })
    submit({
      write(batch) {
        const trimmed = trimEvents(core, batch, retention)
        batch.after.push(() => {
          looking = false
          if (trimmed > 0 || rows >= limits.trimRows) lookIn(PAUSE_MS)
          else lookWhenDue(REST_MS)
        })
      },
    })
  }

  function lookIn(ms: number): void {
    const atMs = clock.monotonicMs() + ms
    if (stopped || looking || (timer && timer.atMs <= atMs)) return
    timer?.stop()
    timer = { atMs, stop: clock.after(ms, look) }
  }

  const tooMany = (): boolean => core.bounds.head - core.bounds.earliest > retention.events

  /** When the oldest event may go, or will be too old. */
  function lookWhenDue(leastMs: number): void {
    over = tooMany()
    const oldest = oldestOf(core.committed)
    if (!oldest || oldest.seq >= lastCommand(core)) return
    const goesMs = toMs(timeOf(oldest)) + (over ? limits.retainMsMin : retention.ms)
    lookIn(Math.max(leastMs, goesMs - clock.wallMs() + 1))
  }

  return {
    committed() {
      if (retention.bytes !== undefined) lookIn(BYTES_MS)
      else if (!looking && (!timer || tooMany() !== over)) lookWhenDue(PAUSE_MS)
    },
    stop() {
      stopped = true
      timer?.stop()
    },
  }
}

/** Removes one page of the oldest events, as far as they may go; gives how many. */
function trimEvents(core: Core, batch: Batch, retention: Retention): number {
  const { store, clock } = core.options
  const nowMs = clock.wallMs()
  const tooOld = toInstant(nowMs - retention.ms)
  const spared = toInstant(nowMs - limits.retainMsMin)
  const tooMany = batch.bounds.head - retention.events
  const tooBig = retention.bytes !== undefined && store.usedBytes() > retention.bytes
  // The log's head and its clock hang on the last command: it stays.
  const stays = lastCommand(core)
  const goes = (event: StoredEvent): boolean => {
    const time = timeOf(event)
    return event.seq < stays && (tooBig || time < tooOld || (event.seq <= tooMany && time < spared))
  }
  const oldest = oldestOf(store.writing)
  if (!oldest || !goes(oldest)) return 0
  const page = store.writing.events(oldest.seq - 1, { limit: limits.trimEvents })
  const kept = page.findIndex((event) => !goes(event))
  const last = kept < 0 ? page.at(-1) : beforeCommand(page, kept)
  if (!last) return 0
  store.trim(last.seq)
  batch.bounds = { ...batch.bounds, earliest: Math.max(batch.bounds.earliest, last.seq) }
  return page.indexOf(last) + 1
}

/** From the very first: a restored database holds events of an epoch before, to which no cursor leads. */
const oldestOf = (read: Pick<Read, 'events'>): StoredEvent | undefined => read.events(0, { limit: 1 })[0]

/** The first seq of the last command that is committed. */
const lastCommand = ({ committed, bounds }: Core): number =>
  committed.events(bounds.head - 1, { limit: 1 })[0]?.command ?? bounds.head

/** The last event of the commands that end before the one of the event at `index`. */
const beforeCommand = (page: readonly StoredEvent[], index: number): StoredEvent | undefined =>
  page.slice(0, index).findLast(({ command }) => command !== page[index]?.command)

/** Without reading the whole event: nothing that a peer has written stands before its time. */
const timeOf = ({ body }: StoredEvent): Instant => /"time":"([^"]+)"/.exec(body)?.[1] ?? ''
