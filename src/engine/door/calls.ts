import { methods } from '../../bridge/index.js'
import { BridgeError, refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { type Method, roles, type Socket } from '../../protocol/method.js'
import type { Outcome } from '../engine.js'
import type { Tail } from '../tail.js'
import type { House, Opened, Pending, State } from './connection.js'
import { leave, open } from './entrance.js'
import { parseParams } from './params.js'

// One connection's calls: who may make them, in what order they run, and which may wait.

/** Makes the next calls: commands one behind the other, a query once the commands before it have had their effect. */
export function advance(house: House, state: State): void {
  for (let next = state.queue[0]; next && !state.turning; next = state.queue[0]) {
    const method = methods.get(next.name)
    if (state.inFlight > 0 && method && (method.kind === 'query' || method.name === 'session.open')) return
    state.queue.shift()
    make(house, state, next, method)
  }
}

function make(house: House, state: State, { params, done, bytes }: Pending, method: Method | undefined): void {
  const answer = (outcome: Outcome) => {
    // It was dismissed meanwhile, and is answered.
    if (state.visits && !state.open.delete(answer)) return
    state.unanswered--
    state.bytes -= bytes
    house.bytes -= bytes
    house.options.called?.(method?.name ?? 'unknown', outcome)
    if (!state.gone) done(outcome)
  }
  if (state.visits) state.open.add(answer)
  try {
    if (state.barred) return answer(state.barred)
    if (state.over) refuse('INVALID_REQUEST', 'The session was closed, and with it this socket.')
    if (house.bytes > limits.unansweredBytes) refuse('OVERLOADED', 'Too much is asked at once: try again in a moment.')
    house.rates.take(state.grant)
    if (!method) refuse('METHOD_NOT_FOUND', 'There is no method of that name: rpc.discover lists them.')
    if (method.socket && !state.peer) refuse('INVALID_REQUEST', `${method.name} needs a socket: connect to /ws.`)
    if (method.name === 'session.open') {
      return open(house, state, method, params, (outcome) => {
        answer(outcome)
        advance(house, state)
      })
    }
    const opened =
      state.opened ?? refuse('UNAUTHENTICATED', 'Open a session first: session.open is the first call on a socket.')
    if (roles.indexOf(opened.caller.role) < roles.indexOf(method.role)) {
      refuse('FORBIDDEN', `This takes the role ${method.role}; the token's is ${opened.caller.role}.`)
    }
    run(house, state, opened, method, { params, done: answer, bytes })
  } catch (error) {
    answer(error instanceof BridgeError ? { refusal: error } : house.options.fault(error))
  }
}

/** What a call's life means for its connection. */
function track(house: House, state: State, counts: boolean, bytes: number) {
  let waits = false
  if (counts) state.inFlight++
  const leaveRoom = () => {
    if (waits) {
      state.waiting--
      state.waitingBytes -= bytes
    }
    waits = false
  }
  return {
    owner: state,
    /** Takes the place as well: of the calls of one batch no more may wait than there is room for. */
    mayWait(): boolean {
      // Whoever has gone waits for nothing, though its command was still on its way.
      waits = !state.over && waitingWith(house, state) < limits.parkedCalls
      if (waits) {
        state.waiting++
        state.waitingBytes += bytes
      }
      return waits
    },
    ran(isWaiting: boolean) {
      if (!isWaiting) leaveRoom()
      if (counts) state.inFlight--
      if (counts && state.queue.length > 0) advance(house, state)
    },
    answered: leaveRoom,
  }
}

/** Calls that wait on this connection; for a visitor, on all of that agent's visits together. */
function waitingWith({ connections }: House, state: State): number {
  if (!state.visits) return state.waiting
  let waiting = 0
  for (const { visits, opened, waiting: others } of connections) {
    const same = opened?.served === state.opened?.served && opened?.caller.agent === state.opened?.caller.agent
    if (visits && same) waiting += others
  }
  return waiting
}

function run(
  house: House,
  state: State,
  opened: Opened,
  method: Method,
  { params: given, done: answer, bytes }: Omit<Pending, 'name'>,
) {
  const { engine } = opened.served
  const { idempotencyKey, ...params } = parseParams(method, given)
  const { answered, ...life } = track(house, state, method.kind === 'command', bytes)
  const closes = method.name === 'session.close'
  if (closes) state.turning = true
  const done = (outcome: Outcome) => {
    answered()
    answer(outcome)
    if (!closes) return
    state.turning = false
    if ('result' in outcome) leave(house, state, 'goodbye')
    advance(house, state)
  }
  if (method.kind === 'command') {
    engine.command({
      method,
      params,
      caller: opened.caller,
      idempotencyKey: idempotencyKey as string | undefined,
      bytes,
      ...life,
      done,
    })
  } else {
    const lastSeenAt = (agent: string) => house.lastSeenAt(opened.served, agent)
    const runtime = { ...opened.served.runtime, lastSeenAt }
    engine.query({
      method,
      params,
      caller: opened.caller,
      ...life,
      done,
      context: { runtime, ...(state.peer && { socket: socketOf(state, opened) }) },
    })
  }
}

/** The subscriptions of a connection, as queries reach them. */
const socketOf = (state: State, { served, caller }: Opened): Socket => ({
  subscribe(after: number, filter: Parameters<Tail['subscribe']>[3], durable?: string): number {
    if (state.subscriptions.size >= limits.subscriptions) {
      refuse('OVERLOADED', `A socket has at most ${limits.subscriptions} subscriptions: one can have many filters.`)
    }
    const id = ++state.lastSubscription
    const end = served.tail.subscribe(state.peer!, id, after, filter, {
      durable: durable === undefined ? undefined : `${caller.agent} ${durable}`,
      ended() {
        state.subscriptions.delete(id)
        // It came for this alone.
        if (state.visits) state.peer?.close(1000, 'the subscription has ended')
      },
    })
    state.subscriptions.set(id, { end, durable })
    return id
  },
  subscription: (id: number) => state.subscriptions.get(id),
  unsubscribe(id: number): boolean {
    state.subscriptions.get(id)?.end()
    return state.subscriptions.delete(id)
  },
})
