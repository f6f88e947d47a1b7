import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { CallError, type Client, type Event, type EventStream } from '../client/node.js'
import { SetupError } from '../protocol/errors.js'
import { adapters, drivers } from './agents/adapters.js'
import { type Attempt, beginAttempt } from './attempt.js'
import { topOf } from './git.js'
import { decline, type Letter } from './mail.js'
import type { Shop, WorkerOptions } from './shop.js'
import { endTree, MARK, marked } from './tree.js'

export type { WorkerOptions } from './shop.js'

/** A worker that waits for contracts and has its agent do them, one after the other. */
export interface Worker {
  /** Settles when it has stopped: with why it cannot go on, or with nothing when it was told to stop. */
  ended: Promise<string | undefined>
  /** Takes no more work, ends the agent and gives back what it was at. */
  stop(): void
}

/** How long one call waits for work, ms; it is then made again. */
const NEXT_WAIT_MS = 10 * 60_000
const VERSION_WITHIN_MS = 20_000

/** Begins to work. `tell` gets what happens, a line each. @throws SetupError when the agent's program cannot be run */
export async function startWorker(
  client: Client,
  options: WorkerOptions,
  tell: (line: string) => void,
): Promise<Worker> {
  const shop = openShop(client, options)
  await endFormerRuns(shop.runs, tell)
  await giveUpFormerWork(shop, tell)
  await client.call('agent.update', { presence: 'idle', note: `${options.kind} ${shop.version}` })
  const stopping = new AbortController()
  let attempt: Attempt | undefined
  const stream = client.events({ types: ['contract.*', 'lock.acquired', 'message.published'] })
  let broken: unknown
  const stop = () => {
    stopping.abort()
    attempt?.leave()
  }
  // Without its events it would not hear that it is to stop.
  const follow = followEvents(
    stream,
    client.agent,
    () => attempt,
    (letter) => refuseLetter(client, letter),
  ).catch((error: unknown) => {
    broken = error
    stop()
  })

  async function work(): Promise<string | undefined> {
    while (!stopping.signal.aborted) {
      const contract = await nextContract(client, stopping.signal)
      if (!contract) continue
      tell(`takes ${contract.id}, attempt ${contract.attempt}: ${contract.title}`)
      attempt = beginAttempt(shop, contract)
      // It may have been told to stop in the moment in which the contract came.
      if (stopping.signal.aborted) attempt.leave()
      await client.call('agent.update', { presence: 'running' })
      const { text, fatal } = await attempt.ended
      attempt = undefined
      tell(`${contract.id} ${text}`)
      if (fatal) return fatal
      await client.call('agent.update', { presence: 'idle' })
    }
    return undefined
  }

  const ended = work().finally(async () => {
    attempt?.leave()
    await attempt?.ended.catch(() => {})
    stream.close()
    await follow
    await client.close()
    if (broken) throw broken
  })
  return { ended, stop }
}

/** What the agent's MCP server has to be told beside where the bridge is; the mark is for the sweep. */
const TOLD = ['AGENT_BRIDGE_WORKSPACE', 'AGENT_BRIDGE_AGENT', MARK]

function openShop(client: Client, options: WorkerOptions): Shop {
  const { cwd } = options
  const plainEnv = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^AGENT_BRIDGE_/.test(name)))
  const { workspace } = client.session
  const whose = createHash('sha256')
    .update(`${options.bridge.AGENT_BRIDGE_URL ?? options.bridge.AGENT_BRIDGE_HOME}\0${workspace}`)
    .digest('hex')
    .slice(0, 12)
  return {
    client,
    options,
    adapter: (options.plain ? undefined : drivers[options.kind]) ?? adapters[options.kind],
    version: versionOf(options),
    runs: `${whose}/${options.name}/${process.pid}/`,
    cwd,
    top: topOf(cwd) ?? cwd,
    env: { ...plainEnv, ...options.bridge, AGENT_BRIDGE_WORKSPACE: workspace, AGENT_BRIDGE_AGENT: options.name },
    plainEnv,
    ...(options.hook && { hook: options.hook }),
    ...(options.mcp && { mcp: { ...options.mcp, env: [...Object.keys(options.bridge), ...TOLD] } }),
  }
}

