import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createLines } from './lines.js'
import { endTree, MARK, signal } from './tree.js'

/** How long an agent may take to end on each step of being stopped, ms. */
const STEP_MS = 5_000
/** How long a stream may stay open when its process has ended: what the process left behind may hold it for ever. */
const DRAIN_MS = 500
/** Of what the agent printed for people, only the end is kept, characters. */
const STDERR_KEPT = 8_192

export interface Program {
  /** Marks every process of the run. */
  runId: string
  command: string
  args: readonly string[]
  cwd: string
  env: NodeJS.ProcessEnv
  /** Written to standard input, which is then closed. */
  input?: string | undefined
}

/** How a process ended. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
  /** The end of its standard error. */
  stderr: string
  /** It could not be started: `ENOENT`, `EACCES` ... */
  missing?: string
}

export interface Running {
  /** The process has ended, and what it printed has been heard. What it started may still run. */
  ended: Promise<Exit>
  send(text: string): void
  finish(): void
  /** SIGINT, SIGTERM, SIGKILL, until the process has ended. `ask` comes first: the agent's own way to be interrupted. */
  stop(ask?: () => void): Promise<void>
  /** Ends whatever the run has left; settles when the whole tree is dead. */
  sweep(late?: (pids: number[]) => void): Promise<void>
}

/** Starts a program whose output is heard line by line. `alive` is called for every sign of life. */
export function start(program: Program, hear: (line: string) => void, alive: () => void): Running {
  const { runId, command, args, cwd, input } = program
  const env = { ...program.env, [MARK]: runId }
  const child = spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const release = leash(runId)
  // An agent that ends before it has read its input is told of by its exit.
  child.stdin.on('error', () => {})
  if (input !== undefined) child.stdin.end(input)
  const lines = createLines(hear)
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    alive()
    lines.push(chunk)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    alive()
    stderr = (stderr + chunk).slice(-STDERR_KEPT)
  })
  const ended = endOf(child).then((exit) => {
    lines.flush()
    return { ...exit, stderr: stderr.trim() }
  })
  return {
    ended,
    send: (text) => void (child.stdin.writable && child.stdin.write(text)),
    finish: () => void child.stdin.end(),
    async stop(ask) {
      const steps = [ask, ...(['SIGINT', 'SIGTERM', 'SIGKILL'] as const).map((name) => () => void kill(child, name))]
      for (const step of steps) {
        if (!step) continue
        step()
        if (await settledWithin(ended, STEP_MS)) return
      }
      await ended
    },
    async sweep(late) {
      await ended
      await endTree(runId, late)
      release()
    },
  }
}

const kill = ({ pid }: ChildProcess, name: NodeJS.Signals): boolean => pid !== undefined && signal(pid, name)

type End = Omit<Exit, 'stderr'>

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, missing: error.code ?? error.message })
    })
    child.once('close', (code, signal) => resolve({ code, signal }))
    child.once('exit', (code, signal) => {
      setTimeout(() => {
        child.stdout?.destroy()
        child.stderr?.destroy()
        resolve({ code, signal })
      }, DRAIN_MS).unref()
    })
  })
}

async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = new AbortController()
  const settled = await Promise.race([
    promise.then(() => true),
    pause(ms, false, { signal: late.signal }).catch(() => false),
  ])
  late.abort()
  return settled
}

/** Ends the run should this process be killed. Gives a way to let go. */
export function leash(runId: string): () => void {
  const file = join(import.meta.dirname, import.meta.filename.endsWith('.ts') ? 'leash.ts' : 'leash.js')
  const guard = spawn(process.execPath, [...process.execArgv, file, runId], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.on('error', () => {})
  guard.stdin.on('error', () => {})
  guard.unref()
  return () => guard.kill('SIGKILL')
}
