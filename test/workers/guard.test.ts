// Git's own hooks keep commits and pushes off what others have locked.

import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apply, installing, uninstalling } from '../../src/workers/guard/install.js'
import { within } from '../socket.js'
import { git, openScene, type Scene } from './scene.js'

const CLI = join(import.meta.dirname, '..', 'fixtures', 'cli.ts')
const SELF = `'${process.execPath}' --import '${import.meta.resolve('tsx')}' '${CLI}'`

const guard = suite<{ scene: Scene }>('guard')

guard.before.each(async (context) => {
  context.scene = await openScene()
})
guard.after.each(({ scene }) => scene.end())

/** Runs git as an agent or a person would, with the daemon in this process awake meanwhile. */
async function run(
  { home }: Pick<Scene, 'home'>,
  cwd: string,
  args: string[],
  env = {},
): Promise<{ code: number | null; text: string }> {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost']
  const inherited = Object.entries(process.env).filter(([name]) => !/^(AGENT_BRIDGE_|GIT_)/.test(name))
  const all = { ...Object.fromEntries(inherited), AGENT_BRIDGE_HOME: home, ...env }
  const child = spawn('git', [...identity, ...args], { cwd, env: all })
  let text = ''
  child.stdout.on('data', (chunk) => (text += chunk))
  child.stderr.on('data', (chunk) => (text += chunk))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code: await within(ended, `git ${args.join(' ')}`), text }
}

const install = (cwd: string, failing: 'closed' | 'open' = 'closed') =>
  installing({ cwd, self: SELF, failing }).map(apply)

guard(
  'a commit of what another has locked is refused by name, one of what is free or one’s own is made',
  async ({ scene }) => {
    const { repository: cwd, human } = scene
    assert.equal(install(cwd), [true, true])
    await human.call('lock.acquire', { resources: [{ resource: 'file:src/**' }] })
    scene.write('src/a.ts', '1')
    scene.write('free.ts', '1')
    git(cwd, 'add', '.')
    const refused = await run(scene, cwd, ['commit', '-m', 'x'], { AGENT_BRIDGE_AGENT: 'codex' })
    assert.is(refused.code, 1)
    assert.match(refused.text, /This commit touches what others have locked\.\n {2}src\/a\.ts: locked by human \(lck_/)
    assert.not.match(refused.text, /free\.ts/)
    const only = await run(scene, cwd, ['commit', '-m', 'x', '--only', 'free.ts'], { AGENT_BRIDGE_AGENT: 'codex' })
    assert.is(only.code, 0, only.text)
    const own = await run(scene, cwd, ['commit', '-m', 'y'])
    assert.is(own.code, 0, own.text)
  },
)

guard('a push too; and work trees share both the guard and the locks', async ({ scene }) => {
  const { repository: cwd, human } = scene
  const remote = join(cwd, '..', 'remote.git')
  git(cwd, 'init', '--quiet', '--bare', remote)
  git(cwd, 'remote', 'add', 'origin', remote)
  const tree = join(cwd, '..', 'tree')
  git(cwd, 'worktree', 'add', '--quiet', '-b', 'side', tree)
  writeFileSync(join(tree, 'locked.ts'), '1')
  git(tree, 'add', '.')
  git(tree, 'commit', '--quiet', '-m', 'before there was a guard')
  install(cwd)
  const { lockId, token = 0 } = await human.call('lock.acquire', { resources: [{ resource: 'file:locked.ts' }] })
  const env = { AGENT_BRIDGE_AGENT: 'codex' }
  const refused = await run(scene, tree, ['push', 'origin', 'side'], env)
  assert.is(refused.code, 1, refused.text)
  assert.match(refused.text, /This push touches what others have locked\.\n {2}locked\.ts: locked by human/)
  await human.call('lock.release', { lockId, token })
  assert.is((await run(scene, tree, ['push', 'origin', 'side'], env)).code, 0)
  await human.call('lock.acquire', { resources: [{ resource: 'file:locked.ts' }] })
  const gone = await run(scene, tree, ['push', 'origin', ':side'], env)
  assert.is(gone.code, 0, `a branch that is deleted touches no file: ${gone.text}`)
})

guard('a daemon that cannot be asked: closed refuses, open lets pass, and both say so', async ({ scene }) => {
  const { repository: cwd } = scene
  const nowhere = { home: join(cwd, 'nowhere') }
  scene.write('a.ts', '1')
  git(cwd, 'add', 'a.ts')
  install(cwd)
  const closed = await run(nowhere, cwd, ['commit', '-m', 'x'])
  assert.is(closed.code, 1)
  assert.match(closed.text, /No daemon runs in .*Nothing is committed until it can be asked/)
  install(cwd, 'open')
  const open = await run(nowhere, cwd, ['commit', '-m', 'x'])
  assert.is(open.code, 0, open.text)
  assert.match(open.text, /lets it pass/)
})

guard('what stands in a hook stays, the guard is there once, and goes without a trace', async ({ scene }) => {
  const { repository: cwd } = scene
  const file = join(cwd, '.git', 'hooks', 'pre-commit')
  const mine = '#!/bin/bash\necho mine\nexit 0\n'
  writeFileSync(file, mine)
  chmodSync(file, 0o755)
  assert.equal(install(cwd), [true, true])
  assert.equal(install(cwd), [false, false])
  assert.match(
    readFileSync(file, 'utf8'),
    /^#!\/bin\/bash\n# agent-bridge guard: begin\n.*guard check pre-commit --fail closed \|\| exit 1\n# agent-bridge guard: end\necho mine/,
  )
  assert.equal(uninstalling({ cwd }).map(apply), [true, true])
  assert.is(readFileSync(file, 'utf8'), mine)
  assert.not.ok(existsSync(join(cwd, '.git', 'hooks', 'pre-push')))
  writeFileSync(file, '#!/usr/bin/env node\n')
  assert.throws(() => install(cwd), /is no shell script/)
  assert.throws(() => install('/'), /in no git repository/)
})

guard.run()
