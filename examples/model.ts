// A model server without a model, for smoke runs with the real agents: it reads `WRITE <file>` in the task, has the agent
// write that file with its own tool, and says that it is done. Speaks as much of three APIs as Codex, Claude Code and
// Gemini CLI need. Loopback only.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ModelServer {
  /** `http://127.0.0.1:port` */
  url: string
  /** Prompts that were answered. */
  answered(): number
  stop(): void
}

type Fields = Record<string, unknown>

export async function serveModel(): Promise<ModelServer> {
  let count = 0
  const server = createServer((request, response) => {
    void readBody(request).then((body) => {
      count++
      const path = request.url ?? ''
      if (path.includes('/responses')) answerCodex(body, response, count)
      else if (path.includes('count_tokens') || path.includes(':countTokens'))
        json(response, { input_tokens: 1, totalTokens: 1 })
      else if (path.includes('/messages')) answerClaude(body, response, count)
      else if (path.includes('enerateContent')) answerGemini(body, response, path.includes(':stream'))
      else json(response, { data: [], models: [] })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answered: () => count,
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function readBody(request: IncomingMessage): Promise<Fields> {
  let text = ''
  for await (const chunk of request) text += chunk
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

const json = (response: ServerResponse, body: object) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

/** What is asked for: the file to write; nothing when it has been written already, or none is named. */
function wanted(conversation: unknown): string | undefined {
  const text = JSON.stringify(conversation ?? '')
  const file = /WRITE ([\w./-]+)/.exec(text)?.[1]
  const written = /function_call_output|custom_tool_call_output|tool_result|functionResponse/.test(text)
  return written ? undefined : file
}

const CONTENT = 'export const smoke = true\n'
const DONE = 'The file is written.'

/** https://platform.openai.com/docs/api-reference/responses-streaming */
function answerCodex({ input }: Fields, response: ServerResponse, n: number): void {
  const file = wanted(input)
  const patch = `*** Begin Patch\n*** Add File: ${file}\n+${CONTENT.trimEnd()}\n*** End Patch\n`
  const item = file
    ? {
        type: 'custom_tool_call',
        id: `ctc_${n}`,
        call_id: `call_${n}`,
        name: 'apply_patch',
        input: patch,
        status: 'completed',
      }
    : {
        type: 'message',
        id: `msg_${n}`,
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: DONE, annotations: [] }],
      }
  const usage = {
    input_tokens: 100,
    output_tokens: 10,
    total_tokens: 110,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 },
  }
  const of = (status: string, more: object) => ({
    response: { id: `resp_${n}`, object: 'response', status, output: [], ...more },
  })
  stream(response, [
    ['response.created', of('in_progress', {})],
    ['response.output_item.added', { output_index: 0, item }],
    ['response.output_item.done', { output_index: 0, item }],
    ['response.completed', of('completed', { output: [item], usage })],
  ])
}

/** https://docs.anthropic.com/en/api/messages-streaming */
function answerClaude({ messages, tools, stream: streamed, model }: Fields, response: ServerResponse, n: number): void {
  // Without tools it is a request of the program's own: a title, a summary.
  const file = Array.isArray(tools) && tools.length > 0 ? wanted(messages) : undefined
  const block = file
    ? { type: 'tool_use', id: `toolu_${n}`, name: 'Write', input: { file_path: file, content: CONTENT } }
    : { type: 'text', text: DONE }
  const usage = { input_tokens: 100, output_tokens: 10 }
  const stop = { stop_reason: file ? 'tool_use' : 'end_turn', stop_sequence: null }
  const message = { id: `msg_${n}`, type: 'message', role: 'assistant', model, usage }
  if (!streamed) return json(response, { ...message, content: [block], ...stop })
  const [empty, delta] = file
    ? [
        { ...block, input: {} },
        { type: 'input_json_delta', partial_json: JSON.stringify((block as { input: object }).input) },
      ]
    : [
        { type: 'text', text: '' },
        { type: 'text_delta', text: DONE },
      ]
  stream(response, [
    ['message_start', { message: { ...message, content: [], stop_reason: null, stop_sequence: null } }],
    ['content_block_start', { index: 0, content_block: empty }],
    ['content_block_delta', { index: 0, delta }],
    ['content_block_stop', { index: 0 }],
    ['message_delta', { delta: stop, usage }],
    ['message_stop', {}],
  ])
}

/** https://ai.google.dev/api/generate-content */
function answerGemini({ contents, tools }: Fields, response: ServerResponse, streamed: boolean): void {
  const file = tools ? wanted(contents) : undefined
  const part = file
    ? { functionCall: { name: 'write_file', args: { file_path: file, content: CONTENT } } }
    : { text: DONE }
  const reply = {
    candidates: [{ content: { role: 'model', parts: [part] }, finishReason: 'STOP', index: 0 }],
    usageMetadata: { promptTokenCount: 100, candidatesTokenCount: 10, totalTokenCount: 110 },
  }
  if (!streamed) return json(response, reply)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.end(`data: ${JSON.stringify(reply)}\n\n`)
}

function stream(response: ServerResponse, events: Array<[type: string, data: object]>): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  for (const [index, [type, data]] of events.entries()) {
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: index, ...data })}\n\n`)
  }
  response.end()
}
