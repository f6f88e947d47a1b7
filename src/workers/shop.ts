import type { Client } from '../client/node.js'
import type { Adapter, AgentKind, Tool } from './agents/adapter.js'
import type { Outside } from './gate.js'

/** What a worker was told at its start. */
export interface WorkerOptions {
  kind: AgentKind
  /** The agent's name with the bridge. */
  name: string
  cwd: string
  /** The program to run. */
  binary: string
  model?: string
  /** Only a prompt in and a stream out, where there is a richer way to drive it. */
  plain: boolean
  /** Further arguments of the agent's command line. */
  more: readonly string[]
  capabilities: readonly string[]
  /** Commands of contracts' checks that may be run here, to the letter. */
  allowChecks: readonly string[]
  /** ms */
  checkTimeoutMs: number
  /** An agent that prints nothing for so long is ended, unless the contract says otherwise, ms. */
  stallMs: number
  /** What becomes of edits of files that nobody has locked. */
  outside: Outside
  /** Each contract is done in a work tree, and on a branch, of its own. */
  worktree: boolean
  /** A message to the agent while it has no task begins a turn, whose last words are the answer. */
  answerMessages?: boolean
  /** What the agent is told of the bridge: where it is, and the agent's own token. */
  bridge: Readonly<Record<string, string>>
  /** A shell command to ask before each edit, where the agent has hooks. */
  hook?: (outside: Outside) => string
  /** How the bridge's MCP server is started. */
  mcp?: Tool
}

/** Everything that is the same for all attempts of a worker. */
export interface Shop {
  client: Client
  options: WorkerOptions
  adapter: Adapter
  /** What the program says its version is. */
  version: string
  /** What the marks of all runs of this worker begin with. */
  runs: string
  /** The agent's folder, and the top of the work tree it is in. */
  cwd: string
  top: string
  /** The agent's environment, and that of checks, which is told nothing of the bridge. */
  env: NodeJS.ProcessEnv
  plainEnv: NodeJS.ProcessEnv
  hook?: (outside: Outside) => string
  mcp?: Tool
  /** Of a contract that has a work tree of its own. */
  branch?: string
}
