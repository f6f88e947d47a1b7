import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { refused, scenario } from '../world.js'

// Files changed outside of locks: whom it is told to, and that it changes nothing.

const violated = suite('locks: violated')

scenario(
  violated,
  'the holder of each lock hears of its own files, the creator of what nobody had locked',
  async (world) => {
    const [codex, cursor, claude] = [world.as('codex'), world.as('cursor'), world.as('claude')]
    const { id: contractId } = await claude.call('contract.create', { title: 'a task' })
    const lock = await cursor.call('lock.acquire', { resources: [{ resource: 'file:src/**' }] })
    await codex.call('lock.acquire', { resources: [{ resource: 'file:own.ts' }] })
    const before = world.head()
    const resources = ['file:src/a.ts', 'file:own.ts', 'file:src/b.ts', 'file:free.ts']
    const answer = await codex.call('lock.report', { resources, contractId, note: 'by a command' })
    const of = (resource: string) => ({ resource, holder: 'cursor', lockId: lock.lockId })
    assert.equal(answer, { held: [of('file:src/a.ts'), of('file:src/b.ts')], unlocked: ['file:free.ts'] })
    const events = world.events({ after: before })
    assert.equal(
      events.map(({ type, subject, to, data }) => [type, subject, to, data]),
      [
        [
          'lock.violated',
          lock.lockId,
          ['cursor'],
          { by: 'codex', note: 'by a command', holder: 'cursor', resources: ['file:src/a.ts', 'file:src/b.ts'] },
        ],
        ['lock.violated', 'codex', ['claude'], { by: 'codex', note: 'by a command', resources: ['file:free.ts'] }],
      ],
    )
    assert.is((await cursor.call('lock.list', { holder: 'cursor' })).items[0]?.state, 'held', 'nothing is undone')
  },
)

scenario(violated, 'what is one’s own is no violation, and is not told', async (world) => {
  const codex = world.as('codex')
  await codex.call('lock.acquire', { resources: [{ resource: 'file:src/**' }] })
  const before = world.head()
  assert.equal(await codex.call('lock.report', { resources: ['file:src/[id].ts'] }), { held: [], unlocked: [] })
  assert.equal(world.types(before), [])
})

scenario(violated, 'what is no file, and a contract that is not there, are refused', async (world) => {
  const codex = world.as('codex')
  await refused(codex.call('lock.report', { resources: ['port:3000'] }), 'BAD_RESOURCE')
  await refused(codex.call('lock.report', { resources: ['file:../up'] }), 'BAD_RESOURCE')
  await refused(codex.call('lock.report', { resources: [] }), 'INVALID_PARAMS')
  await refused(codex.call('lock.report', { resources: ['file:a'], contractId: 'ctr_none' }), 'NOT_FOUND')
  await refused(world.as('eye', { role: 'observer' }).call('lock.report', { resources: ['file:a'] }), 'FORBIDDEN')
})

violated.run()
