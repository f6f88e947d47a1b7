import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Context, command, type Happened, type Tx } from '../../protocol/method.js'
import { type Agent, agents } from '../agents/row.js'
import { capability, ms } from '../fields.js'
import { awaitGrant, request } from '../locks/queue.js'
import { lockRow } from '../locks/row.js'
import { asOwner, change, checkGeneration, find, progressDueAt, refuseTransition } from './change.js'
import { accepted, started, updated } from './events.js'
import {
  attemptParam,
  type Contract,
  contractIdParam,
  contractRow,
  contracts,
  ifGeneration,
  isOpen,
  isReady,
  offeredTo,
  tagKey,
} from './row.js'

export const accept = command({
  name: 'contract.accept',
  summary: 'Takes a contract; of any number of callers exactly one wins.',
  role: 'agent',
  params: { contractId: contractIdParam, ifGeneration },
  result: contractRow,
  errors: ['NOT_FOUND', 'CLAIM_LOST', 'INVALID_TRANSITION', 'FORBIDDEN', 'GENERATION_MISMATCH', 'NOT_READY'],
  mcp: { whole: true, idempotent: true },
  run(tx, params, ctx) {
    const contract = find(tx, params.contractId)
    if (isOpen(contract.status)) return acceptAgain(tx, contract, ctx)
    if (contract.status !== 'submitted') refuseTransition(contract)
    checkOffered(tx, contract, ctx)
    checkGeneration(contract, params.ifGeneration)
    if (!isReady(contract)) {
      const { blockedBy, notBefore } = contract
      const message = 'The contract is not offered yet: it waits for what `data.blockedBy` and `data.notBefore` name.'
      refuse('NOT_READY', message, { blockedBy, notBefore })
    }
    return take(tx, contract, ctx)
  },
})

/** The owner's own repeated accept moves the attempt's life to the session that calls now. */
function acceptAgain(tx: Tx, contract: Contract, ctx: Context): Contract {
  const { agent, session } = ctx.caller
  if (contract.owner !== agent) {
    refuse('CLAIM_LOST', `${contract.owner} has accepted this contract: take another.`, { owner: contract.owner })
  }
  if (contract.session === session) return contract
  const moved = { ...contract, session }
  return change(tx, updated, contract, { session, progressDueAt: progressDueAt(moved, ctx.now) }, ctx)
}

function checkOffered(tx: Tx, contract: Contract, { caller }: Context): void {
  const { assignee, capability } = contract
  if (assignee !== undefined) {
    if (assignee !== caller.agent) refuse('FORBIDDEN', `The contract is for ${assignee}.`, { assignee })
  } else if (capability !== undefined && !capabilitiesOf(tx, caller.agent).includes(capability)) {
    refuse('FORBIDDEN', `The contract is for agents with the capability ${capability}.`, { capability })
  }
}

const capabilitiesOf = (tx: Tx, agent: string): string[] => tx.get(agents, agent)?.capabilities ?? []

function take(tx: Tx, contract: Contract, ctx: Context): Contract {
  const { agent: owner, session } = ctx.caller
  const attempt = contract.attempt + 1
  const attempts = [...contract.attempts, { n: attempt, owner, startedAt: ctx.now }].slice(-limits.attemptsKept)
  const taken = { ...contract, owner, session, status: 'accepted' as const, attempt, attempts, acceptedAt: ctx.now }
  // Evidence is of an attempt: what was shown of the one before shows nothing of this.
  const patch = { ...taken, progressDueAt: progressDueAt(taken, ctx.now), error: undefined, evidence: [] }
  return change(tx, accepted, contract, patch, ctx)
}

