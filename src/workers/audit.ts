import { covers, overlaps, type Pattern, parseResource } from '../bridge/resources/resources.js'
import type { Client, Event } from '../client/node.js'
import { fileResource } from './names.js'
import type { Contract } from './prompt.js'

type Claim = Contract['resources'][number]

/** The locks of a workspace while an attempt runs: what shell commands wrote is held against them afterwards. */
export interface LockWatch {
  heard(event: Event): void
  /** The changed files that nobody had locked at any time since, and those that the agent itself had. */
  sort(paths: readonly string[]): { own: string[]; others: string[]; nobodys: string[] }
}

interface Held {
  lockId: string
  holder: string
  resources: Claim[]
}

/** Begins to watch with the locks held now. `stream` events of `lock.acquired` are to be told to `heard`. */
export async function watchLocks(client: Client, agent: string): Promise<LockWatch> {
  const held = new Map<string, Held>()
  let page: string | undefined
  do {
    const { items, nextPage } = await client.call('lock.list', { state: 'held', ...(page && { page }) })
    for (const lock of items) held.set(lock.lockId, lock)
    page = nextPage
  } while (page !== undefined)
  return {
    heard(event) {
      const lock = event.data.lock as Held | null
      if (event.type === 'lock.acquired' && lock) held.set(lock.lockId, lock)
    },
    sort(paths) {
      const patterns = [...held.values()].map(({ holder, resources }) => ({
        holder,
        claims: resources.filter(({ mode }) => mode === 'exclusive').map(read),
      }))
      const sorted = { own: [] as string[], others: [] as string[], nobodys: [] as string[] }
      for (const path of paths) {
        const file = parseResource(fileResource(path), true)
        const holders = patterns.filter(({ claims }) =>
          claims.some((claim) => covers(claim, file) || overlaps(claim, file)),
        )
        if (holders.some(({ holder }) => holder === agent)) sorted.own.push(path)
        else if (holders.length > 0) sorted.others.push(path)
        else sorted.nobodys.push(path)
      }
      return sorted
    },
  }
}

const read = ({ resource, literal }: Claim): Pattern => parseResource(resource, literal)
