import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { constants } from 'node:os'
import { basename } from 'node:path'
import type { Command } from 'commander'
import { CallError, type Client, type ResultOf, type State, type StateDetail } from '../client/node.js'
import { patternOf } from '../client/paths.js'
import { exits, fail } from './exits.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { openSession, refusalInFlags } from './session.js'
import type { Terminal } from './terminal.js'

/** How long the bridge is waited for when the command has ended and its locks are to be given back, ms. */
const RELEASE_WITHIN_MS = 10_000

interface RunOptions {
  lock: string[]
  shared: string[]
  waitMs: string
  reason?: string
}

const many = (given: string, before: string[]): string[] => [...before, given]

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .description(
      `Takes locks, runs a command under them, and gives them back: exits as the command does. When a lock is lost the command is ended, with ${exits.lost.code}.`,
    )
    .option('--lock <what>', 'a file, a folder, a glob, or a resource such as port:3000, alone; repeatable', many, [])
    .option('--shared <what>', 'the same, shared with others who share it; repeatable', many, [])
    .option('--wait-ms <number>', 'wait this long for the locks, ms', '0')
    .option('--reason <text>', 'told to those whom it keeps waiting; default: the name of the command')
    .argument('<command...>', 'the command and its arguments; after -- where that could be mistaken')
    .passThroughOptions()
    .addHelpText('after', note)
  withGlobals(command).action((words: string[]) => run(command, words))
}

const note = `
Locks of one name never exclude each other: run two that are to take turns under two names, with --as.`

async function run(command: Command, words: string[]): Promise<void> {
  const terminal = terminalOf(command)
  const { lock, shared, waitMs, reason = `runs ${basename(words[0] ?? '')}` } = command.opts<RunOptions>()
  const cwd = process.cwd()
  const resources = [
    ...lock.map((what) => ({ resource: patternOf(what, cwd), mode: 'exclusive' as const })),
    ...shared.map((what) => ({ resource: patternOf(what, cwd), mode: 'shared' as const })),
  ]
  if (resources.length === 0) fail('usage', 'run needs --lock or --shared: what to lock while the command runs.')
  if (!/^\d+$/.test(waitMs)) fail('usage', '--wait-ms takes a whole number.')
  let renewed = () => {}
  const onState = (state: State, { resumed }: StateDetail) => {
    if (state === 'open' && resumed === false) renewed()
  }
  const client = await openSession(globalsOf(command), { oneShot: false, onState })
  try {
    const asked = { resources, waitMs: Number(waitMs), reason }
    const held = await untilSignal(client, refusalInFlags('lock.acquire', client.call('lock.acquire', asked)))
    const watch = watchLock(client, held)
    renewed = watch.doubt
    process.exitCode = await under(client, held, words, watch.lost, terminal)
  } finally {
    await client.close()
  }
}

/** Who waits for a lock and is told to end ends, and its place in the queue goes with its socket. */
async function untilSignal<Value>(client: Client, work: Promise<Value>): Promise<Value> {
  const end = (_name: NodeJS.Signals, number: number) => void client.close().finally(() => process.exit(128 + number))
  for (const name of SIGNALS) process.once(name, end)
  try {
    return await work
  } finally {
    for (const name of SIGNALS) process.off(name, end)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

type Lock = ResultOf<'lock.acquire'>

/** `lost` settles, with why, once the lock is not held any more, or nobody can tell. */
function watchLock(client: Client, lock: Lock): { lost: Promise<string>; doubt(): void } {
  let doubt = () => {}
  const lost = new Promise<string>((resolve) => {
    doubt = () => resolve('the daemon had given up the session')
    follow(client, lock).then(resolve, (error: Error) => resolve(error.message))
  })
  return { lost, doubt: () => doubt() }
}

async function follow(client: Client, { lockId, token }: Lock): Promise<string> {
  const types = ['lock.lost', 'lock.expired', 'lock.broken']
  const stream = client.events({ types, mine: true })
  // What happened before the stream began shows in the row.
  const check = client.call('lock.renew', { lockId, token: token ?? 0 }).catch((error: unknown) => {
    if (error instanceof CallError) stream.close()
  })
  for await (const { subject, type, data } of stream) {
    if (subject !== lockId) continue
    return type === 'lock.broken' ? 'an admin broke it' : `${type}${data.reason ? `, ${data.reason}` : ''}`
  }
  await check
  return 'it is not held any more'
}

/** Runs the command to its end, or ends it when the lock is lost. Gives the exit code. */
async function under(
  client: Client,
  lock: Lock,
  words: string[],
  lost: Promise<string>,
  terminal: Terminal,
): Promise<number> {
  // Only this command needs it.
  const [{ endTree, MARK }, { leash }] = await Promise.all([
    import('../workers/tree.js'),
    import('../workers/process.js'),
  ])
  // Behind the mark of a run around this one, which ends what is in it.
  const runId = `${process.env[MARK] ?? 'run'}.${randomUUID()}`
  const [program = '', ...args] = words
  // Killed, this process tells the command nothing, and the bridge gives its locks to others after a while.
  const release = leash(runId)
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, [MARK]: runId } })
  const forward = (name: NodeJS.Signals) => {
    // A terminal has told the command itself already.
    if (name === 'SIGTERM' || !process.stdin.isTTY) child.kill(name)
  }
  for (const name of SIGNALS) process.on(name, forward)
  const ended = endOf(child, program).finally(release)
  const first = await Promise.race([ended, lost])
  if (typeof first === 'string') {
    terminal.tell(`The lock was lost (${first}): ending ${basename(program)}.`)
    await endTree(runId)
    await ended
    return exits.lost.code
  }
  const { lockId, token = 0 } = lock
  try {
    await client.call('lock.release', { lockId, token }, { timeoutMs: RELEASE_WITHIN_MS })
    return first
  } catch (error) {
    if (error instanceof CallError) {
      terminal.tell(`The lock was lost before ${basename(program)} had ended: ${error.message}`)
      return exits.lost.code
    }
    terminal.tell('The daemon is away: the locks are given back when it has given up this session.')
    return first
  }
}

/** As a shell would put it. */
function endOf(child: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return
      process.stderr.write(`${program} cannot be run: ${error.code}\n`)
      if (error.code === 'ENOENT') resolve(127)
      else if (error.code === 'EACCES') resolve(126)
      else reject(error)
    })
    child.once('exit', (code, name) => resolve(code ?? 128 + (name ? constants.signals[name] : 0)))
  })
}
