import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { SetupError } from './protocol/errors.js'
import { limits } from './protocol/limits.js'

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Where a daemon listens and keeps its files. */
export interface Config {
  home: string
  host: string
  port: number
  logLevel: string
  /** The defaults of `limits` unless told. */
  retention?: Retention
}

/** How much of a log is kept: see the engine's `Retention`. */
export interface Retention {
  ms: number
  events: number
  bytes?: number
}

const DEFAULT_PORT = 7420
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])

/** What was said on the command line, each field over its environment variable, and that over its default. @throws SetupError */
export function readConfig(
  given: {
    home?: string | undefined
    host?: string | undefined
    port?: string | undefined
    insecure?: boolean | undefined
    logLevel?: string | undefined
    retainDays?: string | undefined
    retainEvents?: string | undefined
    retainBytes?: string | undefined
  },
  env: Environment,
): Config {
  const host = given.host ?? '127.0.0.1'
  if (!LOOPBACK.has(host) && !given.insecure) {
    throw new SetupError(
      `${host} is not a loopback address, and this daemon speaks no TLS: say --insecure if you accept that.`,
    )
  }
  const port = Number(given.port ?? env.AGENT_BRIDGE_PORT ?? DEFAULT_PORT)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new SetupError('The port is a number from 0 (any free one) to 65535.')
  }
  const logLevel = given.logLevel ?? env.AGENT_BRIDGE_LOG ?? 'info'
  const retention = readRetention(given, env)
  return { home: homeOf(given.home, env), host, port, logLevel, retention }
}

const DAY_MS = 86_400_000

/** @throws SetupError */
function readRetention(
  given: { retainDays?: string | undefined; retainEvents?: string | undefined; retainBytes?: string | undefined },
  env: Environment,
): Retention {
  const number = (name: string, text: string | undefined, least: number): number | undefined => {
    if (text === undefined || text === '') return undefined
    const value = Number(text)
    if (Number.isFinite(value) && value >= least) return value
    throw new SetupError(`${name} is a number, and at least ${least}.`)
  }
  const days = number('--retain-days', given.retainDays ?? env.AGENT_BRIDGE_RETAIN_DAYS, limits.retainMsMin / DAY_MS)
  const events = number('--retain-events', given.retainEvents ?? env.AGENT_BRIDGE_RETAIN_EVENTS, 1)
  const bytes = number('--retain-bytes', given.retainBytes ?? env.AGENT_BRIDGE_RETAIN_BYTES, 1_000_000)
  return {
    ms: days === undefined ? limits.retainMs : days * DAY_MS,
    events: events ?? limits.retainEvents,
    ...(bytes !== undefined && { bytes }),
  }
}

/** The folder of the daemon's files: `--home`, `AGENT_BRIDGE_HOME`, `$XDG_STATE_HOME/agent-bridge`, `~/.local/state/agent-bridge`. */
export function homeOf(given: string | undefined, env: Environment): string {
  const named = given ?? env.AGENT_BRIDGE_HOME
  if (named) return resolve(named)
  return join(env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'agent-bridge')
}
