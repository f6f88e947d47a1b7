import type { Milestone, StepState } from './agents/adapter.js'

/** Longest words of the agent that are told, characters. */
const TEXT_TOLD = 300

const brief = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > TEXT_TOLD ? `${line.slice(0, TEXT_TOLD - 1)}…` : line
}

const VERBS: Record<StepState, string> = { begun: '', done: ' (done)', failed: ' (failed)', refused: ' (refused)' }

/** What is told to the bridge of a milestone; undefined for what is not worth a line. `name` shortens a path. */
export function noteOf(milestone: Milestone, name: (path: string) => string): string | undefined {
  switch (milestone.kind) {
    case 'session':
      return `session ${milestone.id}`
    case 'said':
      return milestone.text.trim() ? `says: ${brief(milestone.text)}` : undefined
    case 'edit':
      // The end of an edit follows its beginning at once.
      if (milestone.state === 'begun') return undefined
      return `edits ${milestone.paths.map(name).join(', ')}${milestone.state === 'done' ? '' : VERBS[milestone.state]}`
    case 'command': {
      const code = milestone.exitCode === undefined ? '' : ` (exit ${milestone.exitCode})`
      return `runs ${brief(milestone.command)}${milestone.state === 'refused' ? VERBS.refused : code || VERBS[milestone.state]}`
    }
    case 'tool':
      return milestone.state === 'begun'
        ? undefined
        : `calls ${milestone.name}${milestone.state === 'done' ? '' : VERBS[milestone.state]}`
    case 'warning':
      return milestone.text.trim() ? `warning: ${brief(milestone.text)}` : undefined
    case 'thought':
      return undefined
  }
}

/** Gathers notes and gives them out together, at most once in `everyMs`: none is lost, and the log is not filled. */
export function createNotes(tell: (text: string) => void, everyMs: number, lengthMax: number) {
  let gathered: string[] = []
  let timer: NodeJS.Timeout | undefined

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (gathered.length === 0) return
    const text = gathered.join('\n')
    gathered = []
    tell(text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text)
  }

  return {
    add(note: string) {
      if (gathered.at(-1) !== note) gathered.push(note)
      timer ??= setTimeout(flush, everyMs)
    },
    flush,
  }
}
