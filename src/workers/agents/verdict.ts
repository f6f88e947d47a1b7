import type { Exit } from '../process.js'
import type { Fault, Verdict } from './adapter.js'

// Exit codes do not tell success: an agent may end with 0 after an interrupt, and with refusals. A turn has succeeded when
// its stream ended with a word of success and the program ended well; else what it said tells whether to try again.

/** What agents and their model servers say when they cannot go on, and what is to be done about it. */
const FAULTS: ReadonlyArray<[pattern: RegExp, fault: Omit<Fault, 'message'>]> = [
  [/\b401\b|unauthori[sz]ed|not logged in|authenticat|invalid api key|api key|log ?in\b/i, fatal('NOT_LOGGED_IN')],
  [/quota|billing|usage.?limit|insufficient|credit balance|spend/i, fatal('QUOTA')],
  [
    /context.?(window|length)|maximum context|prompt is too long|too many tokens/i,
    { ...passing('CONTEXT_OVERFLOW'), fresh: true },
  ],
  [/\b429\b|rate.?limit|too many requests/i, passing('RATE_LIMITED')],
  [
    /\b5\d\d\b|overloaded|server.?error|unavailable|stream|disconnect|reconnect|ECONN|network|timed? ?out/i,
    passing('UNAVAILABLE'),
  ],
  [
    /(model|deployment).{0,80}(not.?(found|exist|supported|available)|does not exist|unknown|invalid)|unknown model/i,
    fatal('MODEL_UNKNOWN'),
  ],
]

function passing(reason: string): Omit<Fault, 'message'> {
  return { reason, retryable: true }
}

function fatal(reason: string): Omit<Fault, 'message'> {
  return { reason, retryable: false, fatal: true }
}

const MESSAGE_LENGTH = 1_000

/** Reads what an agent says went wrong; `kind` is the typed error, where the agent gives one. */
export function faultOf(text: string, kind = ''): Verdict {
  const message = text.trim().slice(0, MESSAGE_LENGTH) || kind || 'The agent failed and did not say why.'
  const found = FAULTS.find(([pattern]) => pattern.test(kind)) ?? FAULTS.find(([pattern]) => pattern.test(text))
  return { done: false, message, ...(found?.[1] ?? passing('AGENT_FAILED')) }
}

/**
 * The verdict where the stream had no last word: the program is missing, was wrongly called, or was killed. A program
 * that ended by itself without a word of its stream never began.
 */
export function silentEnd(exit: Exit, spoke: boolean): Verdict {
  if (exit.missing) {
    return {
      done: false,
      reason: 'AGENT_MISSING',
      message: `The agent cannot be started (${exit.missing}).`,
      retryable: true,
      fatal: true,
    }
  }
  const said = exit.stderr.slice(-MESSAGE_LENGTH)
  const how = exit.signal ?? `exit code ${exit.code}`
  if (exit.signal === null && exit.code !== 0 && said !== '') return faultOf(said)
  const message = spoke ? `The agent ended in the middle (${how}).` : `The agent ended before it began (${how}).`
  return { done: false, reason: 'AGENT_CRASHED', message: said ? `${message} ${said}` : message, retryable: true }
}

/** Success in the stream counts only with an exit code of 0. */
export const succeeded = (exit: Exit): Verdict =>
  exit.code === 0
    ? { done: true }
    : {
        done: false,
        reason: 'AGENT_CRASHED',
        message: `The agent said it was done, and ended with ${exit.signal ?? `exit code ${exit.code}`}.`,
        retryable: true,
      }
