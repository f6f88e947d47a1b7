// Two agents put to work on one repository, with work that overlaps. With stand-ins for their programs, or with the real
// ones against a scripted model server (`npm run smoke -- --real`). Checks what came of it.

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, connectLocal, type Event } from '../src/client/node.js'
import { serveModel } from './model.js'

const LIMIT_MS = 120_000
const root = join(import.meta.dirname, '..')
const CLI = join(root, 'bin', 'agent-bridge.js')
const STANDIN = join(root, 'test', 'fixtures', 'standin.mjs')

/** An agent at work: its kind, and what its command line is given beside. */
interface Hand {
  kind: string
  options: string[]
  env?: NodeJS.ProcessEnv
}

/** The real agents that are installed here, set up for a model server of ours. */
export function realHands(modelUrl: string, folder: string): Hand[] {
  const provider = `{name="smoke",base_url="${modelUrl}/v1",wire_api="responses",requires_openai_auth=false,request_max_retries=0,stream_max_retries=0}`
  const codex = ['model="gpt-5.5"', 'model_provider="smoke"', `model_providers.smoke=${provider}`]
  const home = join(folder, 'agents')
  mkdirSync(join(home, '.gemini'), { recursive: true })
  writeFileSync(join(home, '.gemini', 'settings.json'), '{"security":{"auth":{"selectedType":"gemini-api-key"}}}')
  mkdirSync(join(home, '.codex'))
  const hands: Hand[] = [
    {
      kind: 'codex',
      options: ['--', ...codex.flatMap((setting) => ['-c', setting])],
      env: { CODEX_HOME: join(home, '.codex') },
    },
    {
      kind: 'claude',
      options: [],
      env: {
        ...{ ANTHROPIC_BASE_URL: modelUrl, ANTHROPIC_API_KEY: 'none', CLAUDE_CONFIG_DIR: join(home, '.claude') },
        ...{ CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', CLAUDE_CODE_MAX_RETRIES: '0' },
      },
    },
    {
      kind: 'gemini',
      options: ['--model', 'gemini-2.5-flash'],
      env: { GEMINI_API_KEY: 'none', GOOGLE_GEMINI_BASE_URL: modelUrl, GEMINI_CLI_HOME: home },
    },
  ]
  return hands.filter(({ kind }) => spawnSync(kind, ['--version'], { stdio: 'ignore', timeout: 20_000 }).status === 0)
}

/** The agents as people have set them up for themselves. */
export const configuredHands = (): Hand[] =>
  ['codex', 'claude', 'gemini', 'cursor'].flatMap((kind) => {
    const binary = kind === 'cursor' ? 'cursor-agent' : kind
    const found = spawnSync(binary, ['--version'], { stdio: 'ignore', timeout: 20_000 }).status === 0
    return found ? [{ kind, options: [] }] : []
  })

const standins: Hand[] = ['codex', 'cursor'].map((kind) => ({ kind, options: ['--plain', '--binary', STANDIN] }))

/** Rejects when anything is off. Everything it started has ended when it returns. `real` false: stand-ins. */
export async function runWorkers(
  real: 'scripted' | 'configured' | false,
  print: (line: string) => void,
): Promise<void> {
  const folder = realpathSync(mkdtempSync(join(real ? homedir() : tmpdir(), '.agent-bridge-smoke-')))
  const repository = join(folder, 'repository')
  makeRepository(repository)
  const model = real === 'scripted' ? await serveModel() : undefined
  const hands = model ? realHands(model.url, folder) : real ? configuredHands() : standins
  const running: ChildProcess[] = []
  const env = { ...process.env, AGENT_BRIDGE_HOME: join(folder, 'home'), AGENT_BRIDGE_WORKSPACE: 'smoke' }
  const begin = (args: string[], more: NodeJS.ProcessEnv = {}) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      cwd: repository,
      env: { ...env, ...more },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    running.push(child)
    return child
  }
  const deadline = setTimeout(() => {
    for (const child of running) child.kill('SIGKILL')
  }, LIMIT_MS)
  try {
    if (hands.length === 0) throw new Error('none of codex, claude and gemini is installed: nothing to try')
    print(`  with ${hands.map(({ kind }) => kind).join(' and ')}`)
    begin(['start', '--port', '0', '--log-level', 'warn'])
    while (!existsSync(join(folder, 'home', 'daemon.json'))) await new Promise((resolve) => setTimeout(resolve, 20))
    const human = await connectLocal({ agent: 'human', home: join(folder, 'home'), env })
    for (const { kind, options, env: own } of hands)
      begin(['work', '--agent', kind, '--allow-check', CHECK, ...options], own)
    const names = hands.map(({ kind }) => kind)
    const plan = join(folder, 'plan.json')
    writeFileSync(plan, JSON.stringify(planFor(names)))
    const [code] = await once(begin(['delegate', '--plan', plan, '--wait']), 'exit')
    const events = await readAll(human)
    for (const event of events)
      if (event.contractId) print(`  ${event.time.slice(11, 23)}  ${event.actor.padEnd(7)} ${event.type}`)
    assert.equal(code, 0, 'every contract is completed')
    await check(human, events, names)
    await human.close()
  } finally {
    clearTimeout(deadline)
    await Promise.all(running.reverse().map(end))
    model?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const CHECK = 'test -s src/shared.ts'

/** Two tasks for each agent, all within the same locks, and one that comes after them all. */
function planFor(names: string[]): object {
  const write = (file: string) => ({
    description: `WRITE ${file}\nSTEPS ${JSON.stringify([{ edit: { path: file, content: 'export const smoke = true\n' } }, { say: `${file} is written.` }])}`,
  })
  const tasks = names.map((name) => [
    name,
    { title: `A file by ${name}`, to: name, locks: ['file:src/**'], maxAttempts: 2, ...write(`src/by-${name}.ts`) },
  ])
  const last = {
    title: 'What all share',
    to: names[0],
    after: names,
    locks: ['file:src/shared.ts'],
    checks: [CHECK],
    ...write('src/shared.ts'),
  }
  return { tasks: { ...Object.fromEntries(tasks), shared: last } }
}

async function readAll(human: Client): Promise<Event[]> {
  const all: Event[] = []
  for (let after = 'earliest'; ; ) {
    const { events, cursor, head } = await human.call('event.read', { after })
    all.push(...events)
    after = cursor
    if (cursor === head) return all
  }
}

async function check(human: Client, events: Event[], names: string[]): Promise<void> {
  const { items } = await human.call('contract.list', {})
  assert.equal(items.length, names.length + 1)
  assert.equal(events.filter(({ type }) => type === 'lock.violated').length, 0)
  for (const { id, status, result, artifacts } of items) {
    assert.equal(status, 'completed')
    const { changed, outsideLocks } = result as { changed: string[]; outsideLocks: string[] }
    assert.equal(changed.length, 1)
    assert.deepEqual(outsideLocks, [], 'no edit outside of a lock')
    assert.ok(artifacts.some(({ name }) => name === 'diff') && artifacts.some(({ name }) => name === 'usage'))
    const types = (await human.call('contract.history', { contractId: id, limit: 200 })).items.map(({ type }) => type)
    for (const type of ['created', 'accepted', 'started', 'progressed', 'completed'])
      assert.ok(types.includes(`contract.${type}`), type)
  }
  assert.deepEqual((await human.call('lock.list', {})).items, [], 'all locks are free')
  let held = 0
  for (const { type } of events) {
    if (type === 'lock.acquired') held++
    if (type === 'lock.released') held--
    assert.ok(held <= 1, 'never two at work on what overlaps')
  }
}

function makeRepository(folder: string): void {
  mkdirSync(folder)
  writeFileSync(join(folder, 'README.md'), '# A repository to work on\n')
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=smoke', '-c', 'user.email=smoke@localhost', ...args], {
      cwd: folder,
      stdio: 'ignore',
    })
  git('init', '--initial-branch=main')
  git('add', '.')
  git('commit', '-m', 'begin')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await ended
  clearTimeout(late)
}
