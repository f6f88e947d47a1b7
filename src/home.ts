import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SetupError } from './protocol/errors.js'
import { codeOf, explain, replaceFile } from './store/file.js'
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
  /** Names of the workspaces there are, as they were given. */
  workspaces(): string[]
  hasWorkspace(name: string): boolean
  announce(daemon: DaemonFile): void
  /** Takes back what was announced, and lets another daemon in. */
  release(): void
}

/** Takes a home for this process alone. @throws SetupError when another daemon has it, or it cannot be written */
export function takeHome(folder: string): Home {
  return explain(folder, () => {
    makeFolder(folder)
    const unlock = lock(folder)
    try {
      return openHome(folder, unlock)
    } catch (error) {
      unlock()
      throw error
    }
  })
}

function openHome(folder: string, unlock: () => void): Home {
  const daemonFile = join(folder, 'daemon.json')
  const tokenFile = join(folder, 'token')
  // What a daemon that was killed left behind: nobody may look for it where another process may listen by now.
  rmSync(daemonFile, { force: true })
  const workspaces = () => workspacesIn(folder)
  return {
    folder,
    tokenFile,
    token: readToken(tokenFile),
    databaseFile: (workspace) => join(folder, 'workspaces', `${workspace}.db`),
    workspaces,
    // By its exact name, which a file system that does not tell cases apart would not ask for.
    hasWorkspace: (name) => workspaces().includes(name),
    announce: (daemon) => explain(daemonFile, () => replaceFile(daemonFile, `${JSON.stringify(daemon, null, 2)}\n`)),
    release() {
      try {
        rmSync(daemonFile, { force: true })
      } finally {
        unlock()
      }
    },
  }
}

/** Names of the workspaces in a home, as they were given, sorted; none when there is no such folder. */
export function workspacesIn(home: string): string[] {
  const folder = join(home, 'workspaces')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .flatMap((name) => /^(.+)\.db$/.exec(name)?.[1] ?? [])
    .sort()
}

const OURS = new Set(['lock', 'token', 'daemon.json', 'workspaces'])

/** Makes the folder, and keeps others out of it, unless it holds things that are not ours. */
function makeFolder(folder: string): void {
  makeFolders(folder)
  if (readdirSync(folder).every((name) => OURS.has(name))) chmodSync(folder, 0o700)
  mkdirSync(join(folder, 'workspaces'), { recursive: true, mode: 0o700 })
}

/**
 * One folder after another, from the first that is missing. Node's own `recursive` tries for ever where a folder is there
 * and takes no others, such as /proc.
 */
function makeFolders(folder: string): void {
  if (existsSync(folder)) return
  makeFolders(dirname(folder))
  mkdirSync(folder, { mode: 0o700 })
}

/** An SQLite file held in an exclusive transaction: however the process ends, the system frees it. */
function lock(folder: string): () => void {
  const file = join(folder, 'lock')
  try {
    return explain(file, () => holdFile(file))
  } catch (error) {
    if (!(error instanceof SetupError && codeOf(error.cause).startsWith('SQLITE_BUSY'))) throw error
    const pid = readPid(folder)
    throw new SetupError(
      `Another daemon${pid ? ` (pid ${pid})` : ''} has ${folder}: stop it with agent-bridge stop, or choose another home with --home.`,
      error,
    )
  }
}

function readPid(folder: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(join(folder, 'daemon.json'), 'utf8'))
    return Number.isInteger(pid) ? pid : undefined
  } catch {
    return undefined
  }
}

/** The operator's token: 256 random bits, made once. */
function readToken(file: string): string {
  if (!existsSync(file)) replaceFile(file, `${randomBytes(32).toString('base64url')}\n`)
  const token = readFileSync(file, 'utf8').trim()
  chmodSync(file, 0o600)
  if (/^[\w-]{43,}$/.test(token)) return token
  throw new SetupError(`${file} holds no token: remove it, and a new one is made at the next start.`)
}
