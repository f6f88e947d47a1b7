import { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { command, type Tx } from '../../protocol/method.js'
import { find as findContract } from '../contracts/change.js'
import { id, note } from '../fields.js'
import { obstaclesOf, ownCover } from './conflict.js'
import type { Lock } from './row.js'
import * as row from './row.js'

export const report = command({
  name: 'lock.report',
  summary:
    'Tells of files that the caller, or a command it ran, has changed outside of its locks. Their holders hear of it; nothing is undone.',
  role: 'agent',
  params: {
    resources: z
      .array(row.claim.shape.resource)
      .min(1)
      .max(limits.lockResources)
      .describe('`file:<path>`, to the letter'),
    contractId: id.optional().describe('what the caller was at'),
    note: note.optional().describe('how it came to it'),
  },
  result: z.strictObject({
    held: z.array(z.strictObject({ resource: z.string(), holder: z.string(), lockId: z.string() })),
    unlocked: z.array(z.string()).describe('what nobody had locked'),
  }),
  errors: ['BAD_RESOURCE', 'NOT_FOUND'],
  run(tx, { resources, contractId, note }, ctx) {
    const by = ctx.caller.agent
    const about = contractId === undefined ? undefined : findContract(tx, contractId)
    const outside = [...new Set(resources)].filter((resource) => !isOwn(tx, by, resource))
    const against = outside.map((resource) => ({ resource, lock: holderOf(tx, by, resource) }))
    const unlocked = against.filter(({ lock }) => lock === undefined).map(({ resource }) => resource)
    const data = { by, note }
    const locks = new Map(against.flatMap(({ lock }) => (lock ? [[lock.lockId, lock]] : [])))
    for (const lock of locks.values()) {
      const broken = against.filter((entry) => entry.lock?.lockId === lock.lockId).map(({ resource }) => resource)
      tx.tell(row.violated, lock.lockId, {
        contractId: lock.contractId,
        to: [lock.holder],
        data: { ...data, holder: lock.holder, resources: broken },
      })
    }
    if (unlocked.length > 0) {
      const beside = {
        contractId: about?.id,
        to: about ? [about.createdBy] : [],
        data: { ...data, resources: unlocked },
      }
      tx.tell(row.violated, by, beside)
    }
    const held = against.flatMap(({ resource, lock }) =>
      lock ? [{ resource, holder: lock.holder, lockId: lock.lockId }] : [],
    )
    return { held, unlocked }
  },
})

const claimOf = (resource: string) => {
  if (!resource.startsWith('file:')) refuse('BAD_RESOURCE', 'Only files can be changed: name them as file:<path>.')
  return { resource, mode: 'exclusive' as const, literal: true }
}

const isOwn = (tx: Tx, agent: string, resource: string): boolean => ownCover(tx, agent, claimOf(resource)) !== undefined

const holderOf = (tx: Tx, agent: string, resource: string): Lock | undefined =>
  obstaclesOf(tx, { holder: agent, resources: [claimOf(resource)] }, { states: ['held'], limit: 1 })[0]?.lock
