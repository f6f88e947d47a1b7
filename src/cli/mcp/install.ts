import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Argument, type Command, Option } from 'commander'
import { homeOf } from '../../config.js'
import { fail } from '../exits.js'
import { type Globals, globalsOf, terminalOf, withGlobals } from '../globals.js'
import { selfWords } from '../self.js'
import { printable, printableJson } from '../text.js'
import { isOwn, type Kind, kinds, type Launch, SERVER, type Target, targets } from './agents.js'
import { diffLines, readIfThere, removeFile, replaceFile } from './files.js'
import { type Edit, jsonEdit, Unreadable } from './json.js'
import { tomlEdit } from './toml.js'

interface InstallOptions {
  user?: boolean
  dryRun?: boolean
  agent?: string
  profile?: string
}

export function addInstall(mcp: Command): void {
  const install = mcp
    .command('install')
    .description(
      "Writes the bridge into an agent's configuration: that of this repository, or with --user that of all. Shows the change first; does nothing when all is as it should be.",
    )
    .option('--agent <name>', 'the name to act under; default: one by kind that is free, such as codex')
    .addOption(
      new Option('--profile <profile>', 'the tools: a dozen, or one for every method').choices(['default', 'full']),
    )
  const uninstall = mcp.command('uninstall').description("Takes the bridge out of an agent's configuration again.")
  for (const command of [install, uninstall]) {
    command
      .addArgument(new Argument('<agent>', 'whose configuration').choices(kinds))
      .option('--user', "the user's own configuration, for all repositories")
      .option('--dry-run', 'show the change and write nothing')
    withGlobals(command).action((kind: Kind) => change(command, kind, command === install))
  }
}

function change(command: Command, kind: Kind, adds: boolean): void {
  const { user = false, dryRun, ...options } = command.opts<InstallOptions>()
  const root = projectRoot(process.cwd())
  const launch = adds ? launchOf(kind, { ...options, ...globalsOf(command) }) : undefined
  const { file, before, after } = plan({ kind, user, root, env: process.env, launch })
  const changed = after !== before
  const { json, print, page } = terminalOf(command)
  const diff = changed ? diffLines(before ?? '', after ?? '') : []
  if (!json && changed) print([printable(file), ...diff.map((line) => paintLine(page.paint, printable(line)))])
  if (changed && !dryRun) write(file, after, user ? dirname(file) : root)
  if (json) print(printableJson({ file, changed, written: changed && !dryRun, diff }, 2))
  else if (!changed) print(`${printable(file)}: nothing to do.`)
  else print(dryRun ? 'Nothing was written.' : adds ? `Written. ${targets[kind].hint}` : 'Taken out.')
}

export interface Plan {
  file: string
  /** Undefined where there is no file. */
  before: string | undefined
  after: string | undefined
}

/** What is to become of the agent's configuration: with the server that is launched so, or without any. @throws Failure */
export function plan(wanted: {
  kind: Kind
  user: boolean
  root: string
  env: NodeJS.ProcessEnv
  launch: Launch | undefined
}): Plan {
  const { kind, user, root, env, launch } = wanted
  const target = targets[kind]
  const file = user ? target.user(env) : target.project(root)
  const before = readText(file)
  return { file, before, after: edited(file, before, target, launch && target.entry(launch)) }
}

const paintLine = (paint: (style: 'green' | 'red' | 'dim', text: string) => string, line: string): string =>
  paint(line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'dim', line)

/** The text with the entry, or without any; undefined when nothing is left. */
function edited(file: string, before: string | undefined, target: Target, entry: Record<string, unknown> | undefined) {
  const text = before ?? ''
  const edit: Edit = (target.format === 'toml' ? tomlEdit : jsonEdit)(target.servers, SERVER)
  try {
    const there = edit.read(text)
    if (there !== undefined && !isOwn(there)) {
      fail('setup', `${file} has another server called ${SERVER}: rename that first. Nothing was written.`)
    }
    if (entry) return edit.set(text, entry)
    return there === undefined ? before : edit.remove(text)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return fail('setup', `${file} cannot be changed. ${error.message} Nothing was written.`)
  }
}

/** How the agent is to start the server. What leads to another daemon than the usual one is written down, secrets never. */
function launchOf(kind: Kind, { agent, profile, home, workspace, as }: InstallOptions & Partial<Globals>): Launch {
  const [command = '', ...words] = selfWords(process.execPath)
  const name = agent ?? as
  const own = homeOf(home, process.env)
  const args = [
    ...[...words, 'mcp', '--kind', kind],
    ...(name === undefined ? [] : ['--agent', name]),
    ...(profile === undefined || profile === 'default' ? [] : ['--profile', profile]),
    ...(own === homeOf(undefined, {}) ? [] : ['--home', own]),
    ...(workspace === undefined ? [] : ['--workspace', workspace]),
  ]
  return { command, args }
}

/** The top of the work tree around a folder, or the folder itself. */
function projectRoot(from: string): string {
  for (let at = resolve(from); ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return at
    if (dirname(at) === at) return from
  }
}

function readText(file: string): string | undefined {
  try {
    return readIfThere(file)
  } catch (error) {
    return fail('setup', `${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
}

function write(file: string, text: string | undefined, root: string): void {
  try {
    if (text === undefined) removeFile(file, root)
    else replaceFile(file, text)
  } catch (error) {
    fail('setup', `${file} cannot be written (${(error as NodeJS.ErrnoException).code}).`)
  }
}
