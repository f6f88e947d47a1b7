import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { expand, type Piece, sizeOf, type Token } from './braces.js'
import { allBut, among, anyCharacter, type CharacterSet, only, onlyOne } from './characters.js'

/** Any run, also an empty one: `*` among characters, `**` among segments. */
export const run = Symbol('run')

/** Items one after the other, with runs of any items between them. */
export type Sequence<Item> = readonly (Item | typeof run)[]

/** One segment: its text, or what its characters have to be. A segment that can only be one text is that text. */
export type Segment = string | Sequence<CharacterSet>

/** One alternative of a pattern. The first segment is `file:`; the only segment of a name is all of the resource. */
export type Path = Sequence<Segment>

/** A parsed resource: its alternatives, at least one. Immutable; to everything outside this folder it is opaque. */
export interface Pattern {
  readonly alternatives: readonly Path[]
}

/** Most segments of a path, `file:` not counted: what bounds the index keys of one pattern. */
const segmentsMax = 64

/**
 * Most characters in all alternatives of a pattern together, a class counting as its ranges, `?` as five. With it one
 * `overlaps` takes at most the square of this in steps, whatever the braces.
 */
export const expandedMax = 2 * limits.resourceLength

type Fail = (message: string) => never

/**
 * Reads a resource. `file:` is a path relative to the repository root, in which these are globs unless `literal`:
 *
 * | Written | Stands for |
 * |---|---|
 * | `?` | one character, not `/` |
 * | `*` | any run of characters, also none, not `/` |
 * | `**` as a whole segment | any run of segments, also none: `src/**` holds `src` |
 * | `[a-z]`, `[!a-z]` | one character of the class, or one that is not; never `/` |
 * | `{a,b}` | either; may be nested, may hold `/`, an alternative may be empty |
 *
 * Any other scheme is followed by an exact name. Characters are code points; case counts; a leading dot is a
 * character like others; `]`, `}` and `,` that close or part nothing stand for themselves, and `[*]` for a star.
 *
 * Only the canonical form is read: NFC, no controls, no backslash, no empty, `.` or `..` segment. The limits are
 * `limits.resourceLength` (UTF-16 units), `limits.patternAlternatives`, `segmentsMax` and `expandedMax`.
 *
 * @throws BridgeError `BAD_RESOURCE`, with the resource among its facts, for anything else.
 */
export function parseResource(resource: string, literal = false): Pattern {
  if (resource.length > limits.resourceLength) {
    refuse('BAD_RESOURCE', `Shorten the resource to ${limits.resourceLength} characters.`, { length: resource.length })
  }
  const fail: Fail = (message) => refuse('BAD_RESOURCE', message, { resource })
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/s.exec(resource) ?? []
  if (scheme === undefined) fail('Begin the resource with a scheme in lower case, as in file:src/a.ts or port:3000.')
  if (rest === '') fail('Write a path or a name after the scheme.')
  if (/[\p{Cc}\p{Cs}]/u.test(rest)) fail('Leave out control characters and halves of surrogate pairs.')
  if (rest.normalize('NFC') !== rest) fail('Normalise the resource to Unicode NFC.')
  if (scheme !== 'file') return { alternatives: [[resource]] }
  if (rest.includes('\\')) fail('Separate segments with /, and write a special character as a class: [*] for a star.')
  const pieces = literal ? [Array.from(rest, plain)] : scan(Array.from(rest), fail)
  const { count, weight } = sizeOf(pieces)
  if (count > limits.patternAlternatives)
    fail(`Let braces expand to at most ${limits.patternAlternatives} alternatives.`)
  if (weight > expandedMax) fail(`Shorten the pattern: with braces expanded it may have ${expandedMax} characters.`)
  return { alternatives: expand(pieces).map((tokens) => toPath(tokens, fail)) }
}

const plain = (character: string): Token => (character === '/' ? '/' : only(character))

/** Reads classes and finds the braces, which makes what is left independent of how characters are escaped. */
function scan(characters: readonly string[], fail: Fail): readonly Piece[] {
  const pieces: Piece[] = []
  let word: Token[] = []
  let depth = 0
  const brace = (piece: '{' | ',' | '}') => {
    pieces.push(word, piece)
    word = []
  }
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!
    if (character === '[') {
      const end = characters.indexOf(']', at)
      if (end < 0) fail('Close the class with ], write [[] for a bracket, or ask with literal: true.')
      word.push(toSet(characters.slice(at + 1, end), fail))
      at = end
    } else if (character === '{') {
      if (characters[at + 1] === '}') fail('Write alternatives between the braces, or [{] for a brace.')
      brace('{')
      depth++
    } else if (character === '}' && depth > 0) {
      brace('}')
      depth--
    } else if (character === ',' && depth > 0) brace(',')
    else if (character === '*') word.push('*')
    else word.push(character === '?' ? anyCharacter : plain(character))
  }
  if (depth > 0) fail('Close the braces with }, write [{] for a brace, or ask with literal: true.')
  return [...pieces, word]
}

/** The set a class stands for; `body` is what is between its brackets. */
function toSet(body: readonly string[], fail: Fail): CharacterSet {
  const negated = body[0] === '!'
  const ranges: number[] = []
  if (body.includes('/')) fail('Leave / out of the class, or write [[] for a bracket.')
  // What other tools read as a negation or a named class would silently be something else here.
  if (body[0] === '^' || /\[[:.=]/.test(body.join(''))) fail('Negate a class with !, and list its characters.')
  for (let at = negated ? 1 : 0; at < body.length; at++) {
    const from = body[at]!.codePointAt(0)!
    const isRange = body[at + 1] === '-' && at + 2 < body.length
    if (isRange) at += 2
    const last = body[at]!.codePointAt(0)!
    if (last < from) fail('Write the range of the class from its lower to its higher character.')
    ranges.push(from, last + 1)
  }
  if (ranges.length === 0) fail('List characters in the class, or write [[] for a bracket.')
  const set = negated ? allBut(ranges) : among(ranges)
  if (set.length === 0) fail('Leave the class a character it can stand for.')
  return set
}

/** One alternative, its braces gone, as segments below `file:`. */
function toPath(tokens: readonly Token[], fail: Fail): Path {
  const path: (Segment | typeof run)[] = ['file:']
  let from = 0
  while (from <= tokens.length) {
    const slash = tokens.indexOf('/', from)
    const end = slash < 0 ? tokens.length : slash
    path.push(toSegment(tokens.slice(from, end), fail))
    from = end + 1
  }
  if (path.length > segmentsMax + 1) fail(`Name a path of at most ${segmentsMax} segments.`)
  return path
}

function toSegment(tokens: readonly Token[], fail: Fail): Segment | typeof run {
  if (tokens.length === 0) fail('Name a path relative to the repository root, with no / at its ends and no // within.')
  if (tokens.length === 2 && tokens.every((token) => token === '*')) return run
  if (tokens.some((token, at) => token === '*' && tokens[at + 1] === '*'))
    fail('Write ** as a whole segment, or one *.')
  const characters = tokens.map((token) => (typeof token === 'string' ? undefined : onlyOne(token)))
  // Braces and classes may have put together what is not canonical; a wildcard composes with nothing.
  const text = characters.map((character) => character ?? '*').join('')
  if (text.normalize('NFC') !== text) fail('Normalise the resource to Unicode NFC, also with its braces expanded.')
  if (characters.includes(undefined)) return tokens.map((token) => (typeof token === 'string' ? run : token))
  if (text === '.' || text === '..') fail('Resolve the segments . and .. before asking.')
  return text
}
