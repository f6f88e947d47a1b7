import { refuse } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import type { Readers } from '../protocol/method.js'
import type { Clock, Store } from './ports.js'

/** The durable readers of a workspace, with the way to write what has changed. */
export interface KeptReaders extends Readers {
  /** Has it written at the next turn, and not only within the second. */
  flush(): void
}

/**
 * Acknowledgements come as often as events do, so they are kept in memory and written at most once a second, without an
 * event. A crash may take back that second: what was acknowledged in it is told once more.
 */
export function createReaders(store: Store, clock: Clock, write: (act: () => void) => void): KeptReaders {
  const agents = new Map<string, Map<string, string>>()
  for (const { agent, name, cursor } of store.readers()) namesOf(agent).set(name, cursor)
  const changed = new Map<string, { agent: string; name: string }>()
  let stopTimer: (() => void) | undefined

  function namesOf(agent: string): Map<string, string> {
    const names = agents.get(agent) ?? new Map<string, string>()
    agents.set(agent, names)
    return names
  }

  function note(agent: string, name: string): void {
    changed.set(`${agent} ${name}`, { agent, name })
    stopTimer ??= clock.after(limits.readerMs, flush)
  }

  function flush(): void {
    stopTimer?.()
    stopTimer = undefined
    if (changed.size === 0) return
    const readers = [...changed.values()].map(({ agent, name }) => ({
      agent,
      name,
      cursor: agents.get(agent)?.get(name),
    }))
    changed.clear()
    write(() => {
      for (const reader of readers) store.putReader(reader)
    })
  }

  return {
    at: (agent, name) => agents.get(agent)?.get(name),
    move(agent, name, cursor) {
      const names = namesOf(agent)
      if (!names.has(name) && names.size >= limits.agentReaders) {
        refuse(
          'OVERLOADED',
          `An agent has at most ${limits.agentReaders} durable names: forget one with event.unsubscribe.`,
        )
      }
      if (names.get(name) === cursor) return
      names.set(name, cursor)
      note(agent, name)
    },
    forget(agent, name) {
      if (agents.get(agent)?.delete(name)) note(agent, name)
    },
    flush,
  }
}
