import { isFields } from '../protocol/fields.js'
import { cut, fit, type Paint, widthOf } from './text.js'
import { brief, isEmpty, isInstant } from './values.js'

type Row = Record<string, unknown>

/**
 * Fields that people look for, in the order in which they read them, whatever the noun. Lists and objects are shown only
 * when they are named here; any other field comes behind, in the row's own order, as far as the width goes.
 */
const LEADING = [
  ...['n', 'id', 'lockId', 'messageId', 'agent', 'name', 'check', 'state', 'status', 'presence', 'title', 'holder'],
  ...['owner', 'assignee', 'from', 'to', 'topic', 'resources', 'resource', 'mode', 'text', 'priority', 'attempt'],
  ...['progress', 'outcome', 'exitCode', 'statusMessage', 'note', 'reason', 'contractId', 'contracts', 'locks'],
  ...['waitingFor', 'token', 'ageMs', 'kind', 'capabilities'],
  ...['since', 'deadline', 'default', 'updatedAt', 'lastSeenAt', 'sentAt', 'expiresAt'],
]
const rank = new Map(LEADING.map((name, index) => [name, index]))

/** What a column of running text may shrink to, and what one that is not leading may take. */
const TEXT_WIDTH_MIN = 12
const OTHER_WIDTH_MAX = 40
const GAP = 2
/** Ids and names up to this are never cut: they are wanted whole in the next command. */
const ID_WIDTH_MAX = 36

interface Column {
  name: string
  cells: string[]
  width: number
  /** It may be cut: running text, or longer than any id. */
  flexible: boolean
}

/** A table of them would show all there is. */
export const fitsWhole = (rows: readonly Row[], width: number): boolean =>
  rows.every((row) => Object.entries(row).every(([name, value]) => showsWhole(name, value))) &&
  widthOfAll(columnsOf(rows)) <= width

const showsWhole = (name: string, value: unknown): boolean =>
  isEmpty(value) || (!isFields(value) && !String(value).includes('\n') && (rank.has(name) || !Array.isArray(value)))

/** Rows as aligned columns that fit `width`; empty columns and those that find no room are left out. */
export function formatTable(rows: readonly Row[], width: number, paint: Paint): string[] {
  const all = columnsOf(rows)
  const columns = widthOfAll(all) <= width ? all : shrink(choose(all, width), width)
  const header = columns.map((column, index) => line(column, column.name, index === columns.length - 1)).join('  ')
  return [
    paint('dim', header.trimEnd()),
    ...rows.map((_row, at) =>
      columns
        .map((column, index) => line(column, column.cells[at]!, index === columns.length - 1))
        .join('  ')
        .trimEnd(),
    ),
  ]
}

const line = ({ width }: Column, text: string, last: boolean): string => (last ? cut(text, width) : fit(text, width))

function columnsOf(rows: readonly Row[]): Column[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const shown = names.filter((name) => {
    const values = rows.map((row) => row[name])
    if (values.every(isEmpty)) return false
    return rank.has(name) || !values.some((value) => Array.isArray(value) || isFields(value))
  })
  const order = (name: string) => rank.get(name) ?? LEADING.length
  return shown
    .sort((a, b) => order(a) - order(b))
    .map((name) => {
      const cells = rows.map((row) => brief(name, row[name]))
      const width = Math.max(widthOf(name), ...cells.map(widthOf))
      const fixed = rows.every((row) => isEmpty(row[name]) || typeof row[name] === 'number' || isInstant(row[name]))
      return {
        name,
        cells,
        width,
        flexible: !fixed && (width > ID_WIDTH_MAX || cells.some((cell) => cell.includes(' '))),
      }
    })
}

const widthOfAll = (columns: readonly Column[]): number => columns.reduce((sum, { width }) => sum + width + GAP, -GAP)

const least = ({ name, width, flexible }: Column): number =>
  flexible ? Math.min(width, Math.max(TEXT_WIDTH_MIN, name.length)) : width

/** Leading columns as long as their least width fits, then the others where they fit whole; the first in any case. */
function choose(columns: readonly Column[], width: number): Column[] {
  const chosen: Column[] = []
  const room = (of: (column: Column) => number) => width - chosen.reduce((sum, column) => sum + of(column) + GAP, 0)
  for (const column of columns) {
    const fits = rank.has(column.name)
      ? least(column) <= room(least)
      : column.width <= OTHER_WIDTH_MAX && column.width <= room(({ width }) => width)
    if (fits || chosen.length === 0) chosen.push(column)
  }
  return chosen
}

/** Takes what is too much from the widest flexible columns. */
function shrink(columns: readonly Column[], width: number): Column[] {
  const shrunk = columns.map((column) => ({ ...column }))
  let excess = widthOfAll(shrunk) - width
  while (excess > 0) {
    const widest = shrunk
      .filter((column) => column.flexible && column.width > least(column))
      .sort((a, b) => b.width - a.width)[0]
    if (!widest) break
    widest.width--
    excess--
  }
  return shrunk
}
