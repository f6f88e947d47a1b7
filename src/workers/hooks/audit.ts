import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client, ResultOf } from '../../client/node.js'
import { limits } from '../../protocol/limits.js'
import { folderOf } from '../account.js'
import { changedSince, type Snapshot, snapshot } from '../git.js'
import { fileResource } from '../names.js'
import type { HookEvent } from './event.js'

// No hook is told which files a shell command will write. So the work tree is looked at before and after.

const fileOf = (top: string, session: string): string => join(folderOf(top), `hook-${session}.json`)

/** A command has run that has not been looked at. */
export const isPending = (top: string, { session }: HookEvent): boolean => existsSync(fileOf(top, session))

/** Remembers how the work tree is before a command runs. */
export function noteShell(top: string, { session }: HookEvent): void {
  const { head, dirty } = snapshot(top)
  writeFileSync(fileOf(top, session), JSON.stringify({ head, dirty: [...dirty] }), { mode: 0o600 })
}

/** Reports what the command changed under others' locks, and says so to the agent; undefined when it did not. */
export async function auditShell(
  client: Client,
  top: string,
  { session, command = '' }: HookEvent,
): Promise<string | undefined> {
  const file = fileOf(top, session)
  if (!existsSync(file)) return undefined
  const { head, dirty } = JSON.parse(readFileSync(file, 'utf8'))
  rmSync(file, { force: true })
  const before: Snapshot = { head, dirty: new Map(dirty) }
  const changed = changedSince(top, before).map(fileResource)
  const held: ResultOf<'lock.report'>['held'] = []
  for (let at = 0; at < changed.length; at += limits.lockResources) {
    const resources = changed.slice(at, at + limits.lockResources)
    const { denied = [] } = await client.call('lock.check', { resources })
    const suspect = denied.filter(({ state }) => state === 'held').map(({ resource }) => resource)
    if (suspect.length === 0) continue
    const note = `changed while it ran: ${command.slice(0, NOTE_LENGTH)}`
    held.push(...(await client.call('lock.report', { resources: suspect, note })).held)
  }
  if (held.length === 0) return undefined
  const told = held
    .slice(0, TOLD)
    .map(({ resource, holder }) => `${resource.replace(/^file:/, '')} (locked by ${holder})`)
  return `While your command ran these files changed, which others have locked: ${told.join(', ')}. Their holders have been told (agent-bridge). If it was you, undo your change to them, and ask the holder for the file.`
}

const NOTE_LENGTH = 1_000
const TOLD = 20
