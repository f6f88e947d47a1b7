import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { note } from '../fields.js'
import {
  asOwner,
  change,
  checkCreator,
  checkGeneration,
  checkSize,
  failAttempt,
  find,
  progressDueAt,
  refuseTransition,
} from './change.js'
import { inputProvided, inputRequested } from './events.js'
import {
  attemptParam,
  type Contract,
  contractIdParam,
  contractRow,
  durations,
  type InputRequest,
  ifGeneration,
  inputRequestParam,
} from './row.js'
import { meets, schemaProblem } from './schema.js'

// An owner that cannot decide asks, and waits without a clock running against it.

const requestsParam = z.array(inputRequestParam).min(1).max(limits.inputRequests)
export const input = {
  requests: requestsParam.describe('the questions'),
  deadlineMs: durations.inputDeadline
    .default(limits.inputDeadlineMs)
    .describe('after so long, ms, defaults become the answers; the attempt fails where there is none'),
  responses: z
    .record(z.string().max(limits.nameLength), z.json())
    .refine((responses) => Object.keys(responses).length > 0, 'answers nothing')
    .describe('the answers, by key; some may be left for later'),
}

export const requestInput = command({
  name: 'contract.requestInput',
  summary: 'The owner asks and waits: the creator answers with provideInput, or the defaults do at the deadline.',
  role: 'agent',
  params: {
    contractId: contractIdParam,
    attempt: attemptParam,
    requests: input.requests,
    deadlineMs: input.deadlineMs,
    note: note.optional(),
    ifGeneration,
  },
  result: contractRow,
  errors: ['NOT_FOUND', 'STALE_ATTEMPT', 'INVALID_TRANSITION', 'FORBIDDEN', 'GENERATION_MISMATCH', 'TOO_LARGE'],
  run(tx, params, ctx) {
    const { contract } = asOwner(tx, params, ctx.caller, ['working'])
    checkRequests(params.requests)
    const asked = params.requests.map((request) => ({ ...request, attempt: params.attempt, requestedAt: ctx.now }))
    const keys = asked.map(({ key }) => key)
    const others = contract.inputRequests.filter(({ key }) => !keys.includes(key))
    const inputRequests = [...others, ...asked].slice(-limits.inputRequests)
    const patch: Partial<Contract> = {
      status: 'input_required',
      inputRequests,
      inputDueAt: later(ctx.now, params.deadlineMs),
      progressDueAt: undefined,
      ...(params.note !== undefined && { statusMessage: params.note }),
    }
    // Defaults become answers by themselves: there has to be room for them.
    checkSize({ ...contract, ...patch, inputRequests: inputRequests.map((request) => byDefault(request, ctx)) })
    return change(tx, inputRequested, contract, patch, ctx, { data: { keys, note: params.note } })
  },
})

/** @throws INVALID_PARAMS; the keys and schemas are the caller's, and named by their place */
function checkRequests(requests: z.output<typeof requestsParam>): void {
  for (const [index, { key, schema, default: fallback }] of requests.entries()) {
    const where = `requests.${index}`
    if (requests.findIndex((other) => other.key === key) < index) {
      refuse('INVALID_PARAMS', `\`${where}\` has a key that another question has already.`, { key })
    }
    const problem = schema && schemaProblem(schema)
    if (problem) refuse('INVALID_PARAMS', `\`${where}.schema\`: ${problem}.`, { key })
    if (schema && fallback !== undefined && !meets(schema, fallback)) {
      refuse('INVALID_PARAMS', `\`${where}.default\` is not as its own schema asks.`, { key })
    }
  }
}

const isOpenRequest = ({ answeredAt }: InputRequest): boolean => answeredAt === undefined

export const provideInput = command({
  name: 'contract.provideInput',
  summary: 'The creator answers what the owner asked; when nothing is left open the work goes on.',
  role: 'agent',
  params: { contractId: contractIdParam, responses: input.responses, note: note.optional(), ifGeneration },
  result: contractRow,
  errors: ['NOT_FOUND', 'INVALID_TRANSITION', 'FORBIDDEN', 'GENERATION_MISMATCH', 'TOO_LARGE'],
  run(tx, { contractId, responses, note, ifGeneration }, ctx) {
    const contract = find(tx, contractId)
    if (contract.status !== 'input_required') refuseTransition(contract)
    // Whoever asks would otherwise decide by itself what it was not to.
    if (contract.owner === ctx.caller.agent) refuse('FORBIDDEN', 'Who asks does not answer: another has to.')
    checkCreator(contract, ctx.caller)
    checkGeneration(contract, ifGeneration)
    const open = contract.inputRequests.filter(isOpenRequest)
    checkResponses(open, responses)
    const answer = (request: InputRequest): InputRequest =>
      isOpenRequest(request) && Object.hasOwn(responses, request.key)
        ? { ...request, answer: responses[request.key], answeredBy: ctx.caller.agent, answeredAt: ctx.now }
        : request
    const patch = goOn(contract, contract.inputRequests.map(answer), ctx)
    checkSize({ ...contract, ...patch })
    const said = note !== undefined && { statusMessage: note }
    const beside = { data: { keys: Object.keys(responses), note } }
    return change(tx, inputProvided, contract, { ...patch, ...said }, ctx, beside)
  },
})

/** @throws INVALID_PARAMS */
function checkResponses(open: readonly InputRequest[], responses: Record<string, unknown>): void {
  const keys = open.map(({ key }) => key)
  const unknown = Object.keys(responses).filter((key) => !keys.includes(key))
  if (unknown.length > 0) {
    refuse('INVALID_PARAMS', 'No open question has that key: `data.open` has those there are.', { unknown, open: keys })
  }
  const wrong = open.filter(
    ({ key, schema }) => schema && Object.hasOwn(responses, key) && !meets(schema, responses[key]),
  )
  if (wrong.length > 0) {
    refuse('INVALID_PARAMS', 'An answer is not as its question asks: `data.wrong` has the schemas.', {
      wrong: wrong.map(({ key, schema }) => ({ key, schema })),
    })
  }
}

/** With the last answer the work goes on, and the clock of its progress begins anew. */
function goOn(contract: Contract, inputRequests: InputRequest[], ctx: Context): Partial<Contract> {
  if (inputRequests.some(isOpenRequest)) return { inputRequests }
  const working = { ...contract, status: 'working' as const }
  return { status: 'working', inputRequests, inputDueAt: undefined, progressDueAt: progressDueAt(working, ctx.now) }
}

const byDefault = (request: InputRequest, { now }: Context): InputRequest =>
  isOpenRequest(request) && request.default !== undefined
    ? { ...request, answer: request.default, answeredBy: 'bridge', answeredAt: now }
    : request

/** Nobody answered in time: what the owner said it would do then is the answer, and without that the attempt fails. */
export function expireInput(tx: Tx, contract: Contract, ctx: Context): void {
  const open = contract.inputRequests.filter(isOpenRequest)
  if (open.some((request) => request.default === undefined)) {
    const message = 'Nobody answered in time, and there is no default.'
    failAttempt(tx, contract, 'failed', { reason: 'INPUT_TIMEOUT', message, retryable: true }, ctx)
    return
  }
  const inputRequests = contract.inputRequests.map((request) => byDefault(request, ctx))
  const keys = open.map(({ key }) => key)
  change(tx, inputProvided, contract, goOn(contract, inputRequests, ctx), ctx, { data: { keys } })
}
