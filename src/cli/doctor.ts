import type { Command } from 'commander'
import { ConnectionError, locate } from '../client/node.js'
import { readConfig } from '../config.js'
import type { Finding, Running } from '../doctor.js'
import { exits } from './exits.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { type Paint, printable, printableJson } from './text.js'

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description(`Looks for what is wrong with the daemon, its home and its data, and says what to do about it.`)
    .option('--port <number>', 'the port a daemon would take; default: 7420 (AGENT_BRIDGE_PORT)')
  withGlobals(command).action(() => doctor(command))
}

async function doctor(command: Command): Promise<void> {
  const { json, page, print } = terminalOf(command)
  const config = readConfig({ ...command.opts<{ port?: string }>(), home: globalsOf(command).home }, process.env)
  const { diagnose } = await import('../doctor.js')
  const findings = await diagnose({ ...config, running: await findDaemon(config.home) })
  const healthy = findings.every(({ state }) => state !== 'wrong')
  print(json ? printableJson({ healthy, findings }, 2) : findings.flatMap((finding) => describe(finding, page.paint)))
  if (!healthy) process.exitCode = exits.refused.code
}

async function findDaemon(home: string): Promise<Running | undefined> {
  try {
    return await locate(home)
  } catch (error) {
    if (error instanceof ConnectionError) return undefined
    throw error
  }
}

const colors = { ok: 'green', note: 'yellow', wrong: 'red' } as const

function describe({ check, state, found, fix }: Finding, paint: Paint): string[] {
  const head = `${paint(colors[state], state.padEnd(5))}  ${check}: ${printable(found)}`
  return fix === undefined ? [head] : [head, `       ${paint('dim', `-> ${printable(fix)}`)}`]
}
