import { CallError, ConnectionError } from '../client/node.js'
import { SetupError } from '../protocol/errors.js'
import { type Exit, exits, Failure } from './exits.js'
import { formatBlock, type Page } from './show.js'
import { createPaint, isColoured, printable, printableJson, printableLines } from './text.js'

/** Columns taken where the terminal, if there is one, does not say how many it has. */
const WIDTH = 120

/** Where a command writes: answers to standard output, everything else to standard error. */
export interface Terminal {
  json: boolean
  page: Page
  print(lines: string | readonly string[]): void
  /** For people, beside the answer: how things go. */
  tell(line: string): void
  /** Tells what went wrong, and which code the process should end with. */
  report(error: unknown): number
}

export function openTerminal({ json = false, color = true }: { json?: boolean; color?: boolean }): Terminal {
  const { stdout, stderr, env } = process
  const width = stdout.columns || Number(env.COLUMNS) || WIDTH
  const errorPage = { width, paint: createPaint(isColoured(stderr, env, color)) }
  return {
    json,
    page: { width, paint: createPaint(isColoured(stdout, env, color)) },
    print: (lines) => {
      for (const line of typeof lines === 'string' ? [lines] : lines) stdout.write(`${line}\n`)
    },
    tell: (line) => void stderr.write(`${errorPage.paint('dim', printable(line))}\n`),
    report(error) {
      const told = explain(error)
      const { reason, message, facts } = told
      if (json) stderr.write(`${printableJson({ error: { reason, message, ...facts } })}\n`)
      else stderr.write(`${formatError(told, errorPage).join('\n')}\n`)
      return exits[told.exit].code
    },
  }
}

interface Told {
  exit: Exit
  reason: string
  message: string
  facts: Record<string, unknown>
}

function explain(error: unknown): Told {
  if (error instanceof CallError) {
    const { reason: _reason, ...facts } = error.data
    return { exit: 'refused', reason: error.reason, message: error.message, facts }
  }
  const exit = exitOf(error)
  if (exit) return { exit, reason: exit.toUpperCase(), message: (error as Error).message, facts: {} }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { exit: 'fault', reason: 'FAULT', message, facts: {} }
}

function exitOf(error: unknown): Exit | undefined {
  if (error instanceof Failure) return error.exit
  if (error instanceof ConnectionError) return 'unreachable'
  return error instanceof SetupError ? 'setup' : undefined
}

function formatError({ exit, reason, message, facts }: Told, page: Page): string[] {
  // A stack has lines of its own; any other message is one line, whatever is in it.
  const text = exit === 'fault' ? printableLines(message).join('\n') : printable(message)
  const label = page.paint('red', exit === 'refused' ? reason : 'error')
  return [`${label}: ${text}`, ...formatBlock(facts, { ...page, width: page.width - 2 }).map((line) => `  ${line}`)]
}
