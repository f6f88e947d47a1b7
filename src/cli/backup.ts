import type { Command } from 'commander'
import type { Copied } from '../backup.js'
import { workspaceOf } from '../client/node.js'
import { homeOf } from '../config.js'
import { environmentOf, globalsOf, terminalOf, withGlobals } from './globals.js'
import { formatBlock } from './show.js'
import { printableJson } from './text.js'

export function addBackup(program: Command): void {
  const backup = program
    .command('backup')
    .description("Copies the workspace's data, as it is at one moment, to a new file. A daemon may run meanwhile.")
    .argument('<file>', 'must not exist yet')
  withGlobals(backup).action(async (file: string) => {
    const { home, workspace } = placeOf(backup)
    // Only this command needs the store.
    const { backUp } = await import('../backup.js')
    tell(backup, { workspace, file, ...(await backUp(home, workspace, file)) })
  })
  const restore = program
    .command('restore')
    .description('Puts a backup in the place of the workspace. No daemon may run; what was there is kept beside it.')
    .argument('<file>', 'one that backup has written')
  withGlobals(restore).action(async (file: string) => {
    const { home, workspace } = placeOf(restore)
    const { restore: putBack } = await import('../backup.js')
    const { copied, replaced } = await putBack(home, workspace, file)
    tell(restore, { workspace, file, ...copied, ...(replaced && { replaced }) })
  })
}

function placeOf(command: Command): { home: string; workspace: string } {
  const globals = globalsOf(command)
  return { home: homeOf(globals.home, process.env), workspace: workspaceOf(process.cwd(), environmentOf(globals)) }
}

function tell(command: Command, facts: Copied & { workspace: string; file: string; replaced?: string }): void {
  const { json, page, print } = terminalOf(command)
  print(json ? printableJson(facts) : formatBlock({ ...facts }, page))
}
