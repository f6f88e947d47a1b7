import { findNodeAtLocation, type Node, type ParseError, parse, parseTree } from 'jsonc-parser'
import { type Fields, isFields } from '../../protocol/fields.js'

/** A configuration file's text with a server set in it, or taken out; undefined when nothing is left in it. */
export interface Edit {
  /** The entry that is there now. */
  read(text: string): unknown
  set(text: string, entry: Fields): string
  remove(text: string): string | undefined
}

/** The text does not have the form that is needed; the message says why. */
export class Unreadable extends Error {}

const OPTIONS = { allowTrailingComma: true }

/** Edits in JSON with or without comments; all that is not the entry stays to the letter as it is. */
export function jsonEdit(servers: string, name: string): Edit {
  const entryIn = (root: Fields): unknown => {
    const all = root[servers] ?? {}
    if (!isFields(all)) throw new Unreadable(`"${servers}" is no object in it.`)
    return all[name]
  }
  return {
    read: (text) => entryIn(readRoot(text)),
    set(text, entry) {
      const begun = text.trim() === '' ? '{}\n' : text
      const root = readRoot(begun)
      const there = entryIn(root)
      // What else the user has said of it stays.
      if (isFields(there)) {
        return Object.entries(entry).reduce((now, [key, value]) => put(now, [servers, name], key, value), begun)
      }
      return root[servers] === undefined
        ? put(begun, [], servers, { [name]: entry })
        : put(begun, [servers], name, entry)
    },
    remove(text) {
      const less = take(text, [servers, name])
      const alone = Object.keys((readRoot(less)[servers] ?? {}) as Fields).length === 0
      const rest = alone ? take(less, [servers]) : less
      return rest.replace(/\s/g, '') === '{}' ? undefined : rest
    },
  }
}

function readRoot(text: string): Fields {
  const errors: ParseError[] = []
  const root: unknown = text.trim() === '' ? {} : parse(text, errors, OPTIONS)
  if (errors.length > 0 || !isFields(root)) throw new Unreadable('It is no JSON object.')
  return root
}

const nodeAt = (text: string, path: string[]): Node | undefined => {
  const root = parseTree(text, [], OPTIONS)
  return root && findNodeAtLocation(root, path)
}

const endOf = ({ offset, length }: Node): number => offset + length

const splice = (text: string, from: number, to: number, by: string): string => text.slice(0, from) + by + text.slice(to)

/** Sets a field of the object at `path`: in its place, or as the first, which leaves what follows to the letter. */
function put(text: string, path: string[], name: string, value: unknown): string {
  const there = nodeAt(text, [...path, name])
  const object = nodeAt(text, path)!
  const outer = indentAt(text, object.offset)
  const isOneLine =
    object.children!.length > 0 && !text.slice(object.offset, object.children![0]!.offset).includes('\n')
  const inner = outer + unitOf(text)
  const json = (spaces: string) => JSON.stringify(value, null, spaces).replaceAll('\n', `${eolOf(text)}${inner}`)
  if (there) {
    const same = JSON.stringify(parse(text.slice(there.offset, endOf(there)))) === JSON.stringify(value)
    return same
      ? text
      : splice(text, there.offset, endOf(there), isOneLine ? JSON.stringify(value) : json(unitOf(text)))
  }
  const at = object.offset + 1
  if (isOneLine) return splice(text, at, at, ` ${JSON.stringify(name)}: ${JSON.stringify(value)},`)
  const field = `${eolOf(text)}${inner}${JSON.stringify(name)}: ${json(unitOf(text))}`
  if (object.children!.length > 0) return splice(text, at, at, `${field},`)
  return splice(text, at, endOf(object) - 1, `${field}${eolOf(text)}${outer}`)
}

/** Without the field at `path`. */
function take(text: string, path: string[]): string {
  const field = nodeAt(text, path)?.parent
  if (!field) return text
  const { children = [], ...object } = field.parent!
  if (children.length === 1) return splice(text, object.offset, endOf(object), '{}')
  const index = children.indexOf(field)
  const [before, after] = [children[index - 1], children[index + 1]]
  // With the comma behind it, or, as the last, with the one before.
  if (before && !after) return splice(text, endOf(before), endOf(field), '')
  const begin = before ? text.indexOf(',', endOf(before)) + 1 : object.offset + 1
  return splice(text, begin, text.indexOf(',', endOf(field)) + 1, '')
}

/** How far the line is indented on which something stands. */
const indentAt = (text: string, offset: number): string =>
  /^[ \t]*/.exec(text.slice(text.lastIndexOf('\n', offset) + 1))?.[0] ?? ''

/** As the file is indented already. */
const unitOf = (text: string): string => /^([ \t]+)\S/m.exec(text)?.[1] ?? '  '
const eolOf = (text: string): string => (text.includes('\r\n') ? '\r\n' : '\n')
