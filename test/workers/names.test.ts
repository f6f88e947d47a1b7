// Files may have any name; locks may not. What agents and git are asked about is named so that nothing slips through.

import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseResource } from '../../src/bridge/resources/resources.js'
import { pathIn } from '../../src/client/paths.js'
import { sessionOf } from '../../src/workers/account.js'
import { diffOf, headOf } from '../../src/workers/git.js'
import { filesOf, lockedByOthers } from '../../src/workers/guard/check.js'
import { readEvent } from '../../src/workers/hooks/event.js'
import { fileResource } from '../../src/workers/names.js'
import type { Contract } from '../../src/workers/prompt.js'
import { git, openScene, type Scene } from './scene.js'

const names = suite<{ scene: Scene }>('names')

names.before.each(async (context) => {
  context.scene = await openScene()
})
names.after.each(({ scene }) => scene.end())

const DEEP = Array(200).fill('d').join('/')
const LONG = Array(8).fill('n'.repeat(200)).join('/')

names('every name of a file can be asked about, and those that locks can have as they are', () => {
  const same = ['a.ts', 'app/[id]/page.tsx', ':x', 'a b', 'quo\'te"s', '{a,b}*?', '日本/é']
  for (const name of same) assert.is(fileResource(name), `file:${name.normalize('NFC')}`)
  const others = ['new\nline', 'back\\slash', 'tab\tx', 'nul\0', '\u009b31m', 'e\u0301', DEEP, LONG, `${DEEP}/\n`]
  for (const name of others) assert.not.throws(() => parseResource(fileResource(name), true), name)
  assert.is(fileResource('src/new\nline'), 'file:src/new_line')
  assert.ok(LONG.startsWith(fileResource(LONG).slice('file:'.length)), 'a folder that it is in')
})

names('the guard: odd names that nobody has locked are let pass, and those under a lock are not', async ({ scene }) => {
  const { repository: cwd, human } = scene
  const odd = ['new\nline', 'back\\slash', 'tab\tx', ':x', DEEP.slice(0, 151)]
  for (const name of odd) {
    scene.write(`free/${name}`, '1')
    scene.write(`locked/${name}`, '1')
  }
  git(cwd, 'add', '.')
  const files = filesOf('pre-commit', cwd, '')
  assert.is(files.length, 2 * odd.length)
  await human.call('lock.acquire', { resources: [{ resource: 'file:locked/**' }] })
  const denied = await lockedByOthers(await scene.as('codex'), files)
  assert.is(denied.length, odd.length)
  assert.ok(denied.every(({ resource }) => resource.startsWith('file:locked/')))
})

names('the guard: what git does not tell is not let pass', ({ scene: { repository: cwd, ...scene } }) => {
  assert.throws(
    () => filesOf('pre-push', cwd, `refs/heads/x ${'1'.repeat(40)} refs/heads/x ${'0'.repeat(40)}\n`),
    /git/,
  )
  scene.write('a', '')
  git(cwd, 'add', '.')
  git(cwd, 'config', 'diff.orderFile', '/nowhere')
  assert.throws(() => filesOf('pre-commit', cwd, ''), /git does not tell/)
})

names('a worker whose agent leaves files with odd names ends its contract as any other', async ({ scene }) => {
  await scene.worker('codex', { worktree: true })
  const content = 'x\n'
  const edits = ['new\nline', 'back\\slash', 'cafe\u0301', ':x'].map((path) => ({ edit: { path, content } }))
  const id = await scene.offer({ title: 'a\0b', maxAttempts: 1, do: [...edits, { say: 'done' }] })
  const ended = await scene.reach(id, 'completed', 'failed')
  assert.is(ended.status, 'completed', JSON.stringify(ended.error))
  const { branch } = ended.result as { branch: string }
  assert.match(git(scene.repository, 'ls-tree', '-r', '--name-only', branch), /back\\\\slash/)
})

names('the patch of a file is kept, whatever the file is called', ({ scene: { repository: cwd, ...scene } }) => {
  scene.write(':x', 'before\n')
  git(cwd, '--literal-pathspecs', 'add', ':x')
  git(cwd, 'commit', '--quiet', '-m', 'x')
  const head = headOf(cwd)
  scene.write(':x', 'after\n')
  scene.write(':(exclude)*', 'new\n')
  const patch = diffOf(cwd, head, [':x', ':(exclude)*'])
  assert.match(patch, /^-before\n\+after$/m)
  assert.match(patch, /^\+new$/m)
})

names('a link that leads to what is not there yet is followed', ({ scene: { repository: cwd, ...scene } }) => {
  scene.write('locked/there', '')
  symlinkSync(join('..', 'locked', 'new.ts'), join(cwd, 'locked', 'first'))
  symlinkSync(join('locked', 'first'), join(cwd, 'second'))
  symlinkSync('round', join(cwd, 'round'))
  symlinkSync('/nowhere/at/all', join(cwd, 'away'))
  assert.is(pathIn(cwd, 'second'), 'locked/new.ts')
  assert.is(pathIn(cwd, 'away'), undefined)
  assert.is(pathIn(cwd, 'round'), 'round')
})

names('headers of a patch are seen with space around them, as Codex takes them', () => {
  const heads = [' *** Update File: a', '\t*** Delete File: b \r', '\u0085*** Add File: c', '*** Move to: d']
  const command = ['*** Begin Patch', ...heads, '*** End Patch'].join('\n')
  const tool = { tool_name: 'apply_patch', tool_input: { command } }
  const event = { cwd: '/r', hook_event_name: 'PreToolUse', ...tool }
  assert.equal(readEvent(JSON.stringify(event)).paths, ['/r/a', '/r/b', '/r/c', '/r/d'])
})

names('no session of an agent is taken for an option of its program', () => {
  const contract = (session: unknown) =>
    ({
      ...{ owner: 'claude', attempt: 2, attempts: [{ n: 1, owner: 'claude', outcome: 'failed' }] },
      artifacts: [{ name: 'attempt-1', mediaType: 'application/json', data: { agent: 'claude', session } }],
    }) as unknown as Contract
  assert.is(sessionOf(contract('0199-ab'), 'claude'), '0199-ab')
  for (const session of ['--dangerously-skip-permissions', '-', '', 'a b', 'a\n', 5, ['a'], { a: 1 }, null])
    assert.is(sessionOf(contract(session), 'claude'), undefined, JSON.stringify(session))
})

names.run()
