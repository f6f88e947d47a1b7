import { appendFileSync, readFileSync } from 'node:fs'
import { type Client, connectLocal } from '../../client/node.js'
import { type AgentKind, agentKinds } from '../agents/adapter.js'
import { forbids, type Outside } from '../gate.js'
import { topOf } from '../git.js'
import { auditShell, isPending, noteShell } from './audit.js'
import { allowing, type HookEvent, readEvent, refusing, telling } from './event.js'

// `agent-bridge hook <kind>`: asked by agents before each edit, many times a minute. It is a program of its own, so that no
// more is loaded than it needs. Agents take any end of a hook but 2, and any it does not know, for a yes.

/** What comes after `hook` on the command line. */
interface HookOptions {
  kind: AgentKind
  agent: string
  outside: Outside
  /** What an edit is answered when the bridge cannot be asked. */
  failing: 'closed' | 'open'
  home?: string
}

/** Less than any agent waits for a hook, ms. */
const WITHIN_MS = 8_000
const REFUSED = 2

/** Runs the hook to its end, which is the end of the process. */
export async function runHook(args: readonly string[]): Promise<never> {
  const options = readOptions(args)
  const timer = setTimeout(() => unasked(options, new Error(`no answer within ${WITHIN_MS} ms`)), WITHIN_MS)
  try {
    const event = readEvent(readFileSync(0, 'utf8'))
    const said = await judge(event, options)
    clearTimeout(timer)
    return leave(said ?? allowing(options.kind), 0)
  } catch (error) {
    return unasked(options, error as Error)
  }
}

/** What is to be printed; nothing when the tool may be used. */
async function judge(event: HookEvent, options: HookOptions): Promise<string | undefined> {
  const { kind } = options
  const top = topOf(event.cwd) ?? event.cwd
  // Cursor has no event for what has been done: the last command is looked at before the next tool.
  if (kind === 'cursor' && isPending(top, event)) await reportLast(options, top, event)
  if (!event.past && event.command !== undefined) {
    // Whatever it writes is seen afterwards.
    noteShell(top, event)
    return undefined
  }
  if (event.past && event.command === undefined) return undefined
  if (!event.past && event.paths.length === 0) return undefined
  const client = await open(options, event.cwd)
  try {
    if (event.past) {
      const reason = await auditShell(client, top, event)
      return reason && telling(kind, reason)
    }
    const reason = await forbids({ client, top, outside: options.outside, ...leaseOf(process.env) }, event.paths)
    if (reason === undefined) return undefined
    tellWorker(process.env.AGENT_BRIDGE_REFUSALS, event.paths)
    return refusing(kind, reason)
  } finally {
    await client.close()
  }
}

async function reportLast(options: HookOptions, top: string, event: HookEvent): Promise<void> {
  const client = await open(options, event.cwd)
  await auditShell(client, top, { ...event, command: 'a command before' }).finally(() => client.close())
}

const open = ({ agent, kind, home }: HookOptions, cwd: string): Promise<Client> =>
  connectLocal({ agent, kind, cwd, oneShot: true, reconnect: false, ...(home && { home }) })

/** A worker tells its agent, and so the hook, which attempt it is at. */
function leaseOf({ AGENT_BRIDGE_CONTRACT: contractId, AGENT_BRIDGE_ATTEMPT: attempt }: NodeJS.ProcessEnv) {
  return contractId && attempt ? { lease: { contractId, attempt: Number(attempt) } } : {}
}

/** The worker, if there is one, may not hear of a refusal in any other way. */
function tellWorker(file: string | undefined, paths: readonly string[]): void {
  if (file) appendFileSync(file, paths.map((path) => `${path}\n`).join(''))
}

/** The bridge cannot be asked: it says so, and answers as it was told to for that case. */
function unasked({ failing, kind }: HookOptions, error: Error): never {
  const why = `agent-bridge cannot be asked whether this file is free: ${error.message}`
  if (failing === 'open') {
    process.stderr.write(`${why} The edit is let pass (--fail open).\n`)
    return leave(allowing(kind), 0)
  }
  process.stderr.write(
    `${why} No edits until then (--fail closed): start the daemon with agent-bridge start, or ask the user to take the hook away with agent-bridge hooks uninstall ${kind}.\n`,
  )
  return leave('', REFUSED)
}

function leave(said: string, code: number): never {
  if (said !== '') process.stdout.write(`${said}\n`)
  process.exit(code)
}

function readOptions([kind = '', ...args]: readonly string[]): HookOptions {
  const after = (flag: string) => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined)
  if (!isKind(kind)) {
    process.stderr.write(`agent-bridge hook takes one of ${agentKinds.join(', ')}.\n`)
    return process.exit(REFUSED)
  }
  const home = after('--home')
  return {
    kind,
    agent: process.env.AGENT_BRIDGE_AGENT || after('--as') || kind,
    outside: (after('--outside') as Outside | undefined) ?? 'allow',
    failing: after('--fail') === 'open' ? 'open' : 'closed',
    ...(home && { home }),
  }
}

const isKind = (text: string): text is AgentKind => (agentKinds as readonly string[]).includes(text)
