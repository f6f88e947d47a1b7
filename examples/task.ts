// What the two example agents work on, and how each of them writes down what it does.

import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where the run's files are; the agents are told by their environment, as they would be anywhere. */
export interface Run {
  /** The repository both work on. */
  repository: string
  /** The daemon's home, where its address and token are found. */
  home: string
  /** Where each agent writes its log. */
  logs: string
}

export const run: Run = {
  repository: process.env.EXAMPLE_REPOSITORY ?? process.cwd(),
  home: process.env.AGENT_BRIDGE_HOME ?? '',
  logs: process.env.EXAMPLE_LOGS ?? process.cwd(),
}

export const CHECK = 'unit tests'
export const CHECK_COMMAND = 'node --test test/slug.test.mjs'

/** The contract the Cursor side offers. */
export const contract = {
  title: 'Write slugify(text) with a test',
  description:
    'src/slug.mjs exports slugify(text): lower case, words joined by "-", nothing but a-z, 0-9 and "-". ' +
    'test/slug.test.mjs shows it, and passes under node --test.',
  priority: 'high' as const,
  tags: ['demo'],
  resources: [{ resource: 'file:src/**' }, { resource: 'file:test/slug.test.mjs' }],
  checks: [{ name: CHECK, command: CHECK_COMMAND }],
  retryBackoffMs: 200,
  metadata: { branch: 'main', requestedIn: 'cursor' },
}

/** A log of its own for each agent: one line of JSON a step. */
export function createLog(agent: string): (step: string, facts?: object) => void {
  const file = join(run.logs, `${agent}.jsonl`)
  return (step, facts = {}) =>
    appendFileSync(file, `${JSON.stringify({ at: new Date().toISOString(), agent, step, ...facts })}\n`)
}
