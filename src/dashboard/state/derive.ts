import type { Card, Held, Worker } from './rows.js'
import { isEnded, type State, waitsFor } from './state.js'

// What the views show of the state: pure functions of it.

export interface Column {
  key: string
  title: string
  empty: string
  /** Of its cards, px: those that nobody has worked on have less to tell. */
  rowHeight: number
  holds(status: string): boolean
}

export const columns: readonly Column[] = [
  {
    key: 'offered',
    title: 'Offered',
    empty: 'Nothing waits to be taken.',
    rowHeight: 84,
    holds: (status) => status === 'submitted',
  },
  {
    key: 'work',
    title: 'In work',
    empty: 'Nobody is at work.',
    rowHeight: 104,
    holds: (status) => status === 'accepted' || status === 'working',
  },
  {
    key: 'input',
    title: 'Needs an answer',
    empty: 'No worker waits for an answer.',
    rowHeight: 104,
    holds: (status) => status === 'input_required',
  },
  {
    key: 'completed',
    title: 'Completed',
    empty: 'Nothing has been completed.',
    rowHeight: 104,
    holds: (status) => status === 'completed',
  },
  {
    key: 'ended',
    title: 'Ended otherwise',
    empty: 'Nothing failed, and nothing was called off.',
    rowHeight: 104,
    holds: (status) => status === 'failed' || status === 'canceled' || status === 'rejected',
  },
]

const urgency: Record<string, number> = { critical: 0, high: 1, normal: 2, low: 3 }

/** The most urgent first, then the oldest; of those that have ended, the latest first. */
export function orderCards(one: Card, other: Card): number {
  if (isEnded(one) && isEnded(other))
    return compare(other.endedAt ?? '', one.endedAt ?? '') || compare(other.id, one.id)
  return urgency[one.priority]! - urgency[other.priority]! || compare(one.id, other.id)
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

/** The cards of each column in order, of those in which the text is found. */
export function deal(state: State, text: string): Map<string, Card[]> {
  const wanted = text.trim().toLowerCase()
  const dealt = new Map<string, Card[]>(columns.map(({ key }) => [key, []]))
  for (const card of state.cards.values()) {
    if (wanted !== '' && !isFound(card, wanted)) continue
    const column = columns.find(({ holds }) => holds(card.status))
    if (column) dealt.get(column.key)!.push(card)
  }
  for (const cards of dealt.values()) cards.sort(orderCards)
  return dealt
}

const isFound = (card: Card, wanted: string): boolean =>
  [card.title, card.id, card.owner, card.assignee, card.createdBy, card.capability, card.statusMessage].some((text) =>
    text?.toLowerCase().includes(wanted),
  )

/** Held locks, the oldest first, each with the requests that wait for its holder. */
export function lineUp(state: State): { held: Held[]; waiting: Held[] } {
  const all = [...state.locks.values()].sort((one, other) => compare(one.lockId, other.lockId))
  return {
    held: all.filter(({ state }) => state !== 'waiting'),
    waiting: all.filter(({ state }) => state === 'waiting'),
  }
}

/** Whether a waiting request stands behind this lock; known only of those whose queueing the page has seen. */
export const waitsBehind = (waiting: Held, lock: Held): boolean =>
  waiting.blockers?.some(({ lockId }) => lockId === lock.lockId) ?? false

/** An agent with what it does, as one line tells it. */
export interface Activity {
  worker: Worker
  contracts: Card[]
  locks: number
  waitsFor: string[]
}

const presences: Record<string, number> = { requires_action: 0, running: 1, idle: 2, offline: 3 }

/** All agents, those that need somebody first and those that are away last. */
export function activities(state: State): Activity[] {
  const found = new Map<string, Activity>(
    [...state.workers.values()].map((worker) => [worker.agent, { worker, contracts: [], locks: 0, waitsFor: [] }]),
  )
  for (const card of state.cards.values()) {
    if (card.owner !== undefined && card.status !== 'submitted' && !isEnded(card))
      found.get(card.owner)?.contracts.push(card)
  }
  for (const lock of state.locks.values()) {
    const activity = found.get(lock.holder)
    if (!activity) continue
    if (lock.state === 'waiting') activity.waitsFor = [...new Set([...activity.waitsFor, ...waitsFor(state, lock)])]
    else activity.locks++
  }
  return [...found.values()].sort(
    ({ worker: one }, { worker: other }) =>
      presences[one.presence]! - presences[other.presence]! || compare(one.agent, other.agent),
  )
}
