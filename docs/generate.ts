// Writes the tables of CONTRACTS.md and docs/cli.md from the code: `npm run docs`. A test fails when they differ.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { agentRow } from '../src/bridge/agents/row.js'
import { attentionItem } from '../src/bridge/attention.js'
import { contractRow, contractView } from '../src/bridge/contracts/row.js'
import { eventSchema } from '../src/bridge/events.js'
import { methods, nouns } from '../src/bridge/index.js'
import { lockRow } from '../src/bridge/locks/row.js'
import { messageRow } from '../src/bridge/messages/row.js'
import { tokenRow } from '../src/bridge/tokens.js'
import { errors } from '../src/protocol/errors.js'
import { limits } from '../src/protocol/limits.js'
import { toolsOf } from '../src/server/mcp/tools.js'
import { commandTables } from './commands.js'
import { table } from './table.js'

/** The documents that have tables of the code's. */
export const documents = [join(import.meta.dirname, '..', 'CONTRACTS.md'), join(import.meta.dirname, 'cli.md')]

const TABLES: Record<string, () => string> = {
  methods: methodTables,
  events: eventTable,
  errors: () =>
    table(
      ['reason', 'JSON-RPC', 'HTTP', 'retry', 'meaning'],
      Object.entries(errors).map(([reason, { rpc, http, retry, summary }]) => [
        `\`${reason}\``,
        `${rpc}`,
        `${http}`,
        retry ? 'yes' : '',
        summary,
      ]),
    ),
  routes: routeTable,
  limits: () =>
    table(
      ['limit', 'value'],
      Object.entries(limits).map(([name, value]) => [`\`${name}\``, `${value}`]),
    ),
  tools: () =>
    table(
      ['tool', 'what a model is told'],
      toolsOf('default').map(({ name, description = '' }) => [`\`${name}\``, description]),
    ),
  event: () => fieldTable(eventSchema),
  contract: () => fieldTable(contractRow),
  lock: () => fieldTable(lockRow),
  message: () => fieldTable(messageRow),
  agent: () => fieldTable(agentRow),
  attention: () => fieldTable(attentionItem),
  token: () => fieldTable(tokenRow),
  ...commandTables,
}

/** The document with every table between its markers made anew. */
export function render(document: string): string {
  return document.replace(/(<!-- table: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g, (_all, begin, name, end) => {
    const make = TABLES[name]
    if (!make) throw new Error(`A document asks for a table "${name}" that nobody makes`)
    return `${begin}${make()}\n${end}`
  })
}

interface Schema {
  type?: string | string[]
  const?: unknown
  enum?: unknown[]
  items?: Schema
  anyOf?: Schema[]
  description?: string
  default?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  format?: string
}

const schemaOf = (type: z.ZodType, io: 'input' | 'output'): Schema =>
  z.toJSONSchema(type, { io, unrepresentable: 'any' }) as Schema

/** Rows that have a table of their own, and what they are called there. */
const NAMED = new Map<z.ZodType, string>([
  [contractRow, 'contract'],
  [contractView, 'contract, and `children`: how many contracts name it as their parent, by status, if any do'],
  [lockRow, 'lock'],
  [messageRow, 'message'],
  [agentRow, 'agent'],
])

/** A method a paragraph: what it does, what it takes, what it answers, and how else it may end. */
function methodTables(): string {
  return [...methods.values()]
    .map(({ name, summary, kind, role, params, result, errors: refusals }) => {
      const { properties = {}, required = [] } = schemaOf(params, 'input')
      const given = Object.entries(properties)
        .filter(([field]) => field !== 'idempotencyKey')
        .map(([field, schema]) => {
          const { default: fallback, description = '' } = schema
          const shown = fallback === undefined || typeof fallback === 'object' ? '' : `, else \`${fallback}\``
          return `- \`${field}${required.includes(field) ? '' : '?'}\` ${typeName(schema)}${shown}${description && `: ${description}`}`
        })
      const refused = refusals.length > 0 ? ` Refusals: ${refusals.map((reason) => `\`${reason}\``).join(' ')}.` : ''
      const answers = NAMED.get(result) ?? typeName(schemaOf(result, 'output'))
      const head = `\n**\`${name}\`** (${kind}, ${role}). ${summary}${refused}`
      return [head, ...(given.length > 0 ? ['', ...given] : []), '', `Answers ${answers}.`].join('\n')
    })
    .join('\n')
}

/** The routes that methods have of their own. */
function routeTable(): string {
  const rows = [...methods.values()].flatMap(({ name, http }) => {
    if (!http) return []
    const { method, path, status = 200, location, etag, ifMatch } = http
    const told = [
      etag && `\`ETag\` is \`${etag}\``,
      ifMatch && `\`If-Match\` is \`${ifMatch}\``,
      location && '`Location`',
    ]
    return [[`\`${method} ${path}\``, `\`${name}\``, `${status}`, told.filter((text) => text).join(', ')]]
  })
  return table(['route', 'method', 'answers', 'headers'], rows)
}

function eventTable(): string {
  const rows = nouns
    .flatMap(({ events }) => events)
    .map(({ type, table: row, summary, data }) => [
      `\`${type}\``,
      summary,
      row ? `\`${row.noun}\`` : '',
      Object.entries(data)
        .map(([name, meaning]) => `\`${name}\`: ${meaning}`)
        .join('; '),
    ])
  return table(['event', 'what happened', 'row', 'beside it in `data`'], rows)
}

function fieldTable(type: z.ZodType): string {
  const { properties = {}, required = [] } = schemaOf(type, 'output')
  const rows = Object.entries(properties).map(([name, schema]) => [
    `\`${name}${required.includes(name) ? '' : '?'}\``,
    typeName(schema),
    schema.description ?? schema.items?.description ?? '',
  ])
  return table(['field', 'type', ''], rows)
}

function typeName({
  type,
  const: constant,
  enum: values,
  items,
  anyOf,
  properties,
  required = [],
  format,
}: Schema): string {
  if (constant !== undefined) return `\`${JSON.stringify(constant)}\``
  if (values) return values.map((value) => `\`${value}\``).join(' ')
  if (type === 'array') return `list of ${typeName(items ?? {})}`
  if (properties) {
    // A list's items are rows that have tables of their own: their fields would only repeat those.
    const fields = Object.keys(properties).map((name) => (required.includes(name) ? name : `${name}?`))
    return fields.length === 0 ? 'nothing' : fields.length > 12 ? 'object' : `\`{ ${fields.join(', ')} }\``
  }
  if (format === 'date-time') return 'instant'
  if (type === 'string') return 'text'
  if (typeof type === 'string') return type
  return anyOf ? [...new Set(anyOf.map(typeName))].join(' or ') : 'any JSON'
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const file of documents) writeFileSync(file, render(readFileSync(file, 'utf8')))
}
