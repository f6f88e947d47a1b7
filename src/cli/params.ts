import { Option } from 'commander'
import { z } from 'zod'
import type { Method } from '../protocol/method.js'
import { choicesOf } from './completion.js'
import { fail } from './exits.js'

// A method's parameters as options, derived from its schema. Values are only converted here; the bridge judges them.

/** The part of JSON Schema that tells how a value is written. */
interface Schema {
  type?: string
  enum?: unknown[]
  pattern?: string
  description?: string
  default?: unknown
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
}

/** One parameter on the command line. */
export interface Param {
  name: string
  /** `--contract-id`, or `--tag` and `--tags` for an array; a boolean has a second one that says no. */
  options: Option[]
  /** The positional argument that may be given instead: for what a method cannot do without, ids and words to look for, and for files. */
  positional?: string
  /** The positional is a path from here, and not yet the value. */
  isPath?: true
  /** The positional takes any number. */
  variadic: boolean
  required: boolean
  /** Of an object: its own fields, each an option such as `--error-reason`, to be given instead of JSON. */
  fields: Param[]
  /** From the texts given, one for each time the option was. @throws Failure for what is no such value */
  read(texts: string[]): unknown
}

export const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

export function paramsOf(method: Method): Param[] {
  const schema = z.toJSONSchema(method.params, { io: 'input', unrepresentable: 'any' }) as Schema
  return paramsIn(schema, method)
}

function paramsIn(schema: Schema, method: Method, prefix = ''): Param[] {
  const properties = schema.properties ?? {}
  return Object.entries(properties).map(([name, property]) => {
    const required = schema.required?.includes(name) ?? false
    const value = plain(property)
    const variadic = value.type === 'array'
    const alias = variadic && !(singular(name) in properties) ? singular(name) : name
    const flags = [...new Set([alias, name])].map((flag) => `--${prefix}${kebab(flag)}`)
    const isPath = method.name === 'lock.check' && name === 'resources'
    const isArgument = required && prefix === '' && /Ids?$|^query$/.test(name)
    const positional = isPath ? 'path' : isArgument ? kebab(alias) : undefined
    const own = isFlat(value) ? `, or --${kebab(name)}-...` : ''
    const need = required ? [positional ? 'required, here or as an argument' : `required${own}`] : []
    const text = inFlags([...describe(property, value), ...need].join('; '), method)
    return {
      name,
      required,
      variadic,
      options: optionsOf(flags.join(', '), value, text),
      fields: isFlat(value) ? paramsIn(value, method, `${kebab(name)}-`) : [],
      ...(positional && { positional }),
      ...(isPath && { isPath: true as const }),
      read: (texts) => readTexts(value, texts, flags[0]!),
    }
  })
}

/** An object whose fields can each be written as one text. */
const isFlat = ({ type, properties }: Schema): boolean =>
  type === 'object' &&
  properties !== undefined &&
  Object.values(properties).every(
    ({ type }) => type !== undefined && ['string', 'number', 'integer', 'boolean'].includes(type),
  )

/** What a method says of itself, with its parameters named as they are typed here. */
export const inFlags = (text: string, { params }: Method): string =>
  text.replace(/`(\w+)`/g, (quoted, name: string) => (Object.hasOwn(params.shape, name) ? `--${kebab(name)}` : quoted))

/** One or several of the same is written as several. */
function plain(schema: Schema): Schema {
  return schema.anyOf?.find(({ type }) => type === 'array') ?? schema
}

/** `messageIds` to `messageId`; words such as `status` are no plurals. */
function singular(name: string): string {
  if (/ies$/.test(name)) return name.replace(/ies$/, 'y')
  return /[^su]s$/.test(name) ? name.slice(0, -1) : name
}

function optionsOf(flags: string, value: Schema, text: string): Option[] {
  if (value.type === 'boolean') {
    return [new Option(flags, text), new Option(flags.replace('--', '--no-'), `the contrary of ${flags}`)]
  }
  const option = new Option(`${flags} <${placeholder(value)}>`, text)
  const choices = (value.items ?? value).enum
  if (choices) choicesOf.set(option, choices.map(String))
  // The last one wins for a single value, as for every other option; a list takes them all.
  return [
    option.argParser((given: string, before: string[] = []) => (value.type === 'array' ? [...before, given] : [given])),
  ]
}

const isText = ({ type }: Schema): boolean => type === 'string'

function placeholder({ type, items, enum: choices }: Schema): string {
  if (type === 'array') return soleText(items ?? {})?.name ?? placeholder(items ?? {})
  if (type === 'integer' || type === 'number') return 'number'
  if (type === 'string') return choices === undefined ? 'text' : 'choice'
  return 'json'
}

function describe(property: Schema, value: Schema): string[] {
  const element = value.items ?? value
  const sole = value.type === 'array' ? soleText(element) : undefined
  const shape = element.properties && `${sole ? 'or JSON' : 'JSON'}: ${shapeOf(element)}`
  const pieces = [
    property.description ?? element.description ?? element.properties?.[sole?.name ?? '']?.description,
    element.enum && `one of: ${element.enum.join(', ')}`,
    shape,
    value.type === 'array' ? 'repeatable' : undefined,
    isScalar(property.default) ? `default: ${property.default}` : undefined,
  ]
  return pieces.filter((piece) => piece !== undefined)
}

const isScalar = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value)

const shapeOf = ({ properties = {}, required = [] }: Schema): string =>
  `{ ${Object.keys(properties)
    .map((name) => (required.includes(name) ? name : `${name}?`))
    .join(', ')} }`

/** The one text that an object in a list cannot do without: it can be written instead of the object. */
function soleText({ properties = {}, required = [] }: Schema): { name: string } | undefined {
  const [name, ...others] = required
  return name !== undefined && others.length === 0 && isText(properties[name] ?? {}) ? { name } : undefined
}

function readTexts(schema: Schema, texts: string[], flag: string): unknown {
  if (schema.type === 'array') return texts.flatMap((text) => readItems(schema.items ?? {}, text, flag))
  return readOne(schema, texts.at(-1)!, flag)
}

/** What one text gives for a list: itself, its parts between commas, or the objects that it is JSON for. */
function readItems(items: Schema, text: string, flag: string): unknown[] {
  if (isText(items)) return fitsForm(items, text) ? [text] : text.split(',').map((part) => part.trim())
  const sole = soleText(items)
  if (sole && !/^\s*[[{]/.test(text)) return [{ [sole.name]: text }]
  const value = readOne(items, text, flag)
  return Array.isArray(value) ? value : [value]
}

/** A text that cannot be a value as a whole, but for its commas, stands for several. */
function fitsForm({ enum: choices, pattern }: Schema, text: string): boolean {
  if (!text.includes(',')) return true
  if (choices) return choices.includes(text)
  return pattern === undefined || new RegExp(pattern).test(text)
}

function readOne(schema: Schema, text: string, flag: string): unknown {
  switch (schema.type) {
    case 'string':
      return text
    case 'integer':
    case 'number':
      return readNumber(text, flag, schema.type === 'integer')
    case undefined:
      return readJson(text, () => text)
    default:
      return readJson(text, () =>
        fail('usage', `${flag} takes JSON${schema.properties ? ` such as ${shapeOf(schema)}` : ''}: this is none.`),
      )
  }
}

function readNumber(text: string, flag: string, wholly: boolean): number {
  const number = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isFinite(number) && (!wholly || Number.isInteger(number))) return number
  return fail('usage', `${flag} takes a ${wholly ? 'whole ' : ''}number.`)
}

function readJson(text: string, otherwise: () => unknown): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return otherwise()
  }
}
