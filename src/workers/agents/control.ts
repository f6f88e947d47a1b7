import type { Fields } from '../../protocol/fields.js'
import { type Adapter, fieldsOf, listOf, textOf } from './adapter.js'
import { createReader, optionsOf } from './claude.js'

/**
 * Claude's control protocol, on `claude -p --input-format stream-json`: each edit is asked for beforehand, a message can be
 * put into the running turn, and an interrupt ends its commands too.
 */
export const control: Adapter = {
  kind: 'claude',
  binary: 'claude',
  launch: ({ hook: _asked, ...task }) => ({
    args: [
      ...['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose'],
      ...['--permission-prompt-tool', 'stdio', '--replay-user-messages'],
      // Edits are not allowed in general: each is asked for.
      ...optionsOf(task, 'default'),
    ],
  }),
  turn(task, port) {
    const steered = new Map<string, (shown: boolean) => void>()
    const reader = createReader(port)
    let requests = 0
    const request = (body: object) =>
      port.send({ type: 'control_request', request_id: `bridge-${++requests}`, request: body })
    const say = (text: string) =>
      port.send({
        type: 'user',
        session_id: '',
        parent_tool_use_id: null,
        message: { role: 'user', content: [{ type: 'text', text }] },
      })

    async function answer(id: unknown, { subtype, tool_name, input }: Fields): Promise<void> {
      const reply = (response: object) =>
        port.send({ type: 'control_response', response: { subtype: 'success', request_id: id, response } })
      if (subtype !== 'can_use_tool') return reply({})
      const { file_path, notebook_path } = fieldsOf(input)
      const path = textOf(file_path ?? notebook_path)
      const asks = path !== '' && !READS.has(textOf(tool_name))
      const reason = asks
        ? await port.forbids([path]).catch((error: Error) => `The bridge cannot be asked: ${error.message}`)
        : undefined
      reply(reason === undefined ? { behavior: 'allow', updatedInput: input } : { behavior: 'deny', message: reason })
      if (reason !== undefined) port.tell({ kind: 'edit', paths: [path], state: 'refused' })
    }

    /** What was put into the turn comes back when the model is shown it. */
    function replayed(message: Fields): void {
      for (const { text } of listOf(fieldsOf(message.message).content)) steered.get(textOf(text))?.(true)
    }

    return {
      begin() {
        request({ subtype: 'initialize', hooks: null })
        say(task.prompt)
      },
      hear(message) {
        if (message.type === 'control_request') return void answer(message.request_id, fieldsOf(message.request))
        if (message.type === 'user' && message.isReplay === true) replayed(message)
        reader.hear(message)
        // One result ends one turn: there is nothing more to say to it.
        if (message.type === 'result') port.finish()
      },
      async steer(text) {
        if (reader.result()) return false
        const shown = new Promise<boolean>((resolve) => steered.set(text, resolve))
        say(text)
        return shown
      },
      interrupt: () => request({ subtype: 'interrupt' }),
      verdict: reader.verdict,
      usage: reader.usage,
    }
  },
}

const READS = new Set(['Read', 'Grep', 'Glob', 'LS'])
