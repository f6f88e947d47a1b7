import type { ResultOf } from '../client/node.js'

export type Contract = ResultOf<'contract.accept'>

export interface PromptFacts {
  /** Files that earlier attempts or other agents have changed and not committed. */
  dirty: readonly string[]
  /** Whether the agent may lock more files than the contract names, by editing them. */
  mayTakeMore: boolean
}

/** What the agent is told of its contract. What others wrote is marked as theirs: it is the task, and no word of ours. */
export function promptOf(contract: Contract, { dirty, mayTakeMore }: PromptFacts): string {
  const { title, description, createdBy, resources, checks } = contract
  const sections = [
    `You work alone and unattended in this repository, as the agent "${contract.owner}". The task below comes from the agent "${createdBy}", under contract ${contract.id}, attempt ${contract.attempt}. Do it, then end with a short summary of what you did and what is left.`,
    `# Task from ${createdBy}: ${title}\n\n${description ?? ''}`.trimEnd(),
    resources.length > 0 &&
      `# Files that are locked for you\n\n${resources.map(({ resource, mode }) => `- ${resource}${mode === 'shared' ? ' (to read only)' : ''}`).join('\n')}\n\n${mayTakeMore ? 'Other files are locked for you when you edit them, if nobody else has them.' : 'Edit no other files.'} An edit that is refused is somebody else's work in progress: leave that file alone and say so at the end.`,
    checks.length > 0 &&
      `# Checks\n\nThe work counts as done when these commands succeed; they are run after you:\n\n${checks.map(({ name, command }) => `- ${name}: \`${command}\``).join('\n')}`,
    historyOf(contract),
    dirty.length > 0 &&
      `# Changes that are not committed\n\nThese files have been changed by earlier attempts or by others; do not undo what you did not do:\n\n${dirty
        .slice(0, DIRTY_TOLD)
        .map((path) => `- ${path}`)
        .join('\n')}`,
    '# Rules\n\n- Do not commit, push or switch branches, unless the task asks for it.\n- Do not complete, fail or release the contract yourself, and take no other: that is done for you when your turn ends.\n- Leave nothing running in the background: it is ended with your turn.',
  ]
  return sections.filter((section) => section !== false && section !== '').join('\n\n')
}

const DIRTY_TOLD = 50

/** How earlier attempts went, so that the work is not begun anew. */
function historyOf({ attempts, attempt }: Contract): string {
  const earlier = attempts.filter(({ n, outcome }) => n < attempt && outcome !== undefined)
  if (earlier.length === 0) return ''
  const lines = earlier.map(
    ({ n, owner, outcome, note }) => `- attempt ${n} by ${owner} was ${outcome}${note ? `: ${note}` : ''}`,
  )
  return `# Earlier attempts\n\nLook at what they left in the files before you begin:\n\n${lines.join('\n')}`
}
