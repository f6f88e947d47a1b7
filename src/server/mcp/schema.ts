import type { Tool } from '@modelcontextprotocol/server'
import { z } from 'zod'

// JSON Schema as models and their makers take it: no reference, no bound and no pattern, for the bridge judges the values.

/** The part of JSON Schema that a model is told. */
interface Schema {
  type?: string
  description?: string
  enum?: unknown[]
  default?: unknown
  items?: Schema
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean
}

interface Full extends Omit<Schema, 'additionalProperties' | 'items' | 'anyOf' | 'properties'> {
  const?: unknown
  items?: Full
  anyOf?: Full[]
  properties?: Record<string, Full>
  additionalProperties?: unknown
}

/** What a tool takes. `omit` names parameters that are not offered. */
export function inputSchema(params: z.ZodType, omit: readonly string[] = []): Tool['inputSchema'] {
  const full = z.toJSONSchema(params, { io: 'input', unrepresentable: 'any' }) as Full
  const { properties = {}, required = [] } = simplify(full)
  const left = Object.entries(properties).filter(([name]) => !omit.includes(name))
  return {
    type: 'object',
    properties: Object.fromEntries(left) as Tool['inputSchema']['properties'],
    ...(required.length > 0 && { required: required.filter((name) => !omit.includes(name)) }),
    additionalProperties: false,
  }
}

function simplify({ type, description, enum: choices, const: constant, default: fallback, ...inner }: Full): Schema {
  const values = choices ?? (constant === undefined ? undefined : [constant])
  const { items, anyOf, properties, required } = inner
  return {
    ...(type && { type }),
    ...(description && { description }),
    ...(values && { enum: values }),
    ...(isTelling(fallback) && { default: fallback }),
    ...(items && { items: simplify(items) }),
    ...(anyOf && { anyOf: anyOf.map(simplify) }),
    ...(properties && { properties: mapValues(properties, simplify), additionalProperties: false }),
    ...(required && required.length > 0 && { required }),
  }
}

const isTelling = (fallback: unknown): boolean => fallback !== undefined && typeof fallback !== 'object'

const mapValues = <From, To>(fields: Record<string, From>, map: (value: From) => To): Record<string, To> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, map(value)]))

/**
 * What a tool answers: the names and types of its fields, one level deep. Any of them may be missing and others may be
 * there, for answers are cut to what a model needs.
 */
export function outputSchema(result: z.ZodType, keeps: (name: string) => boolean): Record<string, unknown> {
  const full = z.toJSONSchema(result, { io: 'output', unrepresentable: 'any' }) as Full
  const { properties } = full.anyOf?.find(({ properties }) => properties) ?? full
  const told = Object.entries(properties ?? { result: {} }).filter(([name]) => keeps(name))
  return { type: 'object', properties: Object.fromEntries(told.map(([name, field]) => [name, outline(field)])) }
}

const outline = ({ type, items }: Full): Schema => ({
  ...(type && { type }),
  ...(items?.type && { items: { type: items.type } }),
})
