import {
  CallError,
  type Client,
  ConnectionError,
  connectLocal,
  type LocalOptions,
  type MethodName,
} from '../../client/node.js'
import { BridgeError, SetupError } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import type { createDesk, Port, Seat, Unreachable } from '../../server/mcp/index.js'

/** Above what a call waits for, how long an answer may take before the daemon counts as away, ms. */
const ANSWER_WITHIN_MS = 10_000

/** What clients call themselves, by what their agents are called here. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/codex/i, 'codex'],
  [/claude/i, 'claude'],
  [/cursor/i, 'cursor'],
  [/gemini/i, 'gemini'],
]

export interface SeatOptions extends Omit<LocalOptions, 'agent'> {
  /** The name to act under. Without it one is chosen by kind that nobody else has now: `codex`, else `codex-2`... */
  agent?: string | undefined
}

/** The room's own makers, passed in so that the packages behind them load only when tools are served. */
export interface Makers {
  createDesk: typeof createDesk
  Unreachable: typeof Unreachable
}

export interface AgentSeat {
  /** Connects when there is no connection, and gives the seat either way: its calls say what is wrong. */
  seat(client: string | undefined): Promise<Seat>
  /** Says goodbye: all that hangs on the session is let go. */
  leave(): Promise<void>
}

/** The seat of one process's agent, whose session lasts as long as the process. */
export function createSeat({ agent, kind, ...rest }: SeatOptions, { createDesk, Unreachable }: Makers): AgentSeat {
  const desk = createDesk()
  let client: Client | undefined
  let opening: Promise<Client> | undefined
  let clientKind = kind

  const connection = (): Promise<Client> => {
    if (client) return Promise.resolve(client)
    opening ??= open().finally(() => {
      opening = undefined
    })
    return opening
  }

  async function open(): Promise<Client> {
    const opened = await (agent === undefined ? openFree(clientKind ?? 'agent', join) : join(agent))
    client = opened
    desk.cursor ??= opened.session.cursor
    return opened
  }

  const join = (name: string): Promise<Client> =>
    connectLocal({
      ...rest,
      agent: name,
      ...(clientKind !== undefined && { kind: clientKind }),
      onState(state) {
        if (state === 'closed') client = undefined
      },
    })

  const port: Port = {
    lasting: true,
    agent: () => client?.agent ?? agent ?? '',
    async call(method, params, { signal } = {}) {
      try {
        const { waitMs } = params as { waitMs?: unknown }
        const timeoutMs = (typeof waitMs === 'number' && waitMs > 0 ? waitMs : 0) + ANSWER_WITHIN_MS
        return await (await connection()).call(method as MethodName, params as never, {
          timeoutMs,
          ...(signal && { signal }),
        })
      } catch (error) {
        throw signal?.aborted ? error : translate(error, Unreachable)
      }
    },
  }

  return {
    async seat(name) {
      clientKind ??= kindOf(name)
      return { port, desk }
    },
    async leave() {
      await opening?.catch(() => {})
      await client?.close()
    },
  }
}

const kindOf = (client: string | undefined): string | undefined =>
  client === undefined ? undefined : KINDS.find(([pattern]) => pattern.test(client))?.[1]

/** The first of `codex`, `codex-2`... that is nobody's: the sessions of an agent are in the order in which they came. */
async function openFree(kind: string, join: (name: string) => Promise<Client>): Promise<Client> {
  for (let n = 1; ; n++) {
    const client = await join(n === 1 ? kind : `${kind}-${n}`)
    const { sessions } = await client.call('agent.update', {})
    if (sessions[0]?.session === client.session.session || n > limits.agentSessions) return client
    await client.close()
  }
}

function translate(error: unknown, Unreached: typeof Unreachable): unknown {
  if (error instanceof CallError) {
    const { reason, ...facts } = error.data
    return new BridgeError(error.reason, error.message, facts)
  }
  if (error instanceof ConnectionError || error instanceof SetupError) return new Unreached(error.message)
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new Unreached('The daemon is away: it has not answered. The call may or may not have had its effect.')
  }
  return error
}
