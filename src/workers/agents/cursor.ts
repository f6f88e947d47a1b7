import type { Fields } from '../../protocol/fields.js'
import {
  type Adapter,
  fieldsOf,
  listOf,
  type Milestone,
  numberOf,
  type StepState,
  textOf,
  type Usage,
} from './adapter.js'
import { faultOf, silentEnd, succeeded } from './verdict.js'

/**
 * `cursor-agent -p --output-format stream-json`, from its documentation and from what others captured of it: this adapter
 * has met a stand-in only, never the program itself. Its hooks come from the project's `.cursor/hooks.json` alone.
 */
export const cursor: Adapter = {
  kind: 'cursor',
  binary: 'cursor-agent',
  launch: (task) => ({
    args: [
      ...['-p', '--output-format', 'stream-json', '--force', '--trust', '--approve-mcps', '--workspace', task.cwd],
      ...(task.model ? ['--model', task.model] : []),
      ...(task.resume ? ['--resume', task.resume] : []),
      ...task.more,
      '--',
      task.prompt,
    ],
    input: '',
  }),
  turn(_task, { tell }) {
    let result: Fields | undefined
    let spoke = false
    return {
      hear(message) {
        spoke = true
        if (message.type === 'system' && message.subtype === 'init')
          tell({ kind: 'session', id: textOf(message.session_id) })
        if (message.type === 'assistant') {
          const text = listOf(fieldsOf(message.message).content).map(({ text }) => textOf(text))
          tell({ kind: 'said', text: text.join('') })
        }
        if (message.type === 'tool_call') readCall(message, tell)
        if (message.type === 'result') result = message
      },
      verdict(exit) {
        // When it fails it says so on standard error, and its stream has no result.
        if (!result) return silentEnd(exit, spoke)
        return result.is_error ? faultOf(textOf(result.result)) : succeeded(exit)
      },
      usage: () => result && usageOf(fieldsOf(result.usage)),
    }
  },
}

const usageOf = (usage: Fields): Usage => ({
  inputTokens: numberOf(usage.inputTokens),
  outputTokens: numberOf(usage.outputTokens),
  cachedTokens: numberOf(usage.cacheReadTokens),
})

const REFUSALS = new Set(['rejected', 'permission_denied', 'permissionDenied'])

function readCall({ subtype, tool_call }: Fields, tell: (milestone: Milestone) => void): void {
  // Other keys may stand beside the one that names the tool.
  const [key, call] = Object.entries(fieldsOf(tool_call)).find(([name]) => name.endsWith('ToolCall')) ?? []
  if (key === undefined) return
  const { args, result } = fieldsOf(call)
  const outcome = Object.keys(fieldsOf(result))[0] ?? 'success'
  const ended: StepState = outcome === 'success' ? 'done' : REFUSALS.has(outcome) ? 'refused' : 'failed'
  const state = subtype === 'started' ? 'begun' : ended
  const { path, command, toolName, providerIdentifier } = fieldsOf(args)
  if (key === 'editToolCall' || key === 'deleteToolCall') tell({ kind: 'edit', paths: [textOf(path)], state })
  else if (key === 'shellToolCall') tell({ kind: 'command', command: textOf(command), state, ...exitCodeOf(result) })
  else if (key === 'mcpToolCall')
    tell({ kind: 'tool', name: `${textOf(providerIdentifier)}.${textOf(toolName)}`, state })
  else tell({ kind: 'tool', name: key.replace(/ToolCall$/, ''), state })
}

function exitCodeOf(result: unknown): { exitCode?: number } {
  const [inner] = Object.values(fieldsOf(result))
  const { exitCode } = fieldsOf(inner)
  return typeof exitCode === 'number' ? { exitCode } : {}
}
