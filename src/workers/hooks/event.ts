import { resolve } from 'node:path'
import type { Fields } from '../../protocol/fields.js'
import { type AgentKind, fieldsOf, textOf } from '../agents/adapter.js'

// What agents tell a hook, and what they want to hear: one JSON document each way.

/** A tool that the agent is about to use, or has used. */
export interface HookEvent {
  cwd: string
  /** The agent's session: what is remembered from one event to the next is filed under it. */
  session: string
  /** It has been used already. */
  past: boolean
  /** The files that it will write, as far as that can be known. */
  paths: string[]
  /** A shell command: nobody knows what it will write. */
  command?: string
}

const SHELLS = new Set(['Bash', 'Shell', 'run_shell_command', 'exec_command', 'shell', 'local_shell'])
const READS = new Set([
  'Read',
  'Grep',
  'Glob',
  'LS',
  'read_file',
  'read_many_files',
  'list_directory',
  'search_file_content',
  'glob',
])
const PATHS = ['file_path', 'path', 'notebook_path', 'absolute_path', 'target_file']

/** @throws when it is no event of a hook */
export function readEvent(text: string): HookEvent {
  const event = fieldsOf(JSON.parse(text))
  const name = textOf(event.hook_event_name)
  const tool = textOf(event.tool_name)
  const input = fieldsOf(event.tool_input)
  const [root] = Array.isArray(event.workspace_roots) ? event.workspace_roots : []
  const cwd = textOf(event.cwd) || textOf(root)
  if (cwd === '') throw new Error('the event names no folder')
  const command = textOf(input.command)
  return {
    cwd,
    session: (textOf(event.session_id) || textOf(event.conversation_id)).replace(/[^\w-]/g, '').slice(0, 64) || 'none',
    past: /^(post|after)/i.test(name),
    // As the agent names them: from its folder, which need not be the top of the work tree.
    paths: READS.has(tool) ? [] : pathsIn(tool, input, command).map((path) => resolve(cwd, path)),
    ...(SHELLS.has(tool) && { command }),
  }
}

function pathsIn(tool: string, input: Fields, command: string): string[] {
  // Tools of servers take paths too, and do not write them for us.
  if (/^(mcp|MCP)/.test(tool) || SHELLS.has(tool)) return []
  const named = PATHS.flatMap((key) => textOf(input[key]) || [])
  return [...named, ...pathsInPatch(command), ...pathsInPatch(textOf(input.patch) || textOf(input.input))]
}

/** Codex hands on its patch as it is, and takes headers with space around them too: a line that only looks so is asked about. */
function pathsInPatch(patch: string): string[] {
  const heads = patch.matchAll(/^[\s\u0085]*\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+)$/gm)
  return [...heads].map(([, path = '']) => path.trim())
}

/** How a tool is allowed, with what is to be printed. */
export const allowing = (kind: AgentKind): string => (kind === 'cursor' ? '{"permission":"allow"}' : '')

/** How a tool is refused, so that the model reads why and goes on. */
export function refusing(kind: AgentKind, reason: string): string {
  if (kind === 'cursor') return JSON.stringify({ permission: 'deny', user_message: reason, agent_message: reason })
  if (kind === 'gemini') return JSON.stringify({ decision: 'deny', reason })
  return JSON.stringify({
    hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason: reason },
  })
}

/** How an agent is told of what has been done already; Cursor has no ear for it. */
export function telling(kind: AgentKind, reason: string): string {
  if (kind === 'cursor') return allowing(kind)
  if (kind === 'gemini')
    return JSON.stringify({ hookSpecificOutput: { hookEventName: 'AfterTool', additionalContext: reason } })
  return JSON.stringify({ hookSpecificOutput: { hookEventName: 'PostToolUse', additionalContext: reason } })
}
