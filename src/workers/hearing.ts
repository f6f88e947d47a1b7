import type { Milestone } from './agents/adapter.js'

/** What is remembered of all that an agent said in an attempt. */
export interface Hearing {
  /** The agent's own name for its session. */
  session?: string
  /** Its last words. */
  message: string
  edited: Set<string>
  /** Paths and commands. */
  refused: Set<string>
}

export const createHearing = (): Hearing => ({ message: '', edited: new Set(), refused: new Set() })

/** `name` is what a path is called in the repository. */
export function hear(hearing: Hearing, milestone: Milestone, name: (path: string) => string): void {
  if (milestone.kind === 'session') hearing.session = milestone.id
  if (milestone.kind === 'said' && milestone.text.trim() !== '') hearing.message = milestone.text.trim()
  if (milestone.kind === 'command' && milestone.state === 'refused') hearing.refused.add(milestone.command)
  if (milestone.kind !== 'edit') return
  const set = { done: hearing.edited, refused: hearing.refused, begun: undefined, failed: undefined }[milestone.state]
  for (const path of milestone.paths) set?.add(name(path))
}
