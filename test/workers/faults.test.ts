// What goes wrong with agents, and what becomes of their contracts, their locks and what they left running.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { marked } from '../../src/workers/tree.js'
import { until } from '../socket.js'
import { openScene, type Scene } from './scene.js'

const work = suite<{ scene: Scene }>('work that goes wrong')

work.before.each(async (context) => {
  context.scene = await openScene()
})
work.after.each(({ scene }) => scene.end())

work('a cancel reaches the agent, and the locks are let go when nothing of it runs any more', async ({ scene }) => {
  await scene.worker('codex')
  const id = await scene.offer({
    resources: [{ resource: 'file:src/**' }],
    do: [
      { orphan: 'trap "" TERM; while :; do sleep 1; done' },
      { edit: { path: 'src/begun', content: '' } },
      { sleepMs: 600_000 },
    ],
  })
  await until(() => existsSync(join(scene.repository, 'src/begun')), 'the agent to begin')
  assert.ok(running(id) >= 2, 'the agent and what it started')
  await scene.human.call('contract.cancel', { contractId: id })
  const canceled = await scene.reach(id, 'canceled')
  assert.is(running(id), 0, 'nothing is left')
  assert.is(canceled.attempts[0]?.outcome, 'canceled')
  assert.is(canceled.attempts[0]?.note, undefined, 'it was acknowledged, not forced')
})

work('a killed agent, one that dies with words, one that prints no JSON', async ({ scene }) => {
  await scene.worker('codex')
  const killed = await scene.offer({ maxAttempts: 1, do: [{ say: 'begun' }, { kill: true }] })
  assert.match((await scene.reach(killed, 'failed')).error?.message ?? '', /in the middle \(SIGKILL\)/)
  const died = await scene.offer({ maxAttempts: 1, do: [{ die: 'context window exceeded' }] })
  assert.is((await scene.reach(died, 'failed')).error?.reason, 'CONTEXT_OVERFLOW')
  const odd = await scene.offer({
    do: [{ print: '{"type":' }, { print: 'null' }, { print: 'a banner' }, { say: 'fine' }],
  })
  assert.is((await scene.reach(odd, 'completed', 'failed')).status, 'completed')
})

work('a silent agent is ended, deaf or not, and the next one is told', async ({ scene }) => {
  // Longer than a slow machine takes to start a program, and some attempts more in case it is slower than that.
  await scene.worker('codex', { stallMs: 3_000 })
  const id = await scene.offer({
    maxAttempts: 20,
    do: [{ edit: { path: 'half', content: '' } }, { sleepMs: 600_000 }],
    again: [{ say: 'finished it' }],
  })
  const done = await scene.reach(id, 'completed', 'failed')
  assert.is(done.status, 'completed')
  assert.match(done.attempts[0]?.note ?? '', /printed nothing for too long/)
})

work('an attempt that was taken away is stopped, and not answered', async ({ scene }) => {
  await scene.worker('codex')
  const id = await scene.offer({
    maxAttempts: 1,
    progressTimeoutMs: 1_000,
    do: [{ edit: { path: 'begun', content: '' } }, { sleepMs: 600_000 }],
  })
  const failed = await scene.reach(id, 'failed')
  assert.ok(['PROGRESS_TIMEOUT', 'STALLED'].includes(failed.error?.reason ?? ''))
  await until(() => running(id) === 0, 'the agent to be ended')
})

work('a worker that is stopped gives its contract back', async ({ scene }) => {
  const worker = await scene.worker('codex')
  const id = await scene.offer({ do: [{ edit: { path: 'begun', content: '' } }, { sleepMs: 600_000 }] })
  await until(() => existsSync(join(scene.repository, 'begun')), 'the agent to begin')
  worker.stop()
  assert.is(await worker.ended, undefined)
  const back = await scene.reach(id, 'submitted')
  assert.equal([back.failures, back.attempts[0]?.outcome], [0, 'released'])
  assert.is(running(id), 0)
})

work('two workers whose work overlaps take turns', async ({ scene }) => {
  await Promise.all([scene.worker('codex'), scene.worker('claude')])
  const task = (kind: string) => ({
    assignee: kind,
    resources: [{ resource: 'file:shared.txt' }],
    do: [{ shell: 'test ! -e busy && touch busy && sleep 0.2 && rm busy || touch clash' }, { say: 'done' }],
  })
  const ids = await Promise.all([scene.offer(task('codex')), scene.offer(task('claude'))])
  for (const id of ids) assert.is((await scene.reach(id, 'completed', 'failed')).status, 'completed')
  assert.not.ok(existsSync(join(scene.repository, 'clash')), 'both were at work at once')
})

work('a program that is not there is said at once', async ({ scene }) => {
  try {
    await scene.worker('codex', { binary: '/nowhere/codex' })
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /\/nowhere\/codex cannot be run \(ENOENT\): install codex/)
  }
})

/** Processes of a contract's runs. */
const running = (contractId: string): number => marked('').filter(({ run }) => run.includes(contractId)).length

work.run()
