// The worker is killed, and the daemon is: what runs meanwhile, and how it goes on.

import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectLocal } from '../../src/client/node.js'
import { marked } from '../../src/workers/tree.js'
import { begin, type Run } from '../cli.js'
import { type DaemonProcess, makeHome, removeHome, serveApart, until, within } from '../socket.js'
import { makeRepository, STANDIN, type Step, steps } from './scene.js'

interface World {
  home: string
  repository: string
  daemon: DaemonProcess
  ends: Array<() => unknown>
}

const killed = suite<World>('killed')

killed.before.each(async (world) => {
  world.home = makeHome()
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'agent-bridge-killed-')))
  world.repository = join(folder, 'repository')
  makeRepository(world.repository)
  world.daemon = await serveApart(world.home)
  world.ends = [() => rmSync(folder, { recursive: true, force: true }), () => removeHome(world.home)]
})
killed.after.each(async ({ ends, daemon }) => {
  for (const end of ends.reverse()) await end()
  daemon.child.kill('SIGKILL')
  await daemon.ended
})

async function work({ home, repository: cwd, ends }: World): Promise<Run> {
  const worker = begin(['work', '--agent', 'codex', '--plain', '--binary', STANDIN], { home, cwd })
  ends.push(() => worker.end('SIGKILL'))
  await worker.says('waits for work')
  return worker
}

async function offer({ home, repository: cwd, ends }: World, ...did: [Step[], Step[]?]) {
  const human = await connectLocal({ agent: 'human', home, cwd, env: {} })
  ends.push(() => human.close())
  const resources = [{ resource: 'file:src/**' }]
  const task = { title: 'a task', retryBackoffMs: 0, resources, description: steps(...did) }
  const { id } = await human.call('contract.create', task)
  const reach = async (status: string) => {
    await until(async () => (await human.call('contract.get', { contractId: id })).status === status, status)
    return human.call('contract.get', { contractId: id })
  }
  return { human, id, reach }
}

const running = (id: string): number => marked('').filter(({ run }) => run.includes(id)).length

killed('a killed worker takes its agent with it, and the next one goes on where it was', async (world) => {
  const worker = await work(world)
  const trap = 'trap "" TERM; while :; do sleep 1; done'
  const { human, id, reach } = await offer(
    world,
    [{ orphan: trap }, { edit: { path: 'src/begun' } }, { sleepMs: 600_000 }],
    [{ say: 'went on' }],
  )
  await until(() => existsSync(join(world.repository, 'src/begun')), 'the agent to begin')
  await worker.end('SIGKILL')
  await until(() => running(id) === 0, 'all that it left to end')
  const { items } = await human.call('lock.list', { holder: 'codex' })
  assert.is(items.length, 1, 'the locks are held as long as the session may come back')
  await work(world)
  const done = await reach('completed')
  assert.equal([done.attempt, done.attempts[0]?.note], [2, 'The worker was killed, and started again.'])
})

killed('a daemon that is killed and started again finds the agent at work, and the attempt goes on', async (world) => {
  await work(world)
  const { id, reach } = await offer(world, [
    { edit: { path: 'src/begun' } },
    { until: 'go' },
    { edit: { path: 'src/ended' } },
    { say: 'all along' },
  ])
  await until(() => existsSync(join(world.repository, 'src/begun')), 'the agent to begin')
  world.daemon.child.kill('SIGKILL')
  await world.daemon.ended
  assert.ok(running(id) > 0, 'the agent works on')
  world.daemon = await within(serveApart(world.home), 'the daemon to be there again')
  writeFileSync(join(world.repository, 'go'), '')
  const done = await reach('completed')
  assert.equal([done.attempt, done.failures, (done.result as { message: string }).message], [1, 0, 'all along'])
})

killed.run()
