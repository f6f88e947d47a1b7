// Tasks offered from the command line, one or a whole plan, and followed to their end.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readPlan } from '../../src/workers/plan.js'
import { run } from '../cli.js'
import { openScene, type Scene, steps } from './scene.js'

const plans = suite('plans')

plans('the order of the file is no matter; what comes after comes after, with what holds for all', () => {
  const read = readPlan(`
defaults: { to: codex, checks: [npm test] }
tasks:
  docs: { title: Write it down, after: [code, test], to: claude, locks: ['file:docs/**'] }
  test: { title: Test it, after: code, checks: [{ name: unit, command: npm run unit }] }
  code: { title: Write it, locks: [{ resource: 'file:src/**', mode: shared }] }
`)
  assert.equal(
    read.map(({ name, after }) => [name, after]),
    [
      ['code', []],
      ['test', ['code']],
      ['docs', ['code', 'test']],
    ],
  )
  const all = { name: 'npm test', command: 'npm test' }
  assert.equal(
    read.map(({ params }) => params),
    [
      { title: 'Write it', assignee: 'codex', resources: [{ resource: 'file:src/**', mode: 'shared' }], checks: [all] },
      { title: 'Test it', assignee: 'codex', resources: [], checks: [{ name: 'unit', command: 'npm run unit' }] },
      { title: 'Write it down', assignee: 'claude', resources: [{ resource: 'file:docs/**' }], checks: [all] },
    ],
  )
  assert.is(readPlan('{"tasks": {"a": {"title": "in JSON"}}}')[0]?.params.title, 'in JSON')
})

plans('what is wrong is named, before anything is offered', () => {
  const wrong: Array<[string, RegExp]> = [
    ['tasks: {', /neither YAML nor JSON/],
    ['', /wrong at its top/],
    ['tasks: {}', /no tasks/],
    ['tasks: { a: { titel: x } }', /wrong at tasks\.a/],
    ['tasks: { a: { title: x, after: b } }', /a comes after b, which the plan does not have/],
    ['tasks: { a: { title: x, after: constructor } }', /comes after constructor/],
    [
      'tasks: { a: { title: x, after: b }, b: { title: y, after: a }, c: { title: z } }',
      /wait for each other.*: a, b\./,
    ],
    ['tasks: { a: { title: x, after: a } }', /wait for each other/],
  ]
  for (const [text, message] of wrong) assert.throws(() => readPlan(text), message, text)
})

plans.run()

const delegate = suite<{ scene: Scene }>('delegate')

delegate.before.each(async (context) => {
  context.scene = await openScene()
})
delegate.after.each(({ scene }) => scene.end())

delegate('one task: what happens is printed, and the code tells how it ended', async ({ scene }) => {
  const { home, repository: cwd } = scene
  await scene.worker('codex', { allowChecks: ['test -f a'] })
  const description = steps([{ edit: { path: 'a', content: '' } }, { say: 'there it is' }])
  const args = [
    'delegate',
    'make a',
    '--to',
    'codex',
    '--lock',
    'file:a',
    '--check',
    'test -f a',
    '--description',
    description,
  ]
  const done = await run([...args, '--wait'], { home, cwd })
  assert.is(done.code, 0, done.stderr)
  for (const text of ['contract.started', 'lock.acquired', 'edits a', 'contract.completed', 'there it is']) {
    assert.ok(done.stdout.includes(text), `${text} in ${done.stdout}`)
  }
  const failing = ['delegate', 'fail', '--to', 'codex', '--max-attempts', '1', '--description', steps([{ fail: 'no' }])]
  const failed = await run([...failing, '--wait'], { home, cwd })
  assert.is(failed.code, 1)
  assert.match(failed.stdout, /failed.*no/s)
  assert.is((await run(['delegate'], { home, cwd })).code, 2)
  assert.is((await run(['delegate', 'x', '--plan', 'y'], { home, cwd })).code, 2)
  assert.is((await run(['delegate', '--plan', join(cwd, 'nowhere')], { home, cwd })).code, 2)
})

delegate('a plan: in order, by whoever is meant; what waits for a failure is not waited for', async ({ scene }) => {
  const { home, repository: cwd, human } = scene
  await Promise.all([scene.worker('codex'), scene.worker('claude')])
  const does = (path: string, needs?: string) =>
    steps([{ shell: needs ? `test -f ${needs} && touch ${path}` : `touch ${path}` }, { say: path }])
  const plan = {
    defaults: { maxAttempts: 1 },
    tasks: {
      second: { title: 'second', after: 'first', to: 'claude', description: does('second', 'first') },
      first: { title: 'first', to: 'codex', description: does('first') },
      bad: { title: 'bad', to: 'codex', description: steps([{ fail: 'no' }]) },
      never: { title: 'never', after: ['bad', 'second'], description: does('never') },
    },
  }
  const file = join(cwd, '..', 'plan.json')
  writeFileSync(file, JSON.stringify(plan))
  const { code, stdout, stderr } = await run(['delegate', '--plan', file, '--wait', '--json'], { home, cwd })
  assert.is(code, 1, stderr)
  const { items } = await human.call('contract.list', {})
  const statuses = Object.fromEntries(items.map(({ title, status }) => [title, status]))
  assert.equal(statuses, { first: 'completed', second: 'completed', bad: 'failed', never: 'submitted' })
  assert.is(scene.read('second'), '', 'it came after the first')
  assert.ok(stdout.includes('"contract.completed"'))
})

delegate.run()
