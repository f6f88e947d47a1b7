import { z } from 'zod'
import { limits } from '../../protocol/limits.js'
import type { Read, Table } from '../../protocol/method.js'
import { type Instant, later } from '../../protocol/time.js'
import { agentName, capability, contentOf, id, instant, json, ms, note } from '../fields.js'
import { claim } from '../locks/row.js'

export const statuses = [
  'submitted',
  'accepted',
  'working',
  'input_required',
  'completed',
  'failed',
  'canceled',
  'rejected',
] as const
export type Status = (typeof statuses)[number]

/** The statuses in which an attempt is open and somebody owns the contract. */
export const openStatuses = ['accepted', 'working', 'input_required'] as const satisfies readonly Status[]
export const isOpen = (status: Status): boolean => (openStatuses as readonly Status[]).includes(status)

/** It has ended, for good or until somebody retries it. */
export const isOver = (status: Status): boolean => status !== 'submitted' && !isOpen(status)

/** Other systems' names for the same statuses, taken on the way in. */
const aliases: Record<string, string> = { cancelled: 'canceled', proposed: 'submitted', in_progress: 'working' }
export const statusParam = z.preprocess(
  (value) => (typeof value === 'string' && Object.hasOwn(aliases, value) ? aliases[value] : value),
  z.enum(statuses),
)

/** From the least urgent; the place in the list is the column that the work queue is sorted by. */
export const priorities = ['low', 'normal', 'high', 'critical'] as const

export const artifact = contentOf({ name: z.string().min(1).max(limits.titleLength) })

export const check = z.strictObject({
  name: z.string().min(1).max(limits.titleLength),
  command: z.string().min(1).max(limits.noteLength),
  verifier: z.enum(['other']).optional().describe('`other`: the evidence has to be of another agent than the owner'),
})

export const checksParam = z
  .array(check)
  .max(limits.checks)
  .refine((checks) => new Set(checks.map(({ name }) => name)).size === checks.length, 'has two checks of one name')

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

export const inputRequestParam = z.strictObject({
  key: z.string().min(1).max(limits.nameLength).describe('names the question; a later one of the same key replaces it'),
  prompt: z.string().min(1).max(limits.noteLength).describe('the question'),
  schema: json.optional().describe('JSON Schema that the answer has to meet'),
  default: z.json().optional().describe('the answer, if nobody gives one before the deadline'),
})

