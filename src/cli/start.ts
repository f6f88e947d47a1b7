import { type Command, Option } from 'commander'
import { type Config, homeOf, readConfig } from '../config.js'
import type { Daemon } from '../daemon.js'
import { product } from '../protocol/version.js'
import { fail } from './exits.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { quote, selfWords } from './self.js'
import type { Paint } from './text.js'

interface StartOptions {
  host?: string
  port?: string
  insecure?: boolean
  logLevel?: string
  retainDays?: string
  retainEvents?: string
  retainBytes?: string
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** A terminal tells the whole process group of Ctrl-C, and `npm start` then tells its child once more. */
const SAME_SIGNAL_MS = 500

export function addStart(program: Command): void {
  const command = program
    .command('start')
    .description('Starts the daemon, in the foreground; SIGTERM or Ctrl-C ends it in good order, a second one at once.')
    .option('--host <address>', 'listen here; default: 127.0.0.1')
    .option('--port <number>', 'default: 7420; 0 takes any free one (AGENT_BRIDGE_PORT)')
    .option('--insecure', 'accept an address that is not loopback: tokens and data then travel in the clear')
    .option('--retain-days <number>', 'keep events so long; default: 30, at least 1 (AGENT_BRIDGE_RETAIN_DAYS)')
    .option('--retain-events <number>', 'keep the last so many; default: 5000000 (AGENT_BRIDGE_RETAIN_EVENTS)')
    .option(
      '--retain-bytes <number>',
      'above so many bytes the oldest events go, however young (AGENT_BRIDGE_RETAIN_BYTES)',
    )
    .addOption(
      new Option('--log-level <level>', 'default: info, or warn on a terminal (AGENT_BRIDGE_LOG)').choices(LEVELS),
    )
  withGlobals(command).action(() => start(command))
}

async function start(command: Command): Promise<void> {
  const terminal = terminalOf(command)
  const { home } = globalsOf(command)
  const options = command.opts<StartOptions>()
  const { env } = process
  const logLevel = options.logLevel ?? env.AGENT_BRIDGE_LOG ?? (process.stderr.isTTY ? 'warn' : 'info')
  if (!LEVELS.includes(logLevel)) fail('usage', `AGENT_BRIDGE_LOG is one of ${LEVELS.join(', ')}.`)
  const daemon = await launch(readConfig({ ...options, home, logLevel }, env))
  const { url, http, tokenFile } = daemon
  const facts = { pid: process.pid, version: product.version, url, http, home: daemon.home, tokenFile }
  // Before it is announced: whoever reads that it runs may end it at once.
  const ended = stopped(daemon)
  terminal.print(terminal.json ? JSON.stringify(facts) : introduce(daemon, terminal.page.paint))
  await ended
  if (!terminal.json) terminal.print('The daemon has stopped.')
}

/** @throws SetupError; Failure for what the system itself refused */
async function launch(config: Config): Promise<Daemon> {
  // Only this command needs the store, and loading it takes longer than most others run.
  const { startDaemon } = await import('../daemon.js')
  try {
    return await startDaemon(config)
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error
    return fail('setup', `The daemon cannot start: ${error.message}.`)
  }
}

/** Settles once the daemon was told to stop, and has. */
function stopped(daemon: Daemon): Promise<void> {
  return new Promise((resolve, reject) => {
    let toldMs: number | undefined
    const tell = (_signal: NodeJS.Signals, number: number) => {
      const nowMs = performance.now()
      if (toldMs === undefined) daemon.stop().then(resolve, reject)
      else if (nowMs - toldMs > SAME_SIGNAL_MS) process.exit(128 + number)
      toldMs ??= nowMs
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, tell)
  })
}

function introduce({ url, http, home, tokenFile }: Daemon, paint: Paint): string[] {
  const other = home === homeOf(undefined, {}) ? '' : ` --home ${quote(home)}`
  const type = (rest: string) => `  ${paint('cyan', `${selfWords().map(quote).join(' ')} ${rest}${other}`)}`
  return [
    `${paint('bold', `${product.name} ${product.version}`)} listens on ${paint('bold', url)}`,
    `  http   ${http}`,
    `  data   ${home}`,
    `  token  ${tokenFile}`,
    '',
    'In another terminal, in your repository:',
    type('watch --after earliest'),
    type("contract create --title 'Say hello' --resource file:hello.txt"),
    type('contract list'),
    type('status'),
    'Ctrl-C stops it.',
  ]
}
