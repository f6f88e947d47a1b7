import { spawnSync } from 'node:child_process'
import type { Client, ResultOf } from '../../client/node.js'
import { SetupError } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { git, topOf } from '../git.js'
import { fileResource } from '../names.js'
import type { Guarded } from './install.js'

type Denied = NonNullable<ResultOf<'lock.check'>['denied']>

const ZERO = /^0+$/

/** The files that a commit or a push is about. `refs` is what git tells a pre-push hook on standard input. */
export function filesOf(hook: Guarded, cwd: string, refs: string): string[] {
  const top = topOf(cwd) ?? cwd
  return hook === 'pre-commit'
    ? staged(top)
    : [...new Set(refs.split('\n').flatMap((line) => pushed(top, line)))].sort()
}

/**
 * Git's own environment stays as it is: for `git commit -a` and `git commit FILE` it names another index than the usual.
 */
function staged(top: string): string[] {
  const args = ['diff', '--cached', '--name-only', '--no-renames', '-z']
  const { status, stdout } = spawnSync('git', args, { cwd: top, encoding: 'utf8', maxBuffer: OUTPUT_BYTES })
  return status === 0 ? namesIn(stdout) : untold('what is to be committed')
}

const OUTPUT_BYTES = 64 * 1024 * 1024
/** Git's own empty tree: what a repository without commits has. */
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'

/** githooks(5): `<local ref> <local object> <remote ref> <remote object>`. */
function pushed(top: string, line: string): string[] {
  const [, local = '', , remote = ''] = line.trim().split(/\s+/)
  // A branch that is deleted there changes no file.
  if (local === '' || ZERO.test(local)) return []
  if (!ZERO.test(remote) && git(top, 'cat-file', '-e', remote) !== undefined) return between(top, remote, local)
  // New there, or not known here: whatever no remote has yet.
  const listed = git(top, 'rev-list', '--topo-order', local, '--not', '--remotes') ?? untold('what is to be pushed')
  const commits = listed.split('\n').filter(Boolean)
  const oldest = commits.at(-1)
  if (oldest === undefined) return []
  const parent = git(top, 'rev-parse', '--verify', '--quiet', `${oldest}^`)?.trim()
  return between(top, parent || EMPTY_TREE, local)
}

const between = (top: string, from: string, to: string): string[] =>
  namesIn(git(top, 'diff', '--name-only', '--no-renames', '-z', from, to) ?? untold('what is to be pushed'))

/** What cannot be looked at is not let pass. */
const untold = (what: string): never => {
  throw new SetupError(`git does not tell ${what}: nothing can be said of its locks.`)
}

const namesIn = (text: string): string[] => text.split('\0').filter((name) => name !== '')

/** The files among these that others have locked. What cools is nobody's any more. @throws CallError, ConnectionError */
export async function lockedByOthers(client: Client, files: readonly string[]): Promise<Denied> {
  const found: Denied = []
  for (let at = 0; at < files.length; at += limits.lockResources) {
    const resources = files.slice(at, at + limits.lockResources).map(fileResource)
    const { denied = [] } = await client.call('lock.check', { resources })
    found.push(...denied.filter(({ state }) => state === 'held'))
  }
  return found
}
