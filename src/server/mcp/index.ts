import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { createMcpServer, type McpOptions } from './server.js'

export { createDesk, type Port, Unreachable } from './desk.js'
export type { Seat } from './run.js'
export type { McpOptions } from './server.js'
export { type Profile, profiles } from './tools.js'

/** Serves tools on standard input and output, until the client goes. `fault` gets what neither side can be told. */
export function serveTools(options: McpOptions, fault: (error: Error) => void): { close(): Promise<void> } {
  return serveStdio(() => createMcpServer(options), { onerror: fault })
}
