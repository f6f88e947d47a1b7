import type { Method } from '../../protocol/method.js'
import { jsonSchemaOf } from '../../protocol/schema.js'

// The query of a URL as parameters. Texts are only converted here; the method's own schema judges them.

interface Schema {
  type?: string
  anyOf?: Schema[]
  items?: Schema
}

const known = new WeakMap<Method, Record<string, Schema>>()

/** `?status=submitted,accepted&limit=10`: lists are separated by commas, or given several times. */
export function readQuery(query: Record<string, string[]>, method: Method): Record<string, unknown> {
  const schemas = schemasOf(method)
  const entries = Object.entries(query).map(([name, texts]) => {
    const schema = Object.hasOwn(schemas, name) ? schemas[name] : undefined
    return [name, readTexts(schema ?? {}, texts)] as const
  })
  // From entries, and with no prototype to change: a parameter may have any name.
  return Object.fromEntries(entries)
}

function schemasOf(method: Method): Record<string, Schema> {
  const schemas =
    known.get(method) ?? ((jsonSchemaOf(method.params, 'input').properties ?? {}) as Record<string, Schema>)
  known.set(method, schemas)
  return schemas
}

function readTexts({ type, items, anyOf }: Schema, texts: string[]): unknown {
  const list = type === 'array' ? { items } : anyOf?.find((schema) => schema.type === 'array')
  if (list) return texts.flatMap((text) => text.split(',')).map((text) => readText(list.items?.type, text))
  const [text] = texts
  return texts.length === 1 && text !== undefined ? readText(type, text) : texts
}

function readText(type: string | undefined, text: string): unknown {
  if (type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (type !== 'integer' && type !== 'number') return text
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
}
