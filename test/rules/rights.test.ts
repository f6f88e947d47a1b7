import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contractNoun } from '../../src/bridge/contracts/contracts.js'
import type { Reason } from '../../src/protocol/errors.js'
import { type Actor, refused, scenario, type World } from '../world.js'

// Every verb of contracts with everyone who could call it, and with every two things that can be wrong with a call.

const checks = [{ name: 'tests', command: 'npm test' }]
const evidence = [{ check: 'tests', command: 'npm test', exitCode: 0 }]
const error = { reason: 'NO', message: 'no', retryable: false }
const requests = [{ key: 'branch', prompt: 'On which branch?' }]

type Stage = 'submitted' | 'accepted' | 'working' | 'asked' | 'stopping' | 'failed' | 'completed'

/** cursor gave it to codex, whose first attempt got this far. */
async function bring(world: World, stage: Stage, terms: Record<string, unknown> = {}): Promise<string> {
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const offered = { title: 'a task', assignee: 'codex', checks, ...terms }
  const { id: contractId } = (await cursor.ask('contract.create', offered)) as { id: string }
  if (stage === 'submitted') return contractId
  const own = { contractId, attempt: 1 }
  await codex.call('contract.accept', { contractId })
  if (stage === 'accepted') return contractId
  await codex.call('contract.start', own)
  if (stage === 'asked') await codex.call('contract.requestInput', { ...own, requests })
  else if (stage === 'stopping') await cursor.call('contract.cancel', { contractId })
  else if (stage === 'failed') await codex.call('contract.fail', { ...own, error })
  else if (stage === 'completed') await codex.call('contract.complete', { ...own, evidence })
  return contractId
}

/** What a verb needs to succeed, and how each thing that it can be refused for is brought about. */
interface Spec {
  /** Where it may be called, and where not although the attempt named is open. */
  from: Stage
  notFrom?: Stage
  params?: Record<string, unknown>
  attempt?: true
  by: 'owner' | 'creator' | 'answerer' | 'verifier' | 'assignee'
  /** Terms under which it is refused for this, and anything else that has to be so. */
  hinders?: { terms?: Record<string, unknown>; params?: Record<string, unknown>; reason: Reason; locked?: true }
}

const verbs: Record<string, Spec> = {
  accept: {
    from: 'submitted',
    notFrom: 'completed',
    by: 'assignee',
    hinders: { terms: { notBefore: '2031-01-01T00:00:00.000Z' }, reason: 'NOT_READY' },
  },
  start: {
    from: 'accepted',
    notFrom: 'working',
    attempt: true,
    by: 'owner',
    hinders: { terms: { resources: [{ resource: 'port:1' }] }, reason: 'LOCK_CONFLICT', locked: true },
  },
  update: { from: 'working', attempt: true, by: 'owner', params: { progress: 0.5 } },
  requestInput: { from: 'working', notFrom: 'accepted', attempt: true, by: 'owner', params: { requests } },
  provideInput: { from: 'asked', notFrom: 'working', by: 'answerer', params: { responses: { branch: 'main' } } },
  complete: {
    from: 'working',
    notFrom: 'accepted',
    attempt: true,
    by: 'owner',
    params: { evidence },
    hinders: { params: { evidence: [] }, reason: 'CHECKS_FAILED' },
  },
  verify: { from: 'working', notFrom: 'completed', by: 'verifier', params: { evidence } },
  fail: { from: 'working', attempt: true, by: 'owner', params: { error } },
  release: { from: 'working', attempt: true, by: 'owner' },
  acknowledgeCancel: { from: 'stopping', notFrom: 'working', attempt: true, by: 'owner' },
  cancel: { from: 'submitted', notFrom: 'completed', by: 'creator' },
  retry: { from: 'failed', notFrom: 'working', by: 'creator' },
  reject: { from: 'submitted', notFrom: 'working', by: 'assignee' },
}
/** The same verb in another's hands. */
const terms: Spec = { from: 'working', notFrom: 'completed', by: 'creator', params: { priority: 'high' } }

const everyone = {
  'the creator': (world) => world.as('cursor'),
  'the owner, or who is to be': (world) => world.as('codex'),
  'the owner as an admin': (world) => world.as('codex', { role: 'admin' }),
  'another agent': (world) => world.as('gemini'),
  'an admin': (world) => world.as('operator', { role: 'admin' }),
  'the creator as an observer': (world) => world.as('cursor', { role: 'observer' }),
} satisfies Record<string, (world: World) => Actor>

type Who = keyof typeof everyone

const allowed: Record<Spec['by'], readonly Who[]> = {
  owner: ['the owner, or who is to be', 'the owner as an admin'],
  assignee: ['the owner, or who is to be', 'the owner as an admin'],
  creator: ['the creator', 'an admin', 'the owner as an admin'],
  answerer: ['the creator', 'an admin'],
  verifier: ['the creator', 'another agent', 'an admin'],
}

const who = suite('contracts: who may call each verb')

