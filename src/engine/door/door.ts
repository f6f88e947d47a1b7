import { tokenRevoked } from '../../bridge/index.js'
import { BridgeError, refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import type { Happened } from '../../protocol/method.js'
import type { Outcome } from '../engine.js'
import { advance } from './calls.js'
import {
  type Connection,
  type Counts,
  createHouse,
  createState,
  type DoorOptions,
  type House,
  type Peer,
  type State,
} from './connection.js'
import { dismiss, leave, visit, type Who } from './entrance.js'
import type { Grant } from './grant.js'

export type { Connection, Counts, DoorOptions, Peer, Served } from './connection.js'
export type { Who } from './entrance.js'
export type { Grant } from './grant.js'

/** The one door: every transport's calls come through here. */
export interface Door {
  /** A socket: its first call opens a session. */
  connect(grant: Grant, peer: Peer): Connection
  /**
   * A caller without a session, made known at its first visit: nothing depends on its life but what it waits for, until
   * it is `closed`. With a peer it may follow events. @throws BridgeError, among them OVERLOADED
   */
  visit(grant: Grant, who: Who, peer?: Peer): Connection
  /** One call of a visitor. What it waits for is abandoned when `signal` aborts; the promise is then rejected with its reason. */
  request(
    grant: Grant,
    who: Who,
    method: string,
    params: Record<string, unknown>,
    options?: { signal?: AbortSignal; bytes?: number },
  ): Promise<Outcome>
  counts(): Counts
  /** What was committed in any workspace: the sockets of a token that was revoked are closed. */
  committed(events: readonly Happened[]): void
}

export function createDoor(options: DoorOptions): Door {
  const house = createHouse(options)
  let visitors = 0

  const visitAs: Door['visit'] = (grant, who, peer) => {
    if (visitors >= limits.visitors) refuse('OVERLOADED', 'Too many requests are under way: try again in a moment.')
    const state = createState(house, grant, peer, true)
    visit(house, state, who, () => advance(house, state))
    if (peer && streamsLike(house, state) >= limits.agentStreams)
      refuse('OVERLOADED', `One agent follows at most ${limits.agentStreams} streams of events at a time.`)
    visitors++
    return admit(house, state, () => visitors--)
  }

  return {
    connect: (grant, peer) => admit(house, createState(house, grant, peer, false)),
    visit: visitAs,
    request: (grant, who, method, params, { signal, bytes } = {}) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        let visitor: Connection
        try {
          visitor = visitAs(grant, who)
        } catch (error) {
          if (!(error instanceof BridgeError)) throw error
          return resolve({ refusal: error })
        }
        const giveUp = () => {
          visitor.closed()
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', giveUp, { once: true })
        const answered = (outcome: Outcome) => {
          signal?.removeEventListener('abort', giveUp)
          visitor.closed()
          resolve(outcome)
        }
        visitor.call(method, params, answered, bytes)
      }),
    counts: () => countConnections(house),
    committed(events) {
      for (const { type, subject } of events) {
        if (type !== tokenRevoked.type) continue
        house.rates.forget(subject)
        for (const state of house.connections) if (state.grant.tokenId === subject) dismiss(house, state)
      }
    },
  }
}

/** Streams that the same agent follows already. With no bound one could keep everybody else from coming in. */
function streamsLike({ connections }: House, { opened: own }: State): number {
  let streams = 0
  for (const { visits, peer, opened } of connections) {
    if (visits && peer && opened?.served === own?.served && opened?.caller.agent === own?.caller.agent) streams++
  }
  return streams
}

function admit(house: House, state: State, left = () => {}): Connection {
  const { connections, options } = house
  connections.add(state)
  return {
    busy: () => state.unanswered - state.waiting,
    busyBytes: () => state.bytes - state.waitingBytes,
    opened: () => state.opened !== undefined,
    seen() {
      state.lastSeenMs = options.clock.wallMs()
    },
    drained: () => {
      if (state.peer) state.opened?.served.tail.drained(state.peer)
    },
    call(name, params, done, bytes = 0) {
      state.unanswered++
      state.bytes += bytes
      house.bytes += bytes
      state.queue.push({ name, params, done, bytes })
      advance(house, state)
    },
    closed() {
      if (!connections.delete(state)) return
      left()
      leave(house, state)
    },
  }
}

function countConnections({ connections }: House): Counts {
  const counts = { sockets: 0, unopened: 0, requests: 0, streams: 0 }
  for (const { visits, peer, opened } of connections) {
    if (visits) counts[peer ? 'streams' : 'requests']++
    else counts[opened ? 'sockets' : 'unopened']++
  }
  return counts
}
