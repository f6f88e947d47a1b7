// The contract machine as CONTRACTS.md tells it, in as few words as it takes: no store, no events, no locks, instants as
// numbers. What the bridge answers and what it keeps is compared with this after every step.

import type { Attempt, Status } from '../../src/bridge/contracts/row.js'
import type { Reason } from '../../src/protocol/errors.js'
import { limits } from '../../src/protocol/limits.js'

export interface Terms {
  assignee?: string
  capability?: string
  priority: number
  maxAttempts: number
  retryBackoffMs: number
  progressTimeoutMs?: number
  notBefore?: number
  dueAt?: number
  dependsOn: number[]
  check?: 'own' | 'other'
}

export interface Question {
  key: string
  default?: unknown
  answer?: unknown
}

export interface Task extends Terms {
  creator: string
  status: Status
  owner?: string
  attempt: number
  /** By whom and how each ended, from the first. */
  attempts: Array<{ owner: string; outcome?: Attempt['outcome'] }>
  failures: number
  blockedBy: number[]
  overdue: boolean
  questions: Question[]
  /** Who showed what of the one check, the last word of each last. */
  evidence: Array<{ by: string; passed: boolean }>
  cancelDueAt?: number
  inputDueAt?: number
  progressDueAt?: number
}

export interface Agent {
  name: string
  admin?: true
  capable?: true
  /** No session: only time tells when it is gone. */
  visitor?: true
}

/** Why a call is refused, or the place of the task it answers with (none: null). */
export type Outcome = Reason | number | null

export interface Machine {
  now: number
  tasks: Task[]
}

const open: readonly Status[] = ['accepted', 'working', 'input_required']
const isOpen = ({ status }: Task) => open.includes(status)
const isReady = ({ status, notBefore, blockedBy }: Task) =>
  status === 'submitted' && notBefore === undefined && blockedBy.length === 0
const maySettle = (task: Task, agent: Agent) => task.creator === agent.name || agent.admin === true
const mayTake = ({ assignee, capability }: Task, { name, capable }: Agent) =>
  assignee !== undefined ? assignee === name : capability === undefined || capable === true
const unanswered = ({ questions }: Task) => questions.filter((question) => !('answer' in question))

export function create(machine: Machine, agent: Agent, terms: Terms): Outcome {
  if (terms.dueAt !== undefined && terms.dueAt <= machine.now) return 'INVALID_PARAMS'
  const dependsOn = [...new Set(terms.dependsOn)]
  const { notBefore } = terms
  machine.tasks.push({
    ...terms,
    dependsOn,
    blockedBy: incomplete(machine, dependsOn),
    ...(notBefore !== undefined && notBefore <= machine.now && { notBefore: undefined }),
    creator: agent.name,
    status: 'submitted',
    attempt: 0,
    attempts: [],
    failures: 0,
    overdue: false,
    questions: [],
    evidence: [],
  } as Task)
  return machine.tasks.length - 1
}

const incomplete = ({ tasks }: Machine, places: number[]) =>
  places.filter((place) => tasks[place]?.status !== 'completed')

export interface Call {
  place: number
  attempt: number
  /** It names a generation that is not the one there is. */
  stale: boolean
}

/** In the order in which refusals are due; null when there is none and the verb may have its effect. */
function ofOwner(task: Task, agent: Agent, call: Call, from: readonly Status[], outcome?: string): Outcome {
  const named = task.attempts[call.attempt - 1]
  if (outcome !== undefined && named?.outcome === outcome && named.owner === agent.name) return call.place
  if (!isOpen(task) || task.attempt !== call.attempt) return 'STALE_ATTEMPT'
  if (!from.includes(task.status)) return 'INVALID_TRANSITION'
  if (task.owner !== agent.name) return 'FORBIDDEN'
  return call.stale ? 'GENERATION_MISMATCH' : null
}

function ofCreator(task: Task, agent: Agent, call: Call, from: readonly Status[]): Outcome {
  if (!from.includes(task.status)) return 'INVALID_TRANSITION'
  if (!maySettle(task, agent)) return 'FORBIDDEN'
  return call.stale ? 'GENERATION_MISMATCH' : null
}

type Verb = (machine: Machine, task: Task, agent: Agent, call: Call, more: never) => Outcome | undefined

