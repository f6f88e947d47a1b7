import { type Fields, isFields } from '../protocol/fields.js'
import { formatEvent, isEventLike } from './events.js'
import { fitsWhole, formatTable } from './table.js'
import { type Paint, printable, printableJson, printableLines } from './text.js'
import { brief, isEmpty, whole } from './values.js'

/** Where something is shown. */
export interface Page {
  /** Columns. */
  width: number
  paint: Paint
}

/** An answer as people read it: lists as tables, one row as a block of its fields, events as lines. */
export function formatAnswer(answer: unknown, page: Page): string[] {
  if (isFields(answer) && Array.isArray(answer.items)) return formatList(answer, answer.items, page)
  if (isFields(answer)) return isEmpty(answer) ? [page.paint('dim', 'done')] : formatBlock(answer, page)
  return [isEmpty(answer) ? page.paint('dim', 'none') : whole('', answer)]
}

function formatList({ nextPage, truncatedBefore }: Fields, items: unknown[], page: Page): string[] {
  const notes = [
    ...(truncatedBefore === undefined ? [] : [`earlier events have been removed, up to ${truncatedBefore}`]),
    ...(nextPage === undefined ? [] : [`there is more: --page ${nextPage}`]),
  ]
  const rows = items.filter(isFields)
  const body = rows.length === 0 ? [page.paint('dim', 'none')] : formatRows(rows, page)
  return [...body, ...notes.map((note) => page.paint('dim', printable(note)))]
}

function formatRows(rows: Fields[], { width, paint }: Page): string[] {
  if (rows.every(isEventLike)) return rows.map((row) => formatEvent(row, paint))
  return formatTable(rows, width, paint)
}

/** One field a line, with what is inside it indented below; what is empty is left out. */
export function formatBlock(fields: Fields, page: Page): string[] {
  const inner: Page = { ...page, width: page.width - 2 }
  return Object.entries(fields).flatMap(([name, value]) => {
    if (isEmpty(value)) return []
    const label = page.paint('cyan', `${printable(name)}:`)
    const below = formatInner(value, inner)
    if (below) return [label, ...below.map((line) => `  ${line}`)]
    return [`${label} ${name === 'progress' ? brief(name, value) : whole(name, value)}`]
  })
}

/** The lines of a value that does not go on one. */
function formatInner(value: unknown, page: Page): string[] | undefined {
  if (typeof value === 'string' && value.includes('\n')) {
    // The bar tells a peer's text from the block around it, whatever the text looks like.
    return printableLines(value).map((line) => `${page.paint('dim', '|')} ${line}`)
  }
  if (isFields(value)) return formatBlock(value, page)
  if (!Array.isArray(value) || !value.some((item) => isFields(item) || Array.isArray(item))) return undefined
  if (!value.every(isFields)) return printableJson(value, 2).split('\n')
  if (value.every(isEventLike)) return formatRows(value, page)
  if (fitsWhole(value, page.width)) return formatTable(value, page.width, page.paint)
  return value.flatMap((item) => {
    const [first = '', ...rest] = formatBlock(item, { ...page, width: page.width - 2 })
    return [`- ${first}`, ...rest.map((line) => `  ${line}`)]
  })
}
