import type { CharacterSet } from './characters.js'

/** What a path is made of once classes are read: one character of a set, any run of characters, a separator. */
export type Token = CharacterSet | '*' | '/'

/** A glob as read: words of tokens, and the braces around and between them, balanced. */
export type Piece = readonly Token[] | '{' | ',' | '}'

/** How much the braces expand to: alternatives, and the tokens of all of them, a class counting its ranges. */
export interface Size {
  readonly count: number
  readonly weight: number
}

/** What the expansion would be, in time linear in the pieces: a bomb of braces costs nothing. */
export function sizeOf(pieces: readonly Piece[]): Size {
  return fold(pieces, sizes)
}

/** Every alternative the braces stand for, in the order written. The caller has bounded `sizeOf`. */
export function expand(pieces: readonly Piece[]): readonly (readonly Token[])[] {
  return fold(pieces, words)
}

/** Alternatives are added, what stands in a row is multiplied; sizes and words obey the same laws. */
interface Algebra<T> {
  readonly none: T
  readonly empty: T
  word(tokens: readonly Token[]): T
  either(a: T, b: T): T
  join(a: T, b: T): T
}

const sizes: Algebra<Size> = {
  none: { count: 0, weight: 0 },
  empty: { count: 1, weight: 0 },
  word: (tokens) => ({ count: 1, weight: tokens.reduce((sum, token) => sum + Math.ceil(token.length / 2), 0) }),
  either: (a, b) => ({ count: a.count + b.count, weight: a.weight + b.weight }),
  join: (a, b) => ({ count: a.count * b.count, weight: a.weight * b.count + b.weight * a.count }),
}

const words: Algebra<readonly (readonly Token[])[]> = {
  none: [],
  empty: [[]],
  word: (tokens) => [tokens],
  either: (a, b) => [...a, ...b],
  join: (a, b) => a.flatMap((head) => b.map((tail) => [...head, ...tail])),
}

function fold<T>(pieces: readonly Piece[], { none, empty, word, either, join }: Algebra<T>): T {
  const enclosing: { readonly done: T; readonly open: T }[] = []
  let done = none
  let open = empty
  for (const piece of pieces) {
    if (piece === '{') {
      enclosing.push({ done, open })
      done = none
      open = empty
    } else if (piece === ',') {
      done = either(done, open)
      open = empty
    } else if (piece === '}') {
      const outer = enclosing.pop()!
      open = join(outer.open, either(done, open))
      done = outer.done
    } else {
      open = join(open, word(piece))
    }
  }
  return open
}
