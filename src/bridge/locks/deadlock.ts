import { limits } from '../../protocol/limits.js'
import type { Read } from '../../protocol/method.js'
import { obstaclesOf, type Request } from './conflict.js'
import { locks } from './row.js'

/**
 * The circle that would close if this request waited: its asker, then whom each waits for. A name is one worker, so an
 * agent that waits gives nothing back meanwhile. Looks no further than `limits.deadlockSteps`, claims and obstacles
 * counted: what it did not find ends with the time-out of a wait.
 *
 * Only a request that begins to wait can close a circle: a grant is made where nobody waits, or within what its holder
 * has already, and whatever else happens takes away reasons to wait.
 */
export function circleOf(read: Read, request: Request): string[] | undefined {
  const { holder } = request
  // Nobody waits for who holds nothing and waits for nothing. Most are such.
  if (read.find(locks, { where: { holder }, limit: 1 }).length === 0) return undefined
  const waitedForBy = new Map<string, string>()
  const line = [holder]
  let steps = 0
  for (const agent of line) {
    const waiting = agent === holder ? [request] : read.find(locks, { where: { holder: agent, state: 'waiting' } })
    for (const lock of waiting) {
      const obstacles = obstaclesOf(read, lock, { states: ['held', 'waiting'] })
      for (const { lock: obstacle } of obstacles) {
        if (obstacle.holder === holder) return pathTo(agent, waitedForBy)
        if (waitedForBy.has(obstacle.holder)) continue
        waitedForBy.set(obstacle.holder, agent)
        line.push(obstacle.holder)
      }
      steps += lock.resources.length + obstacles.length
      if (steps > limits.deadlockSteps) return undefined
    }
  }
  return undefined
}

function pathTo(last: string, waitedForBy: ReadonlyMap<string, string>): string[] {
  const path: string[] = []
  for (let agent: string | undefined = last; agent !== undefined; agent = waitedForBy.get(agent)) path.unshift(agent)
  return path
}
