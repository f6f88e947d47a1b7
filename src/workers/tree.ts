import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

// Agents start commands in sessions and process groups of their own, and leave them running when they are killed: a
// signal to the agent, or to its group, misses them. All of them inherit the environment, so each run is marked there.

/** The variable that marks every process of a run. */
export const MARK = 'AGENT_BRIDGE_RUN_ID'

const LOOK_EVERY_MS = 50
/** How long a process may take to end on SIGTERM, ms. */
const TERM_WITHIN_MS = 2_000

/** A living process of a run. */
export interface Marked {
  pid: number
  /** The run's whole id. */
  run: string
}

/** The living processes whose mark begins so: of one run, or of all that have the beginning of their ids in common. */
export const marked = (prefix: string): Marked[] =>
  (process.platform === 'linux' ? entriesOfProc() : entriesOfPs()).flatMap(([pid, environment]) => {
    const at = environment.indexOf(`${MARK}=${prefix}`)
    if (at < 0 || pid === process.pid) return []
    const run = /^[^\0\s]*/.exec(environment.slice(at + MARK.length + 1))?.[0] ?? prefix
    return [{ pid, run }]
  })

function entriesOfProc(): Array<[pid: number, environment: string]> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map((pid) => [Number(pid), environmentOf(pid)])
}

/** Empty for a process of another user, for one that has ended, and for one that is only waited for by its parent. */
function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}

/** Of BSD: `-E` shows the environment behind the command, of the user's own processes. */
function entriesOfPs(): Array<[pid: number, environment: string]> {
  const lines = execFileSync('ps', ['-axEww', '-o', 'pid=,command='], { encoding: 'utf8', maxBuffer: PS_BYTES })
  return lines.split('\n').map((line) => [Number.parseInt(line, 10), line])
}

const PS_BYTES = 64 * 1024 * 1024

/** False when there is no such process any more. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

/**
 * Ends every process of a run: politely first, then not. Settles only when none is left, however long that takes; `late`
 * is told of those that do not even end on SIGKILL.
 */
export async function endTree(prefix: string, late: (pids: number[]) => void = () => {}): Promise<void> {
  const politeUntilMs = performance.now() + TERM_WITHIN_MS
  let asked: ReadonlySet<number> = new Set()
  let told = false
  for (;;) {
    const pids = marked(prefix).map(({ pid }) => pid)
    if (pids.length === 0) return
    const nowMs = performance.now()
    const polite = nowMs < politeUntilMs
    // What was started since the last look has not been asked yet.
    for (const pid of pids) if (!polite || !asked.has(pid)) signal(pid, polite ? 'SIGTERM' : 'SIGKILL')
    asked = new Set(pids)
    if (!told && nowMs > politeUntilMs + TERM_WITHIN_MS) {
      told = true
      late(pids)
    }
    await pause(LOOK_EVERY_MS)
  }
}
