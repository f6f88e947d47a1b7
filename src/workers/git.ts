import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** More than any list of changed files is long, bytes. */
const OUTPUT_BYTES = 64 * 1024 * 1024

/** Runs git; undefined when it refuses. Hooks set variables that would point it elsewhere: they are left out. */
export function git(cwd: string, ...args: string[]): string | undefined {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX)$/.test(name)),
  )
  const { status, stdout } = spawnSync('git', args, { cwd, env, encoding: 'utf8', maxBuffer: OUTPUT_BYTES })
  return status === 0 ? stdout : undefined
}

/** The top folder of the work tree around `cwd`; undefined outside of any. */
export const topOf = (cwd: string): string | undefined => git(cwd, 'rev-parse', '--show-toplevel')?.trimEnd()

/** Git's folder that all work trees of the repository share. */
export const commonOf = (cwd: string): string | undefined =>
  git(cwd, 'rev-parse', '--path-format=absolute', '--git-common-dir')?.trimEnd()

export const headOf = (cwd: string): string | undefined => git(cwd, 'rev-parse', 'HEAD')?.trimEnd()

/** How a work tree is at one moment: its commit, and every file that differs from it, with what is in it. */
export interface Snapshot {
  head: string | undefined
  dirty: ReadonlyMap<string, string>
}

export function snapshot(top: string): Snapshot {
  const status = git(top, 'status', '--porcelain=v1', '-z', '--untracked-files=all', '--no-renames') ?? ''
  const paths = status
    .split('\0')
    .filter((entry) => entry.length > 3)
    .map((entry) => entry.slice(3))
  return { head: headOf(top), dirty: new Map(paths.map((path) => [path, fingerprint(join(top, path))])) }
}

function fingerprint(file: string): string {
  try {
    const stat = lstatSync(file)
    if (stat.isSymbolicLink()) return `link ${readlinkSync(file)}`
    if (!stat.isFile()) return 'other'
    return createHash('sha256').update(readFileSync(file)).update(String(stat.mode)).digest('hex')
  } catch {
    return 'gone'
  }
}

/** The paths, relative to the top, whose content changed between then and now: in the work tree, or by commits. */
export function changedSince(top: string, before: Snapshot): string[] {
  const now = snapshot(top)
  const names = new Set([...before.dirty.keys(), ...now.dirty.keys()])
  const changed = new Set([...names].filter((path) => before.dirty.get(path) !== now.dirty.get(path)))
  if (before.head && now.head && before.head !== now.head) {
    const committed = git(top, 'diff', '--name-only', '-z', '--no-renames', before.head, now.head) ?? ''
    for (const path of committed.split('\0')) if (path !== '' && !isAsBefore(top, path, before)) changed.add(path)
  }
  return [...changed].sort()
}

/** It was committed as it had been before. */
const isAsBefore = (top: string, path: string, { dirty }: Snapshot): boolean =>
  dirty.has(path) && dirty.get(path) === fingerprint(join(top, path))

/** What changed in these files since a commit, as a patch, with files that git does not know yet. */
export function diffOf(top: string, from: string | undefined, paths: readonly string[]): string {
  if (paths.length === 0) return ''
  // Names are not patterns, whatever they begin with.
  const literally = (...args: string[]) => git(top, '--literal-pathspecs', ...args, '--', ...paths) ?? ''
  const known = from ? literally('diff', '--no-color', '--no-ext-diff', from) : ''
  const listed = literally('ls-files', '-z', '--others', '--exclude-standard')
  const added = listed.split('\0').filter((path) => path !== '')
  return known + added.map((path) => patchOfNew(top, path)).join('')
}

/** `git diff --no-index` ends with 1 when there is a difference, and that is what is wanted of it. */
function patchOfNew(top: string, path: string): string {
  const args = ['diff', '--no-color', '--no-ext-diff', '--no-index', '--', '/dev/null', path]
  return spawnSync('git', args, { cwd: top, encoding: 'utf8', maxBuffer: OUTPUT_BYTES }).stdout ?? ''
}
