import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { command } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import { note } from '../fields.js'
import {
  asOwner,
  change,
  checkCreator,
  checkGeneration,
  checkSize,
  closeAttempt,
  failAttempt,
  find,
  isCreator,
  refuseTransition,
  releaseAttempt,
  tellHeld,
} from './change.js'
import { addEvidence, checkEvidence } from './checks.js'
import { openDependencies } from './dependencies.js'
import * as events from './events.js'
import * as row from './row.js'
import { contractRow, ifGeneration, isOpen } from './row.js'
import { addArtifacts } from './update.js'

// Every way in which an attempt, or the whole contract, ends and begins again.

const ofContract = { contractId: row.contractIdParam, ifGeneration }
const ofAttempt = { ...ofContract, attempt: row.attemptParam }
const creatorsErrors = ['NOT_FOUND', 'INVALID_TRANSITION', 'FORBIDDEN', 'GENERATION_MISMATCH'] as const
const ownersErrors = [...creatorsErrors, 'STALE_ATTEMPT'] as const

export const complete = command({
  name: 'contract.complete',
  summary:
    'The work is done, with evidence for each of its checks. Completing twice with the same attempt gives the same answer.',
  role: 'agent',
  params: {
    ...ofAttempt,
    result: z.json().optional(),
    artifacts: z.array(row.artifact).max(limits.artifacts).optional(),
    evidence: z.array(row.evidenceParam).max(limits.evidence).optional().describe('what running the checks gave'),
    note: note.optional(),
  },
  result: contractRow,
  errors: [...ownersErrors, 'CHECKS_FAILED', 'TOO_LARGE'],
  mcp: { idempotent: true },
  run(tx, params, ctx) {
    const { contract: open, repeated } = asOwner(tx, params, ctx.caller, ['working'], 'completed')
    if (repeated) return open
    const evidence = addEvidence(open, params.evidence, ctx)
    checkEvidence({ ...open, evidence })
    const contract = tellHeld(tx, open, ctx)
    const patch = {
      ...closeAttempt(contract, 'completed', ctx, params.note),
      status: 'completed' as const,
      progress: 1,
      result: params.result,
      artifacts: addArtifacts(contract, params.artifacts),
      evidence,
      endedAt: ctx.now,
    }
    checkSize({ ...contract, ...patch })
    return change(tx, events.completed, contract, patch, ctx, { data: { note: params.note } })
  },
})

export const fail = command({
  name: 'contract.fail',
  summary:
    'The attempt failed. The contract is offered again after a pause while attempts are left, unless it is not retryable.',
  role: 'agent',
  params: { ...ofAttempt, error: row.failure },
  result: contractRow,
  errors: ownersErrors,
  run(tx, params, ctx) {
    const { contract, repeated } = asOwner(tx, params, ctx.caller, row.openStatuses, 'failed')
    return repeated ? contract : failAttempt(tx, contract, 'failed', params.error, ctx)
  },
})

export const release = command({
  name: 'contract.release',
  summary: 'The owner gives the contract back; it is offered again and no failure is counted.',
  role: 'agent',
  params: { ...ofAttempt, note: note.optional() },
  result: contractRow,
  errors: ownersErrors,
  run(tx, params, ctx) {
    const { contract, repeated } = asOwner(tx, params, ctx.caller, row.openStatuses, 'released')
    return repeated ? contract : releaseAttempt(tx, contract, params.note, ctx)
  },
})

export const reject = command({
  name: 'contract.reject',
  summary: 'The assignee will not do it.',
  role: 'agent',
  params: { ...ofContract, note: note.optional() },
  result: contractRow,
  errors: creatorsErrors,
  run(tx, params, ctx) {
    const contract = find(tx, params.contractId)
    const mine = contract.assignee === ctx.caller.agent
    if (contract.status === 'rejected' && mine) return contract
    if (contract.status !== 'submitted') refuseTransition(contract)
    if (!mine) refuse('FORBIDDEN', 'Only the assignee of the contract may reject it.')
    checkGeneration(contract, params.ifGeneration)
    const patch = { status: 'rejected' as const, notBefore: undefined, statusMessage: params.note, endedAt: ctx.now }
    return change(tx, events.rejected, contract, patch, ctx, { data: { note: params.note } })
  },
})

export const cancel = command({
  name: 'contract.cancel',
  summary:
    'Calls a contract off: at once when nobody has it; else the owner is asked to stop, and has a while to do so.',
  role: 'agent',
  params: { ...ofContract, note: note.optional() },
  result: contractRow,
  errors: creatorsErrors,
  run(tx, params, ctx) {
    const contract = find(tx, params.contractId)
    const open = isOpen(contract.status)
    const asked = contract.status === 'canceled' || (open && contract.cancelRequestedAt !== undefined)
    if (asked && isCreator(contract, ctx.caller)) return contract
    if (!open && contract.status !== 'submitted') refuseTransition(contract)
    checkCreator(contract, ctx.caller)
    checkGeneration(contract, params.ifGeneration)
    const beside = { data: { note: params.note } }
    const said = params.note !== undefined && { statusMessage: params.note }
    if (open) {
      const patch = { ...said, cancelRequestedAt: ctx.now, cancelDueAt: later(ctx.now, limits.cancelGraceMs) }
      return change(tx, events.cancelRequested, contract, patch, ctx, beside)
    }
    const patch = { ...said, status: 'canceled' as const, notBefore: undefined, endedAt: ctx.now }
    return change(tx, events.canceled, contract, patch, ctx, beside)
  },
})

export const acknowledgeCancel = command({
  name: 'contract.acknowledgeCancel',
  summary: 'The owner has stopped: the contract is canceled and its locks are free.',
  role: 'agent',
  params: ofAttempt,
  result: contractRow,
  errors: ownersErrors,
  run(tx, params, ctx) {
    const asked = find(tx, params.contractId).cancelRequestedAt !== undefined
    const { contract: open, repeated } = asOwner(tx, params, ctx.caller, asked ? row.openStatuses : [], 'canceled')
    if (repeated) return open
    const contract = tellHeld(tx, open, ctx)
    const patch = { ...closeAttempt(contract, 'canceled', ctx), status: 'canceled' as const, endedAt: ctx.now }
    return change(tx, events.canceled, contract, patch, ctx)
  },
})

export const retry = command({
  name: 'contract.retry',
  summary: 'Offers a failed or rejected contract again, with one more attempt.',
  role: 'agent',
  params: ofContract,
  result: contractRow,
  errors: creatorsErrors,
  run(tx, params, ctx) {
    const contract = find(tx, params.contractId)
    if (contract.status !== 'failed' && contract.status !== 'rejected') refuseTransition(contract)
    checkCreator(contract, ctx.caller)
    checkGeneration(contract, params.ifGeneration)
    const patch: Partial<row.Contract> = {
      status: 'submitted',
      blockedBy: openDependencies(tx, contract.dependsOn),
      stuckOn: undefined,
      owner: undefined,
      error: undefined,
      progress: undefined,
      progressedAt: undefined,
      acceptedAt: undefined,
      startedAt: undefined,
      endedAt: undefined,
      maxAttempts: Math.max(contract.maxAttempts, contract.failures + 1),
    }
    return change(tx, events.retried, contract, patch, ctx)
  },
})
