import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import type { Client, Event, EventStream } from '../client/node.js'
import { SetupError } from '../protocol/errors.js'
import { adapters, drivers } from './agents/adapters.js'
import type { Outcome } from './answer.js'
import { type Attempt, beginAttempt } from './attempt.js'
import { endFormerRuns, giveUpFormerWork } from './former.js'
import { topOf } from './git.js'
import { createIdle, type Idle } from './idle.js'
import { asks, declineIdle, type Letter } from './mail.js'
import type { Contract } from './prompt.js'
import { createQueue } from './queue.js'
import type { Shop, WorkerOptions } from './shop.js'
import { MARK } from './tree.js'

export type { WorkerOptions } from './shop.js'

/** A worker that waits for contracts and has its agent do them, one after the other. */
export interface Worker {
  /** Settles when it has stopped: with why it cannot go on, or with nothing when it was told to stop. */
  ended: Promise<string | undefined>
  /** Takes no more work, ends the agent and gives back what it was at. */
  stop(): void
}

const VERSION_WITHIN_MS = 20_000

/** A worker, and what it is at. */
interface Post {
  shop: Shop
  tell(line: string): void
  stopping: AbortController
  attempt?: Attempt | undefined
  /** Of a worker that answers messages. */
  idle?: Idle
  /** Has it look for messages again. */
  ring(): void
}

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
  const post: Post = { shop, tell, stopping, ...(options.answerMessages && { idle: createIdle(shop) }), ring() {} }
  const stream = client.events({ types: ['contract.*', 'lock.acquired', 'message.published'] })
  let broken: unknown
  const stop = () => {
    stopping.abort()
    post.attempt?.leave()
    void post.idle?.leave()
  }
  // Without its events it would not hear that it is to stop.
  const follow = followEvents(stream, post).catch((error: unknown) => {
    broken = error
    stop()
  })
  const ended = work(post).finally(async () => {
    post.attempt?.leave()
    await post.idle?.leave()
    await post.attempt?.ended.catch(() => {})
    stream.close()
    await follow
    await client.close()
    if (broken) throw broken
  })
  return { ended, stop }
}

/** One turn after the other, contracts before messages. Gives why it cannot go on, if it cannot. */
async function work(post: Post): Promise<string | undefined> {
  const { shop, idle, stopping } = post
  const queue = createQueue(shop.client, stopping.signal)
  let fatal: string | undefined
  while (!stopping.signal.aborted) {
    // Begun before it is looked: what comes in between is not missed.
    const rung = new Promise<void>((resolve) => (post.ring = resolve))
    const contract = await queue.look()
    const letters = contract || !idle ? [] : await idle.waiting()
    if (contract) fatal = await take(post, contract)
    else if (idle && letters.length > 0) fatal = await during(post, idle.answer(letters))
    else await Promise.race([queue.come(), rung])
    if (fatal) stopping.abort()
  }
  // What came while the last turn ran goes back.
  const late = queue.taken()
  if (late) await take(post, late)
  return fatal
}

function take(post: Post, contract: Contract): Promise<string | undefined> {
  const { shop, tell, stopping } = post
  tell(`takes ${contract.id}, attempt ${contract.attempt}: ${contract.title}`)
  const attempt = beginAttempt(shop, contract)
  post.attempt = attempt
  // It may have been told to stop in the moment in which the contract came.
  if (stopping.signal.aborted) attempt.leave()
  return during(
    post,
    attempt.ended.then(({ text, ...more }) => ({ text: `${contract.id} ${text}`, ...more })),
  )
}

/** The agent is at something. */
async function during(post: Post, ended: Promise<Outcome>): Promise<string | undefined> {
  const { client } = post.shop
  const [{ text, fatal }] = await Promise.all([ended, client.call('agent.update', { presence: 'running' })])
  post.attempt = undefined
  post.tell(text)
  if (!fatal) await client.call('agent.update', { presence: 'idle' })
  return fatal
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

async function followEvents(stream: EventStream, post: Post): Promise<void> {
  for await (const event of stream) {
    post.attempt?.heard(event)
    post.idle?.heard(event)
    const letter = letterIn(event, post.shop.client.agent)
    if (letter) await receive(post, letter)
  }
}

/** To whom a message goes: into the turn that runs, into one of its own, or back, with word that nobody has read it. */
async function receive({ shop, attempt, idle, ring }: Post, letter: Letter): Promise<void> {
  const { contractId } = letter
  if (attempt && (contractId === undefined || contractId === attempt.contractId))
    return void attempt.deliver(letter).catch(() => {})
  if (contractId !== undefined) return
  if (idle?.deliver(letter)) return
  if (idle && asks(letter)) ring()
  else await declineIdle(shop.client, letter).catch(() => {})
}

/** A message to this agent; one that brings a contract is shown with it. */
function letterIn({ type, data }: Event, agent: string): Letter | undefined {
  const letter = type === 'message.published' ? (data.message as Letter) : undefined
  return letter?.to?.includes(agent) && letter.from !== agent ? letter : undefined
}
