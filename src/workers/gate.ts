import { quoted } from '../bridge/fields.js'
import { CallError, type Client, type ResultOf } from '../client/node.js'
import { pathIn } from '../client/paths.js'
import { limits } from '../protocol/limits.js'
import { fileResource } from './names.js'

// May this agent write here? Asked before an edit by hooks, and by drivers whose agents ask for leave.

/** A file that nobody has locked: taken for the agent, refused, or let pass. */
export type Outside = 'acquire' | 'refuse' | 'allow'

export interface Gate {
  client: Client
  /** The top folder of the work tree. */
  top: string
  outside: Outside
  /** The attempt to which locks are taken; without one they are taken for a while, from the last edit on. */
  lease?: { contractId: string; attempt: number }
}

/** How long a file stays locked that was taken by an edit for no contract, ms. */
const LEASE_MS = 30 * 60_000

/** Why these paths may not be written; undefined when they may. Files outside of the repository are nobody's. @throws CallError, ConnectionError */
export async function forbids(
  { client, top, outside, lease }: Gate,
  paths: readonly string[],
): Promise<string | undefined> {
  const names = [...new Set(paths.flatMap((path) => pathIn(top, path) ?? []))]
  for (let at = 0; at < names.length; at += limits.lockResources) {
    const resources = names.slice(at, at + limits.lockResources).map(fileResource)
    const { allowed, mine, heldBy } = await client.call('lock.check', { resources })
    if (!allowed) return refusalOf(heldBy, resources)
    if (mine && outside === 'acquire' && !lease) await renew(client, resources)
    if (mine || outside === 'allow') continue
    const denied = await take(client, resources, outside, lease)
    if (denied) return denied
  }
  return undefined
}

async function take(
  client: Client,
  resources: string[],
  outside: Outside,
  lease: Gate['lease'],
): Promise<string | undefined> {
  if (outside === 'refuse') {
    return `${told(resources)} is not among the files that are locked for you (agent-bridge). Edit only those, or lock it first: agent-bridge lock acquire --resource '${resources[0]}'.`
  }
  try {
    const claims = resources.map((resource) => ({ resource, literal: true }))
    const terms = lease ?? { ttlMs: LEASE_MS }
    await client.call('lock.acquire', { resources: claims, reason: 'taken by an edit', ...terms })
    return undefined
  } catch (error) {
    if (error instanceof CallError && error.reason === 'LOCK_CONFLICT') return `${told(resources)}: ${error.message}`
    throw error
  }
}

/** Gives the agent's own timed locks on these files their whole time again. */
async function renew(client: Client, resources: readonly string[]): Promise<void> {
  const { items } = await client.call('lock.list', { holder: client.agent, state: 'held' })
  const timed = items.filter(
    ({ ttlMs, resources: held }) => ttlMs !== undefined && held.some(({ resource }) => resources.includes(resource)),
  )
  for (const { lockId, token = 0 } of timed) await client.call('lock.renew', { lockId, token })
}

type HeldBy = ResultOf<'lock.check'>['heldBy']

/** Names who holds it, for what, since when, and what to do. */
function refusalOf(lock: HeldBy, resources: readonly string[]): string {
  if (!lock) return `${told(resources)} is locked by another agent (agent-bridge).`
  const { holder, state, contractId, acquiredAt, requestedAt, reason } = lock
  if (state === 'cooling') return cooled(lock, resources)
  const ageMs = Math.max(0, Date.now() - Date.parse(acquiredAt ?? requestedAt))
  const work = contractId ? ` for contract ${contractId}` : ''
  return [
    `${told(resources)} is locked by ${holder}${work}, for ${briefAge(ageMs)} now (agent-bridge).`,
    ...(reason ? [`Its reason, as ${holder} put it: ${quoted(reason)}.`] : []),
    `Leave it alone and do what else there is; say at the end what could not be done. To get it, ask ${holder}: agent-bridge message publish --to ${holder} --text '...'.`,
  ].join(' ')
}

/** Nobody has it any more, so there is nobody to ask: it is only a matter of moments. */
const cooled = ({ holder, expiresAt }: NonNullable<HeldBy>, resources: readonly string[]): string =>
  `${told(resources)} is still shut: ${holder} has lost its lock on it, and may be in the midst of a write (agent-bridge). It is free${expiresAt ? ` at ${expiresAt}` : ' in a moment'}: go on with something else, and try again then.`

const told = (resources: readonly string[]): string => {
  const names = resources.map((resource) => resource.replace(/^file:/, ''))
  return names.length > 3
    ? `One of ${names.slice(0, 3).join(', ')} ...`
    : names.length > 1
      ? `One of ${names.join(', ')}`
      : names.join('')
}

function briefAge(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  if (seconds < 120) return `${seconds} s`
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`
}
