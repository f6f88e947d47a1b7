import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { nouns } from './bridge/index.js'
import { workspacesIn } from './home.js'
import { SetupError } from './protocol/errors.js'
import { connectedSessions, type Examined, examine } from './store/examine.js'
import { checkLibrary, libraryVersion, networkTypeOf } from './store/open.js'

/** One thing that was looked at. `note` is worth knowing, and no fault. */
export interface Finding {
  check: string
  state: 'ok' | 'note' | 'wrong'
  found: string
  /** What to do about it. */
  fix?: string
}

/** The daemon of the home, where one has proved to be it. */
export interface Running {
  pid: number
  version: string
}

export interface Patient {
  home: string
  host: string
  port: number
  running: Running | undefined
}

const NODE_MIN = [20, 11]
/** Below it commits may soon fail, and below the second there is little time left, bytes. */
const DISK_MIN = 100 * 1024 * 1024
const DISK_LOW = 1024 * 1024 * 1024
/** How far ahead of this machine's clock the last event may be, ms. */
const AHEAD_MS = 5_000

const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found })
const note = (check: string, found: string, fix?: string): Finding => ({
  check,
  state: 'note',
  found,
  ...(fix && { fix }),
})
const wrong = (check: string, found: string, fix: string): Finding => ({ check, state: 'wrong', found, fix })

/** Looks at everything a daemon needs, with or without one at work; changes nothing. */
export async function diagnose(patient: Patient, nowMs = Date.now()): Promise<Finding[]> {
  const { home, running } = patient
  const findings = [checkNode(process.versions.node), checkSqlite(), await checkDaemon(patient)]
  if (!existsSync(home)) return [...findings, note('home', `${home} does not exist yet`, 'agent-bridge start makes it')]
  findings.push(...checkHome(home), checkToken(home), checkDisk(home))
  for (const workspace of workspacesIn(home)) findings.push(...checkWorkspace(home, workspace, running, nowMs))
  return findings
}

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [least = 0, leastMinor = 0] = NODE_MIN
  const recent = major > least || (major === least && minor >= leastMinor)
  if (recent) return ok('node', `Node ${version}`)
  return wrong('node', `Node ${version} is too old`, `install Node ${NODE_MIN.join('.')} or later`)
}

function checkSqlite(): Finding {
  const version = libraryVersion()
  try {
    checkLibrary(version)
    return ok('sqlite', `SQLite ${version}`)
  } catch {
    return wrong('sqlite', `SQLite ${version} can corrupt a database`, 'reinstall with npm install')
  }
}

async function checkDaemon({ home, host, port, running }: Patient): Promise<Finding> {
  if (running) return ok('daemon', `running, pid ${running.pid}, version ${running.version}`)
  if (existsSync(join(home, 'daemon.json'))) {
    return wrong(
      'daemon',
      'daemon.json is there, and no daemon that proves to be its own answers',
      'start the daemon: agent-bridge start removes what a killed one has left; if it says that another has the home, end that one',
    )
  }
  const free = await isFree(host, port)
  if (free) return note('daemon', `not running; port ${port} is free`, 'agent-bridge start')
  return wrong(
    'port',
    `no daemon runs here, and something else uses port ${port}`,
    'start with --port 0, or end what uses it',
  )
}

const isFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })

