import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  candidateKeys,
  covers,
  isConcrete,
  keysOf,
  overlaps,
  type Pattern,
  parseResource,
} from '../src/bridge/resources/resources.js'
import { BridgeError } from '../src/protocol/errors.js'
import { limits } from '../src/protocol/limits.js'

const file = (path: string) => parseResource(`file:${path}`)
const literal = (path: string) => parseResource(`file:${path}`, true)

/** Patterns mean what they are written as; a failure prints the text. */
const meet = (a: string, b: string) => overlaps(file(a), file(b))
const hold = (a: string, b: string) => covers(file(a), file(b))

// --- A matcher that shares nothing with the source: text to text, then RegExp.

/** Innermost braces first; classes of the generated patterns hold no braces. */
function expansions(text: string): string[] {
  const braces = /\{([^{}]*)\}/.exec(text)
  if (!braces) return [text]
  const [before, after] = [text.slice(0, braces.index), text.slice(braces.index + braces[0].length)]
  return braces[1]!.split(',').flatMap((part) => expansions(before + part + after))
}

/** Matches a path that ends in `/`. */
function matcher(text: string): (path: string) => boolean {
  const sources = expansions(text).map((one) =>
    one
      .split('/')
      .map((segment) => {
        if (segment === '**') return '(?:[^/]+/)*'
        const source = segment.replace(/\[!?|[?*]/g, (mark) =>
          mark === '?' ? '[^/]' : mark === '*' ? '[^/]*' : mark === '[' ? '[' : '[^/',
        )
        return `${source}/`
      })
      .join(''),
  )
  const regex = new RegExp(`^(?:${sources.join('|')})$`, 'u')
  return (path) => regex.test(path)
}

/** Every sequence of up to `most` items, joined; not the empty one. */
function sequences(items: readonly string[], most: number): string[] {
  let longest = ['']
  return Array.from({ length: most }).flatMap(() => {
    longest = longest.flatMap((start) => items.map((item) => start + item))
    return longest
  })
}

const segmentsOf = (alphabet: string, length: number) => sequences([...alphabet], length)
const pathsOf = (alphabet: string, length: number, depth: number) =>
  sequences(
    segmentsOf(alphabet, length).map((segment) => `${segment}/`),
    depth,
  )

// --- Patterns. Where two can only meet in a path longer than those enumerated, brute force would be wrong; so each
// --- generator bounds what is not a run, and a shortest common path has no more items than both have of those.

const ends = (...texts: string[]) => fc.constantFrom(...texts)
const joined = (parts: fc.Arbitrary<string[]>, by = '') => parts.map((list) => list.join(by))
/** `**` inside a segment is refused, so two stars never follow each other. */
const tidy = (text: string) => text.replace(/\*+/g, '*')

/** One segment, at most three single characters of `ab`; `c` is the character no pattern names. */
const word = fc
  .array(fc.tuple(ends('', '*'), ends('a', 'b', '?', '[ab]', '[!a]', '[!b]', '[!ab]', '[a-b]')), { maxLength: 3 })
  .chain((parts) => ends('', '*').map((last) => tidy(parts.flat().join('') + last) || '*'))

/** At most two segments that are not `**`, each with one character that is not a run. `b` stands for all others. */
const shortSegment = ends('a', 'b', '?', '[!a]', '[ab]', '*', 'a*', '*a', '*b', '?*', '*[!a]*')
const shortPath = joined(
  fc
    .tuple(ends('', '**'), shortSegment, ends('', '**'), fc.option(shortSegment, { nil: '' }), ends('', '**'))
    .map((parts) => parts.filter((part) => part !== '')),
  '/',
)

/** Any size, braces with `/` in them and braces in braces; brute force can then only show that two do meet. */
const { path: anyPath } = fc.letrec<{ path: string; segment: string; atom: string; braces: string }>((tie) => ({
  path: joined(fc.array(fc.oneof(tie('segment'), tie('segment'), ends('**')), { minLength: 1, maxLength: 4 }), '/'),
  segment: joined(fc.array(tie('atom'), { minLength: 1, maxLength: 3 })).map((text) => tidy(text)),
  atom: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'braces' },
    { weight: 6, arbitrary: ends('a', 'b', 'a', 'b', '?', '*', '[!a]', '[ab]') },
    { weight: 1, arbitrary: tie('braces') },
  ),
  braces: fc
    .array(fc.oneof({ depthIdentifier: 'braces' }, ends('a', 'b', '?', 'a/b', 'a/**/b'), tie('segment')), {
      minLength: 1,
      maxLength: 3,
    })
    .map((parts) => `{${parts.join(',')}}`),
}))

