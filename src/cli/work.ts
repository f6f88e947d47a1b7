import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { homeOf } from '../config.js'
import type { Worker, WorkerOptions } from '../workers/worker.js'
import { fail } from './exits.js'
import { type Globals, globalsOf, terminalOf, withGlobals } from './globals.js'
import { openSession } from './session.js'
import type { Terminal } from './terminal.js'

const AGENTS = ['codex', 'cursor', 'claude', 'gemini'] as const
/** How long the bridge keeps a worker's attempt when its connection is lost, ms: as long as a daemon takes to restart. */
const GRACE_MS = 60_000
const WORKERS_MAX = 16

interface WorkOptions {
  agent: WorkerOptions['kind']
  name?: string
  cwd?: string
  binary?: string
  model?: string
  capability: string[]
  concurrency: string
  allowCheck: string[]
  checkTimeout: string
  stall: string
  outside: WorkerOptions['outside']
}

const many = (given: string, before: string[]): string[] => [...before, given]

export function addWork(program: Command): void {
  const command = program
    .command('work')
    .description(
      'Has a coding agent do the contracts that are offered to it, until Ctrl-C: takes one, waits for its locks, runs the agent, runs the checks, answers.',
    )
    .addOption(new Option('--agent <kind>', 'the agent to run').choices(AGENTS).makeOptionMandatory())
    .option('--name <agent>', "its name with the bridge; default: the agent's kind")
    .option('--cwd <folder>', 'where it works; default: here')
    .option('--binary <program>', "the agent's program, where it is not on the PATH under its usual name")
    .option('--model <model>', "the agent's own name of a model")
    .option('--capability <name>', 'also take what is offered to agents with this; repeatable', many, [])
    .option('--concurrency <number>', 'so many workers, as NAME, NAME-2 ...: each takes one contract at a time', '1')
    .option('--allow-check <command>', 'a check that contracts may have run here, to the letter; repeatable', many, [])
    .option('--check-timeout <seconds>', 'a check that runs longer has failed', '600')
    .option('--stall <seconds>', 'an agent that prints nothing for so long is ended', '1800')
    .addOption(
      new Option('--outside <what>', 'files that the agent edits and nobody has locked: lock them, or refuse the edit')
        .choices(['acquire', 'refuse', 'allow'])
        .default('acquire'),
    )
    .argument('[arguments...]', "after --: further arguments of the agent's command line")
  withGlobals(command).action((more: string[]) => work(command, more))
}

async function work(command: Command, more: string[]): Promise<void> {
  const terminal = terminalOf(command)
  const globals = globalsOf(command)
  const options = command.opts<WorkOptions>()
  const name = options.name ?? globals.as ?? options.agent
  const count = numberIn(options.concurrency, '--concurrency', WORKERS_MAX)
  const names = Array.from({ length: count }, (_, index) => (index === 0 ? name : `${name}-${index + 1}`))
  const shared = {
    kind: options.agent,
    cwd: resolve(options.cwd ?? process.cwd()),
    binary: options.binary ?? (options.agent === 'cursor' ? 'cursor-agent' : options.agent),
    ...(options.model && { model: options.model }),
    more,
    capabilities: options.capability,
    allowChecks: options.allowCheck,
    checkTimeoutMs: numberIn(options.checkTimeout, '--check-timeout', 86_400) * 1_000,
    stallMs: numberIn(options.stall, '--stall', 604_800) * 1_000,
    outside: options.outside,
    home: homeOf(globals.home, process.env),
  }
  const workers: Worker[] = []
  let stopped = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      stopped = true
      for (const { stop } of workers) stop()
    })
  }
  for (const each of names) workers.push(await begin(globals, { ...shared, name: each }, terminal))
  if (stopped) for (const { stop } of workers) stop()
  const reasons = await Promise.all(workers.map(({ ended }) => ended))
  const reason = reasons.find((why) => why !== undefined)
  if (reason) fail('setup', `${options.agent} cannot work here: ${reason}`)
}

async function begin(globals: Globals, options: WorkerOptions, terminal: Terminal): Promise<Worker> {
  // Only this command needs them.
  const { startWorker } = await import('../workers/worker.js')
  const { kind, name, cwd, capabilities } = options
  const session = { kind, capabilities: [...new Set([kind, ...capabilities])], oneShot: false, graceMs: GRACE_MS }
  const client = await openSession({ ...globals, as: name }, { ...session, ...(cwd !== process.cwd() && { cwd }) })
  const tell = (line: string) =>
    terminal.print(terminal.json ? JSON.stringify({ agent: name, line }) : `${name}: ${line}`)
  try {
    const worker = await startWorker(client, options, tell)
    tell(`waits for work in ${client.session.workspace}. Ctrl-C stops it.`)
    return worker
  } catch (error) {
    await client.close()
    throw error
  }
}

function numberIn(text: string, flag: string, max: number): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 1 && number <= max) return number
  return fail('usage', `${flag} takes a whole number from 1 to ${max}.`)
}
