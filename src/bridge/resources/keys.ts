import type { Path, Pattern } from './grammar.js'

/** Where a pattern that may overlap another can be indexed. */
export interface CandidateKeys {
  /** Look these up as they are. */
  readonly equal: string[]
  /** Look up what is strictly below each: keys from `key + '/'` up to, but not, `key + '0'`. */
  readonly below: string[]
}

/**
 * The keys to index a pattern by, sorted: for each alternative `file:` and `/segment` for each segment before the
 * first with a glob (`file:src/*.ts` has `file:/src`, `file:**` has `file:`); a name is its own key. At most
 * `limits.patternAlternatives`.
 */
export function keysOf(pattern: Pattern): string[] {
  return distinct(pattern.alternatives.map((path) => toKey(literalPrefix(path))))
}

/**
 * The keys under which everything that overlaps the pattern is found, and more that does not.
 *
 * Complete: a path in both patterns begins with the literal prefix of both, so one prefix is the beginning of the
 * other. Either the other's key is this one's or an ancestor of it (`equal`), or it lies strictly below (`below`).
 * An alternative without globs is its prefix: nothing in it begins with a longer one, and `below` is not needed;
 * `a/b.ts/**`, which holds `a/b.ts`, has the very key of `a/b.ts`.
 *
 * At most as many keys as the pattern has segments, braces expanded.
 */
export function candidateKeys(pattern: Pattern): CandidateKeys {
  const equal = pattern.alternatives.flatMap((path) => {
    const prefix = literalPrefix(path)
    return prefix.map((_, at) => toKey(prefix.slice(0, at + 1)))
  })
  const open = pattern.alternatives.filter((path) => !isLiteral(path))
  return { equal: distinct(equal), below: distinct(open.map((path) => toKey(literalPrefix(path)))) }
}

/** Whether the pattern holds exactly one path or name. */
export function isConcrete(pattern: Pattern): boolean {
  return pattern.alternatives.every(isLiteral) && keysOf(pattern).length === 1
}

const toKey = (prefix: readonly string[]): string => prefix.join('/')

const distinct = (keys: readonly string[]): string[] => [...new Set(keys)].sort()

const isLiteral = (path: Path): boolean => path.every((segment) => typeof segment === 'string')

function literalPrefix(path: Path): readonly string[] {
  const prefix: string[] = []
  for (const segment of path) {
    if (typeof segment !== 'string') break
    prefix.push(segment)
  }
  return prefix
}