/** Undefined where the expansion is not canonical, as with `{*,a}*`. */
function tryFile(text: string): Pattern | undefined {
  try {
    return file(text)
  } catch (error) {
    if (error instanceof BridgeError && error.reason === 'BAD_RESOURCE') return undefined
    throw error
  }
}

/** A pattern with its text, for brute force. */
const parsed = anyPath
  .map((text) => ({ text, pattern: tryFile(text) }))
  .filter((one): one is { text: string; pattern: Pattern } => one.pattern !== undefined)

const check = (property: fc.IRawProperty<unknown>, numRuns = 1_000) => fc.assert(property, { numRuns })

// --- Overlap

const overlap = suite('resources: overlap')

overlap('is decided for the cases a reader would try', () => {
  const table: [string, string, boolean][] = [
    ['src/a.ts', 'src/a.ts', true],
    ['src/a.ts', 'src/b.ts', false],
    ['src/**', 'src', true],
    ['src/**', 'src/a/b/c.ts', true],
    ['src/**', 'srcs/a', false],
    ['**', 'a', true],
    ['**/a', 'a', true],
    ['src/*', 'src/a/b', false],
    ['src/*', 'src', false],
    ['src/*/x.ts', 'src/a/*.ts', true],
    ['src/*/x.ts', 'src/a/*.tsx', false],
    ['**/x.ts', 'src/**', true],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/c', false],
    ['*.ts', '*.test.*', true],
    ['a*b', 'b*a', false],
    ['a*', '*b', true],
    ['a/b.ts/**', 'a/b.ts', true],
    ['[a-f]', '[g-z]', false],
    ['[!a-f]', '[a-g]', true],
    ['[!a]', 'a', false],
    ['a[.-0]', 'a0', true],
    ['a[.-0]b', 'a/b', false],
    ['a[.-0]', 'a[!.0]', false],
    ['a[!b]c', 'a/c', false],
    ['a?c', 'a/c', false],
    ['[*]', '*', true],
    ['[*]', 'a', false],
    ['{a,b}/x', '{b,c}/x', true],
    ['{a,b}/x', '{c,d}/x', false],
    ['src/{a,b/c}', 'src/b/c', true],
    ['a{,.test}.ts', 'a.test.ts', true],
    ['{a,{b,c{d,e}}}', 'ce', true],
    ['{[,],x}', ',', true],
    ['{[{],x}', '[{]', true],
    ['a]b},c', 'a]b},c', true],
    ['.*', '.env', true],
    ['*', '.env', true],
    ['?', '\u{1F600}', true],
    ['??', '\u{1F600}', false],
    ['[\u{1F600}-\u{1F610}]', '\u{1F605}', true],
    ['A.ts', 'a.ts', false],
    ['a:b', 'a:b', true],
  ]
  for (const [a, b, expected] of table) {
    assert.is(meet(a, b), expected, `${a} with ${b}`)
    assert.is(meet(b, a), expected, `${b} with ${a}`)
  }
})

overlap('of names is equality, whatever they hold', () => {
  const same = (a: string, b: string) => overlaps(parseResource(a), parseResource(b))
  assert.ok(same('port:3000', 'port:3000'))
  assert.not(same('port:3000', 'port:3001'))
  assert.not(same('port:*', 'port:3000'))
  assert.not(same('port:3000', 'db:3000'))
  assert.not(same('branch:a', 'file:a'))
  assert.not(same('branch:a', 'file:**'))
  assert.not(same('branch:feature/x', 'branch:feature'))
})

overlap('takes a literal name for what it says', () => {
  assert.not(overlaps(literal('app/[id]/page.tsx'), file('app/[id]/page.tsx')))
  assert.ok(overlaps(literal('app/[id]/page.tsx'), file('app/[[]id]/page.tsx')))
  assert.ok(overlaps(literal('app/[id]/page.tsx'), file('app/*/page.tsx')))
  assert.ok(overlaps(literal('**'), file('[*][*]')))
  assert.not(overlaps(literal('**'), file('a')))
})

