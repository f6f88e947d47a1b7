import { mkdirSync, readFileSync, realpathSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Lines shown around a change. */
const CONTEXT = 2

/** A file's text, undefined when there is none. @throws what the system says */
export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Puts a text in the file's place as one step, with the rights it had; a link is followed, not replaced. */
export function replaceFile(file: string, text: string): void {
  const real = readIfThere(file) === undefined ? file : realpathSync(file)
  mkdirSync(dirname(real), { recursive: true })
  const mode = statSync(real, { throwIfNoEntry: false })?.mode
  const beside = join(dirname(real), `.${basename(real)}.${process.pid}.new`)
  try {
    writeFileSync(beside, text, { ...(mode !== undefined && { mode: mode & 0o777 }), flag: 'wx' })
    renameSync(beside, real)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

/** Removes a file, and its folder below `root` if nothing else is in it. */
export function removeFile(file: string, root: string): void {
  rmSync(file)
  const folder = dirname(file)
  if (folder === root) return
  try {
    rmdirSync(folder)
  } catch {
    // Others have something in it.
  }
}

/** The lines that differ between two texts that differ in one place, with those around it. */
export function diffLines(before: string, after: string): string[] {
  const [old, now] = [linesOf(before), linesOf(after)]
  let from = 0
  while (from < old.length && from < now.length && old[from] === now[from]) from++
  let end = 0
  while (end < old.length - from && end < now.length - from && old.at(-1 - end) === now.at(-1 - end)) end++
  const mark = (sign: string, lines: readonly string[]) => lines.map((line) => `${sign} ${line}`)
  return [
    ...mark(' ', now.slice(Math.max(0, from - CONTEXT), from)),
    ...mark('-', old.slice(from, old.length - end)),
    ...mark('+', now.slice(from, now.length - end)),
    ...mark(' ', now.slice(now.length - end, now.length - end + CONTEXT)),
  ]
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'))
