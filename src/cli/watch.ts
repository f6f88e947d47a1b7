import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { CallError, type Client, ConnectionError, type EventStream, type State } from '../client/node.js'
import { formatEvent } from './events.js'
import { type Globals, globalsOf, terminalOf, withGlobals } from './globals.js'
import { openSession } from './session.js'
import type { Terminal } from './terminal.js'
import { printableJson } from './text.js'

interface WatchOptions {
  after?: string
  types?: string[]
  topics?: string[]
  contract?: string
  mine?: boolean
}

/** How often a daemon is looked for that has not started yet. */
const LOOK_EVERY_MS = 300

const list = (given: string, before: string[] = []): string[] => [...before, ...given.split(',')]

export function addWatch(program: Command): void {
  const command = program
    .command('watch')
    .description(
      'Follows the stream, one event a line, until Ctrl-C. Waits for a daemon that is not there yet, and goes on by itself where it was when one has been restarted.',
    )
    .option('--after <cursor>', 'from here: earliest, latest or a cursor; default: latest')
    .option('--type, --types <type>', 'only these, such as contract.completed or lock.*; repeatable, or a,b', list)
    .option('--topic, --topics <topic>', 'only messages to these, such as tasks.>; repeatable, or a,b', list)
    .option('--contract <contract-id>', 'only what concerns this contract')
    .option('--mine', 'only what concerns the agent named with --as')
  withGlobals(command).action(() => watch(command))
}

async function watch(command: Command): Promise<void> {
  const terminal = terminalOf(command)
  // Nothing is lost by leaving at once: the session is one on which nothing hangs.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0))
  const { after, types, topics, contract: contractId, mine } = command.opts<WatchOptions>()
  const progress = createProgress(terminal)
  const client = await openPatiently(globalsOf(command), terminal, progress.onState)
  const stream = client.events({
    ...definedOf({ after, types, topics, contractId, mine }),
    onCaughtUp: () => terminal.tell(`Up to date with ${client.session.workspace}: what follows is live. Ctrl-C ends.`),
  })
  progress.follow(stream)
  const { page, json } = terminal
  try {
    for await (const event of stream) {
      terminal.print(json ? printableJson(event) : formatEvent({ ...event }, page.paint))
    }
  } finally {
    await client.close()
  }
}

const definedOf = <Fields extends object>(fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields

/** Tells when the daemon has gone, once, and when it is back. */
function createProgress(terminal: Terminal): { onState(state: State): void; follow(stream: EventStream): void } {
  let stream: EventStream | undefined
  let away = false
  return {
    follow(given) {
      stream = given
    },
    onState(state) {
      if (state === 'waiting' && !away) {
        away = true
        terminal.tell('The daemon has gone: waiting for it.')
      } else if (state === 'open' && away) {
        away = false
        terminal.tell(`The daemon is back: going on after ${stream?.cursor ?? 'the end'}.`)
      }
    },
  }
}

/** Connects, now or when a daemon has been started. */
async function openPatiently(globals: Globals, terminal: Terminal, onState: (state: State) => void): Promise<Client> {
  for (let told = false; ; told = true) {
    try {
      return await openSession(globals, { onState })
    } catch (error) {
      const passes = error instanceof ConnectionError || (error instanceof CallError && error.retry)
      if (!passes) throw error
      if (!told) terminal.tell(`${error.message} Waiting for it.`)
      await pause(LOOK_EVERY_MS)
    }
  }
}
