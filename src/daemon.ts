import { createHash, randomBytes } from 'node:crypto'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Logger, pino } from 'pino'
import { nouns } from './bridge/index.js'
import type { Config } from './config.js'
import { systemClock } from './engine/clock.js'
import { createDoor, type Door, type Grant, type Served } from './engine/door/door.js'
import { createEngine, type Outcome } from './engine/engine.js'
import type { Random } from './engine/ports.js'
import { createTail } from './engine/tail.js'
import { type Home, takeHome } from './home.js'
import { BridgeError, refuse, SetupError } from './protocol/errors.js'
import { limits } from './protocol/limits.js'
import { product } from './protocol/version.js'
import { createGuard } from './server/auth.js'
import { createHttp } from './server/http/http.js'
import { createMetrics, type Metrics } from './server/http/metrics.js'
import { createPasses } from './server/passes.js'
import { serveSockets } from './server/ws.js'
import { openStore, type SqliteStore } from './store/store.js'

/** A daemon at work. */
export interface Daemon {
  url: string
  http: string
  home: string
  tokenFile: string
  /** Settles what waits, says goodbye to every socket, closes the databases. */
  stop(): Promise<void>
}

/** When this process began to be a daemon, by the clock that only rises. */
const beganMs = performance.now()

/** Whoever has yet to prove anything: no workspace is made for it. */
const AGENT: Grant = { role: 'agent', operator: false }

/** How long sockets have to answer the goodbye, ms. */
const GOODBYE_MS = 1_000

const random: Random = {
  bytes: randomBytes,
  hash: (text) => createHash('sha256').update(text).digest('hex'),
}

/** What all workspaces of a daemon are served with. */
interface Serving {
  home: Home
  logger: Logger
  door: Door
  metrics: Metrics
  retention: Config['retention']
}

interface Workspace extends Served {
  store: SqliteStore
  failed: boolean
}

/** Starts a daemon. @throws SetupError when it cannot run here */
export async function startDaemon(config: Config, logger = createLogger(config)): Promise<Daemon> {
  const home = takeHome(config.home)
  const workspaces = new Map<string, Workspace>()
  const key = randomBytes(32).toString('base64url')
  const hosts = new Set<string>()
  const passes = createPasses({ token: home.token, wallMs: systemClock.wallMs })
  const guard = createGuard({
    token: home.token,
    hosts: () => hosts,
    nowMs: () => performance.now(),
    tokensOf: (name) => (home.hasWorkspace(name) ? workspace(name, AGENT).engine.read : undefined),
    passGrant: passes.grant,
  })
  const fault = (error: unknown) => refuseFault(error, logger)
  const metrics = createMetrics({ workspaces: () => workspaces, connections: () => door.counts() })
  const door: Door = createDoor({ clock: systemClock, workspace, fault, called: metrics.called })
  const ready = () => [...workspaces.values()].every(({ failed }) => !failed)
  const http = createHttp({ guard, door, key, ready, fault, metrics, passes, workspaces: home.workspaces })
  const sockets = serveSockets(http.server, door, guard, (error) => logger.warn({ err: error }, 'socket'))

  async function stop(): Promise<void> {
    http.server.close()
    // What has been queued runs before its database is closed.
    await Promise.all([...workspaces.values()].map(({ engine }) => engine.stop()))
    await sockets.close(GOODBYE_MS)
    await http.close(GOODBYE_MS)
    for (const { tail, store } of workspaces.values()) {
      tail.stop()
      store.close()
    }
    home.release()
  }

  try {
    openWorkspace('default')
    const port = await listen(http.server, config, (error) => logger.error({ err: error }, 'http'))
    const named = config.host.includes(':') ? `[${config.host}]` : config.host
    for (const name of ['127.0.0.1', 'localhost', '[::1]', named]) hosts.add(`${name}:${port}`.toLowerCase())
    const urls = { url: `ws://${named}:${port}/ws`, http: `http://${named}:${port}` }
    home.announce({ pid: process.pid, ...urls, version: product.version, key })
    logger.info({ ...urls, home: home.folder }, 'listening')
    return {
      ...urls,
      home: home.folder,
      tokenFile: home.tokenFile,
      async stop() {
        await stop()
        logger.info('stopped')
      },
    }
  } catch (error) {
    await stop()
    throw error
  }

  function workspace(name: string, { operator }: Grant): Served {
    const open = workspaces.get(name)
    if (open) return open
    if (!home.hasWorkspace(name)) {
      if (!operator) refuse('NOT_FOUND', 'There is no workspace of that name.')
      const other = home.workspaces().find((known) => known.toLowerCase() === name.toLowerCase())
      // Some file systems would take one for the other.
      if (other) refuse('INVALID_PARAMS', `There is a workspace ${other}: names that differ in case only are one name.`)
    }
    if (workspaces.size >= limits.workspaces) {
      refuse(
        'OVERLOADED',
        `A daemon serves at most ${limits.workspaces} workspaces: start another with a home of its own.`,
      )
    }
    try {
      return openWorkspace(name)
    } catch (error) {
      if (!(error instanceof SetupError)) throw error
      logger.error({ err: error, workspace: name }, 'workspace')
      return refuse('INTERNAL', error.message)
    }
  }

  function openWorkspace(name: string): Served {
    const opened = serveWorkspace(name, { home, logger, door, metrics, retention: config.retention })
    workspaces.set(name, opened)
    return opened
  }
}

function serveWorkspace(name: string, { home, logger, door, metrics, retention }: Serving): Workspace {
  const tables = nouns.flatMap((noun) => noun.tables)
  const store = openStore(home.databaseFile(name), tables)
  const report = (fault: unknown, requestId: string) =>
    logger.error({ err: fault, requestId, workspace: name }, 'fault')
  const engine = createEngine({
    store,
    nouns,
    clock: systemClock,
    random,
    workspace: name,
    retention,
    restored: store.anew,
    report,
  })
  const tail = createTail(engine.read, systemClock, (fault) => report(fault, 'tail'))
  const runtime = {
    version: product.version,
    workspace: name,
    uptimeMs: () => Math.round(performance.now() - beganMs),
    subscriptions: tail.count,
    store: store.stats,
  }
  const opened: Workspace = { engine, tail, store, runtime, failed: false }
  // Before the tail: whoever was put out is told nothing more.
  engine.signals.on('committed', door.committed)
  engine.signals.on('committed', tail.committed)
  engine.signals.on('signalled', tail.signalled)
  engine.signals.on('turned', metrics.turnsOf(name))
  engine.signals.on('failed', () => {
    opened.failed = true
  })
  return opened
}

/** A bug met outside any workspace: logged whole, and told by its id alone. */
function refuseFault(error: unknown, logger: Logger): Outcome {
  const requestId = `req_${randomBytes(8).toString('hex')}`
  logger.error({ err: error, requestId }, 'fault')
  const message = `A fault of the bridge: its log has more under ${requestId}.`
  return { refusal: new BridgeError('INTERNAL', message, { requestId }) }
}

async function listen(http: Server, { host, port }: Config, warn: (error: unknown) => void): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error)
      reject(
        new SetupError(
          `Port ${port} is in use: stop what uses it, or choose another with --port (0 takes any free one).`,
          error,
        ),
      )
    })
    http.listen(port, host, resolve)
  })
  // Of one connection, such as when there are no more descriptors: the others go on.
  http.on('error', warn)
  return (http.address() as AddressInfo).port
}

/** Structured lines on standard error, so that standard output is the CLI's. */
const createLogger = ({ logLevel }: Pick<Config, 'logLevel'>): Logger =>
  pino(
    { level: logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  )
