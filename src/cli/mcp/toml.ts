import { parse, stringify } from 'smol-toml'
import { type Fields, isFields } from '../../protocol/fields.js'
import { type Edit, Unreadable } from './json.js'

/**
 * Edits in TOML by whole tables: the server's own is written anew, and every other line stays. No library here edits TOML
 * and keeps what is around, so each result is read again, and refused when it says anything else than is meant.
 */
export function tomlEdit(servers: string, name: string): Edit {
  const own = new RegExp(`^\\s*\\[\\s*${servers}\\s*\\.\\s*["']?${name}["']?\\s*\\]\\s*(#.*)?$`)
  const under = new RegExp(`^\\s*\\[\\[?\\s*${servers}\\s*\\.\\s*["']?${name}["']?\\s*\\.`)
  const entryIn = (root: Fields): unknown => {
    const all = root[servers]
    return isFields(all) ? all[name] : undefined
  }
  /** A table of servers in which none is left says nothing. */
  const tidied = ({ [servers]: all, ...rest }: Fields): Fields =>
    isFields(all) && Object.keys(all).length === 0 ? rest : { ...rest, [servers]: all }
  const without = (root: Fields): Fields => {
    const { [name]: _gone, ...others } = (root[servers] ?? {}) as Fields
    return { ...root, [servers]: others }
  }
  return {
    read: (text) => entryIn(readRoot(text)),
    set(text, entry) {
      const root = readRoot(text)
      const there = entryIn(root)
      const merged = { ...(isFields(there) ? there : {}), ...entry }
      const [scalars, tables] = split(merged)
      const block = stringify({ [servers]: { [name]: scalars } }).trimEnd()
      const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n')
      const at = lines.findIndex((line) => own.test(line))
      const placed =
        at < 0
          ? [...lines, ...(lines.length > 0 ? [''] : []), block]
          : [...lines.slice(0, at), block, ...lines.slice(endOf(lines, at))]
      // Tables of the user's own below it have headers of their own, and stay where they are.
      return checked(`${placed.join('\n')}\n`, {
        ...root,
        [servers]: { ...(root[servers] as Fields), [name]: { ...scalars, ...tables } },
      })
    },
    remove(text) {
      const root = readRoot(text)
      let lines = text.split('\n')
      for (;;) {
        const at = lines.findIndex((line) => own.test(line) || under.test(line))
        if (at < 0) break
        const from = lines[at - 1]?.trim() === '' ? at - 1 : at
        lines = [...lines.slice(0, from), ...lines.slice(endOf(lines, at))]
      }
      const rest = lines.join('\n')
      checked(rest, without(root), tidied)
      return rest.trim() === '' ? undefined : rest
    },
  }
}

function readRoot(text: string): Fields {
  try {
    return parse(text) as Fields
  } catch {
    throw new Unreadable('It is no TOML.')
  }
}

/** Values that stand in the table itself, and those that have tables of their own. */
function split(entry: Fields): [scalars: Fields, tables: Fields] {
  const pick = (wanted: boolean) =>
    Object.fromEntries(Object.entries(entry).filter(([, value]) => isFields(value) === wanted))
  return [pick(false), pick(true)]
}

/** The line behind a table; blank lines and comments before the next header belong to that. */
function endOf(lines: readonly string[], at: number): number {
  const next = lines.findIndex((line, index) => index > at && /^\s*\[/.test(line))
  if (next < 0) return lines.at(-1) === '' ? lines.length - 1 : lines.length
  let end = next
  while (end > at + 1 && /^\s*(#.*)?$/.test(lines[end - 1]!)) end--
  return end
}

function checked(text: string, meant: Fields, of: (root: Fields) => Fields = (root) => root): string {
  let said: Fields | undefined
  try {
    said = of(parse(text) as Fields)
  } catch {}
  if (said !== undefined && canonical(said) === canonical(of(meant))) return text
  throw new Unreadable('The server is written there in a form that cannot be edited without the lines around it.')
}

/** Equal for documents that say the same, in whatever order. */
const canonical = (root: Fields): string =>
  JSON.stringify(root, (_name, value: unknown) =>
    isFields(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  )
