// Text for a terminal: made harmless, measured, cut and coloured.

/** Control characters, and those that reorder or break what stands around them. */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu
const ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\e' }

/** One line, in which nothing that a peer wrote can move the cursor, change a colour or begin a line. */
export const printable = (text: string): string =>
  text.replace(UNSAFE, (unsafe) => ESCAPES[unsafe] ?? `\\u${unsafe.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** The same for text that may have several lines. */
export const printableLines = (text: string): string[] =>
  text.split(/\r?\n/).map((line) => printable(line.replaceAll('\t', '    ')))

/** JSON that is safe on a terminal: `JSON.stringify` escapes C0 only, and 8-bit terminals obey C1 too. */
export const printableJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(UNSAFE, (unsafe) =>
    unsafe === '\n' ? unsafe : `\\u${unsafe.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60]/u
const ASCII = /^[ -~]*$/
const segmenter = new Intl.Segmenter()
const graphemes = (text: string): string[] => [...segmenter.segment(text)].map(({ segment }) => segment)
const graphemeWidth = (grapheme: string): number => (WIDE.test(grapheme) ? 2 : 1)

/** Columns that printable text takes. */
export const widthOf = (text: string): number =>
  ASCII.test(text) ? text.length : graphemes(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0)

/** Printable text in at most `width` columns; what was cut off shows as an ellipsis. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  let used = 1
  for (const grapheme of graphemes(text)) {
    used += graphemeWidth(grapheme)
    if (used > width) break
    kept += grapheme
  }
  return `${kept.trimEnd()}…`
}

/** Cut or filled up to exactly `width` columns. */
export function fit(text: string, width: number): string {
  const fitting = cut(text, width)
  return fitting + ' '.repeat(Math.max(0, width - widthOf(fitting)))
}

// ECMA-48, 8.3.117: Select Graphic Rendition.
const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Style = keyof typeof styles

/** Puts printable text in a style, or leaves it plain where there is no colour. */
export type Paint = (style: Style, text: string) => string

export const createPaint =
  (coloured: boolean): Paint =>
  (style, text) =>
    coloured && text !== '' ? `\u001b[${styles[style]}m${text}\u001b[0m` : text

/** https://no-color.org: colour only on a terminal, and never when `NO_COLOR` is set to anything. */
export const isColoured = (
  stream: { isTTY?: boolean | undefined },
  env: Record<string, string | undefined>,
  wanted: boolean,
): boolean => wanted && stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