function checkHome(home: string): Finding[] {
  const { mode, uid } = statSync(home)
  const own = process.getuid?.()
  const findings: Finding[] = []
  if (own !== undefined && uid !== own) {
    findings.push(wrong('home', `${home} is another user's`, 'choose a home of your own with --home'))
  } else if ((mode & 0o077) !== 0 && process.platform !== 'win32') {
    findings.push(wrong('home', `${home} is open to other users (${(mode & 0o777).toString(8)})`, `chmod 700 ${home}`))
  } else if (!isWritable(home)) {
    findings.push(wrong('home', `${home} cannot be written`, `chmod u+rwx ${home}`))
  } else findings.push(ok('home', home))
  const network = networkTypeOf(home)
  if (network) {
    const fix = 'choose a home on a local disk with --home'
    findings.push(wrong('file system', `${home} is on ${network}, which cannot keep a database safe`, fix))
  }
  return findings
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

function checkToken(home: string): Finding {
  const file = join(home, 'token')
  if (!existsSync(file)) return note('token', 'there is none yet', 'agent-bridge start makes it')
  if ((statSync(file).mode & 0o077) !== 0 && process.platform !== 'win32') {
    return wrong(
      'token',
      `${file} can be read by other users`,
      `chmod 600 ${file}, then remove it and restart for a new one`,
    )
  }
  if (!/^[\w-]{43,}$/.test(readFileSync(file, 'utf8').trim())) {
    return wrong('token', `${file} holds no token`, 'remove it: a new one is made at the next start')
  }
  return ok('token', file)
}

function checkDisk(home: string): Finding {
  const { bavail, bsize } = statfsSync(home)
  const free = bavail * bsize
  const found = `${Math.round(free / 1024 / 1024)} MiB free`
  if (free < DISK_MIN) return wrong('disk', found, 'free some space, or start with --retain-bytes')
  return free < DISK_LOW ? note('disk', found, 'free some space soon') : ok('disk', found)
}

function checkWorkspace(home: string, workspace: string, running: Running | undefined, nowMs: number): Finding[] {
  const file = join(home, 'workspaces', `${workspace}.db`)
  const check = `workspace ${workspace}`
  try {
    const tables = nouns.flatMap((noun) => noun.tables)
    const events = nouns.flatMap((noun) => noun.events)
    const examined = examine(file, tables, events)
    const findings = judge(check, workspace, examined, nowMs)
    const stale = connectedSessions(file).filter(({ daemon }) => !running || daemon !== examined.daemon)
    if (stale.length > 0) {
      const names = [...new Set(stale.map(({ agent }) => agent))].join(', ')
      const found = `sessions of ${names} are connected to a daemon that is gone`
      findings.push(
        running
          ? note(
              check,
              `${found}, as of a workspace that nobody has opened since`,
              'they are given up once somebody opens it',
            )
          : note(check, found, 'their grace begins when the daemon starts'),
      )
    }
    const { epoch, earliest, head } = examined
    return findings.length > 0 ? findings : [ok(check, `sound; epoch ${epoch}, events ${earliest + 1} to ${head}`)]
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const fix = `put a backup in its place: agent-bridge restore FILE --workspace ${workspace}`
    return [wrong(check, error instanceof SetupError ? error.message : `cannot be read (${error.message})`, fix)]
  }
}

function judge(check: string, workspace: string, examined: Examined, nowMs: number): Finding[] {
  const restore = `restore a backup: agent-bridge restore FILE --workspace ${workspace}`
  const findings: Finding[] = []
  if (examined.integrity !== 'ok')
    findings.push(wrong(check, `the database is damaged: ${examined.integrity}`, restore))
  if (examined.missing > 0) findings.push(wrong(check, `${examined.missing} events are missing from the log`, restore))
  if (examined.differing.length > 0) {
    findings.push(wrong(check, `rows that are not what the log says: ${examined.differing.join(', ')}`, restore))
  }
  if (examined.journal !== 'wal') {
    findings.push(
      note(check, `its journal is ${examined.journal}`, 'the daemon sets it to WAL when it opens the workspace'),
    )
  }
  const aheadMs = examined.time === undefined ? 0 : Date.parse(examined.time) - nowMs
  if (aheadMs > AHEAD_MS) {
    const found = `its last event is ${Math.round(aheadMs / 1_000)} s ahead of this machine's clock`
    findings.push(wrong(check, found, 'set the clock right: until it has caught up, deadlines stand still'))
  }
  if (examined.epoch !== undefined && examined.seenEpoch !== examined.epoch) {
    findings.push(
      note(check, 'it was restored, or its .head file is gone', 'a new epoch begins when it is opened next'),
    )
  }
  return findings
}
