import { distance } from 'fastest-levenshtein'
import { limits } from '../../protocol/limits.js'
import type { Read } from '../../protocol/method.js'
import { agents } from './row.js'

/** Names of agents that are written nearly like one that nobody has, the nearest first. */
export function nearNames(read: Read, name: string): string[] {
  const reach = Math.max(2, Math.floor(name.length / 3))
  return read
    .find(agents, { limit: limits.pageItemsMax })
    .map(({ agent }) => ({ agent, apart: distance(name, agent) }))
    .filter(({ agent, apart }) => apart <= reach || agent.startsWith(name) || name.startsWith(agent))
    .sort((a, b) => a.apart - b.apart || (a.agent < b.agent ? -1 : 1))
    .slice(0, limits.nearNames)
    .map(({ agent }) => agent)
}