overlap('of two segments is what brute force finds, neither more nor less', () => {
  const names = segmentsOf('abc', 6).map((name) => `${name}/`)
  check(
    fc.property(word, word, (a, b) => {
      const [inA, inB] = [matcher(a), matcher(b)]
      assert.is(
        meet(a, b),
        names.some((name) => inA(name) && inB(name)),
      )
    }),
  )
})

overlap('of two paths is what brute force finds, neither more nor less', () => {
  const paths = pathsOf('ab', 2, 4)
  check(
    fc.property(shortPath, shortPath, (a, b) => {
      const [inA, inB] = [matcher(a), matcher(b)]
      assert.is(
        meet(a, b),
        paths.some((path) => inA(path) && inB(path)),
      )
    }),
  )
})

overlap('misses no path brute force finds, in patterns of any form; and is symmetric', () => {
  const paths = pathsOf('ab', 3, 2).concat(pathsOf('ab', 1, 5))
  let met = 0
  check(
    fc.property(parsed, parsed, (a, b) => {
      const [inA, inB] = [matcher(a.text), matcher(b.text)]
      assert.is(overlaps(a.pattern, b.pattern), overlaps(b.pattern, a.pattern))
      if (!paths.some((path) => inA(path) && inB(path))) return
      met++
      assert.ok(overlaps(a.pattern, b.pattern))
    }),
  )
  assert.ok(met > 100, 'the patterns generated meet often enough to show something')
})

overlap('with one path is membership', () => {
  check(
    fc.property(parsed, fc.constantFrom(...pathsOf('ab', 3, 2), ...pathsOf('ab', 1, 4)), ({ text, pattern }, path) => {
      const expected = matcher(text)(path)
      const concrete = file(path.slice(0, -1))
      assert.is(overlaps(pattern, concrete), expected)
      assert.is(covers(pattern, concrete), expected)
    }),
    5_000,
  )
})

overlap('of the worst patterns the limits let through is decided', () => {
  // Exponential matchers do not come back from these.
  assert.not(meet(`${'*a'.repeat(200)}*`, 'b'.repeat(600)))
  assert.ok(meet(`${'*a'.repeat(200)}*`, `${'*b'.repeat(200)}*`))
  assert.not(meet(`${'*a'.repeat(200)}`, `${'*b'.repeat(200)}`))
  assert.not(meet(`${'**/*a*/'.repeat(31)}c`, `${'**/*b*/'.repeat(31)}d`))
  assert.not(meet(`${'bbbbbbbbbbbbbb/'.repeat(60)}c`, `**/${'*bbbbbbbbbbb*/'.repeat(60)}d/**`))
  const choice = (from: number) => `{${Array.from({ length: 64 }, (_, i) => String.fromCodePoint(from + i)).join(',')}}`
  assert.not(meet(choice(0x4e00) + 'b'.repeat(30), `*${choice(0x5e00)}${'b'.repeat(29)}*`))
})

overlap.run()

// --- Covering

const covering = suite('resources: covers')

covering('knows the cheap cases', () => {
  const table: [string, string][] = [
    ['src/**', 'src/a/*.ts'],
    ['src/**', 'src/**/x'],
    ['src/**', 'src'],
    ['**', '{a,b}/**'],
    ['*', '*.ts'],
    ['*.ts', '*.test.ts'],
    ['[a-c]x', '{a,b}x'],
    ['?', '[!a]'],
    ['{a,b}/**', 'b/*/c'],
    ['**/*.ts', 'src/*/[ab].ts'],
  ]
  for (const [outer, inner] of table) {
    assert.ok(hold(outer, inner), `${outer} holds ${inner}`)
    assert.not(hold(inner, outer), `${inner} does not hold ${outer}`)
  }
  assert.not(hold('a/**', 'a*/**'))
  assert.not(covers(parseResource('port:1'), parseResource('port:2')))
  assert.ok(covers(parseResource('port:1'), parseResource('port:1')))
})

covering('holds of a pattern and itself', () => {
  check(fc.property(parsed, ({ pattern }) => assert.ok(covers(pattern, pattern))))
})

