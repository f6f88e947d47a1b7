import type { Fields } from '../../protocol/fields.js'
import type { Exit } from '../process.js'
import { type Adapter, fieldsOf, listOf, numberOf, type Task, type TurnPort, textOf, type Usage } from './adapter.js'
import { faultOf, silentEnd, succeeded } from './verdict.js'

/** `claude -p --output-format stream-json`: one turn, one process. */
export const claude: Adapter = {
  kind: 'claude',
  binary: 'claude',
  launch: (task) => ({
    args: ['-p', '--output-format', 'stream-json', '--verbose', ...optionsOf(task)],
    input: task.prompt,
  }),
  turn(_task, port) {
    const stream = createReader(port)
    return { hear: stream.hear, verdict: stream.verdict, usage: stream.usage }
  },
}

const EDITS = new Set(['Write', 'Edit', 'MultiEdit', 'NotebookEdit'])

/** What is the same in both ways of driving it. */
export function optionsOf(
  { model, resume, mcp, hook, more }: Task,
  mode: 'acceptEdits' | 'default' = 'acceptEdits',
): string[] {
  const hooks = [{ matcher: [...EDITS, 'Bash'].join('|'), hooks: [{ type: 'command', command: hook, timeout: 30 }] }]
  const server = mcp && { command: mcp.command, args: mcp.args, env: {}, alwaysLoad: true }
  return [
    ...['--permission-mode', mode, '--allowedTools', ['Bash', ...(mcp ? ['mcp__bridge'] : [])].join(',')],
    ...(mcp ? ['--mcp-config', JSON.stringify({ mcpServers: { bridge: server } })] : []),
    ...(hook ? ['--settings', JSON.stringify({ hooks: { PreToolUse: hooks } })] : []),
    ...(model ? ['--model', model] : []),
    ...(resume ? ['--resume', resume] : []),
    ...more,
  ]
}

/** Reads the stream; both ways of driving Claude speak it. */
export function createReader({ tell }: Pick<TurnPort, 'tell'>) {
  const calls = new Map<string, Fields>()
  let result: Fields | undefined
  let spoke = false

  function hearAssistant({ content }: Fields): void {
    for (const block of listOf(content)) {
      if (block.type === 'text') tell({ kind: 'said', text: textOf(block.text) })
      if (block.type === 'thinking') tell({ kind: 'thought', text: textOf(block.thinking) })
      if (block.type !== 'tool_use') continue
      calls.set(textOf(block.id), block)
      tellCall(block, 'begun')
    }
  }

  function tellCall({ name, input }: Fields, state: 'begun' | 'done' | 'failed'): void {
    const tool = textOf(name)
    const { file_path, notebook_path, command } = fieldsOf(input)
    if (EDITS.has(tool)) tell({ kind: 'edit', paths: [textOf(file_path ?? notebook_path)], state })
    else if (tool === 'Bash') tell({ kind: 'command', command: textOf(command), state })
    else tell({ kind: 'tool', name: tool, state })
  }

  function hearResults({ content }: Fields): void {
    for (const block of listOf(content)) {
      const call = block.type === 'tool_result' ? calls.get(textOf(block.tool_use_id)) : undefined
      if (call) tellCall(call, block.is_error ? 'failed' : 'done')
    }
  }

  return {
    hear(message: Fields): void {
      spoke = true
      if (message.type === 'system' && message.subtype === 'init')
        tell({ kind: 'session', id: textOf(message.session_id) })
      if (message.type === 'system' && message.subtype === 'api_retry')
        tell({
          kind: 'warning',
          text: `The model server is asked again (${textOf(message.error) || message.error_status}).`,
        })
      if (message.type === 'assistant') hearAssistant(fieldsOf(message.message))
      if (message.type === 'user') hearResults(fieldsOf(message.message))
      if (message.type !== 'result') return
      result = message
      for (const { tool_name, tool_input } of listOf(message.permission_denials)) {
        const { file_path, command } = fieldsOf(tool_input)
        const path = textOf(file_path)
        if (path) tell({ kind: 'edit', paths: [path], state: 'refused' })
        else tell({ kind: 'command', command: textOf(command) || textOf(tool_name), state: 'refused' })
      }
    },
    result: () => result,
    verdict(exit: Exit) {
      if (!result) return silentEnd(exit, spoke)
      // An API error says `subtype: "success"` beside it: only `is_error` tells.
      if (!result.is_error) return succeeded(exit)
      const kind = [textOf(result.api_error_type), result.api_error_status ?? ''].join(' ').trim()
      const errors = Array.isArray(result.errors) ? result.errors.join(' ') : ''
      return faultOf(textOf(result.result) || errors || textOf(result.subtype), kind)
    },
    usage: (): Usage | undefined => result && usageOf(result),
  }
}

function usageOf({ usage, total_cost_usd }: Fields): Usage {
  const { input_tokens, output_tokens, cache_read_input_tokens } = fieldsOf(usage)
  return {
    inputTokens: numberOf(input_tokens),
    outputTokens: numberOf(output_tokens),
    cachedTokens: numberOf(cache_read_input_tokens),
    ...(typeof total_cost_usd === 'number' && { costUsd: total_cost_usd }),
  }
}
