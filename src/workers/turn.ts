import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Fields } from '../protocol/fields.js'
import { type Adapter, fieldsOf, type Milestone, type Task, type Usage, type Verdict } from './agents/adapter.js'
import { type Running, start } from './process.js'

/** What a turn is run with. */
export interface TurnSetting {
  adapter: Adapter
  binary: string
  task: Omit<Task, 'scratch'>
  runId: string
  env: NodeJS.ProcessEnv
  /** An agent that prints nothing for so long, ms, is stopped. */
  stallMs: number
  tell(milestone: Milestone): void
  forbids(paths: string[]): Promise<string | undefined>
  /** Each line of its stream, as it came. */
  keep(line: string): void
  /** Told of processes that do not end. */
  late(pids: number[]): void
}

/** How a turn went. */
export interface TurnEnd {
  verdict: Verdict
  usage: Usage | undefined
  /** Why it was stopped, if it was. */
  stopped?: string
}

/** A turn under way. */
export interface LiveTurn {
  /** Settles when everything that the turn started is dead. */
  ended: Promise<TurnEnd>
  /** False when the agent cannot be spoken to meanwhile, or the turn ended before it heard. */
  steer(text: string): Promise<boolean>
  /** Ends it; the first reason counts. */
  stop(reason: string): void
}

export const STALLED = 'stalled'

/** Runs the agent for one turn. */
export function runTurn(setting: TurnSetting): LiveTurn {
  const { adapter, runId, env, stallMs } = setting
  const scratch = mkdtempSync(join(tmpdir(), 'agent-bridge-turn-'))
  const task: Task = { ...setting.task, scratch }
  const launch = adapter.launch(task)
  let stopped: string | undefined
  const turn = adapter.turn(task, {
    tell: setting.tell,
    send: (message) => running.send(`${JSON.stringify(message)}\n`),
    finish: () => running.finish(),
    forbids: setting.forbids,
  })
  const silence = setTimeout(() => stop(STALLED), stallMs)
  const running: Running = start(
    {
      runId,
      command: setting.binary,
      args: launch.args,
      cwd: task.cwd,
      env: { ...env, ...launch.env, [REFUSALS]: join(scratch, 'refusals') },
      input: launch.input,
    },
    (line) => {
      setting.keep(line)
      const message = readLine(line)
      if (message) turn.hear(message)
    },
    () => void silence.refresh(),
  )
  turn.begin?.()

  function stop(reason: string): void {
    if (stopped !== undefined) return
    stopped = reason
    void running.stop(turn.interrupt && (() => turn.interrupt?.()))
  }

  async function end(): Promise<TurnEnd> {
    const exit = await running.ended
    clearTimeout(silence)
    await running.sweep(setting.late)
    for (const path of refusalsIn(join(scratch, 'refusals')))
      setting.tell({ kind: 'edit', paths: [path], state: 'refused' })
    rmSync(scratch, { recursive: true, force: true })
    return { verdict: turn.verdict(exit), usage: turn.usage(), ...(stopped !== undefined && { stopped }) }
  }

  const ended = end()
  return {
    ended,
    steer: (text) => Promise.race([turn.steer?.(text) ?? false, ended.then(() => false)]),
    stop,
  }
}

/** Codex says nothing of a call that a hook refused: so the hook does, in the file of this variable, a line a path. */
export const REFUSALS = 'AGENT_BRIDGE_REFUSALS'

const refusalsIn = (file: string): string[] =>
  existsSync(file) ? [...new Set(readFileSync(file, 'utf8').split('\n'))].filter((path) => path !== '') : []

/** What is no JSON object is for people: a warning of the runtime, a banner. */
function readLine(line: string): Fields | undefined {
  try {
    const message: unknown = JSON.parse(line)
    return Object.keys(fieldsOf(message)).length > 0 ? fieldsOf(message) : undefined
  } catch {
    return undefined
  }
}