covering('is never claimed wrongly', () => {
  const paths = pathsOf('abc', 2, 2).concat(pathsOf('ab', 1, 5), pathsOf('ab', 3, 2))
  let held = 0
  const sound = (outer: string, inner: string) => {
    if (!hold(outer, inner)) return
    held++
    const [inOuter, inInner] = [matcher(outer), matcher(inner)]
    for (const path of paths) if (inInner(path)) assert.ok(inOuter(path), `${outer} holds ${inner}, but not ${path}`)
    assert.ok(meet(outer, inner))
  }
  check(fc.property(word, word, sound), 3_000)
  check(fc.property(shortPath, shortPath, sound), 3_000)
  check(
    fc.property(parsed, parsed, (outer, inner) => sound(outer.text, inner.text)),
    3_000,
  )
  assert.ok(held > 100, 'the patterns generated hold one another often enough to show something')
})

covering.run()

// --- Keys

const keys = suite('resources: keys')

keys('are the literal prefix', () => {
  const table: [Pattern, string[]][] = [
    [file('src/*/x.ts'), ['file:/src']],
    [file('**'), ['file:']],
    [file('*.ts'), ['file:']],
    [file('a/b.ts'), ['file:/a/b.ts']],
    [file('a/b.ts/**'), ['file:/a/b.ts']],
    [file('{b,a,a}/x/*'), ['file:/a/x', 'file:/b/x']],
    [file('src/{*.ts,a}'), ['file:/src', 'file:/src/a']],
    [literal('app/[id]/*'), ['file:/app/[id]/*']],
    [file('app/[[]id]/*'), ['file:/app/[id]']],
    [parseResource('branch:feature/x'), ['branch:feature/x']],
  ]
  for (const [pattern, expected] of table) assert.equal(keysOf(pattern), expected)
})

keys('of candidates are ancestors by equality and what is below by range', () => {
  assert.equal(candidateKeys(file('src/a/*.ts')), {
    equal: ['file:', 'file:/src', 'file:/src/a'],
    below: ['file:/src/a'],
  })
  assert.equal(candidateKeys(file('a/b.ts')), { equal: ['file:', 'file:/a', 'file:/a/b.ts'], below: [] })
  assert.equal(candidateKeys(file('{a,b/*}')), { equal: ['file:', 'file:/a', 'file:/b'], below: ['file:/b'] })
  assert.equal(candidateKeys(parseResource('branch:a/b')), { equal: ['branch:a/b'], below: [] })
})

/** What the store does: equality, and a range of strings. */
function finds(asking: Pattern, indexed: Pattern): boolean {
  const { equal, below } = candidateKeys(asking)
  return keysOf(indexed).some(
    (key) => equal.includes(key) || below.some((above) => `${above}/` <= key && key < `${above}0`),
  )
}

keys('find everything that overlaps', () => {
  const patterns = fc.oneof(
    parsed.map(({ pattern }) => pattern),
    shortPath.map(file),
    fc.constantFrom(...pathsOf('ab', 1, 4)).map((path) => file(path.slice(0, -1))),
    ends('branch:a', 'branch:a/b', 'db:a').map((name) => parseResource(name)),
  )
  const seen = { concrete: 0, found: 0, apart: 0 }
  check(
    fc.property(patterns, patterns, (a, b) => {
      if (!finds(a, b)) seen.apart++
      if (!overlaps(a, b)) return
      seen.found++
      if (isConcrete(a)) seen.concrete++
      assert.ok(finds(a, b))
    }),
    10_000,
  )
  assert.ok(Math.min(...Object.values(seen)) > 100, `each case often enough: ${JSON.stringify(seen)}`)
})

keys('know the concrete', () => {
  for (const one of ['a', 'a/b.ts', '[a]', '{a,a}', '{a,[a]}', 'a]b']) assert.ok(isConcrete(file(one)), one)
  for (const many of ['*', 'a/**', '[ab]', '[!a]', '{a,b}', '?']) assert.not(isConcrete(file(many)), many)
  assert.ok(isConcrete(literal('a/{b,*}/[c]')))
  assert.ok(isConcrete(parseResource('port:*')))
})

keys.run()

// --- Grammar

const grammar = suite('resources: grammar')

function refused(resource: string, asLiteral = false): BridgeError {
  try {
    parseResource(resource, asLiteral)
  } catch (error) {
    if (error instanceof BridgeError && error.reason === 'BAD_RESOURCE') return error
    throw error
  }
  throw new Error(`accepted: ${JSON.stringify(resource)}`)
}

