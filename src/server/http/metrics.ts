import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { countsOf } from '../../bridge/index.js'
import type { Counts, Grant, Served } from '../../engine/door/door.js'
import type { Outcome, Turn } from '../../engine/engine.js'
import { product } from '../../protocol/version.js'
import { PLAIN } from './problem.js'
import type { Router } from './router.js'

/** What is told of the bridge's work, and where it is looked at. */
export interface Metrics {
  /** A call was answered. */
  called(method: string, outcome: Outcome): void
  /** Told of each batch that the workspace's writer commits. */
  turnsOf(workspace: string): (turn: Turn) => void
  /** `GET /metrics`. */
  serve(router: Router): void
}

export interface MetricsOptions {
  /** Those in service, by name. */
  workspaces(): Iterable<readonly [string, Served]>
  connections(): Counts
}

/** Upper bounds: commands of one batch, and seconds of one commit, which is one sync of the disk. */
const COMMANDS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]

export function createMetrics(options: MetricsOptions): Metrics {
  const register = new Registry()
  const calls = tally(register, 'calls_total', 'Calls answered.', ['method', 'outcome'])
  const events = tally(register, 'events_total', 'Events committed since the daemon began.', ['workspace', 'type'])
  const batches = new Histogram({
    name: 'agent_bridge_batch_commands',
    help: 'Commands of one transaction.',
    labelNames: ['workspace'],
    buckets: COMMANDS,
    registers: [register],
  })
  const commits = new Histogram({
    name: 'agent_bridge_commit_seconds',
    help: 'How long a commit took, with its sync to the disk.',
    labelNames: ['workspace'],
    buckets: SECONDS,
    registers: [register],
  })
  measureWorkspaces(register, options)
  measureDaemon(register, options)
  let began = false
  return {
    called: (method, outcome) => calls(method, 'refusal' in outcome ? outcome.refusal.reason : 'ok'),
    turnsOf(workspace) {
      const [batch, commit] = [batches.labels(workspace), commits.labels(workspace)]
      return ({ commands, happened, commitMs }) => {
        batch.observe(commands)
        commit.observe(commitMs / 1_000)
        for (const { type } of happened) events(workspace, type)
      }
    },
    serve(router) {
      router.shut('/metrics', {
        GET: async (request) => {
          // Watching the process costs a little: from the first time on that anybody looks.
          if (!began) collectDefaultMetrics({ register })
          began = true
          const text = visibleTo(request.get('grant'), await register.metrics())
          return new Response(text, { headers: { 'Content-Type': register.contentType, ...PLAIN } })
        },
      })
    },
  }
}

/** A workspace is no business of those whose token is for another. */
function visibleTo({ workspace }: Grant, text: string): string {
  if (workspace === undefined) return text
  const own = `workspace="${workspace}"`
  const lines = text.split('\n')
  return lines.filter((line) => !/^\w+\{[^}]*workspace="/.test(line) || line.includes(own)).join('\n')
}

/**
 * Counts things with two labels. Kept as plain numbers and handed over when somebody looks: it is counted on the way of
 * every call.
 */
function tally(register: Registry, name: string, help: string, labels: [string, string]) {
  const counts = new Map<string, Map<string, number>>()
  new Counter({
    name: `agent_bridge_${name}`,
    help,
    labelNames: labels,
    registers: [register],
    collect() {
      this.reset()
      for (const [first, row] of counts)
        for (const [second, count] of row) this.inc({ [labels[0]]: first, [labels[1]]: second }, count)
    },
  })
  return (first: string, second: string): void => {
    const row = counts.get(first) ?? new Map<string, number>()
    counts.set(first, row)
    row.set(second, (row.get(second) ?? 0) + 1)
  }
}

/** A value that is looked up when somebody looks: for each workspace, and each of what it is divided into. */
function measure(
  register: Registry,
  name: string,
  help: string,
  labels: string[],
  read: (set: (values: Record<string, string>, value: number) => void) => void,
): void {
  new Gauge({
    name: `agent_bridge_${name}`,
    help,
    labelNames: labels,
    registers: [register],
    collect() {
      this.reset()
      read((values, value) => this.set(values, value))
    },
  })
}

function measureWorkspaces(register: Registry, { workspaces }: MetricsOptions): void {
  const each = (name: string, help: string, valueIn: (served: Served) => number) =>
    measure(register, name, help, ['workspace'], (set) => {
      for (const [workspace, served] of workspaces()) set({ workspace }, valueIn(served))
    })
  const divided = (name: string, help: string, label: string, valuesOf: (served: Served) => Record<string, number>) =>
    measure(register, name, help, ['workspace', label], (set) => {
      for (const [workspace, served] of workspaces())
        for (const [part, value] of Object.entries(valuesOf(served))) set({ workspace, [label]: part }, value)
    })
  const seqs = ({ engine }: Served) => engine.bounds()
  divided('contracts', 'Contracts, by status.', 'status', ({ engine }) => countsOf(engine.read).contracts)
  divided('locks', 'Requests for locks, by state.', 'state', ({ engine }) => countsOf(engine.read).locks)
  each('agents_connected', 'Agents with a connected session.', ({ engine }) => countsOf(engine.read).agents)
  divided('subscriptions', 'Readers of the log, by state.', 'state', ({ tail }) => {
    const { live, behind } = tail.stats()
    return { live, behind }
  })
  each('subscription_lag_events', 'How far the last reader is behind.', ({ tail }) => tail.stats().lagEvents)
  each('queued_commands', 'Commands that wait for the writer.', ({ engine }) => engine.queued())
  each('waiting_calls', 'Calls that wait for a lock, work or a message.', ({ engine }) => engine.waiting())
  each('log_events', 'Events kept in the log.', (served) => seqs(served).head - seqs(served).earliest)
  each('store_bytes', 'Size of the database on disk.', ({ runtime }) => runtime.store().bytes)
}

function measureDaemon(register: Registry, { connections }: MetricsOptions): void {
  measure(register, 'info', 'The daemon.', ['version'], (set) => set({ version: product.version }, 1))
  measure(register, 'connections', 'Who is connected, by kind.', ['kind'], (set) => {
    for (const [kind, count] of Object.entries(connections())) set({ kind }, count)
  })
}
