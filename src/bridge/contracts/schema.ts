import { limits } from '../../protocol/limits.js'

// The part of JSON Schema in which an answer's form is told: what a form on a page can ask for, and no more. A regular
// expression of a peer's is not run: it could keep the daemon busy for as long as it likes.

type Json = unknown
type Schema = Record<string, Json>

const types = {
  string: (value: Json) => typeof value === 'string',
  number: (value: Json) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value: Json) => typeof value === 'boolean',
  null: (value: Json) => value === null,
  array: Array.isArray,
  object: (value: Json) => isObject(value),
} satisfies Record<string, (value: Json) => boolean>

type Type = keyof typeof types

const isObject = (value: Json): value is Schema => typeof value === 'object' && value !== null && !Array.isArray(value)
const isType = (name: Json): name is Type => typeof name === 'string' && Object.hasOwn(types, name)
const isPlain = (value: Json): boolean => value === null || ['string', 'number', 'boolean'].includes(typeof value)
const isCount = (value: Json): boolean => Number.isInteger(value) && (value as number) >= 0
const isNumber = (value: Json): boolean => typeof value === 'number'
const isListOf = (of: (item: Json) => boolean) => (value: Json) => Array.isArray(value) && value.every(of)
const listOfSome = (value: Json): boolean => Array.isArray(value) && value.length > 0
const anything = (): boolean => true

/** Each keyword, and whether its value is one that it may have. Schemas inside are looked at by themselves. */
const keywords = new Map<string, (value: Json) => boolean>([
  ['type', (value) => isType(value) || (listOfSome(value) && isListOf(isType)(value))],
  ['enum', (value) => listOfSome(value) && isListOf(isPlain)(value)],
  ['const', isPlain],
  ['properties', isObject],
  ['required', isListOf((name) => typeof name === 'string')],
  ['additionalProperties', (value) => typeof value === 'boolean'],
  ['items', isObject],
  ['anyOf', listOfSome],
  ['oneOf', listOfSome],
  ['allOf', listOfSome],
  ...['minLength', 'maxLength', 'minItems', 'maxItems'].map((name) => [name, isCount] as const),
  ...['minimum', 'maximum'].map((name) => [name, isNumber] as const),
  // These say something to whoever answers, and nothing to who checks.
  ...['$schema', 'title', 'description', 'default', 'examples', 'format', 'enumNames'].map(
    (name) => [name, anything] as const,
  ),
])

/** What is wrong with a schema, and where in it; undefined when it can be checked against. */
export function schemaProblem(schema: Json): string | undefined {
  const found: string[] = []
  let terms = 0
  function look(at: Json, path: string): void {
    if (!isObject(at)) return void found.push(`${path} is not an object`)
    for (const [name, value] of Object.entries(at)) {
      terms += Array.isArray(value) ? value.length : 1
      const allows = keywords.get(name)
      if (!allows) found.push(`${path} has a keyword that is not one of ${[...keywords.keys()].join(', ')}`)
      else if (!allows(value)) found.push(`${path}/${name} is not as JSON Schema asks`)
      else for (const [inner, within] of schemasIn(name, value)) look(inner, `${path}/${within}`)
    }
  }
  look(schema, '#')
  if (terms > limits.schemaTerms) return `it has more than ${limits.schemaTerms} terms`
  return found[0]
}

/** The schemas inside a keyword's value. A property's name is a peer's, so its place is told by number. */
function schemasIn(name: string, value: Json): Array<[Json, string]> {
  if (name === 'items') return [[value, name]]
  if (name === 'properties') {
    return Object.values(value as Schema).map((inner, index) => [inner, `properties/${index + 1}`])
  }
  if (name !== 'anyOf' && name !== 'oneOf' && name !== 'allOf') return []
  return (value as Json[]).map((inner, index) => [inner, `${name}/${index}`])
}

/** Is the value as a schema asks, in which there is no problem? */
export function meets(schema: Schema, value: Json): boolean {
  return Object.entries(schema).every(([name, term]) => holds[name]?.(term as never, value, schema) ?? true)
}

const within = (size: number, min: unknown, max: unknown): boolean =>
  size >= ((min as number | undefined) ?? 0) && size <= ((max as number | undefined) ?? Number.POSITIVE_INFINITY)
const lengthOf = (text: string): number => [...text].length
const matching = (schemas: Schema[], value: Json): number => schemas.filter((schema) => meets(schema, value)).length

const holds: Record<string, (term: never, value: Json, schema: Schema) => boolean> = {
  type: (term: Type | Type[], value) => [term].flat().some((name) => types[name](value)),
  enum: (term: Json[], value) => term.includes(value),
  const: (term: Json, value) => term === value,
  properties: (term: Record<string, Schema>, value) =>
    !isObject(value) ||
    Object.entries(term).every(([name, inner]) => !Object.hasOwn(value, name) || meets(inner, value[name])),
  required: (term: string[], value) => !isObject(value) || term.every((name) => Object.hasOwn(value, name)),
  additionalProperties: (term: boolean, value, { properties = {} }) =>
    term || !isObject(value) || Object.keys(value).every((name) => Object.hasOwn(properties as Schema, name)),
  items: (term: Schema, value) => !Array.isArray(value) || value.every((item) => meets(term, item)),
  anyOf: (term: Schema[], value) => matching(term, value) > 0,
  oneOf: (term: Schema[], value) => matching(term, value) === 1,
  allOf: (term: Schema[], value) => matching(term, value) === term.length,
  minLength: (term: number, value) => typeof value !== 'string' || within(lengthOf(value), term, undefined),
  maxLength: (term: number, value) => typeof value !== 'string' || within(lengthOf(value), 0, term),
  minItems: (term: number, value) => !Array.isArray(value) || within(value.length, term, undefined),
  maxItems: (term: number, value) => !Array.isArray(value) || within(value.length, 0, term),
  minimum: (term: number, value) => typeof value !== 'number' || value >= term,
  maximum: (term: number, value) => typeof value !== 'number' || value <= term,
}