/** @throws SetupError when the program is not there or does not run */
function versionOf({ binary, kind }: WorkerOptions): string {
  const { status, stdout, stderr, error } = spawnSync(binary, ['--version'], {
    encoding: 'utf8',
    timeout: VERSION_WITHIN_MS,
  })
  if (status === 0) return stdout.trim().split('\n').at(-1)?.slice(0, 80) ?? ''
  const why =
    (error as NodeJS.ErrnoException | undefined)?.code ?? stderr.trim().split('\n').at(-1) ?? `exit code ${status}`
  throw new SetupError(`${binary} cannot be run (${why}): install ${kind}, or name its program with --binary.`)
}

/** What the marks of all workers of this name begin with, and the process of the worker that a mark is of. */
const formerOf = (runs: string): string => runs.slice(0, runs.lastIndexOf('/', runs.length - 2) + 1)
const workerOf = (former: string, run: string): number => Number(run.slice(former.length).split('/')[0])

/** A worker that was killed may have left its agent running, under marks that name a process that is no more. */
async function endFormerRuns(runs: string, tell: (line: string) => void): Promise<void> {
  const former = formerOf(runs)
  for (const { pid, run } of marked(former)) {
    const worker = workerOf(former, run)
    if (isAlive(worker)) continue
    tell(`ends what a former worker left running (process ${pid}, ${MARK}=${run})`)
    await endTree(`${former}${worker}/`)
  }
}

/** Its attempts count as failed at once: nobody works on them, and nothing of them runs any more. */
async function giveUpFormerWork({ client, runs }: Shop, tell: (line: string) => void): Promise<void> {
  const former = formerOf(runs)
  const status = ['accepted', 'working', 'input_required'] as const
  const { items } = await client.call('contract.list', { owner: client.agent, status: [...status] })
  for (const { id: contractId, attempt, metadata } of items) {
    const { worker } = metadata
    if (typeof worker !== 'string' || !worker.startsWith(former) || isAlive(workerOf(former, worker))) continue
    tell(`gives up attempt ${attempt} at ${contractId}, which a former worker was at`)
    const error = { reason: 'WORKER_LOST', message: 'The worker was killed, and started again.', retryable: true }
    await client.call('contract.fail', { contractId, attempt, error })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function nextContract(client: Client, signal: AbortSignal) {
  try {
    return await client.call('contract.next', { waitMs: NEXT_WAIT_MS }, { signal })
  } catch (error) {
    if (signal.aborted) return undefined
    // Whoever is told to come back later does.
    if (error instanceof CallError && error.retry) return undefined
    throw error
  }
}

async function followEvents(
  stream: EventStream,
  agent: string,
  current: () => Attempt | undefined,
  idle: (letter: Letter) => Promise<void>,
): Promise<void> {
  for await (const event of stream) {
    const attempt = current()
    attempt?.heard(event)
    const letter = letterIn(event, agent)
    if (!letter) continue
    if (attempt && (letter.contractId === undefined || letter.contractId === attempt.contractId))
      void attempt.deliver(letter).catch(() => {})
    else if (letter.contractId === undefined) await idle(letter).catch(() => {})
  }
}

/** A message to this agent; one that brings a contract is shown with it. */
function letterIn({ type, data }: Event, agent: string): Letter | undefined {
  const letter = type === 'message.published' ? (data.message as Letter) : undefined
  return letter?.to?.includes(agent) && letter.from !== agent ? letter : undefined
}

const refuseLetter = (client: Client, letter: Letter): Promise<void> =>
  decline(
    client,
    letter,
    `${client.agent} has no task now, and nobody has read this yet: it is shown to the agent with its next task.`,
  )
