import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command } from '../../protocol/method.js'
import { note } from '../fields.js'
import { change, checkGeneration, checkSize, find, refuseStale, refuseTransition } from './change.js'
import { verified } from './events.js'
import {
  attemptParam,
  type Contract,
  contractIdParam,
  contractRow,
  type Evidence,
  evidenceParam,
  ifGeneration,
  isOpen,
} from './row.js'

// Done means verified: a contract with checks is completed only with evidence that each of them passed.

/**
 * The evidence there is with more of the caller's: of each agent the last word on each check counts.
 * @throws TOO_LARGE
 */
export function addEvidence(
  contract: Contract,
  more: ReadonlyArray<z.output<typeof evidenceParam>> = [],
  { caller, now }: Context,
): Evidence[] {
  const stamped = more.map((entry) => ({ ...entry, by: caller.agent, at: now }))
  const all = new Map<string, Evidence>()
  for (const entry of [...contract.evidence, ...stamped]) {
    const name = JSON.stringify([entry.by, entry.check])
    // Put last, also when it was there before: the order is that in which they came.
    all.delete(name)
    all.set(name, entry)
  }
  if (all.size > limits.evidence) refuse('TOO_LARGE', `A contract has evidence from at most ${limits.evidence} runs.`)
  return [...all.values()]
}

/** @throws CHECKS_FAILED, naming the checks that nobody ran, that failed, and that another agent has to run */
export function checkEvidence({ checks, evidence, owner }: Contract): void {
  const lastOf = checks.map((check) => {
    const counts = evidence.filter(
      (run) => run.check === check.name && (check.verifier !== 'other' || run.by !== owner),
    )
    return { ...check, last: counts.at(-1) }
  })
  const names = (wanted: (check: (typeof lastOf)[number]) => boolean) => lastOf.filter(wanted).map(({ name }) => name)
  const missing = names(({ last, verifier }) => last === undefined && verifier === undefined)
  const unverified = names(({ last, verifier }) => last === undefined && verifier !== undefined)
  const failing = names(({ last }) => last !== undefined && last.exitCode !== 0)
  const count = missing.length + unverified.length + failing.length
  if (count === 0) return
  refuse(
    'CHECKS_FAILED',
    `${count} of ${checks.length} checks are not passed. Run those in \`data.missing\`, mend those in \`data.failing\`; those in \`data.unverified\` another agent has to run (contract.verify).`,
    { missing, failing, unverified },
  )
}

export const verify = command({
  name: 'contract.verify',
  summary: "Tells what running a contract's checks gave, by another agent than its owner.",
  role: 'agent',
  params: {
    contractId: contractIdParam,
    attempt: attemptParam.optional().describe('refuse unless it is the open one'),
    evidence: z.array(evidenceParam).min(1).max(limits.evidence),
    note: note.optional(),
    ifGeneration,
  },
  result: contractRow,
  errors: ['NOT_FOUND', 'STALE_ATTEMPT', 'INVALID_TRANSITION', 'FORBIDDEN', 'GENERATION_MISMATCH', 'TOO_LARGE'],
  run(tx, { contractId, attempt, evidence: more, note, ifGeneration }, ctx) {
    const contract = find(tx, contractId)
    const works = contract.status === 'working' || contract.status === 'input_required'
    if (attempt !== undefined && !(isOpen(contract.status) && attempt === contract.attempt))
      refuseStale(contract, attempt)
    if (!works) refuseTransition(contract)
    if (contract.owner === ctx.caller.agent) {
      refuse('FORBIDDEN', "The owner's own evidence comes with complete: verifying is another agent's.")
    }
    checkGeneration(contract, ifGeneration)
    const known = contract.checks.map(({ name }) => name)
    const unknown = more.map(({ check }) => check).filter((name) => !known.includes(name))
    if (unknown.length > 0) {
      refuse('INVALID_PARAMS', 'The contract has no check of that name: `data.known` has those it has.', {
        unknown,
        known,
      })
    }
    const evidence = addEvidence(contract, more, ctx)
    checkSize({ ...contract, evidence })
    const checks = [...new Set(more.map(({ check }) => check))]
    return change(tx, verified, contract, { evidence }, ctx, { data: { checks, note } })
  },
})
