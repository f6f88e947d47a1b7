import { homedir } from 'node:os'
import { join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** The agents whose configuration can be written. */
export const kinds = ['codex', 'cursor', 'claude', 'gemini'] as const
export type Kind = (typeof kinds)[number]

/** What the server is called in every configuration: `bridge`, so that its tools are `mcp__bridge__wait`. */
export const SERVER = 'bridge'

/** Codex kills a tool after a minute unless told; `wait` and locks need the better part of one. s */
const TOOL_TIMEOUT_S = 120

/** Variables that lead to the daemon. Codex passes on only what is named. */
const PASSED_ON = [
  'AGENT_BRIDGE_HOME',
  'AGENT_BRIDGE_URL',
  'AGENT_BRIDGE_TOKEN',
  'AGENT_BRIDGE_WORKSPACE',
  'AGENT_BRIDGE_AGENT',
]

/** How the server is started. */
export interface Launch {
  command: string
  args: string[]
}

export interface Target {
  format: 'json' | 'toml'
  /** In the configuration of one repository. */
  project(root: string): string
  /** In that of the user. */
  user(env: Environment): string
  /** Where in the file the servers stand. */
  servers: string
  entry(launch: Launch): Record<string, unknown>
  /** What is left for the user to do. */
  hint: string
}

export const targets: Record<Kind, Target> = {
  codex: {
    format: 'toml',
    project: (root) => join(root, '.codex', 'config.toml'),
    user: ({ CODEX_HOME }) => join(CODEX_HOME || join(homedir(), '.codex'), 'config.toml'),
    servers: 'mcp_servers',
    entry: (launch) => ({ ...launch, env_vars: PASSED_ON, tool_timeout_sec: TOOL_TIMEOUT_S }),
    hint: 'Codex reads the configuration of a repository only where it trusts the folder. Start it anew.',
  },
  cursor: {
    format: 'json',
    project: (root) => join(root, '.cursor', 'mcp.json'),
    user: () => join(homedir(), '.cursor', 'mcp.json'),
    servers: 'mcpServers',
    // Cursor starts servers in a folder of its own, and fills this in.
    entry: ({ command, args }) => ({ command, args: [...args, '--cwd', `\${workspaceFolder}`] }),
    hint: `Cursor leaves out what is not approved: cursor-agent mcp enable ${SERVER}, or switch it on in its settings.`,
  },
  claude: {
    format: 'json',
    project: (root) => join(root, '.mcp.json'),
    user: ({ CLAUDE_CONFIG_DIR }) => join(CLAUDE_CONFIG_DIR || homedir(), '.claude.json'),
    servers: 'mcpServers',
    entry: (launch) => ({ type: 'stdio', ...launch, alwaysLoad: true }),
    hint: 'Claude Code asks once whether the server of a repository may be used. Start it anew.',
  },
  gemini: {
    format: 'json',
    project: (root) => join(root, '.gemini', 'settings.json'),
    user: () => join(homedir(), '.gemini', 'settings.json'),
    servers: 'mcpServers',
    entry: (launch) => ({ ...launch, trust: true }),
    hint: 'Gemini reads the configuration of a repository only where it trusts the folder. Start it anew.',
  },
}

/** Whether an entry starts this program. */
export function isOwn(entry: unknown): boolean {
  const { command, args } = (entry ?? {}) as Partial<Launch>
  const words = [command, ...(Array.isArray(args) ? args : [])].map(String)
  return words.includes('mcp') && words.some((word) => /(^|[/\\])agent-bridge(\.\w+)?$/.test(word))
}
