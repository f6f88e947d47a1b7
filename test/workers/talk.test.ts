// Agents that are spoken with while they work: asked about edits, told of messages, interrupted. Stand-ins that speak the
// recorded protocols of Codex 0.169.0 (app-server) and Claude Code 2.1.330 (control protocol).

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { until } from '../socket.js'
import { openScene, type Scene } from './scene.js'

const TALKER = join(import.meta.dirname, '..', 'fixtures', 'talker.mjs')
const talk = suite<{ scene: Scene }>('talk')

talk.before.each(async (context) => {
  context.scene = await openScene()
})
talk.after.each(({ scene }) => scene.end())

for (const kind of ['codex', 'claude'] as const) {
  const spoken = { binary: TALKER, plain: false }

  talk(`${kind}: an edit of what another has locked is refused, told why, and the turn goes on`, async ({ scene }) => {
    const { human } = scene
    await human.call('lock.acquire', { resources: [{ resource: 'file:theirs.ts' }], reason: 'mid-refactoring' })
    await scene.worker(kind, spoken)
    const id = await scene.offer({
      resources: [{ resource: 'file:src/**' }],
      do: [
        { edit: { path: 'theirs.ts' } },
        { listen: true },
        { edit: { path: 'src/mine.ts' } },
        { edit: { path: 'free.ts' } },
      ],
    })
    const done = await scene.reach(id, 'completed', 'failed')
    assert.is(done.status, 'completed', JSON.stringify(done.error))
    const { changed, refused, outsideLocks, message } = done.result as Record<string, string[]> & { message: string }
    assert.equal([changed, refused, outsideLocks], [['free.ts', 'src/mine.ts'], ['theirs.ts'], []])
    assert.match(message, /heard: .*theirs\.ts is locked by human, for .*mid-refactoring/s)
    assert.not.ok(existsSync(join(scene.repository, 'theirs.ts')))
    const taken = scene.events.filter(({ type, contractId }) => type === 'lock.acquired' && contractId === id)
    assert.is(taken.length, 2, 'what nobody had was locked for the attempt')
    assert.is((await human.call('lock.list', { holder: kind })).items.length, 0, 'and is free again')
  })

  talk(`${kind}: a message goes into the running turn, and is injected when the stream says so`, async ({ scene }) => {
    await scene.worker(kind, spoken)
    const id = await scene.offer({ do: [{ edit: { path: 'begun' } }, { listen: true }] })
    await until(() => existsSync(join(scene.repository, 'begun')), 'the agent to begin')
    const { messageId } = await scene.human.call('message.publish', { to: kind, text: 'use tabs' })
    const done = await scene.reach(id, 'completed', 'failed')
    assert.match(
      (done.result as { message: string }).message,
      /heard: Message .* from the agent "human" \(admin\).*use tabs/s,
    )
    assert.is((await scene.human.call('message.get', { messageId })).receipts?.[kind]?.state, 'injected')
  })

  talk(`${kind}: a cancel interrupts the turn in its own protocol`, async ({ scene }) => {
    await scene.worker(kind, spoken)
    const id = await scene.offer({ do: [{ edit: { path: 'begun' } }, { listen: true }, { edit: { path: 'never' } }] })
    await until(() => existsSync(join(scene.repository, 'begun')), 'the agent to begin')
    await scene.human.call('contract.cancel', { contractId: id })
    const canceled = await scene.reach(id, 'canceled')
    assert.is(canceled.attempts[0]?.note, undefined, 'it was acknowledged, not forced')
    assert.not.ok(existsSync(join(scene.repository, 'never')))
  })

  talk(`${kind}: a turn that fails`, async ({ scene }) => {
    await scene.worker(kind, spoken)
    const id = await scene.offer({ maxAttempts: 1, do: [{ fail: 'unexpected status 429 Too Many Requests' }] })
    assert.is((await scene.reach(id, 'failed')).error?.reason, 'RATE_LIMITED')
  })
}

talk.run()
