import { type Command, Option } from 'commander'
import { type AgentKind, agentKinds } from '../workers/agents/adapter.js'
import type { Change, InstallOptions } from '../workers/hooks/install.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { quote, selfCommand } from './self.js'
import { printableJson, printableLines } from './text.js'

interface HookOptions {
  user?: boolean
  dryRun?: boolean
  fail: InstallOptions['failing']
  outside: InstallOptions['outside']
}

export function addHooks(program: Command): void {
  const parent = withGlobals(
    program.command('hooks').description("the lock hook in an agent's configuration: install, uninstall"),
    false,
  ).helpCommand(false)
  const install = parent
    .command('install')
    .description(
      'Has an agent ask before each edit whether the file is free; refuses what others have locked, and tells them of what its shell commands changed all the same.',
    )
    .addOption(
      new Option('--fail <how>', 'when the bridge cannot be asked: no edits (closed), or any (open)')
        .choices(['closed', 'open'])
        .default('closed'),
    )
    .addOption(
      new Option(
        '--outside <what>',
        'edits of files that nobody has locked: let pass, locked for it for a while, or refused',
      )
        .choices(['allow', 'acquire', 'refuse'])
        .default('allow'),
    )
  const uninstall = parent.command('uninstall').description('Takes the hook out of the configuration again.')
  for (const command of [install, uninstall]) {
    command
      .addArgument(command.createArgument('<agent>', 'whose configuration').choices(agentKinds))
      .option('--user', "the user's configuration, for all projects, not this project's")
      .option('--dry-run', 'only print what the file would be')
  }
  withGlobals(install).action((kind: AgentKind) => change(install, kind, true))
  withGlobals(uninstall).action((kind: AgentKind) => change(uninstall, kind, false))
}

async function change(command: Command, kind: AgentKind, wanted: boolean): Promise<void> {
  const room = await import('../workers/hooks/install.js')
  const { user = false, dryRun = false, fail: failing, outside } = command.opts<HookOptions>()
  const { as: agent } = globalsOf(command)
  const place = { kind, cwd: process.cwd(), user }
  const planned = wanted
    ? room.installing({ ...place, self: selfCommand().map(quote).join(' '), failing, outside, ...(agent && { agent }) })
    : room.uninstalling(place)
  const changed = dryRun ? planned.before !== planned.after : room.apply(planned)
  tell(command, planned, { changed, dryRun, notes: wanted ? notesOn(kind, failing) : [] })
}

interface Told {
  changed: boolean
  dryRun: boolean
  notes: string[]
}

function tell(command: Command, { file, after }: Change, { changed, dryRun, notes }: Told): void {
  const { json, print } = terminalOf(command)
  if (json) return print(printableJson({ file, changed, dryRun, ...(dryRun && { content: after }), notes }, 2))
  if (dryRun) print([`${file} would be:`, ...printableLines(after)])
  else print(changed ? `${file} is written.` : `${file} needs no change.`)
  if (changed || dryRun) print(notes)
}

function notesOn(kind: AgentKind, failing: 'closed' | 'open'): string[] {
  const notes = [
    failing === 'closed'
      ? 'While the daemon cannot be reached, every edit of this agent is refused. --fail open would let them pass.'
      : 'While the daemon cannot be reached, every edit of this agent is let pass. --fail closed would refuse them.',
  ]
  if (kind === 'codex')
    notes.push(
      'Codex passes over hooks that nobody has trusted, without a word: open codex once and trust it (/hooks).',
    )
  if (kind === 'cursor')
    notes.push('Written from Cursor’s documentation: this hook has not been tried with Cursor itself.')
  return notes
}
