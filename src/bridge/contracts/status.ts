import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import {
  type Caller,
  type Context,
  command,
  isParked,
  isSignalling,
  type Parked,
  type Signalling,
  type Tx,
} from '../../protocol/method.js'
import { note } from '../fields.js'
import { find, refuseTransition } from './change.js'
import { acknowledgeCancel, cancel, complete, fail, reject, release, retry } from './end.js'
import { input, provideInput, requestInput } from './input.js'
import {
  type Attempt,
  artifact,
  attemptParam,
  type Contract,
  contractIdParam,
  contractRow,
  evidenceParam,
  failure,
  ifGeneration,
  isOpen,
  openStatuses,
  type Status,
  statusParam,
} from './row.js'
import { accept, start } from './work.js'

const params = {
  contractId: contractIdParam,
  status: statusParam.describe('the status wanted'),
  attempt: attemptParam.optional().describe("the caller's current one unless named"),
  ifGeneration,
  note: note.optional(),
  result: z.json().optional(),
  artifacts: z.array(artifact).max(limits.artifacts).optional(),
  evidence: z.array(evidenceParam).max(limits.evidence).optional(),
  error: failure.optional().describe('for `failed`: why'),
  requests: input.requests.optional().describe('for `input_required`: the questions'),
  deadlineMs: input.deadlineMs,
  responses: input.responses.optional().describe('for `working` again: the answers, by key'),
}
type Params = z.output<z.ZodObject<typeof params>>

/** The statuses from which some verb leads to the one wanted, or answers that it is there already. */
const from: Record<Status, readonly Status[]> = {
  submitted: [...openStatuses, 'failed', 'rejected'],
  accepted: ['submitted', ...openStatuses],
  working: ['accepted', 'input_required'],
  input_required: ['working'],
  completed: ['working', 'completed'],
  failed: [...openStatuses, 'failed'],
  canceled: ['submitted', ...openStatuses, 'canceled'],
  rejected: ['submitted', 'rejected'],
}

const outcomes: Partial<Record<Status, Attempt['outcome']>> = {
  submitted: 'released',
  completed: 'completed',
  failed: 'failed',
  canceled: 'canceled',
}

export const setStatus = command({
  name: 'contract.setStatus',
  summary: 'Asks for a status: does what the verb that leads there does, with its refusals.',
  role: 'agent',
  params,
  result: contractRow,
  errors: [
    'NOT_FOUND',
    'STALE_ATTEMPT',
    'CLAIM_LOST',
    'INVALID_TRANSITION',
    'FORBIDDEN',
    'GENERATION_MISMATCH',
    'NOT_READY',
    'CHECKS_FAILED',
    'LOCK_CONFLICT',
    'OVERLOADED',
    'TOO_LARGE',
  ],
  http: { method: 'PATCH', path: '/contracts/:contractId/status', etag: 'generation', ifMatch: 'ifGeneration' },
  mcp: {
    common: true,
    description:
      'Ends or moves a contract: completed (with note, result, evidence for its checks), failed (with error), submitted (give it back, or retry), canceled, rejected, input_required (ask its creator: requests), working (answer: responses), accepted (take this very one). The end frees its locks.',
    omit: ['ifGeneration'],
    idempotent: true,
  },
  run(tx, params, ctx) {
    const contract = find(tx, params.contractId)
    const repeated = isRepeated(contract, params, ctx.caller)
    if (!repeated && !from[params.status].includes(contract.status)) refuseTransition(contract)
    const given = { ...params, attempt: params.attempt ?? contract.attempt }
    return verbs[params.status](tx, given, ctx, contract, repeated)
  },
})

/** The attempt was ended by this caller, in this way: the verb answers as it did then. */
function isRepeated(contract: Contract, { status, attempt = contract.attempt }: Params, { agent }: Caller): boolean {
  const ended = contract.attempts.find(({ n }) => n === attempt)
  return ended?.outcome !== undefined && ended.outcome === outcomes[status] && ended.owner === agent
}

type Answer = z.input<typeof contractRow>
type Given = Params & { attempt: number }

/** No verb that is called here waits. */
function atOnce<Result>(answer: Result | Parked<Result> | Signalling<Result>): Result {
  if (isParked(answer) || isSignalling(answer)) throw new Error('A verb waits that was not told to')
  return answer
}

/** The verb that leads to each status. None has a rule of its own here. */
const verbs: Record<Status, (tx: Tx, given: Given, ctx: Context, now: Contract, repeated: boolean) => Answer> = {
  submitted: (tx, given, ctx, { status }, repeated) =>
    !repeated && !isOpen(status) ? atOnce(retry.run(tx, given, ctx)) : atOnce(release.run(tx, given, ctx)),
  accepted: (tx, given, ctx) => atOnce(accept.run(tx, given, ctx)),
  working(tx, given, ctx, { status }) {
    if (status === 'accepted') return atOnce(start.run(tx, { ...given, waitMs: 0 }, ctx)).contract
    const responses = given.responses ?? refuse('INVALID_PARAMS', 'Give the answers in `responses`.')
    return atOnce(provideInput.run(tx, { ...given, responses }, ctx))
  },
  input_required(tx, given, ctx) {
    const requests = given.requests ?? refuse('INVALID_PARAMS', 'Say what is asked in `requests`.')
    return atOnce(requestInput.run(tx, { ...given, requests }, ctx))
  },
  completed: (tx, given, ctx) => atOnce(complete.run(tx, given, ctx)),
  failed(tx, given, ctx) {
    const error = given.error ?? { reason: 'FAILED', message: given.note ?? '', retryable: true }
    return atOnce(fail.run(tx, { ...given, error }, ctx))
  },
  canceled: (tx, given, ctx, { owner, status, cancelRequestedAt }, repeated) =>
    repeated || (isOpen(status) && owner === ctx.caller.agent && cancelRequestedAt !== undefined)
      ? atOnce(acknowledgeCancel.run(tx, given, ctx))
      : atOnce(cancel.run(tx, given, ctx)),
  rejected: (tx, given, ctx) => atOnce(reject.run(tx, given, ctx)),
}
