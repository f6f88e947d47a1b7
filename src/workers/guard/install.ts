import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { SetupError } from '../../protocol/errors.js'
import { git } from '../git.js'

// Writes the guard into git's own hooks, beside whatever is in them. All work trees of a repository share them.

export const guarded = ['pre-commit', 'pre-push'] as const
export type Guarded = (typeof guarded)[number]

const BEGIN = '# agent-bridge guard: begin'
const END = '# agent-bridge guard: end'
const SHELL = '#!/bin/sh\n'

export interface GuardOptions {
  cwd: string
  /** How this program is run, as a shell reads it. */
  self: string
  failing: 'closed' | 'open'
}

export interface HookFile {
  file: string
  before: string | undefined
  /** Undefined: the file is not needed any more. */
  after: string | undefined
}

/** What installing changes. @throws SetupError outside of a repository, or where a hook is no shell script */
export const installing = (options: GuardOptions): HookFile[] =>
  guarded.map((hook) => {
    const file = join(hooksFolder(options.cwd), hook)
    const before = readIfThere(file)
    const rest = without(before ?? SHELL)
    if (!/^#!.*\b(?:ba|da|z|k)?sh\b/.test(rest)) {
      throw new SetupError(`${file} is no shell script: call agent-bridge guard check ${hook} from it yourself.`)
    }
    // First: what comes after it may end the script.
    const [first = '', ...others] = rest.split('\n')
    return { file, before, after: [first, ...blockOf(hook, options), ...others].join('\n') }
  })

/** What taking it out changes. @throws SetupError outside of a repository */
export const uninstalling = ({ cwd }: Pick<GuardOptions, 'cwd'>): HookFile[] =>
  guarded.map((hook) => {
    const file = join(hooksFolder(cwd), hook)
    const before = readIfThere(file)
    const rest = before === undefined ? undefined : without(before)
    return { file, before, after: rest?.trim() === SHELL.trim() ? undefined : rest }
  })

/** Writes one; false when there is nothing to do. */
export function apply({ file, before, after }: HookFile): boolean {
  if (before === after) return false
  if (after === undefined) {
    rmSync(file, { force: true })
    return true
  }
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, after)
  chmodSync(file, 0o755)
  return true
}

function blockOf(hook: Guarded, { self, failing }: GuardOptions): string[] {
  return [BEGIN, `${self} guard check ${hook} --fail ${failing} || exit 1`, END]
}

const without = (text: string): string => {
  const lines = text.split('\n')
  const [from, to] = [lines.indexOf(BEGIN), lines.indexOf(END)]
  return from < 0 || to < from ? text : [...lines.slice(0, from), ...lines.slice(to + 1)].join('\n')
}

const readIfThere = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : undefined)

/** Where git looks for hooks, which `core.hooksPath` may have moved. */
function hooksFolder(cwd: string): string {
  const path = git(cwd, 'rev-parse', '--git-path', 'hooks')?.trimEnd()
  if (path === undefined) throw new SetupError(`${cwd} is in no git repository: there is nothing to guard.`)
  return resolve(cwd, path)
}
