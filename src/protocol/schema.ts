import { z } from 'zod'

type Json = Record<string, unknown>

/**
 * A type as JSON Schema 2020-12, complete in itself. What may be any JSON is `{}`. `nameOf` gives the reference that stands
 * for a type wherever it is met.
 */
export function jsonSchemaOf(
  type: z.ZodType,
  io: 'input' | 'output',
  nameOf: (type: unknown) => string | undefined = () => undefined,
): Json {
  const named = nameOf(type)
  if (named !== undefined) return { $ref: named }
  const { $schema: _dialect, ...schema } = z.toJSONSchema(type, {
    io,
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema }) {
      const reference = nameOf(zodSchema)
      if (reference === undefined) return
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key as keyof typeof jsonSchema]
      jsonSchema.$ref = reference
    },
  })
  return unfold(schema) as Json
}

/** Only `z.json()` is described by definitions, since it holds itself; they say what `{}` says. */
function unfold(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unfold)
  if (typeof value !== 'object' || value === null) return value
  const { $defs: _definitions, ...fields } = value as Json
  if (typeof fields.$ref === 'string' && fields.$ref.startsWith('#/$defs/')) delete fields.$ref
  return Object.fromEntries(Object.entries(fields).map(([name, inner]) => [name, unfold(inner)]))
}
