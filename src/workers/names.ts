import { limits } from '../protocol/limits.js'

// What files that are there are called, wherever the bridge is asked about them: they may have any name, locks may not.

/** A backslash, a line break ... are in no resource: bridge/resources/grammar.ts. */
const UNNAMEABLE = /[\p{Cc}\p{Cs}\\]/gu
/** Of a path, as the grammar has it. */
const SEGMENTS_MAX = 64

/**
 * The resource by which to ask about a file, to the letter. Nobody can have locked one whose name no resource can hold,
 * only what is around it: it is asked about with `_` in those places, or, being too deep or long, by a folder it is in.
 */
export function fileResource(path: string): string {
  const segments = path.replace(UNNAMEABLE, '_').normalize('NFC').split('/').slice(0, SEGMENTS_MAX)
  while (lengthOf(segments) > limits.resourceLength && segments.length > 1) segments.pop()
  return `file:${segments.join('/')}`
}

const lengthOf = (segments: readonly string[]): number => 'file:'.length + segments.join('/').length
