import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Tx } from '../../protocol/method.js'
import type { Instant } from '../../protocol/time.js'
import { agentName, capability, id, instant, json } from '../fields.js'
import { checkPatterns } from '../locks/queue.js'
import { claimParam } from '../locks/row.js'
import { checkSize, find } from './change.js'
import { openDependencies } from './dependencies.js'
import { created } from './events.js'
import { type Contract, checksParam, contractRow, durations, priorities } from './row.js'

export const resourcesParam = z
  .array(claimParam)
  .max(limits.lockResources)
  .describe('what is locked while it is worked on')

export const createParams = z.strictObject({
  title: z.string().trim().min(1).max(limits.titleLength),
  description: z.string().max(limits.descriptionLength).optional(),
  assignee: agentName.optional().describe('only this agent may accept it'),
  capability: capability.optional().describe('only an agent with this may accept it, unless an assignee is named'),
  priority: z.enum(priorities).default('normal'),
  tags: z.array(z.string().min(1).max(limits.nameLength)).max(limits.tags).default([]),
  resources: resourcesParam.default([]),
  dependsOn: z
    .array(id)
    .max(limits.dependencies)
    .default([])
    .describe('contracts to be completed before it is offered; they have to exist already'),
  parentId: id.optional().describe('the contract that it is a part of'),
  maxAttempts: z.int().min(1).max(limits.attemptsMax).default(3),
  retryBackoffMs: durations.retryBackoff
    .default(limits.retryBackoffMs)
    .describe('pause before the second attempt, ms; it doubles from one to the next'),
  notBefore: instant.optional().describe('not offered before'),
  dueAt: instant.optional().describe('when it should be done: once it has passed, `contract.dueDatePassed` tells'),
  progressTimeoutMs: durations.progressTimeout
    .optional()
    .describe('an attempt that is not heard of for so long, ms, is lost; 30 min for owners without a session'),
  checks: checksParam.default([]).describe('commands that show whether it is done'),
  metadata: json.default({}),
})

/** @throws INVALID_PARAMS: it would be late from the beginning, which nobody means */
export function checkDueAt(dueAt: Instant | null | undefined, now: Instant): void {
  if (dueAt === undefined || dueAt === null || dueAt > now) return
  refuse('INVALID_PARAMS', "`dueAt` has passed already, by the bridge's clock.", { now })
}

/** Offers a task. @throws NOT_FOUND, INVALID_PARAMS, BAD_RESOURCE, TOO_LARGE */
export function create(tx: Tx, params: z.output<typeof createParams>, ctx: Context, messageId?: string): Contract {
  const { notBefore, tags, ...terms } = params
  const dependsOn = [...new Set(params.dependsOn)]
  const blockedBy = openDependencies(tx, dependsOn)
  if (params.parentId !== undefined) find(tx, params.parentId)
  checkDueAt(params.dueAt, ctx.now)
  checkPatterns(params.resources)
  const contract: Contract = {
    id: ctx.newId('ctr'),
    ...terms,
    createdBy: ctx.caller.agent,
    status: 'submitted',
    tags: [...new Set(tags)],
    dependsOn,
    blockedBy,
    ...(notBefore !== undefined && notBefore > ctx.now && { notBefore }),
    attempt: 0,
    attempts: [],
    failures: 0,
    generation: 1,
    inputRequests: [],
    artifacts: [],
    evidence: [],
    messageId,
    createdAt: ctx.now,
    updatedAt: ctx.now,
  }
  checkSize(contract)
  return tx.put(created, contract)
}

export const createContract = command({
  name: 'contract.create',
  summary: 'Offers a task: to one agent, to those with a capability, or to whoever takes it first.',
  role: 'agent',
  params: createParams.shape,
  result: contractRow,
  errors: ['NOT_FOUND', 'BAD_RESOURCE', 'TOO_LARGE'],
  http: { method: 'POST', path: '/contracts', status: 201, location: '/contracts/:id', etag: 'generation' },
  mcp: {
    common: true,
    description:
      'Hands a task to another agent: one by name (assignee), any with a capability, or whoever takes it first. Say in the description all that it needs to know, in resources what it may edit. You are told when it is done.',
    omit: ['maxAttempts', 'retryBackoffMs', 'notBefore', 'progressTimeoutMs', 'metadata'],
  },
  run: (tx, params, ctx) => create(tx, params, ctx),
})
