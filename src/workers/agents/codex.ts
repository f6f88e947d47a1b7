import type { Fields } from '../../protocol/fields.js'
import {
  type Adapter,
  fieldsOf,
  listOf,
  type Milestone,
  numberOf,
  type StepState,
  type Task,
  textOf,
  type Usage,
} from './adapter.js'
import { faultOf, silentEnd, succeeded } from './verdict.js'

/** `codex exec --json`: one turn, one process, no way to speak to it meanwhile. */
export const codex: Adapter = {
  kind: 'codex',
  binary: 'codex',
  launch: (task) => ({
    args: [
      ...['exec', '--json', '--skip-git-repo-check', '-s', 'workspace-write', '-C', task.cwd],
      ...(task.model ? ['-m', task.model] : []),
      ...configOf(task),
      ...task.more,
      ...(task.resume ? ['resume', task.resume] : []),
      '-',
    ],
    input: task.prompt,
  }),
  turn(_task, { tell }) {
    let last: Fields = {}
    let spoke = false
    let usage: Usage | undefined
    return {
      hear(message) {
        spoke = true
        const { type } = message
        if (type === 'thread.started') tell({ kind: 'session', id: textOf(message.thread_id) })
        // A top-level `error` is also a reconnect under way: only a turn's end is an end.
        if (type === 'error') tell({ kind: 'warning', text: textOf(message.message) })
        if (type === 'turn.started' || type === 'turn.completed' || type === 'turn.failed') last = message
        if (type === 'turn.completed') usage = usageOf(fieldsOf(message.usage))
        if (typeof type === 'string' && type.startsWith('item.')) readItem(fieldsOf(message.item), type, tell)
      },
      verdict(exit) {
        if (last.type === 'turn.failed') return faultOf(textOf(fieldsOf(last.error).message))
        return last.type === 'turn.completed' ? succeeded(exit) : silentEnd(exit, spoke)
      },
      usage: () => usage,
    }
  },
}

/** Settings of one run, each a `-c key=<TOML>`. JSON strings and lists of them are TOML as well. */
export function configOf({ mcp, hook }: Task): string[] {
  const toml = (value: string | string[]) => JSON.stringify(value)
  const settings = []
  if (mcp) {
    // Codex hands an MCP server none of its variables but those named, and is silent about one that does not start.
    const server = `command=${toml(mcp.command)},args=${toml(mcp.args)},env_vars=${toml(mcp.env)}`
    settings.push(
      `mcp_servers.bridge={${server},default_tools_approval_mode="approve",required=true,tool_timeout_sec=120}`,
    )
  }
  if (hook) {
    const run = `{type="command",command=${toml(hook)},timeout=30}`
    settings.push(`hooks.PreToolUse=[{matcher="apply_patch|Bash",hooks=[${run}]}]`)
  }
  // Without it hooks that nobody has trusted by hand are passed over without a word.
  return [...settings.flatMap((setting) => ['-c', setting]), ...(hook ? ['--dangerously-bypass-hook-trust'] : [])]
}

function usageOf(usage: Fields): Usage {
  return {
    inputTokens: numberOf(usage.input_tokens),
    outputTokens: numberOf(usage.output_tokens),
    cachedTokens: numberOf(usage.cached_input_tokens),
  }
}

const STATES: Record<string, StepState> = {
  in_progress: 'begun',
  completed: 'done',
  failed: 'failed',
  declined: 'refused',
}

function readItem(item: Fields, event: string, tell: (milestone: Milestone) => void): void {
  const state = STATES[textOf(item.status)] ?? (event === 'item.completed' ? 'done' : 'begun')
  // What goes on has been told when it began.
  if (event === 'item.updated') return
  switch (item.type) {
    case 'agent_message':
      return tell({ kind: 'said', text: textOf(item.text) })
    case 'reasoning':
      return tell({ kind: 'thought', text: textOf(item.text) })
    case 'command_execution': {
      const exitCode = typeof item.exit_code === 'number' ? { exitCode: item.exit_code } : {}
      return tell({ kind: 'command', command: bare(textOf(item.command)), state, ...exitCode })
    }
    case 'file_change':
      return tell({ kind: 'edit', paths: listOf(item.changes).map(({ path }) => textOf(path)), state })
    case 'mcp_tool_call':
      return tell({ kind: 'tool', name: `${textOf(item.server)}.${textOf(item.tool)}`, state })
    // An item of this type is a warning: what ends the turn says so itself.
    case 'error':
      // That hooks may run is what we asked for.
      if (!/hook-trust/.test(textOf(item.message))) tell({ kind: 'warning', text: textOf(item.message) })
      return
  }
}

/** Without the shell around it. */
export const bare = (command: string): string => /^\S*sh -lc '(.*)'$/s.exec(command)?.[1] ?? command
