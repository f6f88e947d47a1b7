// Runs the two agents against a daemon on a real temporary repository, prints what happens, and checks what came of it.

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, connectLocal, type Event } from '../src/client/node.js'
import { CHECK, contract as offered } from './task.js'

export interface Variant {
  name: string
  /** kill -9 the daemon when the work has started, and start it again. */
  killDaemon?: boolean
  firstAttemptFails?: boolean
}

const LIMIT_MS = 60_000
const root = join(import.meta.dirname, '..')

/** Rejects when anything is off. Everything it started has ended when it returns. */
export async function runScenario(variant: Variant, print: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'agent-bridge-demo-'))
  const paths = { repository: join(folder, 'repository'), home: join(folder, 'home'), logs: join(folder, 'logs') }
  makeRepository(paths.repository)
  mkdirSync(paths.logs)
  const env = {
    ...process.env,
    AGENT_BRIDGE_HOME: paths.home,
    AGENT_BRIDGE_WORKSPACE: 'demo',
    EXAMPLE_REPOSITORY: paths.repository,
    EXAMPLE_LOGS: paths.logs,
    ...(variant.firstAttemptFails && { EXAMPLE_FIRST_ATTEMPT: 'fails' }),
  }
  const running: ChildProcess[] = []
  const start = (...args: string[]) => {
    const child = spawn(process.execPath, args, { cwd: paths.repository, env, stdio: ['ignore', 'ignore', 'inherit'] })
    running.push(child)
    return child
  }
  const startDaemon = async () => {
    const child = start(join(root, 'bin', 'agent-bridge.js'), 'start', '--port', '0', '--log-level', 'warn')
    while (!existsSync(join(paths.home, 'daemon.json'))) {
      if (child.exitCode !== null) throw new Error('the daemon did not start')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return child
  }
  const deadline = setTimeout(() => {
    for (const child of running) child.kill('SIGKILL')
  }, LIMIT_MS)
  try {
    let daemon = await startDaemon()
    const watcher = await connectLocal({ agent: 'human', home: paths.home, env })
    const events: Event[] = []
    const watching = watch(watcher, async (event) => {
      events.push(event)
      print(describe(event))
      if (variant.killDaemon && event.type === 'contract.started') {
        print('           (the daemon is killed and started again)')
        const ended = once(daemon, 'exit')
        daemon.kill('SIGKILL')
        await ended
        rmSync(join(paths.home, 'daemon.json'))
        daemon = await startDaemon()
      }
    })
    const agent = (name: string) =>
      start('--import', import.meta.resolve('tsx'), join(root, 'examples', `${name}-agent.ts`))
    const agents = [agent('codex'), agent('cursor')]
    const codes = await Promise.all(agents.map(async (child) => (await once(child, 'exit'))[0]))
    assert.deepEqual(codes, [0, 0], 'both agents end well')
    await watching
    await check(watcher, events, paths, variant)
    await watcher.close()
    daemon.kill('SIGTERM')
    assert.deepEqual(await once(daemon, 'exit'), [0, null], 'the daemon stops cleanly')
  } finally {
    clearTimeout(deadline)
    for (const child of running) if (child.exitCode === null) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function makeRepository(folder: string): void {
  mkdirSync(folder)
  writeFileSync(join(folder, 'README.md'), '# A repository to work on\n')
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=demo', '-c', 'user.email=demo@localhost', ...args], {
      cwd: folder,
      stdio: 'ignore',
    })
  git('init', '--initial-branch=main')
  git('add', '.')
  git('commit', '-m', 'begin')
}

/** Follows the log until the Cursor side has said goodbye. */
async function watch(watcher: Client, see: (event: Event) => Promise<void>): Promise<void> {
  for await (const event of watcher.events({ after: 'earliest' })) {
    await see(event)
    if (event.type === 'agent.disconnected' && event.subject === 'cursor' && event.data.reason === 'closed') return
  }
}

function describe({ time, type, actor, data }: Event): string {
  const contract = data.contract as { title: string; status: string; attempt: number; progress?: number } | undefined
  const lock = (data.lock ?? data.last) as { resources?: Array<{ resource: string }> } | undefined
  const agent = data.agent as { presence: string } | undefined
  const message = data.message as { text?: string; topic?: string } | undefined
  const detail = contract
    ? `${contract.status}, attempt ${contract.attempt}${contract.progress === undefined ? '' : `, ${contract.progress * 100} %`}`
    : (lock?.resources?.map(({ resource }) => resource).join(' ') ?? message?.text ?? agent?.presence ?? '')
  return `  ${time.slice(11, 23)}  ${actor.padEnd(7)} ${type.padEnd(24)} ${detail}`.trimEnd()
}

interface Paths {
  repository: string
  logs: string
}

async function check(watcher: Client, events: Event[], paths: Paths, variant: Variant): Promise<void> {
  const { items } = await watcher.call('contract.list', {})
  assert.equal(items.length, 1)
  const [done] = items
  assert.ok(done)
  const attempts = variant.firstAttemptFails ? 2 : 1
  assert.equal(done.status, 'completed')
  assert.equal(done.title, offered.title)
  assert.equal(done.createdBy, 'cursor')
  assert.equal(done.assignee, 'codex')
  assert.equal(done.owner, 'codex')
  assert.equal(done.priority, 'high')
  assert.deepEqual(done.metadata, offered.metadata)
  assert.equal(done.attempt, attempts)
  assert.equal(done.failures, attempts - 1)
  assert.deepEqual(
    done.attempts.map(({ outcome }) => outcome),
    variant.firstAttemptFails ? ['failed', 'completed'] : ['completed'],
  )
  assert.equal(done.evidence[0]?.check, CHECK)
  for (const { name, text } of done.artifacts) assert.equal(readFileSync(join(paths.repository, name), 'utf8'), text)
  assert.deepEqual((await watcher.call('lock.list', {})).items, [], 'all locks are free')
  const count = (type: string) => events.filter((event) => event.type === type).length
  assert.equal(count('contract.created'), 1)
  assert.equal(count('contract.completed'), 1)
  assert.equal(count('contract.attemptFailed'), attempts - 1)
  assert.equal(count('contract.started'), attempts)
  assert.equal(count('lock.acquired'), count('lock.released'))
  assert.equal(count('bridge.started'), variant.killDaemon ? 2 : 1)
  const seqs = events.map(({ cursor }) => Number(cursor.split('-')[1]))
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
    'every event once, in order, none left out',
  )
  assert.deepEqual(stepsOf(paths, 'cursor').slice(-1), ['verified'])
  assert.deepEqual(stepsOf(paths, 'codex').slice(-1), ['completed'])
  assert.equal(stepsOf(paths, 'codex').filter((step) => step === 'started').length, attempts)
}

const stepsOf = ({ logs }: Paths, agent: string): string[] =>
  readFileSync(join(logs, `${agent}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).step)