grammar('refuses what is not canonical, as glob and as literal', () => {
  const paths = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    './a',
    'a/..',
    'a/../b',
    'a\\b',
    'a\0',
    'a\nb',
    'a\x7f',
    'a\x85',
  ]
  for (const path of [...paths, 'e\u0301', '\ud800', 'a\udc00/b']) {
    refused(`file:${path}`)
    refused(`file:${path}`, true)
  }
})

grammar('refuses a resource without scheme or name', () => {
  const resources = ['', 'a', 'src/a.ts', ':a', 'File:a', '1a:b', 'a b:c', 'file', 'port:', 'port:a\0', 'db:e\u0301']
  for (const resource of resources) refused(resource)
  for (const resource of ['port:3000', 'db:dev', 'git+ssh.2-x:a b', 'x::', 'branch:/a/../b//']) parseResource(resource)
})

grammar('refuses globs that are not balanced, empty or never canonical', () => {
  const classes = ['[', 'a[b', '[]', '[!]', '[]a]', '[a/b]', '[!/]', '[b-a]', '[a', '[^a]', '[[:alpha:]]', '[[=a=]]']
  const braces = ['{', '{a', '{a,b', '{a,{b}', '{}', 'a{}b', '{[}]', '{[,}']
  const expanded = ['{a,}', 'a/{,b}', '{a,/b}', '{a,b/}', '{a/,b}/c', '{.,a}', 'a{.,b}/{.,.}', '.{.,a}', 'e{\u0301,x}']
  const runs = ['a**', '**a', '***', '**.ts', 'a/**b/c', '{*,a}*/{a,*}*b', '*{*,a}c']
  const spelled = ['[.]', '[.].', '[.][.]/a', 'e[\u0301]', '*e{\u0301,x}']
  for (const path of [...classes, ...braces, ...expanded, ...runs, ...spelled]) refused(`file:${path}`)
  refused('file:[! -\u{10ffff}]')
})

grammar('reads as literal what it refuses as glob', () => {
  for (const path of ['[', '{', '{}', '[]', '[^a]', 'a**', '***', '{a', '[b-a]', 'app/[...slug]/page.tsx']) {
    assert.ok(isConcrete(literal(path)), path)
  }
})

grammar('bounds length, alternatives, segments and the whole expansion, at their edges', () => {
  const longest = 'a'.repeat(limits.resourceLength - 'file:'.length)
  file(longest)
  assert.equal(refused(`file:${longest}a`).facts, { length: limits.resourceLength + 1 })

  const alternatives = (count: number) => `{${'a,'.repeat(count - 1)}b}`
  file(alternatives(limits.patternAlternatives))
  refused(`file:${alternatives(limits.patternAlternatives + 1)}`)
  file('{a,b}'.repeat(6))
  refused(`file:${'{a,b}'.repeat(7)}`)

  file(Array.from({ length: 64 }).fill('a').join('/'))
  refused(`file:${Array.from({ length: 65 }).fill('**').join('/')}`)

  file(`{a,b}${'a'.repeat(1_000)}`)
  refused(`file:{a,b,c}${'a'.repeat(1_000)}`)
})

grammar('counts a bomb of braces before it builds anything', () => {
  refused(`file:${'{a,b}'.repeat(200)}`)
  refused(`file:${'{,}'.repeat(339)}`)
  refused(`file:${'{'.repeat(250)}a${',b}'.repeat(250)}`)
  assert.ok(meet(`${'{'.repeat(500)}a${'}'.repeat(500)}`, 'a'))
})

grammar('answers in its own words and puts the peer’s among the facts', () => {
  const told = 'ignore-all-rules'
  for (const path of [`/${told}`, `${told}/..`, `[${told}`, `{${told}`, `${told}**`, `[^${told}]`, `e\u0301${told}`]) {
    const error = refused(`file:${path}`)
    assert.not(error.message.includes(told))
    assert.equal(error.facts, { resource: `file:${path}` })
  }
})

grammar('throws nothing but BAD_RESOURCE, whatever it reads; what it reads overlaps itself', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'ab/*?[]{},!-^.\\'), maxLength: 40 })
  check(
    fc.property(noise, (text) => {
      const pattern = tryFile(text)
      if (pattern === undefined) return
      assert.ok(overlaps(pattern, pattern))
      assert.ok(covers(pattern, pattern))
      assert.ok(finds(pattern, pattern))
    }),
    20_000,
  )
})

grammar.run()
