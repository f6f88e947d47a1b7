/**
 * A set of characters: code points as ascending half-open ranges, flat: `[from, to, from, to, ...]`.
 * The ranges neither overlap nor touch, so equal sets are equal arrays.
 */
export type CharacterSet = readonly number[]

/** One past the last code point. */
const END = 0x110000

/** What no path segment holds: controls, `/`, the backslash, surrogates on their own. */
const FORBIDDEN: CharacterSet = [0, 0x20, 0x2f, 0x30, 0x5c, 0x5d, 0x7f, 0xa0, 0xd800, 0xe000]

/** Every character a path segment may hold: what `?` stands for. */
export const anyCharacter: CharacterSet = complement(FORBIDDEN)

/** The sets of one ASCII character, shared: most characters of most paths are among them. */
const ascii: readonly CharacterSet[] = Array.from({ length: 0x80 }, (_, point) => [point, point + 1])

/** The set of one character, given as a string of one code point. */
export function only(character: string): CharacterSet {
  const point = character.codePointAt(0)!
  return ascii[point] ?? [point, point + 1]
}

/** The character of a set that has just one; otherwise undefined. */
export function onlyOne(set: CharacterSet): string | undefined {
  return set.length === 2 && set[1] === set[0]! + 1 ? String.fromCodePoint(set[0]!) : undefined
}

/** Every character a segment may hold but these; ranges in any order, which may overlap. */
export function allBut(ranges: readonly number[]): CharacterSet {
  return complement(union([...ranges, ...FORBIDDEN]))
}

/** Those of these characters that a segment may hold; ranges in any order, which may overlap. */
export function among(ranges: readonly number[]): CharacterSet {
  return allBut(complement(union(ranges)))
}

/** Whether some character is in both sets. One pass over both. */
export function meets(a: CharacterSet, b: CharacterSet): boolean {
  let i = 0
  let j = 0
  while (i < a.length && j < b.length) {
    if (a[i + 1]! <= b[j]!) i += 2
    else if (b[j + 1]! <= a[i]!) j += 2
    else return true
  }
  return false
}

/** Whether every character of `inner` is in `outer`. One pass over both. */
export function includes(outer: CharacterSet, inner: CharacterSet): boolean {
  let i = 0
  for (let j = 0; j < inner.length; j += 2) {
    // Ranges of one set never touch, so one range of `outer` has to hold all of this one.
    while (i < outer.length && outer[i + 1]! < inner[j + 1]!) i += 2
    if (i === outer.length || outer[i]! > inner[j]!) return false
  }
  return true
}

function complement(set: CharacterSet): CharacterSet {
  // The gaps of a list of ranges are the same boundaries, paired one place further on.
  const gaps = [0, ...set, END]
  return gaps.slice(gaps[1] === 0 ? 2 : 0, gaps.at(-2) === END ? -2 : undefined)
}

function union(ranges: readonly number[]): CharacterSet {
  const froms = ranges.filter((_, index) => index % 2 === 0).sort((a, b) => a - b)
  const tos = ranges.filter((_, index) => index % 2 === 1).sort((a, b) => a - b)
  // A range of the union ends where as many ranges have ended as have begun, and none begins there.
  return froms.flatMap((from, index) => {
    const begins = index === 0 || tos[index - 1]! < from
    const ends = index === froms.length - 1 || tos[index]! < froms[index + 1]!
    return [...(begins ? [from] : []), ...(ends ? [tos[index]!] : [])]
  })
}
