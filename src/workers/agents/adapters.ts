import type { Adapter, AgentKind } from './adapter.js'
import { appServer } from './appserver.js'
import { claude } from './claude.js'
import { codex } from './codex.js'
import { control } from './control.js'
import { cursor } from './cursor.js'
import { gemini } from './gemini.js'

/** The plain way to drive each agent: one process a turn, a prompt in, a stream of JSON lines out. */
export const adapters: Readonly<Record<AgentKind, Adapter>> = { codex, cursor, claude, gemini }

/** Drivers that speak with the agent while it works; an agent without one is driven plainly. */
export const drivers: Readonly<Partial<Record<AgentKind, Adapter>>> = { codex: appServer, claude: control }
