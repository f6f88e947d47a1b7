import { type Command, Option } from 'commander'
import { BridgeError } from '../../protocol/errors.js'
import type { Profile } from '../../server/mcp/index.js'
import { environmentOf, globalsOf, withGlobals } from '../globals.js'
import { createSeat } from './seat.js'

interface ServeOptions {
  agent?: string
  kind?: string
  capability?: string[]
  profile: Profile
  cwd?: string
}

/** Signals by which clients end their servers. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function addServe(program: Command): Command {
  const command = program
    .command('mcp')
    .description(
      'Serves the bridge to an agent as MCP tools, on standard input and output. Agents start it themselves: mcp install writes it into their configuration.',
    )
    .option(
      '--agent <name>',
      'act under this name (the same as --as); default: one by kind that is free, such as codex',
    )
    .option('--kind <kind>', 'what sort of agent, such as codex; default: as the client calls itself')
    .option('--capability <capability>', 'what it can do; repeatable', (given: string, before: string[] = []) => [
      ...before,
      given,
    ])
    .addOption(
      new Option('--profile <profile>', 'the tools: a dozen, or one for every method')
        .choices(['default', 'full'])
        .default('default'),
    )
    .option('--cwd <folder>', 'the folder whose repository is meant; default: the current one')
  return withGlobals(command).action(() => serve(command))
}

async function serve(command: Command): Promise<void> {
  const { agent, kind, capability, profile, cwd } = command.opts<ServeOptions>()
  const globals = globalsOf(command)
  const env = environmentOf(globals)
  const name = agent ?? globals.as ?? (env.AGENT_BRIDGE_AGENT || undefined)
  // Only this command needs the packages that speak MCP.
  const room = await import('../../server/mcp/index.js')
  const own = createSeat(
    {
      env,
      agent: name,
      ...(globals.home && { home: globals.home }),
      ...(kind && { kind }),
      ...(capability && { capabilities: capability }),
      // A client that should have filled in a folder, and does not know how, leaves the words for it.
      ...(cwd && !cwd.includes('$') && { cwd }),
    },
    room,
  )
  const tell = (error: Error) => void process.stderr.write(`agent-bridge mcp: ${error.message}\n`)
  const server = room.serveTools(
    {
      profile,
      fault(error) {
        tell(error instanceof Error ? error : new Error(String(error)))
        return new BridgeError('INTERNAL', 'A fault of agent-bridge mcp: its standard error has the details.')
      },
      seat: own.seat,
      // Somebody means to use the tools: from here on the others see that the agent is here.
      listed: (client) => void own.seat(client).then(({ port }) => port.call('bridge.status', {}).catch(tell)),
    },
    tell,
  )
  if (process.stdin.isTTY)
    tell(new Error('agents start this, and speak MCP with it; mcp install tells them to. Ctrl-C ends it.'))
  await ended()
  await Promise.allSettled([server.close(), own.leave()])
  process.exit(0)
}

/** The client closed its end, or told the process to end. */
function ended(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once('end', resolve)
    process.stdin.once('close', resolve)
    for (const signal of ENDING) process.once(signal, () => resolve())
  })
}
