import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { agentName, instant, json, note } from '../fields.js'
import { checkPatterns } from '../locks/queue.js'
import {
  asOwner,
  change,
  checkCreator,
  checkGeneration,
  checkSize,
  find,
  heldName,
  progressDueAt,
  refuseTransition,
} from './change.js'
import { checkDueAt, createParams, resourcesParam } from './create.js'
import { progressed, updated } from './events.js'
import {
  artifact,
  attemptParam,
  type Contract,
  contractIdParam,
  contractRow,
  ifGeneration,
  isOpen,
  openStatuses,
  priorities,
} from './row.js'

const terms = {
  title: createParams.shape.title.optional(),
  description: createParams.shape.description,
  assignee: agentName.optional(),
  resources: resourcesParam.optional(),
  priority: z.enum(priorities).optional(),
  dueAt: instant.nullable().optional().describe('null for none'),
}

const params = {
  contractId: contractIdParam,
  attempt: attemptParam.optional(),
  note: note.optional(),
  progress: z.number().min(0).max(1).optional(),
  artifacts: z.array(artifact).max(limits.artifacts).optional().describe('added; one of the same name is replaced'),
  metadata: json.optional().describe('merged into what is there'),
  ...terms,
  ifGeneration,
}
type Params = z.output<z.ZodObject<typeof params>>

export const update = command({
  name: 'contract.update',
  summary:
    'The owner tells progress, a note or artifacts of its `attempt`; the creator changes the terms, most of them only while it is submitted.',
  role: 'agent',
  params,
  result: contractRow,
  errors: [
    'NOT_FOUND',
    'STALE_ATTEMPT',
    'INVALID_TRANSITION',
    'FORBIDDEN',
    'GENERATION_MISMATCH',
    'BAD_RESOURCE',
    'TOO_LARGE',
  ],
  mcp: {
    common: true,
    description:
      'Tells how far your work on a contract is: progress and a note after every step. Its creator may change its terms.',
    omit: ['metadata', 'ifGeneration'],
  },
  run(tx, params, ctx) {
    const byCreator = params.attempt === undefined || Object.keys(terms).some((name) => name in params)
    const contract =
      params.attempt === undefined
        ? find(tx, params.contractId)
        : asOwner(tx, { contractId: params.contractId, attempt: params.attempt }, ctx.caller, openStatuses).contract
    if (byCreator) checkTerms(contract, params, ctx)
    checkGeneration(contract, params.ifGeneration)
    checkDueAt(params.dueAt, ctx.now)
    checkSize({ ...contract, ...patchOf(contract, params) })
    if (params.attempt === undefined)
      return change(tx, updated, contract, patchOf(contract, params), ctx, besideOf(params))
    return tellProgress(tx, contract, params, ctx)
  },
})

function checkTerms(contract: Contract, params: Params, ctx: Context): void {
  if (params.progress !== undefined || params.artifacts !== undefined) {
    if (params.attempt === undefined) {
      refuse('INVALID_PARAMS', 'Progress and artifacts are of an attempt: name it in `attempt`.')
    }
  }
  if (contract.status !== 'submitted' && !isOpen(contract.status)) refuseTransition(contract)
  const { title, description, resources, assignee } = params
  const fixed = [title, description, resources, assignee].some((value) => value !== undefined)
  if (fixed && contract.status !== 'submitted') refuseTransition(contract)
  checkCreator(contract, ctx.caller)
  checkPatterns(resources ?? [])
}

function patchOf(contract: Contract, params: Params): Partial<Contract> {
  const { title, description, resources, assignee, priority, progress, note } = params
  const given = { title, description, resources, assignee, priority, progress, statusMessage: note }
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    // A due date that is moved can pass once more.
    ...(params.dueAt !== undefined && { dueAt: params.dueAt ?? undefined, overdue: undefined }),
    ...(params.artifacts && { artifacts: addArtifacts(contract, params.artifacts) }),
    ...(params.metadata && { metadata: { ...contract.metadata, ...params.metadata } }),
  }
}

const besideOf = ({ note }: Pick<Params, 'note'>) => ({ data: { note } })

/** Artifacts are known by name: a later one replaces an earlier. @throws TOO_LARGE */
export function addArtifacts(contract: Contract, more: Contract['artifacts'] = []): Contract['artifacts'] {
  const names = new Set(more.map(({ name }) => name))
  const all = [...contract.artifacts.filter(({ name }) => !names.has(name)), ...more]
  if (all.length > limits.artifacts) refuse('TOO_LARGE', `A contract has at most ${limits.artifacts} artifacts.`)
  return all
}

/**
 * Writes the first word of progress at once and later ones at most once a second: an agent that streams its progress must
 * not fill the log. What is more than progress and a note is written at once, with what was held.
 */
function tellProgress(tx: Tx, contract: Contract, params: Params, ctx: Context): Contract {
  const name = heldName(contract)
  const { progress, note } = params
  const said = {
    ...tx.takeHeld(name),
    ...(progress !== undefined && { progress }),
    ...(note !== undefined && { note }),
  }
  const slight = Object.keys(params).every((key) => slightFields.has(key))
  const dueAt = contract.progressedAt && later(contract.progressedAt, limits.progressEveryMs)
  if (!slight || dueAt === undefined || dueAt <= ctx.now) {
    return writeProgress(tx, contract, { ...params, ...said }, ctx)
  }
  tx.hold(name, dueAt, said, (tx, ctx) => {
    const now = find(tx, contract.id)
    if (isOpen(now.status) && now.attempt === contract.attempt) writeProgress(tx, now, said, ctx)
  })
  return { ...contract, ...patchOf(contract, { contractId: contract.id, ...said }) }
}

const slightFields = new Set(['contractId', 'attempt', 'progress', 'note'])

function writeProgress(tx: Tx, contract: Contract, said: Partial<Params>, ctx: Context): Contract {
  const patch = patchOf(contract, { contractId: contract.id, ...said })
  const alive = { progressedAt: ctx.now, progressDueAt: progressDueAt(contract, ctx.now) }
  return change(tx, progressed, contract, { ...patch, ...alive }, ctx, besideOf(said))
}
