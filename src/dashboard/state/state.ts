import type { Event } from '../../client/index.js'
import { type Line, lineOf } from './line.js'
import { type Agent, type Card, type Contract, cardOf, type Held, type Lock, type Worker, workerOf } from './rows.js'

/** Contracts kept; beyond it those that ended longest ago are let go, and found again page by page. */
export const CARDS_MAX = 20_000
/** Events kept for the timeline; older ones are read from the log. */
export const LINES_MAX = 2_000
/** How far a bounded list may run over before it is cut: cutting costs as much for one as for many. */
const SLACK = 500

/**
 * What the page knows of a workspace: rows from lists, changed by the events after them. Rows and events may come twice
 * or overlap, for a row carries its generation and an event the whole row.
 */
export interface State {
  readonly cards: Map<string, Card>
  readonly locks: Map<string, Held>
  readonly workers: Map<string, Worker>
  /** The latest events, the oldest first. */
  lines: Line[]
  /** Of the last event. */
  cursor: string | undefined
  /** Rises when any row of the kind changes, so that what is derived from them need not be made anew each time. */
  readonly versions: { cards: number; locks: number; workers: number; lines: number }
}

export const createState = (): State => ({
  cards: new Map(),
  locks: new Map(),
  workers: new Map(),
  lines: [],
  cursor: undefined,
  versions: { cards: 0, locks: 0, workers: 0, lines: 0 },
})

export const endedStatuses: ReadonlySet<string> = new Set(['completed', 'failed', 'canceled', 'rejected'])
export const isEnded = ({ status }: Pick<Card, 'status'>): boolean => endedStatuses.has(status)

export function putContract(state: State, contract: Contract): void {
  const known = state.cards.get(contract.id)
  if (known && known.generation >= contract.generation) return
  state.cards.set(contract.id, cardOf(contract))
  state.versions.cards++
  if (state.cards.size > CARDS_MAX + SLACK) dropOldest(state)
}

export function putLock(state: State, lock: Lock, blockers?: Held['blockers']): void {
  const known = state.locks.get(lock.lockId)?.blockers
  const told = blockers ?? known
  state.locks.set(lock.lockId, lock.state === 'waiting' && told ? { ...lock, blockers: told } : lock)
  state.versions.locks++
}

export function putWorker(state: State, row: Omit<Agent, 'contracts' | 'locks'>): void {
  // An event does not say whom an agent waits for.
  const waitingFor = row.waitingFor ?? state.workers.get(row.agent)?.waitingFor
  state.workers.set(row.agent, workerOf({ ...row, ...(waitingFor && { waitingFor: [...waitingFor] }) }))
  state.versions.workers++
}

/** Applies one event: puts or removes the one row that it carries, and adds its line. */
export function foldEvent(state: State, event: Event): void {
  const { data } = event
  if (data.contract) putContract(state, data.contract as Contract)
  if (data.agent && typeof data.agent === 'object') putWorker(state, data.agent as Agent)
  if (data.lock) putLock(state, data.lock as Lock, data.blockers as Held['blockers'])
  else if (data.lock === null && state.locks.delete(event.subject)) state.versions.locks++
  addLines(state, [lineOf(event)])
  state.cursor = event.cursor
}

export function addLines(state: State, lines: readonly Line[]): void {
  state.lines.push(...lines)
  if (state.lines.length > LINES_MAX + SLACK) state.lines = state.lines.slice(-LINES_MAX)
  state.versions.lines++
}

function dropOldest(state: State): void {
  const ended = [...state.cards.values()].filter(isEnded)
  ended.sort((one, other) => ((one.endedAt ?? '') < (other.endedAt ?? '') ? -1 : 1))
  for (const { id } of ended.slice(0, state.cards.size - CARDS_MAX)) state.cards.delete(id)
}

/** Forgets everything, before all is listed anew. */
export function clearState(state: State): void {
  state.cards.clear()
  state.locks.clear()
  state.workers.clear()
  state.lines = []
  state.cursor = undefined
  for (const kind of ['cards', 'locks', 'workers', 'lines'] as const) state.versions[kind]++
}

/** Whom a waiting request waits for, without doubles. */
export function waitsFor(state: State, lock: Held): string[] {
  if (lock.state !== 'waiting') return []
  // Nobody can get before it in the line, so those that stood before it and are still there are all.
  const told = lock.blockers?.filter(({ lockId }) => state.locks.has(lockId)).map(({ holder }) => holder)
  return [...new Set(told ?? state.workers.get(lock.holder)?.waitingFor ?? [])]
}
