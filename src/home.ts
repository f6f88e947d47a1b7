import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError } from './protocol/errors.js'
import { holdFile } from './store/open.js'

/** What `daemon.json` tells clients while a daemon runs. */
export interface DaemonFile {
  pid: number
  /** `ws://...` */
  url: string
  /** `http://...` */
  http: string
  version: string
  /** With it the daemon proves that it is the one that wrote the file. */
  key: string
}

/** The daemon's folder and the files in it. */
export interface Home {
  folder: string
  tokenFile: string
  token: string
  databaseFile(workspace: string): string
  announce(daemon: DaemonFile): void
  /** Takes back what was announced, and lets another daemon in. */
  release(): void
}

/** Takes a home for this process alone. @throws SetupError when another daemon has it, or it cannot be written */
export function takeHome(folder: string): Home {
  try {
    mkdirSync(join(folder, 'workspaces'), { recursive: true, mode: 0o700 })
    chmodSync(folder, 0o700)
  } catch (error) {
    throw new SetupError(
      `${folder} cannot be made or written (${codeOf(error)}): choose another home with --home.`,
      error,
    )
  }
  const unlock = lock(folder)
  const daemonFile = join(folder, 'daemon.json')
  const tokenFile = join(folder, 'token')
  return {
    folder,
    tokenFile,
    token: readToken(tokenFile),
    databaseFile: (workspace) => join(folder, 'workspaces', `${workspace}.db`),
    announce(daemon) {
      writeFileSync(`${daemonFile}.new`, `${JSON.stringify(daemon, null, 2)}\n`, { mode: 0o600 })
      renameSync(`${daemonFile}.new`, daemonFile)
    },
    release() {
      rmSync(daemonFile, { force: true })
      unlock()
    },
  }
}

/** An SQLite file held in an exclusive transaction: however the process ends, the system frees it. */
function lock(folder: string): () => void {
  try {
    return holdFile(join(folder, 'lock'))
  } catch (error) {
    if (!codeOf(error).startsWith('SQLITE_BUSY')) {
      throw new SetupError(
        `${join(folder, 'lock')} cannot be written (${codeOf(error)}): choose another home with --home.`,
        error,
      )
    }
    const pid = readPid(folder)
    throw new SetupError(
      `Another daemon${pid ? ` (pid ${pid})` : ''} has ${folder}: stop it with agent-bridge stop, or choose another home with --home.`,
      error,
    )
  }
}

function readPid(folder: string): number | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'daemon.json'), 'utf8')).pid
  } catch {
    return undefined
  }
}

/** The operator's token: 256 random bits, made once. */
function readToken(file: string): string {
  if (existsSync(file)) {
    const token = readFileSync(file, 'utf8').trim()
    if (/^[\w-]{43,}$/.test(token)) return token
    throw new SetupError(`${file} holds no token: remove it, and a new one is made at the next start.`)
  }
  const token = randomBytes(32).toString('base64url')
  writeFileSync(file, `${token}\n`, { mode: 0o600, flag: 'wx' })
  return token
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : 'unknown')
