import type { ResultOf } from '../../client/index.js'

// What the page keeps of the bridge's rows: enough for a card or a line each. Whatever shows more asks for the whole.

export type Contract = ResultOf<'contract.get'>
export type Lock = ResultOf<'lock.list'>['items'][number]
export type Agent = ResultOf<'agent.list'>['items'][number]
export type Status = ResultOf<'bridge.status'>
/** Something that a person should look at. */
export type Attention = ResultOf<'attention.list'>['items'][number]
export type Message = ResultOf<'message.inbox'>['items'][number]

/** A contract on the board. */
export type Card = Pick<
  Contract,
  | 'id'
  | 'title'
  | 'status'
  | 'statusMessage'
  | 'createdBy'
  | 'assignee'
  | 'capability'
  | 'owner'
  | 'priority'
  | 'attempt'
  | 'failures'
  | 'maxAttempts'
  | 'progress'
  | 'notBefore'
  | 'cancelRequestedAt'
  | 'blockedBy'
  | 'dueAt'
  | 'overdue'
  | 'generation'
  | 'createdAt'
  | 'updatedAt'
  | 'acceptedAt'
  | 'endedAt'
>

export const cardOf = (contract: Contract): Card => ({
  id: contract.id,
  title: contract.title,
  status: contract.status,
  statusMessage: contract.statusMessage,
  createdBy: contract.createdBy,
  assignee: contract.assignee,
  capability: contract.capability,
  owner: contract.owner,
  priority: contract.priority,
  attempt: contract.attempt,
  failures: contract.failures,
  maxAttempts: contract.maxAttempts,
  progress: contract.progress,
  notBefore: contract.notBefore,
  cancelRequestedAt: contract.cancelRequestedAt,
  blockedBy: contract.blockedBy,
  dueAt: contract.dueAt,
  overdue: contract.overdue,
  generation: contract.generation,
  createdAt: contract.createdAt,
  updatedAt: contract.updatedAt,
  acceptedAt: contract.acceptedAt,
  endedAt: contract.endedAt,
})

/** A lock, and for one that waits the locks that stood before it when it joined the line. */
export interface Held extends Lock {
  blockers?: ReadonlyArray<{ lockId: string; holder: string }>
}

/** An agent as far as it tells of itself; what it owns, holds and waits for is found in the other rows. */
export interface Worker {
  agent: string
  kind: string | undefined
  capabilities: readonly string[]
  presence: Agent['presence']
  note: string | undefined
  lastSeenAt: string
  /** Whom it waited for when it was listed: for requests that joined the line before the page looked. */
  waitingFor: readonly string[]
}

/** Of a list's item or of an event's row, which has the same fields and more. */
export const workerOf = (row: Omit<Agent, 'contracts' | 'locks'>): Worker => ({
  agent: row.agent,
  kind: row.kind,
  capabilities: row.capabilities,
  presence: row.presence,
  note: row.note,
  lastSeenAt: row.lastSeenAt,
  waitingFor: row.waitingFor ?? [],
})
