// A worker and its agent, from the offer to the answer. The agents are stand-ins; everything else is real.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { agentKinds } from '../../src/workers/agents/adapter.js'
import { until } from '../socket.js'
import { artifact, git, openScene, type Scene } from './scene.js'

const work = suite<{ scene: Scene }>('work')

work.before.each(async (context) => {
  context.scene = await openScene()
})
work.after.each(({ scene }) => scene.end())

for (const kind of agentKinds) {
  work(`${kind} does a contract: locks, edits, checks, evidence, what it left and what it cost`, async ({ scene }) => {
    const check = { name: 'there', command: 'test -f src/a.ts' }
    await scene.worker(kind, { allowChecks: [check.command] })
    const id = await scene.offer({
      assignee: kind,
      resources: [{ resource: 'file:src/**' }],
      checks: [check],
      do: [
        { say: 'I begin.' },
        { edit: { path: 'src/a.ts', content: 'export {}\n' } },
        { shell: 'ls' },
        { say: 'All is written.' },
      ],
    })
    const done = await scene.reach(id, 'completed', 'failed')
    assert.is(done.status, 'completed', JSON.stringify(done.error))
    assert.is(scene.read('src/a.ts'), 'export {}\n')
    assert.equal(
      done.evidence.map(({ check, exitCode, by }) => [check, exitCode, by]),
      [['there', 0, kind]],
    )
    const usage = { inputTokens: 100, outputTokens: 10, cachedTokens: 20, ...(kind === 'claude' && { costUsd: 0.25 }) }
    const result = { message: 'All is written.', changed: ['src/a.ts'], refused: [], outsideLocks: [], usage }
    assert.equal(done.result, result)
    assert.match(artifact(done, 'diff')?.text ?? '', /\+export \{\}/)
    const account = artifact(done, 'attempt-1')?.data
    assert.equal([account?.agent, account?.version, account?.usage], [kind, '0.0.0-standin', usage])
    assert.equal(artifact(done, 'usage')?.data, usage)
    assert.is(artifact(done, 'last-message')?.text, 'All is written.')
    const types = scene.events.filter(({ contractId }) => contractId === id).map(({ type }) => type)
    assert.ok(
      types.includes('lock.acquired') && types.includes('contract.progressed') && types.includes('lock.released'),
    )
    const { items } = await scene.human.call('contract.history', { contractId: id })
    const notes = items.map(({ note }) => note ?? '').join('\n')
    for (const note of ['says: I begin.', 'edits src/a.ts', 'runs ls'])
      assert.ok(notes.includes(note), `${note} in ${notes}`)
  })
}

work('what another agent has to verify is waited for; what it finds wrong is mended', async ({ scene }) => {
  await scene.worker('claude')
  const checks = [{ name: 'review', command: 'read it', verifier: 'other' as const }]
  const id = await scene.offer({ checks, do: [{ say: 'done' }], again: [{ say: 'done better' }] })
  const verify = async (attempt: number, exitCode: number) => {
    await until(async () => {
      const { statusMessage, ...contract } = await scene.human.call('contract.get', { contractId: id })
      return contract.attempt === attempt && (statusMessage?.includes('another agent to verify: review') ?? false)
    }, 'the worker to wait')
    const evidence = [{ check: 'review', command: 'read it', exitCode }]
    await scene.human.call('contract.verify', { contractId: id, attempt, evidence })
  }
  await verify(1, 1)
  await verify(2, 0)
  const done = await scene.reach(id, 'completed', 'failed')
  assert.equal([done.status, done.attempt], ['completed', 2])
  assert.match(done.attempts[0]?.note ?? '', /it failed: review/)
})

work('while it waits to be verified it can be canceled', async ({ scene }) => {
  await scene.worker('claude')
  const checks = [{ name: 'review', command: 'read it', verifier: 'other' as const }]
  const id = await scene.offer({ checks, do: [{ say: 'done' }] })
  await until(async () => {
    const { statusMessage } = await scene.human.call('contract.get', { contractId: id })
    return statusMessage?.includes('another agent to verify') ?? false
  }, 'the worker to wait')
  await scene.human.call('contract.cancel', { contractId: id })
  assert.is((await scene.reach(id, 'canceled', 'failed')).attempts[0]?.outcome, 'canceled')
})

work('what failed is tried again, told of, and summed', async ({ scene }) => {
  await scene.worker('claude')
  const id = await scene.offer({
    do: [{ edit: { path: 'half.txt', content: 'half' } }, { fail: 'API Error: 529 Overloaded' }],
    again: [{ edit: { path: 'whole.txt', content: 'whole' } }, { say: 'done' }],
  })
  const done = await scene.reach(id, 'completed', 'failed')
  assert.equal([done.status, done.attempt, done.failures], ['completed', 2, 1])
  assert.is(done.attempts[0]?.note, 'API Error: 529 Overloaded')
  assert.equal(artifact(done, 'usage')?.data, { inputTokens: 200, outputTokens: 20, cachedTokens: 40, costUsd: 0.5 })
})

work('a contract that has hardly room for more is done all the same', async ({ scene }) => {
  await scene.worker('codex')
  const metadata = { long: 'x'.repeat(18_000) }
  const content = `${'a line of text\n'.repeat(900)}`
  const id = await scene.offer({ metadata, do: [{ edit: { path: 'a', content } }, { say: 'y'.repeat(9_000) }] })
  const done = await scene.reach(id, 'completed', 'failed')
  assert.is(done.status, 'completed', JSON.stringify(done.error))
  assert.is(artifact(done, 'diff'), undefined)
  assert.ok(artifact(done, 'attempt-1'))
})

