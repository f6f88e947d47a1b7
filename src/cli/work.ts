import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { homeOf } from '../config.js'
import type { Worker, WorkerOptions } from '../workers/worker.js'
import { fail } from './exits.js'
import { environmentOf, type Globals, globalsOf, terminalOf, withGlobals } from './globals.js'
import { quote, selfCommand } from './self.js'
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
  worktree?: boolean
  answerMessages?: boolean
  plain?: boolean
  hooks: boolean
  mcp: boolean
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
    .option('--worktree', 'each contract in a work tree, and on a branch, of its own; what is done is committed there')
    .option(
      '--answer-messages',
      'a message to the agent while it has no task begins a turn, and what it says last is the answer',
    )
    .option('--plain', 'one prompt in and a stream out, where codex and claude could be spoken with meanwhile')
    .option('--no-hooks', "do not have the agent's edits asked about beforehand")
    .option('--no-mcp', "do not give the agent the bridge's tools")
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
    worktree: options.worktree ?? false,
    plain: options.plain ?? false,
    answerMessages: options.answerMessages ?? false,
    capabilities: options.capability,
    allowChecks: options.allowCheck,
    checkTimeoutMs: numberIn(options.checkTimeout, '--check-timeout', 86_400) * 1_000,
    stallMs: numberIn(options.stall, '--stall', 604_800) * 1_000,
    outside: options.outside,
    bridge: {},
    ...toolsOf(options),
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

/** What the agent is given to call: this program, as it was called itself. */
function toolsOf({ agent, hooks, mcp }: WorkOptions) {
  const [program = '', ...args] = selfCommand()
  return {
    // Any end but 2 would be a yes.
    ...(hooks && {
      hook: (outside: WorkerOptions['outside']) =>
        `${selfCommand().map(quote).join(' ')} hook ${agent} --outside ${outside} || exit 2`,
    }),
    ...(mcp && { mcp: { command: program, args: [...args, 'mcp'], env: [] } }),
  }
}

async function begin(globals: Globals, options: WorkerOptions, terminal: Terminal): Promise<Worker> {
  // Only this command needs them.
  const { startWorker } = await import('../workers/worker.js')
  const { kind, name, cwd, capabilities } = options
  const own = await ownToken(globals, name, cwd)
  const session = { kind, capabilities: [...new Set([kind, ...capabilities])], oneShot: false, graceMs: GRACE_MS }
  const client = await openSession({ ...globals, as: name }, { ...session, cwd, env: own.env })
  const tell = (line: string) =>
    terminal.print(terminal.json ? JSON.stringify({ agent: name, line }) : `${name}: ${line}`)
  try {
    const worker = await startWorker(client, { ...options, bridge: bridgeIn(own.env) }, tell)
    tell(`waits for work in ${client.session.workspace}. Ctrl-C stops it.`)
    return { ...worker, ended: worker.ended.finally(own.revoke) }
  } catch (error) {
    await client.close()
    await own.revoke()
    throw error
  }
}

/**
 * The environment with a token of the agent's own in the place of the operator's, which no agent is to have. It is good as
 * long as the worker lives. Whoever starts the worker with an agent's token has nothing better to give it.
 */
async function ownToken(globals: Globals, agent: string, cwd: string) {
  const { AGENT_BRIDGE_TOKEN: _operators, ...rest } = environmentOf(globals)
  const operator = () => openSession(globals, { cwd, reconnect: false })
  const client = await operator()
  try {
    const { workspace } = client.session
    if (client.session.role !== 'admin') return { env: environmentOf(globals), revoke: async () => {} }
    const { tokenId, token } = await client.call('token.create', { agent })
    const revoke = async () => {
      // A daemon that has gone has the token still, and it can be revoked by hand: agent-bridge token list.
      const again = await operator().catch(() => undefined)
      await again?.call('token.revoke', { tokenId }).catch(() => {})
      await again?.close()
    }
    return { env: { ...rest, AGENT_BRIDGE_WORKSPACE: workspace, AGENT_BRIDGE_TOKEN: token }, revoke }
  } finally {
    await client.close()
  }
}

/** The part of an environment that is about the bridge, for the agent's own. */
function bridgeIn(env: NodeJS.ProcessEnv): Record<string, string> {
  const { AGENT_BRIDGE_HOME: home, AGENT_BRIDGE_URL: url, AGENT_BRIDGE_TOKEN: token } = env
  const given = { AGENT_BRIDGE_HOME: homeOf(home, env), AGENT_BRIDGE_URL: url, AGENT_BRIDGE_TOKEN: token }
  return Object.fromEntries(Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function numberIn(text: string, flag: string, max: number): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 1 && number <= max) return number
  return fail('usage', `${flag} takes a whole number from 1 to ${max}.`)
}