/** Each refuses, or answers as before, or has its effect and gives nothing. */
export const verbs = {
  accept(machine, task, agent, call) {
    if (isOpen(task)) return task.owner === agent.name ? call.place : 'CLAIM_LOST'
    if (task.status !== 'submitted') return 'INVALID_TRANSITION'
    if (!mayTake(task, agent)) return 'FORBIDDEN'
    if (call.stale) return 'GENERATION_MISMATCH'
    if (!isReady(task)) return 'NOT_READY'
    return take(machine, task, agent)
  },
  start(machine, task, agent, call) {
    const refusal = ofOwner(task, agent, call, ['accepted'])
    if (refusal !== null) return refusal
    task.status = 'working'
    return heard(machine, task, agent)
  },
  update(machine, task, agent, call) {
    const refusal = ofOwner(task, agent, call, open)
    return refusal === null ? heard(machine, task, agent) : refusal
  },
  requestInput(machine, task, agent, call, more: { questions: Question[]; deadlineMs: number }) {
    const refusal = ofOwner(task, agent, call, ['working'])
    if (refusal !== null) return refusal
    const keys = more.questions.map(({ key }) => key)
    task.questions = [...task.questions.filter(({ key }) => !keys.includes(key)), ...more.questions]
    task.status = 'input_required'
    task.inputDueAt = machine.now + more.deadlineMs
    delete task.progressDueAt
    return undefined
  },
  provideInput(machine, task, agent, call, more: { keys: string[] }) {
    if (task.status !== 'input_required') return 'INVALID_TRANSITION'
    if (task.owner === agent.name || !maySettle(task, agent)) return 'FORBIDDEN'
    if (call.stale) return 'GENERATION_MISMATCH'
    const asked = unanswered(task).map(({ key }) => key)
    if (more.keys.some((key) => !asked.includes(key))) return 'INVALID_PARAMS'
    answer(
      machine,
      task,
      (question) => more.keys.includes(question.key),
      () => 'yes',
    )
    return undefined
  },
  verify(_machine, task, agent, call, more: { passed: boolean }) {
    if (task.status !== 'working' && task.status !== 'input_required') return 'INVALID_TRANSITION'
    if (task.owner === agent.name) return 'FORBIDDEN'
    if (call.stale) return 'GENERATION_MISMATCH'
    if (task.check === undefined) return 'INVALID_PARAMS'
    show(task, agent, more.passed)
    return undefined
  },
  complete(machine, task, agent, call, more: { shown?: boolean }) {
    const refusal = ofOwner(task, agent, call, ['working'], 'completed')
    if (refusal !== null) return refusal
    const before = task.evidence
    if (more.shown !== undefined) show(task, agent, more.shown)
    const counts = task.evidence.filter(({ by }) => task.check !== 'other' || by !== task.owner)
    if (task.check !== undefined && counts.at(-1)?.passed !== true) {
      task.evidence = before
      return 'CHECKS_FAILED'
    }
    close(task, 'completed', 'completed')
    const place = machine.tasks.indexOf(task)
    for (const other of machine.tasks) {
      if (other.status === 'submitted') other.blockedBy = other.blockedBy.filter((waitedFor) => waitedFor !== place)
    }
    return undefined
  },
  fail(machine, task, agent, call, more: { retryable: boolean }) {
    const refusal = ofOwner(task, agent, call, open, 'failed')
    if (refusal !== null) return refusal
    failAttempt(machine, task, 'failed', more.retryable)
    return undefined
  },
  release(_machine, task, agent, call) {
    const refusal = ofOwner(task, agent, call, open, 'released')
    if (refusal !== null) return refusal
    const stopping = task.cancelDueAt !== undefined
    close(task, 'released', stopping ? 'canceled' : 'submitted')
    return undefined
  },
  acknowledgeCancel(_machine, task, agent, call) {
    const refusal = ofOwner(task, agent, call, task.cancelDueAt === undefined ? [] : open, 'canceled')
    if (refusal !== null) return refusal
    close(task, 'canceled', 'canceled')
    return undefined
  },
  reject(_machine, task, agent, call) {
    if (task.status === 'rejected' && task.assignee === agent.name) return call.place
    if (task.status !== 'submitted') return 'INVALID_TRANSITION'
    if (task.assignee !== agent.name) return 'FORBIDDEN'
    if (call.stale) return 'GENERATION_MISMATCH'
    end(task, 'rejected')
    return undefined
  },
  cancel(machine, task, agent, call) {
    const asked = task.status === 'canceled' || task.cancelDueAt !== undefined
    if (asked && maySettle(task, agent)) return call.place
    const refusal = ofCreator(task, agent, call, ['submitted', ...open])
    if (refusal !== null) return refusal
    if (isOpen(task)) task.cancelDueAt = machine.now + limits.cancelGraceMs
    else end(task, 'canceled')
    return undefined
  },
  retry(machine, task, agent, call) {
    const refusal = ofCreator(task, agent, call, ['failed', 'rejected'])
    if (refusal !== null) return refusal
    task.status = 'submitted'
    delete task.owner
    task.maxAttempts = Math.max(task.maxAttempts, task.failures + 1)
    task.blockedBy = incomplete(machine, task.dependsOn)
    return undefined
  },
} satisfies Record<string, Verb>

