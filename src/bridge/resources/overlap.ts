import { type CharacterSet, includes, meets, only } from './characters.js'
import { type Path, type Pattern, run, type Segment, type Sequence } from './grammar.js'

/**
 * Whether some path or name is in both patterns. Exact over all paths of non-empty segments; it takes `.`, `..`
 * and text that is not NFC for segments like others, so it may report a conflict (`.?` with `?.`) over a path that
 * cannot be, and never misses one. At most `expandedMax` squared steps; no recursion.
 */
export function overlaps(a: Pattern, b: Pattern): boolean {
  return a.alternatives.some((left) => b.alternatives.some((right) => meet(left, right)))
}

/**
 * Whether every path of `inner` is in `outer`; never true wrongly. Exact where `inner` is one path. Otherwise each
 * alternative of `inner` has to fit into one alternative of `outer`, part by part, a run only into a run. So it
 * knows `src/**` to cover `src/*.ts` and `[a-c]` to cover `{a,b}`, but not: `{a,b}` to cover `[ab]` (it takes two
 * alternatives), `?*` to cover `*?` or `*` (runs in another order; segments are never empty), `**` + `/*` to cover
 * `**`. The cost is that of `overlaps`.
 */
export function covers(outer: Pattern, inner: Pattern): boolean {
  return inner.alternatives.every((right) => outer.alternatives.some((left) => hold(left, right)))
}

type Test<Item> = (left: Item, right: Item) => boolean

const meet = pathTest(meets, true)
const hold = pathTest(includes, false)

/** Two levels of the same question: segments are to a path what characters are to a segment. */
function pathTest(sets: Test<CharacterSet>, runsYield: boolean): Test<Path> {
  const segments: Test<Segment> = (left, right) =>
    typeof left === 'string' && typeof right === 'string'
      ? left === right
      : align(toCharacters(left), toCharacters(right), sets, runsYield)
  return (left, right) => align(left, right, segments, runsYield)
}

function toCharacters(segment: Segment): Sequence<CharacterSet> {
  return typeof segment === 'string' ? [...segment].map(only) : segment
}

/**
 * Whether two sequences can be laid side by side so that opposite items pass `test`, a run on the left taking any
 * items and runs of the right. With `runsYield` a run on the right takes items of the left as well: then some
 * sequence is in both. Without, whatever the right stands for is in the left.
 */
function align<Item>(left: Sequence<Item>, right: Sequence<Item>, test: Test<Item>, runsYield: boolean): boolean {
  // Before the first run and after the last, items can only stand opposite each other. Most pairs end here.
  let start = 0
  let leftEnd = left.length
  let rightEnd = right.length
  for (; start < leftEnd && start < rightEnd; start++) {
    const x = left[start]!
    const y = right[start]!
    if (x === run || y === run) break
    if (!test(x, y)) return false
  }
  for (; start < leftEnd && start < rightEnd; leftEnd--, rightEnd--) {
    const x = left[leftEnd - 1]!
    const y = right[rightEnd - 1]!
    if (x === run || y === run) break
    if (!test(x, y)) return false
  }
  // fits[j]: what has been read of the left fits the first j items of the right.
  const width = rightEnd - start
  const fits: boolean[] = [true]
  for (let j = 1; j <= width; j++) fits.push(runsYield && fits[j - 1]! && right[start + j - 1] === run)
  for (let i = start; i < leftEnd; i++) {
    const x = left[i]!
    let before = fits[0]!
    fits[0] = before && x === run
    for (let j = 1; j <= width; j++) {
      const y = right[start + j - 1]!
      const above = fits[j]!
      if (x === run || (y === run && runsYield)) fits[j] = above || fits[j - 1]!
      else fits[j] = before && y !== run && test(x, y)
      before = above
    }
  }
  return fits[width]!
}
