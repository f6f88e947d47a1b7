import { z } from 'zod'
import { cursorForm, formatCursor } from '../protocol/cursor.js'
import { refuse } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import type { Find, Read, Table, Value } from '../protocol/method.js'

// The fields that several nouns share, and the one way to give out a list.

/** One worker's name. `bridge` is the daemon itself, `human` whoever sits at the CLI or the dashboard. */
export const agentName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'is up to 64 of a-z, 0-9, ".", "_" and "-", and begins with a letter or digit')
  .describe('an agent, by name')

export const capability = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._:-]{0,63}$/, 'is up to 64 letters, digits, ".", "_", ":" and "-"')
  .describe('something an agent can do, such as `typescript`')

/** An id of any form is looked up: what does not exist is `NOT_FOUND`. */
export const id = z.string().max(limits.idLength)

export const instant = z.iso.datetime({ precision: 3 })

export const cursorParam = z
  .string()
  .regex(cursorForm, 'is "earliest", "latest" or a cursor that the bridge gave out')
  .describe('`earliest`, `latest` or a cursor; what follows it is wanted')

/** Whole milliseconds. */
export const ms = (min: number, max: number) => z.int().min(min).max(max)

export const note = z.string().max(limits.noteLength)

/** Any JSON object. */
export const json = z.record(z.string(), z.json())

/** Something made or said, in exactly one form. */
export const contentOf = <Shape extends z.ZodRawShape>(named: Shape) =>
  z
    .strictObject({
      ...named,
      mediaType: z.string().max(limits.nameLength).default('text/plain'),
      text: z.string().max(limits.textLength).optional(),
      data: z.json().optional(),
      uri: z.string().max(limits.noteLength).optional(),
    })
    .refine(hasOneForm, 'has exactly one of `text`, `data` and `uri`')
    .describe('with one of `text`, `data` and `uri`')

const hasOneForm = (content: Record<string, unknown>): boolean =>
  [content.text, content.data, content.uri].filter((form) => form !== undefined).length === 1

export const pageParams = {
  page: z
    .string()
    .max(limits.idLength * 4)
    .optional()
    .describe('the `nextPage` of the answer before'),
  limit: z.int().min(1).max(limits.pageItemsMax).optional().describe(`items wanted; ${limits.pageItems} unless told`),
}

/** The answer to a list: follow the log from `at` and nothing since the first page is missed. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({
    items: z.array(item),
    nextPage: z.string().optional().describe('pass as `page` for more; absent at the end'),
    at: z.string().describe("the log's cursor when the first page was read"),
  })

export interface Page<Item> {
  items: Item[]
  nextPage?: string
  at: string
}

/** One page of a table's rows, in the order of `find`, continued by `page`. @throws INVALID_PARAMS for a foreign page */
export function readPage<Row extends object>(
  read: Read,
  table: Table<Row>,
  find: Find,
  { page, limit = limits.pageItems }: { page?: string | undefined; limit?: number | undefined },
): Page<Row> {
  const order = (find.order ?? []).filter((column) => !/^-?id$/.test(column))
  const { at, after } =
    page === undefined ? { at: headCursor(read), after: undefined } : decodePage(page, order.length + 1)
  const rows = read.find(table, { ...find, ...(after && { after }), limit: limit + 1, bytes: limits.pageBytes })
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  if (last === undefined) return { items, at }
  const position = positionOf(table, order, last)
  // Fewer rows than asked may mean the end or the limit of bytes: one look behind the last tells.
  const more = rows.length > limit || read.find(table, { ...find, after: position, limit: 1 }).length > 0
  return { items, ...(more && { nextPage: encodePage(at, position) }), at }
}

function positionOf<Row extends object>(table: Table<Row>, order: readonly string[], row: Row): Value[] {
  const columns = table.index(row)
  return [...order.map((column) => columns[column.replace(/^-/, '')] ?? null), table.id(row)]
}

export const headCursor = (read: Read): string => {
  const { epoch, head } = read.bounds()
  return formatCursor(epoch, head)
}

export const encodePage = (at: string, after: Value[]): string => btoa(JSON.stringify([at, ...after]))

/** @throws INVALID_PARAMS */
export function decodePage(page: string, length: number): { at: string; after: Value[] } {
  try {
    const [at, ...after] = JSON.parse(atob(page))
    const valid = (value: unknown) => value === null || typeof value === 'string' || typeof value === 'number'
    if (typeof at === 'string' && after.length === length && after.every(valid)) return { at, after }
  } catch {}
  return refusePage()
}

export function refusePage(): never {
  return refuse('INVALID_PARAMS', 'The page is not one that this list gave out: begin again without it.')
}

/**
 * A peer's words within a text of ours, cut when longer than `length`. They stay in quotation marks and on one line, so
 * that nothing in them can pass for ours.
 */
export const quoted = (text: string, length: number = limits.reasonLength): string =>
  JSON.stringify(cut(text, length)).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** Never in the midst of a character. */
export const cut = (text: string, length: number): string =>
  text.length > length
    ? `${text
        .slice(0, length - 1)
        .toWellFormed()
        .replace(/\uFFFD$/, '')}…`
    : text