/** The first that is ready for the agent, by priority and then by age. */
export function next(machine: Machine, agent: Agent): Outcome {
  const ready = machine.tasks.filter((task) => isReady(task) && mayTake(task, agent))
  const first = ready.sort((a, b) => b.priority - a.priority || machine.tasks.indexOf(a) - machine.tasks.indexOf(b))[0]
  if (!first) return null
  take(machine, first, agent)
  return machine.tasks.indexOf(first)
}

function take(machine: Machine, task: Task, agent: Agent): undefined {
  Object.assign(task, { owner: agent.name, status: 'accepted', attempt: task.attempt + 1, evidence: [] })
  task.attempts.push({ owner: agent.name })
  heard(machine, task, agent)
}

/** The clock of an attempt's progress begins anew; it stands while an answer is waited for. */
function heard({ now }: Machine, task: Task, agent: Agent): undefined {
  const timeout = task.progressTimeoutMs ?? (agent.visitor ? limits.progressTimeoutMs : undefined)
  if (timeout !== undefined && task.status !== 'input_required') task.progressDueAt = now + timeout
}

function show(task: Task, { name }: Agent, passed: boolean): void {
  task.evidence = [...task.evidence.filter(({ by }) => by !== name), { by: name, passed }]
}

/** With the last answer the work goes on. */
function answer(
  machine: Machine,
  task: Task,
  which: (question: Question) => boolean,
  what: (question: Question) => unknown,
): void {
  task.questions = task.questions.map((question) =>
    'answer' in question || !which(question) ? question : { ...question, answer: what(question) },
  )
  if (unanswered(task).length > 0) return
  task.status = 'working'
  delete task.inputDueAt
  heard(machine, task, { name: task.owner!, ...(visitors.has(task.owner!) && { visitor: true }) })
}

/** Who calls without a session. */
export const visitors = new Set<string>()

function close(task: Task, outcome: Attempt['outcome'], status: Status): void {
  task.attempts[task.attempt - 1]!.outcome = outcome!
  task.questions = task.questions.filter((question) => 'answer' in question)
  delete task.cancelDueAt
  delete task.inputDueAt
  delete task.progressDueAt
  if (status === 'submitted') delete task.owner
  task.status = status
}

function end(task: Task, status: Status): void {
  task.status = status
  delete task.notBefore
}

function failAttempt({ now }: Machine, task: Task, outcome: 'failed' | 'lost', retryable = true): void {
  task.failures++
  if (task.cancelDueAt !== undefined) close(task, outcome, 'canceled')
  else if (!retryable || task.failures >= task.maxAttempts) close(task, outcome, 'failed')
  else {
    close(task, outcome, 'submitted')
    const pause = Math.min(task.retryBackoffMs * 2 ** (task.failures - 1), limits.retryBackoffMsMax)
    if (pause > 0) task.notBefore = now + pause
  }
}

/** Everything that an agent's session held is lost. */
export function goodbye(machine: Machine, agent: Agent): void {
  if (agent.visitor) return
  for (const task of machine.tasks) {
    if (isOpen(task) && task.owner === agent.name) failAttempt(machine, task, 'lost')
  }
}

const dueOf = (task: Task) => (task.overdue || (task.status !== 'submitted' && !isOpen(task)) ? undefined : task.dueAt)

const deadline = (task: Task): number =>
  Math.min(
    ...[dueOf(task), task.cancelDueAt, task.inputDueAt, task.progressDueAt, task.notBefore].map((at) => at ?? Infinity),
  )

/** What has become due by now. */
export function tick(machine: Machine): void {
  const passed = (at: number | undefined) => at !== undefined && at <= machine.now
  for (const task of machine.tasks.filter((task) => deadline(task) <= machine.now)) {
    if (passed(dueOf(task))) task.overdue = true
    if (passed(task.cancelDueAt)) close(task, 'canceled', 'canceled')
    else if (passed(task.inputDueAt)) {
      if (unanswered(task).some((question) => question.default === undefined)) failAttempt(machine, task, 'failed')
      else
        answer(
          machine,
          task,
          () => true,
          (question) => question.default,
        )
    } else if (passed(task.progressDueAt)) failAttempt(machine, task, 'lost')
    else if (passed(task.notBefore)) delete task.notBefore
  }
}

/** Time passes. A timer fires the millisecond after what it waits for. */
export function advance(machine: Machine, ms: number): void {
  const until = machine.now + ms
  for (;;) {
    const first = Math.min(...machine.tasks.map(deadline))
    if (Math.max(first, machine.now) + 1 > until) break
    machine.now = Math.max(first, machine.now) + 1
    tick(machine)
  }
  machine.now = until
}
