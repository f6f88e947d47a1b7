import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { ConnectionError, type Located, locate, type ResultOf } from '../client/node.js'
import { homeOf } from '../config.js'
import { exits, fail } from './exits.js'
import { environmentOf, type Globals, globalsOf, terminalOf, withGlobals } from './globals.js'
import { callOnce } from './session.js'
import { formatBlock } from './show.js'
import { printable, printableJson } from './text.js'

/** A daemon that drains needs a second or two; a disk that syncs slowly, longer. */
const STOP_WITHIN_MS = 30_000
const LOOK_EVERY_MS = 25

export function addStop(program: Command): void {
  const command = program
    .command('stop')
    .description("Stops the home's daemon in good order, and waits until it is gone. Fine when none runs.")
  withGlobals(command).action(() => stop(command))
}

async function stop(command: Command): Promise<void> {
  const { json, print } = terminalOf(command)
  const home = homeOf(globalsOf(command).home, process.env)
  const daemon = await findDaemon(home)
  if (!daemon) return print(json ? printableJson({ home, stopped: false }) : `No daemon runs in ${home}.`)
  const { pid } = daemon
  if (!signal(pid, 'SIGTERM'))
    fail('setup', `The daemon (pid ${pid}) is another user's: it cannot be stopped from here.`)
  const deadlineMs = performance.now() + STOP_WITHIN_MS
  while (signal(pid, 0)) {
    if (performance.now() > deadlineMs) {
      fail('setup', `The daemon (pid ${pid}) was told to stop, and still runs after ${STOP_WITHIN_MS / 1_000} s.`)
    }
    await pause(LOOK_EVERY_MS)
  }
  print(json ? printableJson({ home, stopped: true, pid }) : `The daemon (pid ${pid}) has stopped.`)
}

/** The daemon that has proved to be the home's: no other process may be told to end. */
async function findDaemon(home: string): Promise<Located | undefined> {
  try {
    return await locate(home)
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    const pid = readPid(home)
    if (pid === undefined || !signal(pid, 0)) return undefined
    return fail(
      'setup',
      `${error.message} Its process (pid ${pid}) is there: it may be stopping, or be no daemon any more.`,
    )
  }
}

function readPid(home: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(join(home, 'daemon.json'), 'utf8'))
    return Number.isInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

/** False when there is no such process, or it is not ours. */
function signal(pid: number, name: 'SIGTERM' | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .description(`Tells how the daemon and the workspace are. Exits with ${exits.unreachable.code} when none runs.`)
  withGlobals(command).action(() => status(command))
}

async function status(command: Command): Promise<void> {
  const { json, page, print } = terminalOf(command)
  const globals = globalsOf(command)
  try {
    const answer = { running: true, ...(await whereabouts(globals)), ...(await bridgeStatus(globals)) }
    print(json ? printableJson(answer, 2) : formatBlock(answer, page))
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    process.exitCode = exits.unreachable.code
    print(json ? printableJson({ running: false, reason: error.message }, 2) : printable(error.message))
  }
}

const bridgeStatus = async (globals: Globals): Promise<object> =>
  (await callOnce(globals, 'bridge.status', {})) as ResultOf<'bridge.status'>

/** Of a daemon elsewhere, only what it was called by. */
async function whereabouts(globals: Globals): Promise<object> {
  const { AGENT_BRIDGE_URL: url } = environmentOf(globals)
  if (url) return { url }
  const home = homeOf(globals.home, process.env)
  const { pid, url: own } = await locate(home)
  return { pid, url: own, home, tokenFile: join(home, 'token') }
}