for (const [name, spec] of [...Object.entries(verbs), ['update', terms] as const]) {
  scenario(who, `${name}, by the ${spec.by}`, async (world) => {
    for (const [one, actorIn] of Object.entries(everyone) as Array<[Who, (world: World) => Actor]>) {
      const contractId = await bring(world, spec.from)
      const actor = actorIn(world)
      await actor.opened
      const head = world.head()
      const call = actor.ask(`contract.${name}`, { contractId, ...(spec.attempt && { attempt: 1 }), ...spec.params })
      if (allowed[spec.by].includes(one)) {
        await call
        assert.ok(world.head() > head, `${one} may, and something changes`)
      } else {
        await refused(call, 'FORBIDDEN')
        assert.is(world.head(), head, `${one} may not, and nothing changes`)
      }
    }
  })
}

scenario(who, 'create, next and what only reads', async (world) => {
  const contractId = await bring(world, 'submitted')
  for (const [one, actorIn] of Object.entries(everyone)) {
    const actor = actorIn(world)
    for (const verb of ['get', 'history']) await actor.ask(`contract.${verb}`, { contractId })
    await actor.call('contract.list', {})
    const making = [actor.call('contract.create', { title: 'a task' }), actor.call('contract.next', { tags: ['none'] })]
    for (const call of making) {
      if (one === 'the creator as an observer') await refused(call, 'FORBIDDEN')
      else await call
    }
  }
})

who.run()

const order = suite('contracts: the order of refusals, for each verb')

const faults = ['role', 'unknown', 'stale', 'claim', 'status', 'stranger', 'generation', 'hindered'] as const
type Fault = (typeof faults)[number]

const reasons: Record<Exclude<Fault, 'hindered'>, Reason> = {
  role: 'FORBIDDEN',
  unknown: 'NOT_FOUND',
  stale: 'STALE_ATTEMPT',
  claim: 'CLAIM_LOST',
  status: 'INVALID_TRANSITION',
  stranger: 'FORBIDDEN',
  generation: 'GENERATION_MISMATCH',
}

const canHave = (name: string, spec: Spec, fault: Fault): boolean =>
  ({
    role: true,
    unknown: true,
    stale: spec.attempt === true || name === 'verify',
    claim: name === 'accept',
    status: spec.notFrom !== undefined,
    // Who may not verify is the owner, and nobody is a stranger to it.
    stranger: true,
    generation: true,
    hindered: spec.hinders !== undefined,
  })[fault]

/** Calls the verb with these things wrong with it, and no others. */
async function callWith(world: World, name: string, spec: Spec, wrong: readonly Fault[]): Promise<unknown> {
  const has = (fault: Fault) => wrong.includes(fault)
  const hinders = has('hindered') ? spec.hinders : undefined
  const stage = has('claim') ? 'working' : has('status') ? spec.notFrom! : spec.from
  if (hinders?.locked) await world.as('claude').call('lock.acquire', { resources: [{ resource: 'port:1' }] })
  // A start that is to be hindered cannot have started: where the status is wrong it has nothing to be hindered by.
  const named = stage === spec.from ? hinders?.terms : undefined
  const contractId = await bring(world, stage, named)
  const right = { owner: 'codex', assignee: 'codex', creator: 'cursor', answerer: 'cursor', verifier: 'gemini' }[
    spec.by
  ]
  const stranger = spec.by === 'verifier' ? 'codex' : 'stranger'
  const agent = has('stranger') || has('claim') ? stranger : right
  const actor = world.as(agent, { role: has('role') ? 'observer' : 'agent' })
  const call = actor.ask(`contract.${name}`, {
    ...spec.params,
    ...hinders?.params,
    contractId: has('unknown') ? 'ctr_none' : contractId,
    ...((spec.attempt || has('stale')) && { attempt: has('stale') ? 7 : 1 }),
    ...(has('generation') && { ifGeneration: 99 }),
  })
  return call
}

for (const [name, spec] of Object.entries({ ...verbs, "the creator's update": terms })) {
  const verb = name.includes(' ') ? 'update' : name
  scenario(order, name, async (world) => {
    const possible = faults.filter((fault) => canHave(verb, spec, fault))
    for (const first of possible) {
      for (const second of possible.slice(possible.indexOf(first))) {
        if (spec.by === 'creator' && verb === 'update' && second === 'stale') continue
        const reason = first === 'hindered' ? spec.hinders!.reason : reasons[first]
        const head = world.head()
        const call = callWith(world, verb, spec, [first, second])
        const refusal = await refused(call, reason).catch((cause: Error) => {
          throw new Error(`${verb} with ${first} and ${second}: ${cause.message}`)
        })
        // By role is refused at the door, in other words than a stranger is.
        assert.is(/role/.test(refusal.message), first === 'role', `${first} and ${second}: ${refusal.message}`)
        assert.ok(world.head() >= head)
      }
    }
    if (spec.hinders?.locked) return
    await callWith(world, verb, spec, [])
  })
}

order('no verb is left out', () => {
  const elsewhere = ['create', 'get', 'list', 'history', 'next', 'setStatus']
  const all = contractNoun.methods.map((method) => method.name.replace('contract.', ''))
  assert.equal(
    all.filter((name) => !(name in verbs) && !elsewhere.includes(name)),
    [],
  )
})

order.run()
