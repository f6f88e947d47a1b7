import type { ParamsOf } from '../bridge/index.js'
import { headOf } from './git.js'
import { start } from './process.js'
import type { Contract } from './prompt.js'
import { endTree } from './tree.js'

export type Evidence = NonNullable<ParamsOf<'contract.complete'>['evidence']>[number]
type Check = Contract['checks'][number]

/** The exit code that stands for "did not end in time"; that of timeout(1). */
const TIMED_OUT = 124

/** The checks that are for the owner to run; others are for another agent. */
export const ownChecks = ({ checks }: Contract): Check[] => checks.filter(({ verifier }) => verifier === undefined)

/** The checks that the worker was not told to run: a peer's contract does not choose what runs here. */
export const notAllowed = (contract: Contract, allowed: readonly string[]): Check[] =>
  ownChecks(contract).filter(({ command }) => !allowed.includes(command))

export interface CheckSetting {
  cwd: string
  runId: string
  env: NodeJS.ProcessEnv
  /** ms */
  timeLimitMs: number
}

/** Runs the checks, one after the other, and tells how each went. Nothing that they started is left running. */
export async function runChecks(checks: readonly Check[], setting: CheckSetting): Promise<Evidence[]> {
  const found: Evidence[] = []
  for (const check of checks) found.push(await runCheck(check, setting))
  return found
}

async function runCheck({ name, command }: Check, { cwd, runId, env, timeLimitMs }: CheckSetting): Promise<Evidence> {
  const lines: string[] = []
  const keep = (line: string) => {
    lines.push(line)
    if (lines.length > LINES_KEPT) lines.shift()
  }
  // Both streams as one, as on a terminal.
  const args = ['-c', `exec 2>&1\n${command}`]
  let late = false
  const running = start({ runId, command: 'sh', args, cwd, env, input: '' }, keep, () => {})
  const timer = setTimeout(() => {
    late = true
    // It has no turn to end in good order.
    void endTree(runId)
  }, timeLimitMs)
  const exit = await running.ended
  clearTimeout(timer)
  await running.sweep()
  if (late) keep(`(stopped: it had not ended within ${Math.round(timeLimitMs / 1_000)} s)`)
  const head = headOf(cwd)
  const exitCode = late ? TIMED_OUT : (exit.code ?? 1)
  return { check: name, command, exitCode, output: lines.join('\n').slice(-OUTPUT_LENGTH), ...(head && { head }) }
}

const LINES_KEPT = 200
/** With as many checks as a contract may have, their tails still fit it, characters. */
const OUTPUT_LENGTH = 500
