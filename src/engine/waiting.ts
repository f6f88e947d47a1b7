import { BridgeError } from '../protocol/errors.js'
import type { Context, Happened, Parked, RunAgain, Tx, WaitForEvent } from '../protocol/method.js'
import type { Clock } from './ports.js'

/** How a call ended: its result as JSON, or why it was refused. */
export type Outcome = { result: string } | { refusal: BridgeError }

/** A call that waits, with everyone who is to be told: retries under the same idempotency key join the first. */
export interface WaitingCall {
  parked: Parked<unknown>
  /** The log's head when it began to wait: what happened before is not what it waits for. */
  since: number
  /** Runs the call anew; for those that wait for a reason to. */
  runAgain(): void
  askers: Array<{ owner: object; done(outcome: Outcome): void }>
  hash?: string
  key?: string
  /** What it is being run again for. */
  wokenBy?: Happened | undefined
  stopTimer?: () => void
}

/** The calls that wait, in the order in which they began to. */
export interface Waiting {
  add(call: WaitingCall): void
  /** It waits on, with what it said this time. */
  keep(call: WaitingCall, parked: Parked<unknown>): void
  settle(call: WaitingCall, outcome: Outcome): void
  /** True while somebody waits for it. One that was woken and is not, passes on what woke it. */
  stillWaits(call: WaitingCall): boolean
  byKey(key: string): WaitingCall | undefined
  /** Calls under an idempotency key that one of these events answers, so that the answer can be committed with it. */
  answeredBy(event: Happened): Array<{ call: WaitingCall; result: unknown }>
  committed(events: readonly Happened[]): void
  /** Whoever asked has gone; gives what has to be run for those that nobody waits for any longer. */
  forget(owner: object): Array<(tx: Tx, ctx: Context) => void>
  count(): number
  /** Answers them all. */
  end(outcome: Outcome): void
}

/** `fault` reports a bug, and gives what its caller is told. */
export function createWaiting(clock: Clock, fault: (error: unknown) => Outcome): Waiting {
  const bySubject = new Map<string, Set<WaitingCall>>()
  const forReason = new Set<WaitingCall>()
  const keyed = new Map<string, WaitingCall>()
  const all = new Set<WaitingCall>()

  function remove(call: WaitingCall): void {
    all.delete(call)
    call.stopTimer?.()
    if (call.key !== undefined) keyed.delete(call.key)
    forReason.delete(call)
    if (call.parked.parked !== 'for-event') return
    for (const subject of call.parked.subjects) {
      const calls = bySubject.get(subject)
      calls?.delete(call)
      if (calls?.size === 0) bySubject.delete(subject)
    }
  }

  function settle(call: WaitingCall, outcome: Outcome): void {
    remove(call)
    for (const { done } of call.askers) done(outcome)
  }

  function wake(event: Happened): void {
    let taken = false
    for (const call of forReason) {
      const parked = call.parked as RunAgain<unknown>
      if (call.wokenBy || event.seq <= call.since || (parked.exclusive && taken) || !parked.wakes(event)) continue
      taken ||= parked.exclusive
      call.wokenBy = event
      call.runAgain()
    }
  }

  return {
    settle,
    count: () => all.size,
    stillWaits(call) {
      const waits = all.has(call)
      if (!waits && call.wokenBy) wake(call.wokenBy)
      return waits
    },
    byKey: (key) => keyed.get(key),
    add(call) {
      all.add(call)
      if (call.key !== undefined) keyed.set(call.key, call)
      const { parked } = call
      if (parked.parked === 'for-event') {
        for (const subject of parked.subjects) bySubject.set(subject, (bySubject.get(subject) ?? new Set()).add(call))
        return
      }
      forReason.add(call)
      call.stopTimer = clock.after(parked.waitMs, () => settle(call, otherwise(call)))
    },
    keep(call, parked) {
      call.parked = parked
      call.wokenBy = undefined
    },
    answeredBy: (event) => keyedAnswers(bySubject.get(event.subject) ?? [], event),
    committed(events) {
      for (const event of events) {
        for (const call of [...(bySubject.get(event.subject) ?? [])]) {
          const answer = event.seq > call.since ? answerOf(call, event) : undefined
          if (answer) settle(call, outcomeOf(answer, fault))
        }
        if (forReason.size > 0) wake(event)
      }
    },
    forget(owner) {
      const abandon: Array<(tx: Tx, ctx: Context) => void> = []
      for (const call of [...all]) {
        const others = call.askers.filter((asker) => asker.owner !== owner)
        if (others.length === call.askers.length) continue
        call.askers = others
        if (others.length > 0) continue
        remove(call)
        const { parked } = call
        if (parked.parked === 'for-event') abandon.push((tx, ctx) => parked.abandon(tx, ctx))
      }
      return abandon
    },
    end(outcome) {
      for (const call of [...all]) settle(call, outcome)
    },
  }
}

function keyedAnswers(calls: Iterable<WaitingCall>, event: Happened): Array<{ call: WaitingCall; result: unknown }> {
  return [...calls].flatMap((call) => {
    const answer = call.key === undefined ? undefined : answerOf(call, event)
    return answer && 'value' in answer ? [{ call, result: answer.value }] : []
  })
}

const otherwise = (call: WaitingCall): Outcome => ({
  result: JSON.stringify((call.parked as RunAgain<unknown>).otherwise()),
})

function outcomeOf(answer: { value: unknown } | { error: unknown }, fault: (error: unknown) => Outcome): Outcome {
  if ('value' in answer) return { result: JSON.stringify(answer.value) }
  return answer.error instanceof BridgeError ? { refusal: answer.error } : fault(answer.error)
}

/** What an event answers a call with, if it does. */
function answerOf(call: WaitingCall, event: Happened): { value: unknown } | { error: unknown } | undefined {
  try {
    const value = (call.parked as WaitForEvent<unknown>).answer(event)
    return value === undefined ? undefined : { value }
  } catch (error) {
    return { error }
  }
}
