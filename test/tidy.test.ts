// The rules of the house. To change one, write a decision record; there are no exceptions.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { methods, nouns } from '../src/bridge/index.js'
import { limits } from '../src/protocol/limits.js'
import { product } from '../src/protocol/version.js'

const root = join(import.meta.dirname, '..')
const src = join(root, 'src')
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file))
  .sort()
const text = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]))

/** What each room may import from; `wiring` is the files of src itself but for config.ts. */
const MAY_IMPORT: Record<string, string[]> = {
  protocol: [],
  config: ['protocol'],
  bridge: ['protocol'],
  engine: ['protocol', 'bridge'],
  store: ['protocol', 'engine/ports.ts'],
  server: ['protocol', 'bridge', 'engine'],
  client: ['protocol', 'config', 'bridge (types)'],
  dashboard: ['protocol', 'client', 'bridge (types)'],
  wiring: ['protocol', 'config', 'bridge', 'engine', 'store', 'server'],
  workers: ['protocol', 'config', 'bridge', 'client'],
  cli: ['protocol', 'config', 'bridge', 'client', 'wiring', 'server/mcp/index.ts', 'workers'],
}
const ENTRIES = [
  'cli/main.ts',
  'client/index.ts',
  'client/node.ts',
  'dashboard/page.tsx',
  'workers/leash.ts',
  'workers/hooks/entry.ts',
]
const FILE_LINES_MAX = 400

const roomOf = (file: string): string =>
  file.includes('/') ? file.slice(0, file.indexOf('/')) : file === 'config.ts' ? 'config' : 'wiring'

/** The imports of a file: the file imported, and whether only types are taken. */
function importsOf(file: string): Array<{ target: string; types: boolean }> {
  const statements =
    text.get(file)?.matchAll(/(?:^(?:import|export)\s+(type\s)?[^'"]*?from\s+|\bimport\()'(\.[^']+)'/gm) ?? []
  return [...statements].map(([, types, path = '']) => {
    const target = relative(src, join(src, dirname(file), path)).replace(/\.js$/, '.ts')
    return { target: text.has(`${target}x`) ? `${target}x` : target, types: types !== undefined }
  })
}

const tidy = suite('tidy')

tidy('imports run up the list of rooms only', () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter(({ target, types }) => {
        const [from, to] = [roomOf(file), roomOf(target)]
        const allowed = MAY_IMPORT[from] ?? []
        return (
          from !== to &&
          !allowed.includes(to) &&
          !allowed.includes(target) &&
          !(types && allowed.includes(`${to} (types)`))
        )
      })
      .map(({ target }) => `${file} -> ${target}`),
  )
  assert.equal(wrong, [])
})

tidy('every import finds its file, and every file is reached from an entry', () => {
  const reached = new Set(ENTRIES)
  for (const file of reached) {
    assert.ok(text.has(file), `${file} is imported and not there`)
    for (const { target } of importsOf(file)) reached.add(target)
  }
  assert.equal(
    files.filter((file) => !reached.has(file)),
    [],
  )
})

tidy(`no file is longer than ${FILE_LINES_MAX} lines, and its name is one lower-case word`, () => {
  assert.equal(
    files.filter((file) => (text.get(file)?.split('\n').length ?? 0) > FILE_LINES_MAX),
    [],
  )
  assert.equal(
    files.filter((file) => !/^([a-z]+\/)*[a-z]+\.tsx?$/.test(file)),
    [],
  )
})

tidy('a rule sees no clock, no chance, no process, and waits for nothing', () => {
  const outside =
    /\b(Date|Math\.random|setTimeout|setInterval|setImmediate|process|console|globalThis|await|async|Promise)\b/
  const code = (file: string) => (text.get(file) ?? '').replace(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'|`[^`]*`/g, '')
  assert.equal(
    files.filter((file) => roomOf(file) === 'bridge' && outside.test(code(file))),
    [],
  )
})

tidy('the linter enforces the rest: short functions, no any, no default exports, no circles', () => {
  const { linter } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8'))
  const { complexity, style, suspicious } = linter.rules
  assert.equal(complexity.noExcessiveLinesPerFunction, { level: 'error', options: { maxLines: 70 } })
  assert.equal([style.noDefaultExport, suspicious.noExplicitAny], ['error', 'error'])
  // Files that know each other's types are one thing in two places as well.
  assert.equal(suspicious.noImportCycles, { level: 'error', options: { ignoreTypes: false } })
  const { status, stdout, stderr } = spawnSync('npx', ['biome', 'lint', 'src'], { cwd: root, encoding: 'utf8' })
  assert.is(status, 0, stdout + stderr)
  assert.equal(
    files.filter((file) => /biome-ignore|@ts-ignore|@ts-expect-error/.test(text.get(file) ?? '')),
    [],
  )
})

tidy('names say what things are', () => {
  const vague =
    /\b(?:class|interface|type|function|const)\s+(\w*(?:Manager|Helper|Util|Utils|Service)|I[A-Z][a-z]\w*)\b/
  assert.equal(
    files.filter((file) => vague.test(text.get(file) ?? '')),
    [],
  )
  assert.equal(
    [...methods.keys()].filter((name) => !/^[a-z]+\.[a-z][a-zA-Z]*$/.test(name)),
    [],
  )
  const types = nouns.flatMap(({ events }) => events.map(({ type }) => type))
  assert.equal(
    types.filter((type) => !/^[a-z]+\.[a-z][a-zA-Z]*$/.test(type)),
    [],
  )
  assert.is(new Set(types).size, types.length)
})

tidy('every limit is used, and the version is the package’s', () => {
  const all = [...text.values()].join('\n')
  assert.equal(
    Object.keys(limits).filter((name) => !all.includes(`limits.${name}`)),
    [],
  )
  assert.is(product.version, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version)
})

tidy('decision records are numbered, each once and none left out', () => {
  const records = readdirSync(join(root, 'docs/decisions')).sort()
  const titles = records.map((file) => readFileSync(join(root, 'docs/decisions', file), 'utf8').split('\n')[0])
  records.forEach((file, index) => {
    const number = index + 1
    assert.ok(file.startsWith(`${number}`.padStart(4, '0')), `${file} stands in the place of number ${number}`)
    assert.ok(titles[index]?.startsWith(`# ${number}. `), `${file} calls itself "${titles[index]}"`)
  })
})

tidy('what runs imports what is installed with it, and all of that; the page is bundled', () => {
  const imported = new Set(
    files
      .filter((file) => roomOf(file) !== 'dashboard')
      .flatMap((file) => [...(text.get(file)?.matchAll(/(?:\bfrom\s+|\bimport\()'([^.'][^']*)'/g) ?? [])])
      .flatMap(([, name = '']) => (name.startsWith('node:') ? [] : [/^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0]])),
  )
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  assert.equal([...imported].sort(), Object.keys(dependencies).sort())
})

tidy('every dependency has its reason in a decision record', () => {
  const record = readFileSync(join(root, 'docs/decisions/0002-dependencies.md'), 'utf8')
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const named = Object.keys({ ...dependencies, ...devDependencies })
  assert.equal(
    named.filter((name) => !name.startsWith('@types/') && !record.includes(`**${name}**`)),
    [],
  )
})

tidy.run()
