import { existsSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { SetupError } from '../protocol/errors.js'
import { git } from './git.js'
import type { Contract } from './prompt.js'

/** Where one contract is worked on, apart from everything else. */
export interface OwnTree {
  top: string
  cwd: string
  branch: string
}

/**
 * A work tree of the contract's own, on a branch of its own, beside the repository; that of an earlier attempt where there
 * is one. Locks are the repository's all the same: paths are the same in all its work trees. @throws SetupError
 */
export function openTree(top: string, cwd: string, { id }: Contract): OwnTree {
  const branch = `agent-bridge/${id}`
  const path = join(dirname(top), `${basename(top)}.trees`, id)
  const tree = { top: path, cwd: join(path, relative(top, cwd)), branch }
  if (existsSync(path)) return tree
  const known = git(top, 'rev-parse', '--verify', '--quiet', branch) !== undefined
  const added = known
    ? git(top, 'worktree', 'add', '--quiet', path, branch)
    : git(top, 'worktree', 'add', '--quiet', '-b', branch, path)
  if (added === undefined)
    throw new SetupError(`git makes no work tree at ${path}: --worktree needs a repository with a commit.`)
  return tree
}

/** Commits what the agent left. Hooks are not run: the locks are held, and the commit is for review, on its own branch. */
export function commitTree(top: string, { id, title, attempt, owner }: Contract): void {
  git(top, 'add', '--all')
  const identity = git(top, 'config', 'user.email')
    ? []
    : ['-c', `user.name=${owner}`, '-c', `user.email=${owner}@agent-bridge`]
  // No command line takes a NUL.
  const message = `${title.replaceAll('\0', ' ')}\n\nContract ${id}, attempt ${attempt}, by ${owner}.`
  git(top, ...identity, 'commit', '--quiet', '--no-verify', '-m', message)
}

/** The branch stays. What is not committed by now is not wanted. */
export const closeTree = (top: string): void => void git(top, 'worktree', 'remove', '--force', top)
