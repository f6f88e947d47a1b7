import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { until, within } from './socket.js'

// The command line as a process of its own.

const ENTRY = join(import.meta.dirname, 'fixtures', 'cli.ts')
/** tsx from where it is installed: the command may run in any folder. */
const RUNTIME = ['--import', import.meta.resolve('tsx'), ENTRY]

export interface RunOptions {
  home: string
  cwd?: string
  env?: NodeJS.ProcessEnv
}

export interface Run {
  child: ChildProcess
  stdout(): string
  stderr(): string
  /** The exit code, or the signal that ended it. */
  ended: Promise<number | string>
  /** Waits for text on either stream. */
  says(text: string | RegExp): Promise<void>
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<number | string>
}

/** Only what the test says: no colour, daemon or name of whoever runs it. */
function environment({ home, env }: RunOptions): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(AGENT_BRIDGE_|FORCE_COLOR|NO_COLOR|COLUMNS)/.test(name),
  )
  return { ...Object.fromEntries(inherited), AGENT_BRIDGE_HOME: home, ...env }
}

/** Starts a command. */
export function begin(args: string[], options: RunOptions): Run {
  return follow(
    spawn(process.execPath, [...RUNTIME, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(options),
      ...(options.cwd && { cwd: options.cwd }),
    }),
  )
}

/** Whether there is script(1), which makes a terminal for a command. */
export const hasTerminals = (): boolean => spawnSync('script', ['--version']).error === undefined

/** The same on a terminal; both streams come out as one. */
export function beginOnTerminal(args: string[], options: RunOptions): Run {
  const words = [process.execPath, ...RUNTIME, ...args]
  const quoted = words.map((word) => `'${word}'`).join(' ')
  // Of util-linux, and of BSD.
  const own = process.platform === 'linux' ? ['-qec', quoted, '/dev/null'] : ['-q', '/dev/null', ...words]
  return follow(
    spawn('script', own, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...environment(options), TERM: 'xterm' } }),
  )
}

function follow(child: ChildProcess): Run {
  let [stdout, stderr] = ['', '']
  child.stdout?.on('data', (chunk) => (stdout += chunk))
  child.stderr?.on('data', (chunk) => (stderr += chunk))
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'))
  })
  const run: Run = {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    async says(text) {
      const said = () => (typeof text === 'string' ? (stdout + stderr).includes(text) : text.test(stdout + stderr))
      await until(() => said() || child.exitCode !== null, `${text}`)
      if (!said()) throw new Error(`it ended (${child.exitCode}) without saying ${text}: ${stdout}${stderr}`)
    },
    end(signal = 'SIGTERM') {
      child.kill(signal)
      return within(ended, 'the command to end')
    },
  }
  return run
}

export interface Result {
  code: number | string
  stdout: string
  stderr: string
}

/** Runs a command to its end. */
export async function run(args: string[], options: RunOptions): Promise<Result> {
  const { ended, stdout, stderr } = begin(args, options)
  const code = await within(ended, `${args.join(' ')} to end`)
  return { code, stdout: stdout(), stderr: stderr() }
}