work('a contract that is nearly as long as one may be is done all the same', async ({ scene }) => {
  await scene.worker('codex')
  const result = async (long: number) => {
    const parts = Array.from({ length: 7 }, (_, n) => [`part${n}`, 'x'.repeat(Math.floor(long / 7))])
    const id = await scene.offer({
      metadata: Object.fromEntries(parts),
      do: [{ edit: { path: 'a', content: '' } }, { say: 'y'.repeat(9_000) }],
    })
    return scene.reach(id, 'completed', 'failed')
  }
  for (const long of [40_000, 50_000, 54_500]) {
    const done = await result(long)
    assert.equal([done.status, done.attempt], ['completed', 1], `${long}: ${JSON.stringify(done.error)}`)
  }
})

work('who is not logged in fails the contract for good, and takes no other', async ({ scene }) => {
  const worker = await scene.worker('codex')
  const first = await scene.offer({ do: [{ fail: 'unexpected status 401 Unauthorized: bad key' }] })
  const failed = await scene.reach(first, 'failed')
  assert.equal([failed.error?.reason, failed.error?.retryable, failed.attempt], ['NOT_LOGGED_IN', false, 1])
  assert.match((await worker.ended) ?? '', /401/)
  const second = await scene.offer({ do: [{ say: 'never' }] })
  assert.is((await scene.human.call('contract.get', { contractId: second })).status, 'submitted')
})

work('a check that fails sends it back; one that was not allowed here is never run', async ({ scene }) => {
  await scene.worker('codex', { allowChecks: ['test -f right'] })
  const id = await scene.offer({
    checks: [{ name: 'right', command: 'test -f right' }],
    do: [{ edit: { path: 'wrong', content: '' } }, { say: 'done' }],
    again: [{ edit: { path: 'right', content: '' } }, { say: 'done now' }],
  })
  const done = await scene.reach(id, 'completed', 'failed')
  assert.equal([done.status, done.attempt], ['completed', 2])
  assert.match(done.attempts[0]?.note ?? '', /^right ended with 1/)
  const mark = join(scene.repository, 'ran')
  const other = await scene.offer({ checks: [{ name: 'evil', command: `touch ${mark}` }], do: [{ say: 'done' }] })
  const refused = await scene.reach(other, 'failed')
  assert.equal([refused.error?.reason, refused.error?.retryable], ['CHECK_NOT_ALLOWED', false])
  assert.not.ok(existsSync(mark))
})

work('a check that hangs has failed', async ({ scene }) => {
  await scene.worker('codex', { allowChecks: ['echo begun; sleep 1000'], checkTimeoutMs: 300 })
  const id = await scene.offer({
    maxAttempts: 1,
    checks: [{ name: 'slow', command: 'echo begun; sleep 1000' }],
    do: [{ say: 'done' }],
  })
  const failed = await scene.reach(id, 'failed')
  assert.match(failed.error?.message ?? '', /slow ended with 124: begun/)
})

work('what nobody had locked and was changed all the same is told', async ({ scene }) => {
  await scene.worker('codex', { outside: 'allow' })
  const id = await scene.offer({
    resources: [{ resource: 'file:src/**' }],
    do: [
      { edit: { path: 'src/in', content: '' } },
      { edit: { path: 'out', content: '' } },
      { shell: 'touch by-shell' },
      { say: 'done' },
    ],
  })
  const done = await scene.reach(id, 'completed', 'failed')
  assert.equal((done.result as { outsideLocks: string[] }).outsideLocks, ['by-shell', 'out'])
  const [violated] = scene.events.filter(({ type }) => type === 'lock.violated')
  assert.equal(
    [violated?.to, violated?.data.by, violated?.data.resources],
    [['human'], 'codex', ['file:by-shell', 'file:out']],
  )
})

work('an edit of what another has locked fails the attempt', async ({ scene }) => {
  const { lockId, token } = await scene.human.call('lock.acquire', { resources: [{ resource: 'file:mine' }] })
  await scene.worker('codex', { outside: 'allow' })
  const id = await scene.offer({ maxAttempts: 1, do: [{ edit: { path: 'mine', content: '' } }, { say: 'done' }] })
  const failed = await scene.reach(id, 'failed')
  assert.is(failed.error?.reason, 'OUTSIDE_LOCKS')
  await scene.human.call('lock.release', { lockId, token: token! })
})

work(
  'in a work tree of its own: the branch has the work, the repository is untouched, and no tree is left',
  async ({ scene }) => {
    await scene.worker('codex', { worktree: true, allowChecks: ['test -f src/a.ts'] })
    const id = await scene.offer({
      resources: [{ resource: 'file:src/**' }],
      checks: [{ name: 'there', command: 'test -f src/a.ts' }],
      do: [{ edit: { path: 'half', content: '' } }, { fail: 'server error' }],
      again: [{ edit: { path: 'src/a.ts', content: 'export {}\n' } }, { say: 'done' }],
    })
    const done = await scene.reach(id, 'completed', 'failed')
    assert.is(done.status, 'completed', JSON.stringify(done.error))
    const { branch, changed } = done.result as { branch: string; changed: string[] }
    assert.equal([branch, changed], [`agent-bridge/${id}`, ['src/a.ts']])
    const files = git(scene.repository, 'ls-tree', '-r', '--name-only', branch).trim().split('\n')
    assert.equal(files, ['README.md', 'half', 'src/a.ts'], 'with what the first attempt left')
    assert.is(git(scene.repository, 'status', '--porcelain'), '')
    await until(
      () => git(scene.repository, 'worktree', 'list').trim().split('\n').length === 1,
      'the tree to be removed',
    )
  },
)

work.run()
