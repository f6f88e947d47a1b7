import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import type { Client, Event, ResultOf } from '../client/node.js'
import type { Step, Task } from '../workers/plan.js'
import { formatEvent } from './events.js'
import { exits, fail } from './exits.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { openSession } from './session.js'
import { formatTable } from './table.js'
import type { Terminal } from './terminal.js'
import { printableJson } from './text.js'

interface DelegateOptions {
  plan?: string
  to?: string
  capability?: string
  description?: string
  lock: string[]
  check: string[]
  priority?: Task['priority']
  maxAttempts?: string
  wait?: boolean
}

type Contract = ResultOf<'contract.get'>

const many = (given: string, before: string[]): string[] => [...before, given]
const FINAL = new Set(['completed', 'failed', 'canceled', 'rejected'])

export function addDelegate(program: Command): void {
  const command = program
    .command('delegate')
    .description('Offers a task, or a plan of tasks, to agents at work; with --wait follows it to its end.')
    .argument('[title]', 'the task, in a line')
    .option('--to <agent>', 'only to this agent; default: to whoever takes it first')
    .option('--capability <name>', 'to agents with this')
    .option('--description <text>', 'all that has to be known of it')
    .option('--lock <resource>', "what is locked while it is worked on, such as 'file:src/**'; repeatable", many, [])
    .option('--check <command>', 'a command that shows whether it is done; repeatable', many, [])
    .option('--priority <level>', 'low, normal, high or critical')
    .option('--max-attempts <number>', 'how often it is tried; default: 3')
    .option('--plan <file>', 'tasks and their order from a YAML or JSON file; - reads standard input')
    .option('--wait', 'print what happens until all has ended; exits with 1 unless all is completed')
  withGlobals(command).action((title: string | undefined) => delegate(command, title))
}

async function delegate(command: Command, title: string | undefined): Promise<void> {
  const options = command.opts<DelegateOptions>()
  const terminal = terminalOf(command)
  const steps = await stepsOf(title, options)
  const client = await openSession(globalsOf(command))
  try {
    const { cursor } = await client.call('event.read', { after: 'latest' })
    const created = await create(client, steps, terminal)
    const ids = [...created.values()].map(({ id }) => id)
    if (options.wait) await follow(client, cursor, new Set(ids), terminal)
    const ended = await Promise.all(ids.map((contractId) => client.call('contract.get', { contractId })))
    tell(terminal, [...created.keys()], ended)
    if (options.wait && ended.some(({ status }) => status !== 'completed')) process.exitCode = exits.refused.code
  } finally {
    await client.close()
  }
}

async function stepsOf(title: string | undefined, options: DelegateOptions): Promise<Step[]> {
  const { plan, to, capability, description, lock, check, priority, maxAttempts } = options
  if ((title === undefined) === (plan === undefined)) fail('usage', 'delegate takes a title, or --plan with a file.')
  const room = await import('../workers/plan.js')
  if (plan !== undefined) return room.readPlan(readText(plan))
  const attempts = maxAttempts === undefined ? undefined : Number(maxAttempts)
  const task = {
    title: title ?? '',
    to,
    capability,
    description,
    locks: lock,
    checks: check,
    priority,
    maxAttempts: attempts,
  }
  const given = Object.fromEntries(Object.entries(task).filter(([, value]) => value !== undefined)) as Task
  return [{ name: 'task', after: [], params: room.paramsOf(given) }]
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch {
    return fail('usage', `${file} cannot be read: --plan names the file of a plan.`)
  }
}

/** Creates the contracts, each with those it waits for. What one was refused for leaves those before it offered. */
async function create(client: Client, steps: readonly Step[], terminal: Terminal): Promise<Map<string, Contract>> {
  const created = new Map<string, Contract>()
  for (const { name, after, params } of steps) {
    const dependsOn = after.map((other) => created.get(other)!.id)
    try {
      created.set(name, await client.call('contract.create', { ...params, ...(dependsOn.length > 0 && { dependsOn }) }))
    } catch (error) {
      const offered = [...created.values()].map(({ id }) => id)
      if (offered.length > 0)
        terminal.tell(`Offered already: ${offered.join(', ')}. What comes now was refused: ${name}.`)
      throw error
    }
  }
  return created
}

/** Prints what happens, until nothing more can: all have ended, or wait for what has failed. */
async function follow(
  client: Client,
  after: string,
  ids: ReadonlySet<string>,
  { print, json, page }: Terminal,
): Promise<void> {
  const latest = new Map<string, Contract>()
  for await (const event of client.events({ after, types: ['contract.*', 'lock.*'] })) {
    if (event.contractId === undefined || !ids.has(event.contractId)) continue
    print(json ? printableJson(event) : lineOf(event, page.paint))
    const contract = event.data.contract as Contract | undefined
    if (contract) latest.set(contract.id, contract)
    if (latest.size === ids.size && isOver(latest)) return
  }
}

function isOver(contracts: ReadonlyMap<string, Contract>): boolean {
  const over = new Set([...contracts.values()].filter(({ status }) => FINAL.has(status)).map(({ id }) => id))
  const stuck = ({ id, dependsOn = [] }: Contract): boolean =>
    over.has(id) || dependsOn.some((other) => contracts.get(other)?.status !== 'completed' && isLost(contracts, other))
  return [...contracts.values()].every(stuck)
}

/** It has ended otherwise than completed, or waits for one that has. */
const isLost = (contracts: ReadonlyMap<string, Contract>, id: string): boolean => {
  const contract = contracts.get(id)
  if (!contract) return false
  if (FINAL.has(contract.status)) return contract.status !== 'completed'
  return (contract.dependsOn ?? []).some((other) => isLost(contracts, other))
}

const lineOf = (event: Event, paint: Terminal['page']['paint']): string => formatEvent({ ...event }, paint)

function tell({ json, print, page }: Terminal, names: readonly string[], contracts: readonly Contract[]): void {
  if (json) return print(printableJson({ contracts }, 2))
  const rows = contracts.map(({ id, title, status, owner, attempt, statusMessage, error }, at) => ({
    ...(names.length > 1 && { name: names[at] }),
    ...{ id, status, title, owner, attempt, statusMessage: error?.message ?? statusMessage },
  }))
  print(formatTable(rows, page.width, page.paint))
}
