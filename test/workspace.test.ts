// Which workspace a folder is in: git itself is asked what belongs together.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { workspaceOf } from '../src/client/workspace.js'
import { SetupError } from '../src/protocol/errors.js'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'agent-bridge-test-')))
const at = (...parts: string[]) => join(root, ...parts)

function git(folder: string, ...words: string[]): string {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'protocol.file.allow=always']
  const env = { PATH: process.env.PATH, HOME: root, GIT_CONFIG_NOSYSTEM: '1' }
  return execFileSync('git', [...identity, ...words], { cwd: folder, env, encoding: 'utf8', stdio: 'pipe' }).trim()
}

function folder(...parts: string[]): string {
  mkdirSync(at(...parts), { recursive: true })
  return at(...parts)
}

function repository(...parts: string[]): string {
  const made = folder(...parts)
  git(made, 'init', '--quiet')
  git(made, 'commit', '--quiet', '--allow-empty', '-m', 'x')
  return made
}

const named = (cwd: string, env = {}) => workspaceOf(cwd, env)
const FORM = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/

const workspace = suite('workspace')

workspace.after(() => rmSync(root, { recursive: true, force: true }))

workspace('a repository, its folders and its linked work trees are one', () => {
  const shop = repository('shop')
  git(shop, 'worktree', 'add', '--quiet', at('elsewhere', 'feature'))
  git(shop, 'worktree', 'add', '--quiet', join(shop, 'inside'))
  const name = named(shop)
  assert.match(name, /^shop-[0-9a-f]{6}$/)
  for (const other of [
    folder('shop', 'src', 'deep'),
    at('elsewhere', 'feature'),
    folder('elsewhere', 'feature', 'src'),
    join(shop, 'inside'),
    join(shop, '.git'),
    join(shop, '.git', 'worktrees', 'feature'),
  ]) {
    assert.is(named(other), name, other)
  }
  symlinkSync(shop, at('link'))
  assert.is(named(at('link', 'src')), name)
})

workspace('work trees that git was told to link relatively are followed too', () => {
  const shop = repository('relative')
  git(shop, 'worktree', 'add', '--quiet', at('beside'))
  writeFileSync(at('beside', '.git'), 'gitdir: ../relative/.git/worktrees/beside\n')
  assert.is(named(at('beside')), named(shop))
})

workspace('other repositories are others, whatever they are called', () => {
  const [one, two] = [repository('one', 'app'), repository('two', 'app')]
  assert.match(named(one), /^app-/)
  assert.match(named(two), /^app-/)
  assert.is.not(named(one), named(two))
  const nested = repository('one', 'app', 'vendor', 'lib')
  assert.match(named(nested), /^lib-/)
})

workspace('a submodule is a repository of its own, a bare one is known with its work trees', () => {
  const [outer, inner] = [repository('outer'), repository('inner')]
  git(outer, 'submodule', '--quiet', 'add', inner, 'part')
  assert.match(named(join(outer, 'part')), /^part-/)
  assert.is.not(named(join(outer, 'part')), named(outer))
  git(root, 'clone', '--quiet', '--bare', inner, 'store.git')
  git(at('store.git'), 'worktree', 'add', '--quiet', at('tree'))
  assert.match(named(at('tree')), /^store-/)
  assert.is(named(at('store.git')), named(at('tree')))
})

workspace('git agrees on what is shared', () => {
  for (const [one, two] of [
    [at('shop'), at('elsewhere', 'feature', 'src')],
    [at('outer'), at('outer', 'part')],
    [at('one', 'app'), at('one', 'app', 'vendor', 'lib')],
    [at('store.git'), at('tree')],
  ] as const) {
    const common = (cwd: string) => realpathSync(git(cwd, 'rev-parse', '--path-format=absolute', '--git-common-dir'))
    assert.is(named(one) === named(two), common(one) === common(two), `${one} ${two}`)
  }
})

workspace('what a hook’s git sets in the environment changes nothing', () => {
  const before = named(at('outer'))
  process.env.GIT_DIR = at('shop', '.git')
  try {
    assert.is(workspaceOf(at('outer'), {}), before)
  } finally {
    delete process.env.GIT_DIR
  }
})

workspace('a folder outside of any repository stands for itself', () => {
  const plain = folder('plain')
  assert.match(named(plain), /^plain-[0-9a-f]{6}$/)
  assert.is.not(named(folder('plain', 'sub')), named(plain))
  // Neither an empty .git nor a file that leads nowhere makes a repository.
  folder('plain', 'fake', '.git')
  assert.match(named(at('plain', 'fake')), /^fake-/)
  folder('plain', 'lost')
  writeFileSync(at('plain', 'lost', '.git'), 'gitdir: ../gone/.git\n')
  assert.match(named(at('plain', 'lost')), /^lost-/)
})

workspace('every name is one that the daemon takes', () => {
  for (const name of ['ünïcode shop', '.hidden', '---', '日本', 'x'.repeat(200), 'a b/c:d'.replace('/', '')]) {
    assert.match(named(folder('names', name)), FORM, name)
  }
  assert.match(named(at('names', '.hidden')), /^hidden-/)
  assert.match(named(at('names', '日本')), /^folder-/)
  assert.match(named('/'), FORM)
})

workspace('the environment goes before all, and a folder that is not there is said to be', () => {
  assert.is(named(at('shop'), { AGENT_BRIDGE_WORKSPACE: 'mine' }), 'mine')
  assert.throws(
    () => named(at('nowhere')),
    (error: Error) => error instanceof SetupError,
  )
})

workspace.run()
