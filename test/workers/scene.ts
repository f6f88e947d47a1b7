import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ParamsOf, ResultOf } from '../../src/bridge/index.js'
import { type Client, connectLocal, type Event } from '../../src/client/node.js'
import { startWorker, type Worker, type WorkerOptions } from '../../src/workers/worker.js'
import { serve, until, within } from '../socket.js'

// A daemon, a repository, a person who delegates, and workers whose agents are stand-ins.

export const STANDIN = join(import.meta.dirname, '..', 'fixtures', 'standin.mjs')

export type Contract = ResultOf<'contract.get'>

/** One thing that a stand-in does; see fixtures/standin.mjs. */
export interface Step {
  say?: string
  edit?: { path: string; content?: string | null }
  shell?: string
  print?: string
  sleepMs?: number
  orphan?: string
  until?: string
  deaf?: true
  listen?: true
  kill?: true
  die?: string
  fail?: string
}

/** What is written in a task for a stand-in to do; others of a later attempt. */
export const steps = (first: Step[], second?: Step[]): string =>
  [`STEPS ${JSON.stringify(first)}`, ...(second ? [`STEPS2 ${JSON.stringify(second)}`] : [])].join('\n')

export interface Scene {
  home: string
  repository: string
  url: string
  human: Client
  /** Another session of an agent, closed at the end. */
  as(agent: string): Promise<Client>
  /** Everything that has happened, as it comes. */
  events: Event[]
  /** What the workers say. */
  lines: string[]
  worker(kind: WorkerOptions['kind'], more?: Partial<WorkerOptions>): Promise<Worker>
  offer(params: Partial<ParamsOf<'contract.create'>> & { do: Step[]; again?: Step[] }): Promise<string>
  /** Waits until the contract has one of these statuses. */
  reach(contractId: string, ...statuses: string[]): Promise<Contract>
  read(path: string): string
  write(path: string, text: string): void
  end(): Promise<void>
}

export function git(cwd: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost']
  return execFileSync('git', [...identity, ...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

export function makeRepository(folder: string): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'README.md'), '# A repository\n')
  git(folder, 'init', '--quiet', '--initial-branch=main')
  git(folder, 'add', '.')
  git(folder, 'commit', '--quiet', '-m', 'begin')
}

export async function openScene(): Promise<Scene> {
  const daemon = await serve()
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'agent-bridge-work-')))
  const repository = join(folder, 'repository')
  makeRepository(repository)
  const env = {}
  const open = (agent: string, more = {}) => connectLocal({ agent, home: daemon.home, cwd: repository, env, ...more })
  const human = await open('human')
  const events: Event[] = []
  const stream = human.events({ after: 'earliest' })
  const watching = (async () => {
    for await (const event of stream) events.push(event)
  })()
  const workers: Worker[] = []
  const others: Client[] = []
  const lines: string[] = []
  return {
    home: daemon.home,
    repository,
    url: daemon.url,
    human,
    async as(agent) {
      const client = await open(agent, { oneShot: true })
      others.push(client)
      return client
    },
    events,
    lines,
    async worker(kind, more = {}) {
      const name = more.name ?? kind
      const client = await open(name, { kind, capabilities: [kind] })
      const options: WorkerOptions = {
        kind,
        name,
        cwd: repository,
        binary: STANDIN,
        more: [],
        plain: true,
        worktree: false,
        capabilities: [],
        allowChecks: [],
        checkTimeoutMs: 20_000,
        stallMs: 60_000,
        outside: 'acquire',
        bridge: { AGENT_BRIDGE_HOME: daemon.home },
        ...more,
      }
      try {
        const worker = await startWorker(client, options, (line) => void lines.push(`${name}: ${line}`))
        workers.push(worker)
        return worker
      } catch (error) {
        await client.close()
        throw error
      }
    },
    async offer({ do: first, again, ...params }) {
      const description = steps(first, again)
      const { id } = await human.call('contract.create', { title: 'a task', retryBackoffMs: 0, description, ...params })
      return id
    },
    async reach(contractId, ...statuses) {
      let contract: Contract | undefined
      await until(
        async () => {
          contract = await human.call('contract.get', { contractId })
          return statuses.includes(contract.status)
        },
        `${statuses.join(' or ')} (it is ${contract?.status}: ${contract?.statusMessage}; ${lines.join('; ')})`,
      )
      return contract as Contract
    },
    read: (path) => readFileSync(join(repository, path), 'utf8'),
    write(path, text) {
      mkdirSync(dirname(join(repository, path)), { recursive: true })
      writeFileSync(join(repository, path), text)
    },
    async end() {
      for (const { stop } of workers) stop()
      await within(Promise.allSettled(workers.map(({ ended }) => ended)), 'the workers to stop')
      stream.close()
      await watching
      for (const client of others) await client.close()
      await human.close()
      await daemon.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The data of a contract's artifact. */
export const artifact = ({ artifacts }: Contract, name: string) =>
  artifacts.find((one) => one.name === name) as
    | { data?: Record<string, unknown>; text?: string; uri?: string }
    | undefined
