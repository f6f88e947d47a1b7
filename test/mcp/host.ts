import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { within } from '../socket.js'

// An agent's program, as far as MCP goes: it starts the command and calls its tools.

const ENTRY = join(import.meta.dirname, '..', 'fixtures', 'cli.ts')

export interface Host {
  client: Client
  /** The structured answer of a tool; throws when it is an error. */
  ask(tool: string, given?: object): Promise<Record<string, unknown>>
  /** The text of a tool's error; throws when it is none. */
  refused(tool: string, given?: object): Promise<string>
  /** The process. */
  pid: number
  close(): Promise<void>
}

export interface HostOptions {
  home: string
  /** More of the command line. */
  args?: string[]
  era?: 'old' | 'new'
  env?: Record<string, string>
  /** What the client calls itself. */
  name?: string
}

/** Starts `agent-bridge mcp` in the workspace `test`, as the SDK's own client does. */
export async function startHost({ home, args = [], era = 'old', env, name = 'a test' }: HostOptions): Promise<Host> {
  const client = new Client({ name, version: '1' }, { versionNegotiation: { mode: era === 'old' ? 'legacy' : 'auto' } })
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: ['--import', import.meta.resolve('tsx'), ENTRY, 'mcp', ...args],
    env: { ...inherited(), AGENT_BRIDGE_HOME: home, AGENT_BRIDGE_WORKSPACE: 'test', ...env },
  })
  await within(client.connect(transport), 'the tools to be served')
  return { ...asHost(client), pid: transport.pid ?? 0 }
}

/** The same over any client that is connected. */
export function asHost(client: Client): Omit<Host, 'pid'> {
  const call = (tool: string, given: object) =>
    within(client.callTool({ name: tool, arguments: given as Record<string, unknown> }), `${tool} to answer`, 60_000)
  const textOf = ({ content }: Awaited<ReturnType<typeof call>>) => (content[0]?.type === 'text' ? content[0].text : '')
  return {
    client,
    async ask(tool, given = {}) {
      const result = await call(tool, given)
      if (result.isError) throw new Error(`${tool}: ${textOf(result)}`)
      const structured = result.structuredContent as Record<string, unknown>
      if (JSON.stringify(structured) !== textOf(result)) throw new Error(`${tool} says one thing in two ways`)
      return structured
    },
    async refused(tool, given = {}) {
      const result = await call(tool, given)
      if (!result.isError) throw new Error(`${tool} was not refused: ${textOf(result)}`)
      return textOf(result)
    },
    close: () => client.close(),
  }
}

/** Nothing of whoever runs the tests. */
const inherited = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name.startsWith('AGENT_BRIDGE_') ? [] : [[name, value]],
    ),
  )
