import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'jsonc-parser'
import type { Fields } from '../../protocol/fields.js'
import { type Adapter, fieldsOf, numberOf, type Task, textOf, type Usage } from './adapter.js'
import { faultOf, silentEnd, succeeded } from './verdict.js'

const EDITS = new Set(['write_file', 'replace'])

/** `gemini --output-format stream-json`: one turn, one process. */
export const gemini: Adapter = {
  kind: 'gemini',
  binary: 'gemini',
  launch: (task) => ({
    args: [
      ...['--approval-mode', 'yolo', '--skip-trust', '--output-format', 'stream-json'],
      ...(task.model ? ['-m', task.model] : []),
      ...(task.resume ? ['--resume', task.resume] : []),
      ...task.more,
    ],
    env: { GEMINI_CLI_NO_RELAUNCH: 'true', ...settingsOf(task) },
    input: task.prompt,
  }),
  turn(_task, { tell }) {
    const calls = new Map<string, Fields>()
    let result: Fields | undefined
    let spoke = false
    let said = ''

    /** It speaks in pieces: what it has said is told when something else comes. */
    function flush(): void {
      if (said.trim() !== '') tell({ kind: 'said', text: said })
      said = ''
    }

    function tellCall({ tool_name, parameters }: Fields, state: 'begun' | 'done' | 'failed'): void {
      const name = textOf(tool_name)
      const { file_path, command } = fieldsOf(parameters)
      if (EDITS.has(name)) tell({ kind: 'edit', paths: [textOf(file_path)], state })
      else if (name === 'run_shell_command') tell({ kind: 'command', command: textOf(command), state })
      else tell({ kind: 'tool', name, state })
    }

    return {
      hear(message) {
        spoke = true
        if (message.type === 'message' && message.role === 'assistant') {
          said += textOf(message.content)
          return
        }
        flush()
        if (message.type === 'init') tell({ kind: 'session', id: textOf(message.session_id) })
        if (message.type === 'error') tell({ kind: 'warning', text: textOf(message.message) })
        if (message.type === 'tool_use') {
          calls.set(textOf(message.tool_id), message)
          tellCall(message, 'begun')
        }
        const call = message.type === 'tool_result' ? calls.get(textOf(message.tool_id)) : undefined
        if (call) tellCall(call, message.status === 'success' ? 'done' : 'failed')
        if (message.type === 'result') result = message
      },
      verdict(exit) {
        if (!result) return silentEnd(exit, spoke)
        if (result.status === 'success') return succeeded(exit)
        const { message, type } = fieldsOf(result.error)
        return faultOf(textOf(message) || exit.stderr, textOf(type))
      },
      usage: () => result && usageOf(fieldsOf(result.stats)),
    }
  },
}

const usageOf = (stats: Fields): Usage => ({
  inputTokens: numberOf(stats.input_tokens),
  outputTokens: numberOf(stats.output_tokens),
  cachedTokens: numberOf(stats.cached),
})

/**
 * It takes hooks and servers from files only. This turn's are in a folder of settings of its own, in which everything else
 * is the user's: his login, his sessions.
 */
function settingsOf({ mcp, hook, scratch }: Task): Record<string, string> {
  if (!mcp && !hook) return {}
  const users = join(process.env.GEMINI_CLI_HOME || homedir(), '.gemini')
  const own = join(scratch, '.gemini')
  mkdirSync(own)
  const names = existsSync(users) ? readdirSync(users) : []
  for (const name of names) if (name !== SETTINGS) symlinkSync(join(users, name), join(own, name))
  const given = names.includes(SETTINGS) ? fieldsOf(parse(readFileSync(join(users, SETTINGS), 'utf8'))) : {}
  const hooks = fieldsOf(given.hooks)
  const matcher = [...EDITS, 'run_shell_command'].join('|')
  const before = Array.isArray(hooks.BeforeTool) ? hooks.BeforeTool : []
  const asked = { matcher, hooks: [{ type: 'command', command: hook, timeout: 30_000 }] }
  const server = mcp && { command: mcp.command, args: mcp.args, env: passed(mcp.env), trust: true }
  const settings = {
    ...given,
    ...(mcp && { mcpServers: { ...fieldsOf(given.mcpServers), bridge: server } }),
    ...(hook && { hooks: { ...hooks, BeforeTool: [...before, asked] } }),
  }
  writeFileSync(join(own, SETTINGS), JSON.stringify(settings), { mode: 0o600 })
  return { GEMINI_CLI_HOME: scratch }
}

const SETTINGS = 'settings.json'

/** Variables by reference: the file holds no token. */
const passed = (names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, `\${${name}}`]))
