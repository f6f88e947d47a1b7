import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { ConnectionError } from '../client/node.js'
import type { lockedByOthers } from '../workers/guard/check.js'
import type { Guarded, HookFile } from '../workers/guard/install.js'
import { exits, fail } from './exits.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { quote, selfCommand } from './self.js'
import { openSession } from './session.js'
import { printableJson } from './text.js'

const HOOKS: readonly Guarded[] = ['pre-commit', 'pre-push']

const failOption = () =>
  new Option('--fail <how>', 'when the bridge cannot be asked: no commits (closed), or any (open)')
    .choices(['closed', 'open'])
    .default('closed')

const closedNote = 'While the daemon cannot be reached, nothing can be committed here. --fail open would let all pass.'

export function addGuard(program: Command): void {
  const parent = withGlobals(
    program
      .command('guard')
      .description('git hooks that keep commits off what others have locked: install, uninstall, check'),
    false,
  ).helpCommand(false)
  const install = parent
    .command('install')
    .description(
      'Writes a guard into the pre-commit and pre-push hooks of this repository, which all its work trees share.',
    )
    .addOption(failOption())
    .option('--dry-run', 'only tell what would be done')
  withGlobals(install).action(async () => {
    const { fail: failing, dryRun = false } = install.opts<{ fail: 'closed' | 'open'; dryRun?: boolean }>()
    const room = await import('../workers/guard/install.js')
    const self = selfCommand().map(quote).join(' ')
    change(install, room.installing({ cwd: process.cwd(), self, failing }), dryRun, room.apply)
    if (failing === 'closed') terminalOf(install).tell(closedNote)
  })
  const uninstall = parent
    .command('uninstall')
    .description('Takes the guard out of the hooks again.')
    .option('--dry-run', 'only tell what would be done')
  withGlobals(uninstall).action(async () => {
    const { dryRun = false } = uninstall.opts<{ dryRun?: boolean }>()
    const room = await import('../workers/guard/install.js')
    change(uninstall, room.uninstalling({ cwd: process.cwd() }), dryRun, room.apply)
  })
  const check = parent
    .command('check')
    .description('What the hooks run: exits with 1 when the commit or the push touches files that others have locked.')
    .addOption(failOption())
  check.addArgument(check.createArgument('<hook>', 'which of them').choices(HOOKS))
  withGlobals(check).action((hook: Guarded) => guard(check, hook))
}

function change(command: Command, files: HookFile[], dryRun: boolean, apply: (file: HookFile) => boolean): void {
  const { json, print } = terminalOf(command)
  const done = files.map((one) => ({ file: one.file, changed: dryRun ? one.before !== one.after : apply(one) }))
  if (json) return print(printableJson({ files: done, dryRun }, 2))
  const verb = dryRun ? 'would be changed' : 'is changed'
  print(done.map(({ file, changed }) => (changed ? `${file} ${verb}.` : `${file} needs no change.`)))
}

async function guard(command: Command, hook: Guarded): Promise<void> {
  const { fail: failing } = command.opts<{ fail: 'closed' | 'open' }>()
  const room = await import('../workers/guard/check.js')
  const files = room.filesOf(hook, process.cwd(), hook === 'pre-push' ? readFileSync(0, 'utf8') : '')
  if (files.length === 0) return
  const denied = await lockedAmong(command, files, failing, room.lockedByOthers)
  if (denied.length === 0) return
  process.exitCode = exits.refused.code
  const { json, tell } = terminalOf(command)
  const message = `This ${hook === 'pre-commit' ? 'commit' : 'push'} touches what others have locked.`
  if (json)
    return void process.stderr.write(`${printableJson({ error: { reason: 'LOCK_CONFLICT', message, denied } })}\n`)
  tell(message)
  for (const { resource, holder, lockId } of denied)
    tell(`  ${resource.replace(/^file:/, '')}: locked by ${holder} (${lockId})`)
  tell('Leave these files out, wait for the locks, or ask their holders. With --no-verify git goes past this guard.')
}

async function lockedAmong(command: Command, files: string[], failing: 'closed' | 'open', find: typeof lockedByOthers) {
  try {
    const client = await openSession(globalsOf(command), { reconnect: false })
    try {
      return await find(client, files)
    } finally {
      await client.close()
    }
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    if (failing === 'closed') {
      return fail(
        'unreachable',
        `${error.message} Nothing is committed until it can be asked (--no-verify goes past the guard).`,
      )
    }
    terminalOf(command).tell(`${error.message} The guard lets it pass (--fail open).`)
    return []
  }
}