const inputRequest = inputRequestParam.extend({
  attempt: z.int(),
  requestedAt: instant,
  answer: z.json().optional(),
  answeredBy: agentName.optional().describe('`bridge` where the default became the answer'),
  answeredAt: instant.optional(),
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
  dependsOn: z.array(z.string()).describe('contracts to be completed before it is offered'),
  blockedBy: z.array(z.string()).describe('those of them that are not completed'),
  stuckOn: z
    .array(z.strictObject({ contractId: z.string(), status: z.enum(statuses), since: instant }))
    .optional()
    .describe('those of them that ended otherwise: until they are retried, it waits in vain'),
  parentId: z.string().optional().describe('the contract that it is a part of'),
  attempt: z.int().describe('rises with every accept; 0 before the first'),
  attempts: z.array(attempt).describe(`the last ${limits.attemptsKept}`),
  failures: z.int().describe('attempts that failed or were lost'),
  maxAttempts: z.int(),
  retryBackoffMs: z.int(),
  notBefore: instant.optional().describe('not offered until then; absent once it has passed'),
  dueAt: instant.optional().describe('when it should be done'),
  overdue: z.literal(true).optional().describe('`dueAt` passed before it ended'),
  progress: z.number().optional().describe('0 to 1'),
  progressedAt: instant.optional().describe('when the owner last told of progress'),
  progressTimeoutMs: z.int().optional(),
  progressDueAt: instant.optional().describe('an attempt that has not been heard of by then is lost'),
  cancelRequestedAt: instant.optional(),
  cancelDueAt: instant.optional().describe('when the cancel is forced'),
  inputRequests: z.array(inputRequest).describe(`the last ${limits.inputRequests}`),
  inputDueAt: instant.optional().describe('when defaults become the answers that are missing'),
  generation: z.int().describe('1 at first; rises by 1 with every change'),
  artifacts: z.array(artifact),
  checks: z.array(check),
  evidence: z.array(evidence).describe('of the attempt, the last of each agent for each check'),
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

/** A contract as one who asks for it alone sees it. */
export const contractView = contractRow.extend({
  children: z
    .partialRecord(z.enum(statuses), z.int())
    .optional()
    .describe('how many contracts name it as their parent, by status; absent when none does'),
})

/** A task that one agent asks for and another does. */
export type Contract = z.output<typeof contractRow>
export type Attempt = z.output<typeof attempt>
export type Failure = z.output<typeof failure>
export type Evidence = z.output<typeof evidence>
export type InputRequest = z.output<typeof inputRequest>

/** To whom a contract is offered: one agent, those with a capability, or anyone. */
export const offeredTo = ({ assignee, capability }: Pick<Contract, 'assignee' | 'capability'>): string =>
  assignee !== undefined ? `@${assignee}` : capability !== undefined ? `#${capability}` : '*'

/** Nobody has it and nothing stands against taking it. Time that passes clears `notBefore`, by an event. */
export const isReady = ({ status, notBefore, blockedBy }: Contract): boolean =>
  status === 'submitted' && notBefore === undefined && blockedBy.length === 0

/** The keys under which a contract is found: its tags, and, while it is offered, what it waits for. */
export const tagKey = (tag: string): string => `#${tag}`
export const dependantKey = (contractId: string): string => `<${contractId}`

/** When `dueAt` is to be told as passed. */
export const dueDateOf = ({ status, dueAt, overdue }: Contract): string | undefined =>
  overdue || isOver(status) ? undefined : dueAt

/**
 * Why a person should look at it, and since when: an instant ahead for an attempt that will count as stalled then, should
 * nothing be heard of it. What is listed first counts.
 */
export function concernOf(contract: Contract): { kind: Concern; since: Instant } | undefined {
  const { status, inputRequests, error, overdue, dueAt, updatedAt, endedAt, acceptedAt } = contract
  if (status === 'failed') return { kind: 'failed', since: endedAt ?? updatedAt }
  if (isOver(status)) return undefined
  if (status === 'input_required') {
    const asked = inputRequests.filter(({ answeredAt }) => answeredAt === undefined).map((open) => open.requestedAt)
    return { kind: 'input', since: asked.sort()[0] ?? updatedAt }
  }
  const last = contract.attempts.at(-1)
  if (status === 'submitted' && last?.outcome === 'lost' && error?.reason === LOCK_LOST) {
    return { kind: 'broken', since: last.endedAt ?? updatedAt }
  }
  if (status === 'submitted' && contract.stuckOn)
    return { kind: 'blocked', since: contract.stuckOn[0]?.since ?? updatedAt }
  if (overdue) return { kind: 'overdue', since: dueAt ?? updatedAt }
  if (status === 'submitted') return undefined
  const heardAt = contract.progressedAt ?? contract.startedAt ?? acceptedAt ?? updatedAt
  return { kind: 'stalled', since: later(heardAt, limits.stalledMs) }
}

export type Concern = 'input' | 'broken' | 'blocked' | 'overdue' | 'stalled' | 'failed'

/** The reason of an attempt that ended with one of its locks. */
export const LOCK_LOST = 'LOCK_LOST'

/** Where it stands in the list of what waits for a person: the failed, which leave it with time, by themselves. */
function attentionColumn(contract: Contract): string | undefined {
  const concern = concernOf(contract)
  return concern && `${concern.kind === 'failed' ? FAILED : WAITING}${concern.since}`
}
export const WAITING = 'waiting/'
export const FAILED = 'failed/'

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
    parent: 'TEXT',
    attention: 'TEXT',
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
    parent: row.parentId,
    attention: attentionColumn(row),
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
    ['parent', 'status'],
    ['attention'],
  ],
  keys: ({ tags, status, blockedBy }) => [
    ...tags.map(tagKey),
    ...(status === 'submitted' ? blockedBy.map(dependantKey) : []),
  ],
  deadline: (row) =>
    [row.notBefore, row.progressDueAt, row.cancelDueAt, row.inputDueAt, dueDateOf(row)]
      .filter((at) => at !== undefined)
      .sort()[0],
  about: (row) => ({ contractId: row.id, parties: [row.createdBy, row.assignee, row.owner] }),
}

export const openContractsOf = (read: Read, owner: string): Contract[] =>
  read.find(contracts, { where: { owner, status: openStatuses } })

export const contractIdParam = id.describe('the contract')
export const attemptParam = z.int().min(1).describe('the `attempt` that accept gave')
export const ifGeneration = z.int().min(1).optional().describe('refuse when the contract has changed since')
export const durations = {
  retryBackoff: ms(0, limits.retryBackoffMsMax),
  progressTimeout: ms(1_000, limits.progressTimeoutMsMax),
  inputDeadline: ms(1_000, limits.inputDeadlineMsMax),
}
