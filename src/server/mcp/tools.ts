import type { Tool } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { methods } from '../../bridge/index.js'
import { limits } from '../../protocol/limits.js'
import type { Method, ToolTerms } from '../../protocol/method.js'
import { inputSchema, outputSchema } from './schema.js'
import { isTold } from './views.js'

/** `default`: the few that most work is done with. `full`: every method. */
export const profiles = ['default', 'full'] as const
export type Profile = (typeof profiles)[number]

/** `contract.setStatus` as a tool is named `contract_set_status`. */
export const toolName = (method: string): string =>
  method.replace('.', '_').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** The methods that are tools, by the tool's name. */
const byName: ReadonlyMap<string, Method> = new Map(
  [...methods.values()].filter(({ socket }) => !socket).map((method) => [toolName(method.name), method]),
)

/** The method behind a tool of that name. */
export const methodOf = (tool: string): Method | undefined => byName.get(tool)

/** `wait` is no method: it looks at several things, and waits for any of them. */
export const WAIT = 'wait'

export const waitParams = z.strictObject({
  seconds: z
    .number()
    .min(0)
    .max(limits.toolWaitMs / 1_000)
    .default(30)
    .describe(`at most ${limits.toolWaitMs / 1_000}; 0 looks and does not wait`),
  acked: z
    .array(z.string().max(limits.idLength))
    .max(limits.pageItemsMax)
    .default([])
    .describe('ids of messages that you have acted on: their senders are told'),
})

const waitTool: Tool = {
  name: WAIT,
  description:
    'Waits until something needs you, and tells what: unread messages, contracts you can take, news of your contracts and locks, grants you wait for. Answers at once when there is something. Call it whenever you have nothing else to do.',
  inputSchema: inputSchema(waitParams),
  outputSchema: {
    type: 'object',
    properties: {
      messages: { type: 'array', items: { type: 'object' } },
      offers: { type: 'array', items: { type: 'object' } },
      news: { type: 'array', items: { type: 'object' } },
      todo: { type: 'string' },
    },
  },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
}

const made = new Map<Profile, readonly Tool[]>()

/** The tools of a profile, as clients are told of them. */
export function toolsOf(profile: Profile): readonly Tool[] {
  const tools = made.get(profile) ?? [waitTool, ...chosen(profile).map(describe)]
  made.set(profile, tools)
  return tools
}

const chosen = (profile: Profile): Method[] =>
  [...byName.values()].filter(({ mcp }) => profile === 'full' || mcp?.common)

function describe({ name, kind, summary, params, result, mcp = {} }: Method): Tool {
  return {
    name: toolName(name),
    description: mcp.description ?? summary,
    inputSchema: inputSchema(params, ['idempotencyKey', ...(mcp.omit ?? [])]),
    outputSchema: outputSchema(result, (field) => isTold(field) && (mcp.only?.includes(field) ?? true)),
    annotations: annotationsOf(kind, mcp),
  }
}

/** All three hints of a writing tool are said: with them clients run it without asking, and a missing one counts as bad. */
const annotationsOf = (kind: Method['kind'], { destructive = false, idempotent = false }: ToolTerms) =>
  kind === 'query'
    ? { readOnlyHint: true, openWorldHint: false }
    : { readOnlyHint: false, destructiveHint: destructive, idempotentHint: idempotent, openWorldHint: false }
