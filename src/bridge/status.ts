import { z } from 'zod'
import { formatCursor } from '../protocol/cursor.js'
import type { EventDef, Noun, Read } from '../protocol/method.js'
import { query } from '../protocol/method.js'
import { product } from '../protocol/version.js'
import { agents } from './agents/row.js'
import { contracts, statuses } from './contracts/row.js'
import { lockRow, locks } from './locks/row.js'

const count = z.int().min(0)

/** How many there are of what the bridge keeps, by status and state. */
export const countsOf = (read: Read) => ({
  agents: read.count(agents, { connected: { from: 1 } }),
  contracts: countBy(statuses, (status) => read.count(contracts, { status })),
  locks: countBy(lockRow.shape.state.options, (state) => read.count(locks, { state })),
})

const countBy = <Key extends string>(keys: readonly Key[], count: (key: Key) => number) =>
  Object.fromEntries(keys.map((key) => [key, count(key)])) as Record<Key, number>

const status = query({
  name: 'bridge.status',
  summary: 'How the daemon and this workspace are.',
  role: 'observer',
  params: {},
  result: z.strictObject({
    version: z.string(),
    uptimeMs: count,
    workspace: z.string(),
    epoch: z.string(),
    earliest: z.string(),
    head: z.string(),
    agents: count.describe('connected'),
    contracts: z.strictObject({ byStatus: z.record(z.enum(statuses), count) }),
    locks: count.describe('held'),
    waiters: count.describe('requests for locks that wait'),
    subscriptions: count,
    store: z.strictObject({ bytes: count, synchronous: z.string() }),
  }),
  errors: [],
  run(read, _params, { runtime }) {
    const { epoch, earliest, head } = read.bounds()
    const counts = countsOf(read)
    return {
      version: runtime.version,
      uptimeMs: runtime.uptimeMs(),
      workspace: runtime.workspace,
      epoch,
      earliest: formatCursor(epoch, earliest),
      head: formatCursor(epoch, head),
      agents: counts.agents,
      contracts: { byStatus: counts.contracts },
      locks: counts.locks.held,
      waiters: counts.locks.waiting,
      subscriptions: runtime.subscriptions(),
      store: runtime.store(),
    }
  },
})

/** The first event of each life of the daemon. */
const bridgeStarted: EventDef = {
  type: 'bridge.started',
  summary: 'The daemon began to serve this workspace.',
  data: { version: "the daemon's version", daemon: 'names this life of it' },
}

export const bridgeNoun = {
  tables: [],
  events: [bridgeStarted],
  methods: [status] as const,
  started: (tx, ctx) => tx.tell(bridgeStarted, 'bridge', { data: { version: product.version, daemon: ctx.daemon } }),
} satisfies Noun
