import { isKnown, methods, sessionDropped } from '../../bridge/index.js'
import { BridgeError, refuse } from '../../protocol/errors.js'
import type { Caller, Command, Method } from '../../protocol/method.js'
import type { Outcome } from '../engine.js'
import type { House, Served, State } from './connection.js'
import type { Grant } from './grant.js'
import { parseParams } from './params.js'

// How callers come in, by a session or as visitors, and how they leave.

const DEFAULT_WORKSPACE = 'default'
/** Whoever holds the operator's token and names nobody. */
const OPERATOR = 'human'

/** Who calls without a socket. */
export interface Who {
  /** The token's own name unless told; `human` for the operator's. */
  agent?: string | undefined
  /** The token's own unless told; else `default`. */
  workspace?: string | undefined
}

/** Opens a session: `then` is told what came of it, once the connection is in. @throws BridgeError */
export function open(
  house: House,
  state: State,
  method: Method,
  given: Record<string, unknown>,
  then: (outcome: Outcome) => void,
): void {
  if (state.opened) refuse('INVALID_REQUEST', 'A session is open on this socket; for another, open another socket.')
  if (method.kind !== 'command') return
  const params = parseParams(method, given)
  const { served, caller } = placeOf(house, state.grant, params)
  introduce(state, served, method, params, caller, (outcome) => {
    if ('result' in outcome) enter(house, state, served, caller, JSON.parse(outcome.result))
    then(outcome)
  })
}

/** Lets a caller in without a session. One who is new here is made known first; `then` is called after that. @throws BridgeError */
export function visit(house: House, state: State, who: Who, then: () => void): void {
  const method = methods.get('session.open') as Command
  const params = parseParams(method, { ...who, oneShot: true })
  const { served, caller } = placeOf(house, state.grant, params)
  state.opened = { served, caller, connects: undefined }
  if (isKnown(served.engine.read, caller.agent)) return
  introduce(state, served, method, params, caller, (outcome) => {
    if ('refusal' in outcome) state.barred = outcome
    then()
  })
}

/** @throws FORBIDDEN, and what the workspace is refused with */
function placeOf(house: House, grant: Grant, params: Record<string, unknown>): { served: Served; caller: Caller } {
  const caller = callerOf(grant, (params.agent as string | undefined) ?? grant.agent ?? OPERATOR)
  const name = (params.workspace as string | undefined) ?? grant.workspace ?? DEFAULT_WORKSPACE
  if (grant.workspace !== undefined && grant.workspace !== name) {
    refuse('FORBIDDEN', `This token is for the workspace ${grant.workspace} alone.`)
  }
  return { served: house.options.workspace(name, grant), caller }
}

/** @throws FORBIDDEN */
function callerOf(grant: Grant, agent: string): Caller {
  if (agent === 'bridge') refuse('FORBIDDEN', 'The name "bridge" is the daemon\'s own.')
  if (grant.agent !== undefined && grant.agent !== agent)
    refuse('FORBIDDEN', `This token speaks for ${grant.agent} alone, not for ${agent}.`)
  const { role, operator, tokenId } = grant
  return { agent, role, unverified: operator, ...(tokenId !== undefined && { tokenId }) }
}

/** Runs session.open; what else the connection sends waits for what comes of it. */
function introduce(
  state: State,
  { engine }: Served,
  method: Command,
  params: Record<string, unknown>,
  caller: Caller,
  then: (outcome: Outcome) => void,
): void {
  state.turning = true
  engine.command({
    method,
    params,
    caller,
    owner: state,
    mayWait: () => false,
    ran: () => {},
    done(outcome) {
      state.turning = false
      then(outcome)
    },
  })
}

interface Entered {
  session: string
  /** Absent for a session on which nothing is to depend. */
  connects?: number
}

function enter(house: House, state: State, served: Served, caller: Caller, { session, connects }: Entered): void {
  // A newer socket takes a session over.
  for (const other of house.connections) {
    if (other !== state && other.opened?.session === session) {
      leave(house, other)
      other.peer?.close(4409, 'the session was resumed on another socket')
    }
  }
  state.opened = { served, session, connects, caller: connects === undefined ? caller : { ...caller, session } }
  // The socket closed while its session was being opened.
  if (state.gone) leave(house, state)
}

/** Its token was revoked: a socket is closed on what it asked; a request is answered, with what it waits for given up. */
export function dismiss(house: House, state: State): void {
  if (state.peer) {
    leave(house, state)
    return state.peer.close(4403, 'the token was revoked')
  }
  const outcome = { refusal: new BridgeError('UNAUTHENTICATED', 'The token was revoked.') }
  state.barred = outcome
  for (const answer of [...state.open]) answer(outcome)
}

/** The connection follows nothing and waits for nothing any more; a session that hangs on it begins its grace. */
export function leave(house: House, state: State, goodbye?: string): void {
  state.gone = goodbye === undefined
  state.over = true
  for (const { end } of state.subscriptions.values()) end()
  state.subscriptions.clear()
  const { opened } = state
  if (!opened) return
  house.remember(state)
  delete state.opened
  const { engine } = opened.served
  if (state.waiting > 0) engine.forget(state)
  // What waits is answered to nobody any more. Where it was answered with a refusal instead, nothing is left of it.
  const forgotten = Math.min(state.bytes, state.waitingBytes)
  house.bytes -= forgotten
  state.bytes -= forgotten
  state.waitingBytes = 0
  if (goodbye !== undefined) return state.peer?.close(1000, goodbye)
  const { caller, session, connects } = opened
  if (session !== undefined && connects !== undefined)
    engine.internal((tx, ctx) => sessionDropped(tx, { agent: caller.agent, session, connects }, ctx))
}
