import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { fail } from './exits.js'
import { openTerminal, type Terminal } from './terminal.js'

/** Options that every command takes. */
export interface Globals {
  home?: string
  url?: string
  tokenFile?: string
  workspace?: string
  as?: string
  json?: boolean
  color: boolean
}

const globalOptions = (): Option[] => [
  new Option('--home <folder>', "the daemon's folder (AGENT_BRIDGE_HOME)"),
  new Option('--url <url>', 'a daemon elsewhere, ws://host:port/ws (AGENT_BRIDGE_URL)'),
  new Option('--token-file <file>', 'a file with the token for --url (or AGENT_BRIDGE_TOKEN)'),
  new Option('--workspace <name>', "default: the repository's own, from the current folder (AGENT_BRIDGE_WORKSPACE)"),
  new Option('--as <agent>', "act as this agent (AGENT_BRIDGE_AGENT); default: the token's own, or human"),
  new Option('--json', 'answers as JSON on standard output, errors as JSON on standard error'),
  new Option('--no-color', 'plain text on a terminal too (NO_COLOR)'),
]

/** Adds the options; `shown` false keeps them out of the help of a command that is only a step to others. */
export function withGlobals(command: Command, shown = true): Command {
  for (const option of globalOptions()) {
    if (!shown) option.hideHelp()
    command.addOption(option.helpGroup('Global options:'))
  }
  return command
}

/** The options given anywhere on the way to the command; the nearest to it wins. */
export function globalsOf(command: Command): Globals {
  const path: Command[] = []
  for (let at: Command | null = command; at; at = at.parent) path.unshift(at)
  const levels = path.map((level) => level.opts<Globals>())
  return { ...Object.assign({}, ...levels), color: levels.every(({ color }) => color !== false) }
}

export const terminalOf = (command: Command): Terminal => openTerminal(globalsOf(command))

/** The environment as the options change it: what was said on the command line wins. */
export function environmentOf({ home, url, tokenFile, workspace }: Globals): NodeJS.ProcessEnv {
  const env = { ...process.env }
  if (home !== undefined) {
    // Another daemon than the one that the environment names, and so another token.
    delete env.AGENT_BRIDGE_URL
    delete env.AGENT_BRIDGE_TOKEN
  }
  if (url !== undefined) env.AGENT_BRIDGE_URL = url
  if (tokenFile !== undefined) env.AGENT_BRIDGE_TOKEN = readToken(tokenFile)
  if (url !== undefined && !env.AGENT_BRIDGE_TOKEN) {
    // The token of the home is for the daemon of the home, and goes nowhere else.
    fail('usage', '--url needs the token of that daemon: name its file with --token-file, or set AGENT_BRIDGE_TOKEN.')
  }
  if (workspace !== undefined) env.AGENT_BRIDGE_WORKSPACE = workspace
  return env
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return fail('usage', `${file} cannot be read: --token-file names the file that holds the token.`)
  }
}
