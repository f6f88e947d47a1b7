import type { Adapter, AgentKind } from './adapter.js'
import { claude } from './claude.js'
import { codex } from './codex.js'
import { cursor } from './cursor.js'
import { gemini } from './gemini.js'

/** The plain way to drive each agent: one process a turn, a prompt in, a stream of JSON lines out. */
export const adapters: Readonly<Record<AgentKind, Adapter>> = { codex, cursor, claude, gemini }
