import { z } from 'zod'
import { limits } from '../../protocol/limits.js'
import { event, type Read, type Table } from '../../protocol/method.js'
import { agentName, capability, contentOf, id, instant, json, ms, note } from '../fields.js'
import { claim } from '../locks/row.js'

export const statuses = ['submitted', 'accepted', 'working', 'completed', 'failed', 'canceled', 'rejected'] as const
export type Status = (typeof statuses)[number]

/** The statuses in which an attempt is open and somebody owns the contract. */
export const openStatuses = ['accepted', 'working'] as const satisfies readonly Status[]
export const isOpen = (status: Status): boolean => (openStatuses as readonly Status[]).includes(status)

/** From the least urgent; the place in the list is the column that the work queue is sorted by. */
export const priorities = ['low', 'normal', 'high', 'critical'] as const

export const artifact = contentOf({ name: z.string().min(1).max(limits.titleLength) })

export const check = z.strictObject({
  name: z.string().min(1).max(limits.titleLength),
  command: z.string().min(1).max(limits.noteLength),
})

export const evidenceParam = z.strictObject({
  check: z.string().min(1).max(limits.titleLength).describe('the name of the check'),
  command: z.string().max(limits.noteLength),
  exitCode: z.int(),
  output: z.string().max(limits.noteLength).optional().describe('its tail'),
  head: z.string().max(limits.idLength).optional().describe('the commit it was run on'),
})

export const evidence = evidenceParam.extend({ by: agentName, at: instant })

export const failure = z.strictObject({
  reason: z.string().min(1).max(limits.nameLength),
  message: z.string().max(limits.noteLength),
  retryable: z.boolean().default(true),
})

export const attempt = z.strictObject({
  n: z.int(),
  owner: agentName,
  startedAt: instant.describe('when it was accepted'),
  endedAt: instant.optional(),
  outcome: z
    .enum(['completed', 'failed', 'lost', 'released', 'canceled'])
    .optional()
    .describe('absent while it is open'),
  note: note.optional(),
})

export const contractRow = z.strictObject({
  id: z.string(),
  title: z.string(),
  description: z.string().optional(),
  createdBy: agentName,
  assignee: agentName.optional().describe('only this agent may accept it'),
  capability: capability.optional().describe('only an agent with this may accept it, unless an assignee is named'),
  owner: agentName.optional().describe('who accepted it'),
  session: z.string().optional().describe("the owner's session: the attempt is lost with it"),
  status: z.enum(statuses),
  statusMessage: note.optional().describe('the last note'),
  priority: z.enum(priorities),
  tags: z.array(z.string()),
  resources: z.array(claim).describe('locked from start to the end of the attempt'),
  attempt: z.int().describe('rises with every accept; 0 before the first'),
  attempts: z.array(attempt).describe(`the last ${limits.attemptsKept}`),
  failures: z.int().describe('attempts that failed or were lost'),
  maxAttempts: z.int(),
  retryBackoffMs: z.int(),
  notBefore: instant.optional().describe('not offered until then; absent once it has passed'),
  progress: z.number().optional().describe('0 to 1'),
  progressedAt: instant.optional().describe('when the owner last told of progress'),
  progressTimeoutMs: z.int().optional(),
  progressDueAt: instant.optional().describe('an attempt that has not been heard of by then is lost'),
  cancelRequestedAt: instant.optional(),
  cancelDueAt: instant.optional().describe('when the cancel is forced'),
  generation: z.int().describe('1 at first; rises by 1 with every change'),
  artifacts: z.array(artifact),
  checks: z.array(check),
  evidence: z.array(evidence),
  result: z.json().optional(),
  error: failure.optional(),
  messageId: z.string().optional().describe('the message that brought it'),
  metadata: json,
  createdAt: instant,
  updatedAt: instant,
  acceptedAt: instant.optional(),
  startedAt: instant.optional(),
  endedAt: instant.optional(),
})

/** A task that one agent asks for and another does. */
export type Contract = z.output<typeof contractRow>
export type Attempt = z.output<typeof attempt>
export type Failure = z.output<typeof failure>

/** To whom a contract is offered: one agent, those with a capability, or anyone. */
export const offeredTo = ({ assignee, capability }: Pick<Contract, 'assignee' | 'capability'>): string =>
  assignee !== undefined ? `@${assignee}` : capability !== undefined ? `#${capability}` : '*'

/** Nobody has it and nothing stands against taking it. Time that passes clears `notBefore`, by an event. */
export const isReady = ({ status, notBefore }: Contract): boolean => status === 'submitted' && notBefore === undefined

export const contracts: Table<Contract> = {
  name: 'contracts',
  noun: 'contract',
  id: (row) => row.id,
  columns: {
    status: 'TEXT',
    owner: 'TEXT',
    assignee: 'TEXT',
    capability: 'TEXT',
    creator: 'TEXT',
    session: 'TEXT',
    priority: 'INTEGER',
    ready: 'INTEGER',
    offered: 'TEXT',
  },
  index: (row) => ({
    status: row.status,
    owner: row.owner,
    assignee: row.assignee,
    capability: row.capability,
    creator: row.createdBy,
    session: row.session,
    priority: priorities.indexOf(row.priority),
    ready: isReady(row) ? 1 : 0,
    offered: offeredTo(row),
  }),
  indexes: [
    ['ready', 'offered', '-priority'],
    ['status'],
    ['owner', 'status'],
    ['assignee'],
    ['capability'],
    ['creator'],
    ['session'],
  ],
  keys: (row) => row.tags,
  deadline: (row) => [row.notBefore, row.progressDueAt, row.cancelDueAt].filter((at) => at !== undefined).sort()[0],
  about: (row) => ({ contractId: row.id, parties: [row.createdBy, row.assignee, row.owner] }),
}

export const openContractsOf = (read: Read, owner: string): Contract[] =>
  read.find(contracts, { where: { owner, status: openStatuses } })

const noted = { note: 'what the caller said' }
export const created = event('contract.created', contracts, 'A task is offered.')
export const accepted = event('contract.accepted', contracts, 'An agent took it: an attempt begins.')
export const started = event('contract.started', contracts, 'Its locks are held and work begins.', {
  locks: 'the locks',
})
export const progressed = event('contract.progressed', contracts, 'The owner told how far it is.', noted)
export const updated = event('contract.updated', contracts, 'Its terms changed, or an attempt was given time.', noted)
export const completed = event('contract.completed', contracts, 'Done.', noted)
export const failed = event('contract.failed', contracts, 'Failed for good: no attempts left, or not retryable.')
export const attemptFailed = event(
  'contract.attemptFailed',
  contracts,
  'An attempt failed or was lost; it is offered again.',
)
export const releasedContract = event(
  'contract.released',
  contracts,
  'The owner gave it back; it is offered again.',
  noted,
)
export const rejected = event('contract.rejected', contracts, 'The assignee will not do it.', noted)
export const cancelRequested = event('contract.cancelRequested', contracts, 'The owner is asked to stop.', noted)
export const canceled = event('contract.canceled', contracts, 'Called off.', noted)
export const retried = event('contract.retried', contracts, 'Offered again, with one more attempt.')
export const unblocked = event('contract.unblocked', contracts, 'Nothing stands against taking it any longer.')

export const contractIdParam = id.describe('the contract')
export const attemptParam = z.int().min(1).describe('the `attempt` that accept gave')
export const durations = {
  retryBackoff: ms(0, limits.retryBackoffMsMax),
  progressTimeout: ms(1_000, limits.progressTimeoutMsMax),
}
