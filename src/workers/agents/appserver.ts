import type { Fields } from '../../protocol/fields.js'
import {
  type Adapter,
  fieldsOf,
  listOf,
  type Milestone,
  numberOf,
  type StepState,
  type Task,
  type Turn,
  type TurnPort,
  textOf,
  type Usage,
  type Verdict,
} from './adapter.js'
import { bare, configOf } from './codex.js'
import { createCalls } from './rpc.js'
import { faultOf, silentEnd } from './verdict.js'

/**
 * `codex app-server`: a conversation. Each edit and command is asked for beforehand, so that a lock can say no and the turn
 * goes on; a message can be put into the running turn; an interrupt ends its commands too. Codex calls it experimental.
 */
export const appServer: Adapter = {
  kind: 'codex',
  binary: 'codex',
  launch: ({ hook: _asked, ...task }) => ({ args: ['app-server', ...configOf(task), ...task.more] }),
  turn: (task, port) => createTurn(task, port),
}

const CLIENT = { name: 'agent-bridge', title: 'Agent Bridge', version: '1' }

function createTurn(task: Task, port: TurnPort): Turn {
  const calls = createCalls(port.send)
  /** The paths of each edit, by its item: a request for leave names the item only. */
  const edits = new Map<string, string[]>()
  const steered = new Map<string, (shown: boolean) => void>()
  let thread = ''
  let turn = ''
  let ended: Fields | undefined
  let fault: Verdict | undefined
  let usage: Usage | undefined
  let spoke = false

  async function begin(): Promise<void> {
    try {
      await calls.make('initialize', { clientInfo: CLIENT, capabilities: null })
      port.send({ method: 'initialized' })
      const terms = {
        cwd: task.cwd,
        approvalPolicy: 'untrusted',
        sandbox: 'workspace-write',
        ...(task.model && { model: task.model }),
      }
      const opened = task.resume
        ? await calls.make('thread/resume', { threadId: task.resume, ...terms })
        : await calls.make('thread/start', terms)
      thread = textOf(fieldsOf(opened.thread).id)
      port.tell({ kind: 'session', id: thread })
      const started = await calls.make('turn/start', { threadId: thread, input: inputOf(task.prompt) })
      turn = textOf(fieldsOf(started.turn).id)
    } catch (error) {
      fault = faultOf((error as Error).message)
      port.finish()
    }
  }

  const put = (text: string): Promise<unknown> =>
    calls.make('turn/steer', { threadId: thread, expectedTurnId: turn, input: inputOf(text) }).catch(() => undefined)

  function notice(method: string, params: Fields): void {
    const item = fieldsOf(params.item)
    if (method === 'item/started' && item.type === 'fileChange') {
      edits.set(
        textOf(item.id),
        listOf(item.changes).map(({ path }) => textOf(path)),
      )
    }
    if (method === 'item/started' && item.type === 'userMessage') {
      for (const { text } of listOf(item.content)) steered.get(textOf(text))?.(true)
    }
    if (method === 'item/started' || method === 'item/completed') readItem(item, method, port.tell)
    if (method === 'thread/tokenUsage/updated') usage = usageOf(fieldsOf(fieldsOf(params.tokenUsage).total))
    if (method === 'error') port.tell({ kind: 'warning', text: textOf(fieldsOf(params.error).message) })
    if (method !== 'turn/completed') return
    ended = fieldsOf(params.turn)
    port.finish()
  }

  return {
    begin: () => void begin(),
    hear(message) {
      spoke = true
      const method = textOf(message.method)
      if (method === '') calls.answered(message)
      else if (message.id !== undefined) void answer(message, edits, port, put)
      else notice(method, fieldsOf(message.params))
    },
    async steer(text) {
      if (turn === '' || ended) return false
      const shown = new Promise<boolean>((resolve) => steered.set(text, resolve))
      if ((await put(text)) === undefined) return false
      return shown
    },
    interrupt: () => void calls.make('turn/interrupt', { threadId: thread, turnId: turn }).catch(() => {}),
    verdict: (exit) => fault ?? (ended ? verdictOf(ended) : silentEnd(exit, spoke)),
    usage: () => usage,
  }
}

/** Answers what the server asks. `put` tells the model why an edit was refused: Codex says only that somebody said no. */
async function answer(
  { id, method, params }: Fields,
  edits: ReadonlyMap<string, string[]>,
  port: TurnPort,
  put: (text: string) => Promise<unknown>,
): Promise<void> {
  const { itemId, serverName } = fieldsOf(params)
  if (method === 'item/fileChange/requestApproval') {
    const paths = edits.get(textOf(itemId)) ?? []
    const reason = await port.forbids(paths).catch((error: Error) => `The bridge cannot be asked: ${error.message}`)
    port.send({ id, result: { decision: reason === undefined ? 'accept' : 'decline' } })
    if (reason !== undefined) void put(`agent-bridge refused the edit: ${reason}`)
  } else if (method === 'item/commandExecution/requestApproval') {
    port.send({ id, result: { decision: 'accept' } })
  } else if (method === 'mcpServer/elicitation/request') {
    const action = serverName === 'bridge' ? 'accept' : 'decline'
    port.send({ id, result: { action, content: {}, _meta: null } })
  } else {
    port.send({ id, error: { code: -32601, message: 'Nobody is here to answer that.' } })
  }
}

/** How the server itself ended is our own doing: only the turn counts. */
function verdictOf({ status, error }: Fields): Verdict {
  if (status === 'completed') return { done: true }
  const { message, codexErrorInfo } = fieldsOf(error)
  const kind = typeof codexErrorInfo === 'string' ? codexErrorInfo : Object.keys(fieldsOf(codexErrorInfo)).join(' ')
  return faultOf(textOf(message) || `The turn was ${status}.`, kind)
}

const inputOf = (text: string) => [{ type: 'text', text, text_elements: [] }]

const usageOf = (total: Fields): Usage => ({
  inputTokens: numberOf(total.inputTokens),
  outputTokens: numberOf(total.outputTokens),
  cachedTokens: numberOf(total.cachedInputTokens),
})

const STATES: Record<string, StepState> = {
  inProgress: 'begun',
  completed: 'done',
  failed: 'failed',
  declined: 'refused',
}

function readItem(item: Fields, method: string, tell: (milestone: Milestone) => void): void {
  const past = method === 'item/completed'
  const state = STATES[textOf(item.status)] ?? (past ? 'done' : 'begun')
  if (item.type === 'agentMessage' && past) tell({ kind: 'said', text: textOf(item.text) })
  if (item.type === 'reasoning' && past) tell({ kind: 'thought', text: '' })
  if (item.type === 'fileChange')
    tell({ kind: 'edit', paths: listOf(item.changes).map(({ path }) => textOf(path)), state })
  if (item.type === 'commandExecution') {
    const exitCode = typeof item.exitCode === 'number' ? { exitCode: item.exitCode } : {}
    tell({ kind: 'command', command: bare(textOf(item.command)), state, ...exitCode })
  }
  if (item.type === 'mcpToolCall') tell({ kind: 'tool', name: `${textOf(item.server)}.${textOf(item.tool)}`, state })
}
