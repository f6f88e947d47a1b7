import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Environment } from '../config.js'
import { SetupError } from '../protocol/errors.js'

const FOLDER_LENGTH = 93

/**
 * The workspace of a folder: one for a repository and all its linked work trees, one for a folder outside of any.
 * `<folder>-<6 hex of the path's hash>`; `AGENT_BRIDGE_WORKSPACE` goes before it. @throws SetupError
 */
export function workspaceOf(cwd: string, env: Environment = process.env): string {
  if (env.AGENT_BRIDGE_WORKSPACE) return env.AGENT_BRIDGE_WORKSPACE
  const folder = realPath(cwd)
  const shared = commonFolder(folder)
  const path = shared ?? folder
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 6)
  return `${nameOf(path, shared !== undefined)}-${hash}`
}

/** The top of the work tree around a folder; the folder itself outside of any. @throws SetupError */
export function topOf(cwd: string): string {
  const folder = realPath(cwd)
  for (let at = folder; ; at = dirname(at)) {
    const git = join(at, '.git')
    if (isRepository(git) || followLink(git) !== undefined) return at
    if (dirname(at) === at) return folder
  }
}

/** Git's own search, without git: hooks run with `GIT_DIR` set to something else, and often. */
function commonFolder(from: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const git = join(at, '.git')
    const found = isRepository(git) ? git : followLink(git)
    if (found) return realPath(found)
    // Inside a bare repository, or inside `.git`.
    if (isRepository(at)) return at
    if (dirname(at) === at) return undefined
  }
}

const isRepository = (folder: string): boolean =>
  existsSync(join(folder, 'HEAD')) && existsSync(join(folder, 'objects')) && existsSync(join(folder, 'refs'))

/** gitrepository-layout(5): `.git` as a file names the work tree's own folder, in which `commondir` names the shared one. */
function followLink(file: string): string | undefined {
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return undefined
  const own = /^gitdir: (.+)$/m.exec(readFileSync(file, 'utf8'))?.[1]
  if (own === undefined) return undefined
  const folder = resolve(dirname(file), own.trimEnd())
  const common = join(folder, 'commondir')
  const found = existsSync(common) ? resolve(folder, readFileSync(common, 'utf8').trim()) : folder
  return existsSync(found) ? found : undefined
}

/** The main work tree's name, or a bare repository's, in the characters that a workspace's name has. */
function nameOf(path: string, isGit: boolean): string {
  const folder = isGit && basename(path) === '.git' ? dirname(path) : path
  const name = isGit ? basename(folder).replace(/\.git$/, '') : basename(folder)
  const plain = name.replace(/[^a-zA-Z0-9._-]/g, '-').replace(/^[^a-zA-Z0-9]+/, '')
  return plain.slice(0, FOLDER_LENGTH) || 'folder'
}

function realPath(path: string): string {
  try {
    // As the file system spells it, where upper and lower case are the same to it.
    return realpathSync.native(path)
  } catch (error) {
    throw new SetupError(`${path} is no folder that can be opened.`, error)
  }
}
