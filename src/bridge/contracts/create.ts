import { z } from 'zod'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Tx } from '../../protocol/method.js'
import { agentName, capability, instant, json } from '../fields.js'
import { checkPatterns } from '../locks/queue.js'
import { claimParam } from '../locks/row.js'
import { checkSize } from './change.js'
import { type Contract, check, contractRow, created, durations, priorities } from './row.js'

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
  maxAttempts: z.int().min(1).max(limits.attemptsMax).default(3),
  retryBackoffMs: durations.retryBackoff
    .default(limits.retryBackoffMs)
    .describe('pause before the second attempt, ms; it doubles from one to the next'),
  notBefore: instant.optional().describe('not offered before'),
  progressTimeoutMs: durations.progressTimeout
    .optional()
    .describe('an attempt that is not heard of for so long, ms, is lost; 30 min for owners without a session'),
  checks: z.array(check).max(limits.checks).default([]).describe('commands that show whether it is done'),
  metadata: json.default({}),
})

/** Offers a task. @throws BAD_RESOURCE, TOO_LARGE */
export function create(tx: Tx, params: z.output<typeof createParams>, ctx: Context, messageId?: string): Contract {
  checkPatterns(params.resources)
  const { notBefore, tags, ...terms } = params
  const contract: Contract = {
    id: ctx.newId('ctr'),
    ...terms,
    createdBy: ctx.caller.agent,
    status: 'submitted',
    tags: [...new Set(tags)],
    ...(notBefore !== undefined && notBefore > ctx.now && { notBefore }),
    attempt: 0,
    attempts: [],
    failures: 0,
    generation: 1,
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
  errors: ['BAD_RESOURCE', 'TOO_LARGE'],
  http: { method: 'POST', path: '/contracts', status: 201, location: '/contracts/:id', etag: 'generation' },
  run: (tx, params, ctx) => create(tx, params, ctx),
})