export const next = command({
  name: 'contract.next',
  summary: 'Takes the first contract that is ready for the caller, by priority and then age; null when there is none.',
  role: 'agent',
  params: {
    capabilities: z
      .array(capability)
      .max(limits.capabilities)
      .optional()
      .describe("take work for these of the agent's own capabilities; for all of them unless named"),
    tags: z
      .array(z.string().max(limits.nameLength))
      .min(1)
      .max(limits.tags)
      .optional()
      .describe('with any of these tags'),
    waitMs: ms(0, limits.waitMsMax).default(0).describe('wait this long for work to come, ms'),
  },
  result: contractRow.nullable(),
  errors: ['FORBIDDEN'],
  mcp: {
    common: true,
    description:
      'Takes the most urgent contract that you can do; it is yours from then on. Then call contract_start with its id and attempt before you edit anything.',
    whole: true,
  },
  run(tx, { capabilities, tags, waitMs }, ctx) {
    const own = capabilitiesOf(tx, ctx.caller.agent)
    const able = capabilities ?? own
    const lacking = able.filter((name) => !own.includes(name))
    if (lacking.length > 0) {
      const message = 'The agent has not said that it is capable of that: agent.update and session.open tell it.'
      refuse('FORBIDDEN', message, { capabilities: lacking })
    }
    const offers = [`@${ctx.caller.agent}`, ...able.map((name) => `#${name}`), '*']
    const first = firstReady(tx, offers, tags)
    if (first) return take(tx, first, ctx)
    if (waitMs === 0) return null
    return {
      parked: 'run-again',
      exclusive: true,
      waitMs,
      otherwise: () => null,
      wakes({ data: { agent, contract } }) {
        // What the caller can do may have changed, and with it what is offered to it.
        if (agent) return (agent as Agent).agent === ctx.caller.agent
        if (!contract || !isReady(contract as Contract)) return false
        const ready = contract as Contract
        return offers.includes(offeredTo(ready)) && (!tags || ready.tags.some((tag) => tags.includes(tag)))
      },
    }
  },
})

function firstReady(tx: Tx, offers: string[], tags: string[] | undefined): Contract | undefined {
  const keys = tags ?? [undefined]
  const heads = offers.flatMap((offered) =>
    keys.flatMap((key) =>
      tx.find(contracts, {
        where: { ready: 1, offered },
        order: ['-priority'],
        limit: 1,
        ...(key !== undefined && { key: tagKey(key) }),
      }),
    ),
  )
  const rank = (contract: Contract) => contracts.index(contract).priority as number
  return heads.sort((a, b) => rank(b) - rank(a) || (a.id < b.id ? -1 : 1))[0]
}

export const start = command({
  name: 'contract.start',
  summary: 'Begins to work: takes all locks the contract names at once, or waits in line for them.',
  role: 'agent',
  params: {
    contractId: contractIdParam,
    attempt: attemptParam,
    waitMs: ms(0, limits.waitMsMax).default(0).describe('wait this long for the locks, ms'),
    ifGeneration,
  },
  result: z.strictObject({ contract: contractRow, locks: z.array(lockRow) }),
  errors: [
    'NOT_FOUND',
    'STALE_ATTEMPT',
    'INVALID_TRANSITION',
    'FORBIDDEN',
    'GENERATION_MISMATCH',
    'LOCK_CONFLICT',
    'WAIT_TIMEOUT',
    'DEADLOCK',
    'LOCK_LOST',
    'OVERLOADED',
  ],
  mcp: {
    common: true,
    description: 'Begins the work: takes all locks that the contract names, or waits in line for them.',
    lasts: true,
  },
  run(tx, params, ctx) {
    const { contract } = asOwner(tx, params, ctx.caller, ['accepted'])
    if (contract.resources.length === 0) return { contract: begin(tx, contract, [], ctx), locks: [] }
    const { id: contractId, attempt, resources } = contract
    const asked = { holder: ctx.caller.agent, resources, contractId, attempt, starts: true as const }
    const lock = request(tx, asked, params.waitMs, ctx)
    if (lock.state === 'held') return { contract: begin(tx, contract, [lock], ctx), locks: [lock] }
    // When the lock is granted the contract starts in the same command, and says so under its own id.
    const answer = ({ type, data }: Happened) =>
      type === started.type ? ({ contract: data.contract, locks: data.locks } as Started) : undefined
    return awaitGrant(lock, answer, contractId)
  },
})

interface Started {
  contract: Contract
  locks: z.output<typeof lockRow>[]
}

/** The contract is worked on from now. */
export function begin(tx: Tx, contract: Contract, locks: Started['locks'], ctx: Context): Contract {
  const patch = { status: 'working' as const, startedAt: ctx.now, progressDueAt: progressDueAt(contract, ctx.now) }
  return change(tx, started, contract, patch, ctx, { data: { locks } })
}
