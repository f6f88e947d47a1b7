import { existsSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { SetupError } from '../protocol/errors.js'
import { topOf } from './workspace.js'

// How a path on this machine is named to the bridge: relative to the top of its work tree, so that it is the same in all
// work trees of a repository, and as the file system itself spells it.

/** A path as locks name it, relative to the top; undefined for what is not below it. */
export function pathIn(top: string, path: string): string | undefined {
  const name = relative(realPath(top), realPath(isAbsolute(path) ? path : resolve(top, path)))
  if (name === '' || name === '..' || name.startsWith(`..${sep}`) || isAbsolute(name)) return undefined
  // Git's own folder is not part of the work tree.
  if (name === '.git' || name.startsWith(`.git${sep}`)) return undefined
  return name.split(sep).join('/').normalize('NFC')
}

/** More links one behind the other than any system follows. */
const LINKS_MAX = 40

/**
 * With links followed, also those that lead to what is not there yet: what is written through a link is written where it
 * leads.
 */
function realPath(path: string, links = LINKS_MAX): string {
  try {
    return realpathSync.native(path)
  } catch {
    const parent = dirname(path)
    if (parent === path) return path
    const above = realPath(parent, links)
    const target = links > 0 ? linkAt(join(above, basename(path))) : undefined
    return target === undefined ? join(above, basename(path)) : realPath(resolve(above, target), links - 1)
  }
}

/** Where a link leads; undefined for what is none. */
function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

/** `scheme:` in front of it: not a path but a resource already. `./a:b` is a path. */
const isResource = (text: string): boolean => /^[a-z][a-z0-9+.-]*:/.test(text)

/** What somebody in `cwd` calls a file, as `lock.check` takes it; what is a resource already stays as it is. @throws SetupError */
export const resourceOf = (text: string, cwd: string): string =>
  isResource(text) ? text : `file:${pathIn(topOf(cwd), resolve(cwd, text)) ?? outside(text)}`

/**
 * What somebody in `cwd` wants locked: a file, a folder with all in it, a glob, or a resource, which stays as it is. A
 * name that is there is meant to the letter, whatever characters it has. @throws SetupError
 */
export function patternOf(text: string, cwd: string): string {
  if (isResource(text)) return text
  const top = topOf(cwd)
  const path = resolve(cwd, text)
  if (existsSync(path)) {
    const name = realPath(path) === realPath(top) ? '' : (pathIn(top, path) ?? outside(text))
    const inner = statSync(path).isDirectory() ? ['**'] : []
    return `file:${[...(name === '' ? [] : [escaped(name)]), ...inner].join('/')}`
  }
  const segments = text.split('/')
  const glob = segments.findIndex((segment) => /[*?[{]/.test(segment))
  if (glob < 0) return `file:${escaped(pathIn(top, path) ?? outside(text))}`
  const before = resolve(cwd, segments.slice(0, glob).join('/') || (text.startsWith('/') ? '/' : '.'))
  const name = realPath(before) === realPath(top) ? '' : (pathIn(top, before) ?? outside(text))
  const rest = segments.slice(glob).join('/').normalize('NFC')
  return `file:${name === '' ? '' : `${escaped(name)}/`}${rest}`
}

const escaped = (name: string): string => name.replace(/[*?[{]/g, '[$&]')

function outside(text: string): never {
  throw new SetupError(`${text} is not a file of this repository: locks are of what is in it.`)
}
