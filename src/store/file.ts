import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { SetupError } from '../protocol/errors.js'

/**
 * Writes a file in one step, for its owner's eyes only: whoever reads it, also after a power loss, finds it as it was
 * or as it is now. What has returned lasts.
 */
export function replaceFile(file: string, text: string): void {
  const draft = `${file}.new`
  writeFileSync(draft, text, { mode: 0o600, flush: true })
  renameSync(draft, file)
  // A name is kept by its folder. Windows keeps it by itself, and opens no folder.
  if (process.platform === 'win32') return
  const folder = openSync(dirname(file), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Runs what uses a file; when the system or SQLite refuses it, says what to do about that. @throws SetupError */
export function explain<Result>(file: string, act: () => Result): Result {
  try {
    return act()
  } catch (error) {
    const code = codeOf(error)
    const [, fact, cure] = cures.find(([codes]) => codes.test(code)) ?? []
    if (fact === undefined) throw error
    // The system names the file it refused; SQLite does not.
    const refused = error instanceof Error && 'path' in error ? error.path : file
    throw new SetupError(`${refused} ${fact} (${code}): ${cure}.`, error)
  }
}

/** The system's or SQLite's name for an error, or nothing. */
export const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')

const cures: ReadonlyArray<[RegExp, fact: string, cure: string]> = [
  [/^SQLITE_(NOTADB|CORRUPT)/, 'is damaged or no database', 'put a backup in its place, or move it away to begin anew'],
  [/^SQLITE_(BUSY|LOCKED|PROTOCOL)/, 'is in use by another process', 'stop that one first'],
  [
    /^(SQLITE_FULL|ENOSPC|EDQUOT)/,
    'has no room to grow',
    'free some space on its disk, or choose another home with --home',
  ],
  [
    /^(SQLITE_IOERR|EIO)/,
    'cannot be read or written reliably',
    'check the disk it is on, or choose another home with --home',
  ],
  [
    /^(SQLITE_(CANTOPEN|READONLY|PERM|AUTH)|E(ACCES|PERM|ROFS|ISDIR|NOTDIR|NOENT|EXIST|NAMETOOLONG))/,
    'cannot be opened for writing',
    'see that it is what it should be and, with its folder, yours to write, or choose another home with --home',
  ],
]
