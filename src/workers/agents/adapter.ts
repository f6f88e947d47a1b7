import { type Fields, isFields } from '../../protocol/fields.js'
import type { Exit } from '../process.js'

// What the worker asks of a coding agent, and what it wants to hear of it, whatever the agent's own words are.

export const agentKinds = ['codex', 'cursor', 'claude', 'gemini'] as const
export type AgentKind = (typeof agentKinds)[number]

export type StepState = 'begun' | 'done' | 'failed' | 'refused'

/** One thing that the agent said or did. */
export type Milestone =
  | { kind: 'session'; id: string }
  | { kind: 'said'; text: string }
  | { kind: 'thought'; text: string }
  /** Paths as the agent names them: absolute, or relative to its folder. */
  | { kind: 'edit'; paths: string[]; state: StepState }
  | { kind: 'command'; command: string; state: StepState; exitCode?: number }
  | { kind: 'tool'; name: string; state: StepState }
  | { kind: 'warning'; text: string }

export interface Usage {
  inputTokens: number
  outputTokens: number
  cachedTokens: number
  /** Only where the agent reports it. */
  costUsd?: number
}

/** Why a turn failed. `fatal`: the agent cannot work at all as it is set up here. `fresh`: try again without its memory. */
export interface Fault {
  reason: string
  message: string
  retryable: boolean
  fatal?: true
  fresh?: true
}

export type Verdict = { done: true } | ({ done: false } & Fault)

/** How a program is started that the agent may call while it works. */
export interface Tool {
  command: string
  args: string[]
  /** Variables of the run's environment that it needs; some agents hand on none but those named. */
  env: string[]
}

/** One turn of the agent. */
export interface Task {
  prompt: string
  cwd: string
  /** The agent's own session to go on with. */
  resume?: string
  model?: string
  /** Further arguments, from whoever started the worker. */
  more: readonly string[]
  /** A shell command that is asked before each edit, where the agent has hooks. */
  hook?: string
  mcp?: Tool
  /** A folder of this turn alone, for files that the agent wants to be given. */
  scratch: string
}

export interface Launch {
  args: string[]
  env?: Record<string, string>
  /** Written to standard input, which is then closed; without it the input stays open for `send`. */
  input?: string
}

/** What an adapter can do while a turn runs. */
export interface TurnPort {
  tell(milestone: Milestone): void
  /** One JSON value on a line of standard input. */
  send(message: object): void
  /** No more input: an agent that waits for the next turn ends. */
  finish(): void
  /** Why these paths may not be written now; undefined when they may. */
  forbids(paths: string[]): Promise<string | undefined>
}

/** One turn, as it is heard. */
export interface Turn {
  /** Called once, when the process has been started. */
  begin?(): void
  /** One message of the stream. */
  hear(message: Fields): void
  /** Puts a text into the running turn; true once the stream proves that the model got it. */
  steer?(text: string): Promise<boolean>
  /** Asks the agent to stop its turn, in its own protocol. */
  interrupt?(): void
  verdict(exit: Exit): Verdict
  usage(): Usage | undefined
}

/** One agent's command line and vocabulary. */
export interface Adapter {
  kind: AgentKind
  /** The program's usual name. */
  binary: string
  launch(task: Task): Launch
  turn(task: Task, port: TurnPort): Turn
}

/** The fields of a value that has some; none of any other. */
export const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {})

export const listOf = (value: unknown): Fields[] => (Array.isArray(value) ? value.map(fieldsOf) : [])

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

export const numberOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0)
