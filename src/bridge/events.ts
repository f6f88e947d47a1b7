import { z } from 'zod'
import { cursorForm, formatCursor, resolveCursor } from '../protocol/cursor.js'
import { refuse } from '../protocol/errors.js'
import { compileFilters, encodeEvent, type Filter, filterTerms } from '../protocol/event.js'
import { limits } from '../protocol/limits.js'
import { type Noun, type QueryContext, query, type Socket } from '../protocol/method.js'
import { agentName, instant, ms } from './fields.js'

const cursorParam = z
  .string()
  .regex(cursorForm, 'is "earliest", "latest" or a cursor that the bridge gave out')
  .describe('`earliest`, `latest` or a cursor; what follows it is wanted')

export const eventSchema = z.strictObject({
  cursor: z.string(),
  type: z.string(),
  time: instant,
  actor: agentName,
  unverified: z.literal(true).optional(),
  subject: z.string(),
  contractId: z.string().optional(),
  topic: z.string().optional(),
  to: z.array(agentName).optional(),
  data: z.record(z.string(), z.json()),
})

const otherFilters = z.array(z.strictObject(filterTerms)).min(1).max(limits.filters).optional().describe('any of them')

/** The terms at the top level are one filter; `filters` adds others, any of which lets an event pass. */
function filtersOf(params: Filter & { filters?: Filter[] | undefined }): Filter[] {
  const { types, topics, contractId, mine, filters = [] } = params
  const own = { types, topics, contractId, mine }
  return Object.values(own).some((term) => term !== undefined) ? [own, ...filters] : filters
}

const socketOf = (ctx: QueryContext): Socket =>
  ctx.socket ?? refuse('INVALID_REQUEST', 'Subscriptions live on a socket: read with event.read instead.')

/** @throws INVALID_PARAMS for a type that no event has: such a subscription would be silent for ever */
function checkTypes(filters: Filter[], known: ReadonlySet<string>): Filter[] {
  const exists = (type: string) =>
    type === '*' ||
    known.has(type) ||
    (type.endsWith('.*') && [...known].some((name) => name.startsWith(type.slice(0, -1))))
  const unknown = filters.flatMap(({ types = [] }) => types.filter((type) => !exists(type)))
  if (unknown.length > 0) {
    refuse('INVALID_PARAMS', 'No event is of that type: `data.known` has those there are.', {
      unknown,
      known: [...known],
    })
  }
  return filters
}

/** The methods that read the log, whose events are of these types. */
export function eventNoun(types: readonly string[]) {
  const known = new Set(types)
  return {
    tables: [],
    events: [],
    methods: [subscribeTo(known), unsubscribe, readFrom(known)] as const,
  } satisfies Noun
}

const subscribeTo = (known: ReadonlySet<string>) =>
  query({
    name: 'event.subscribe',
    summary: 'Pushes the events after a cursor, then the new ones as they are committed.',
    role: 'observer',
    params: {
      after: cursorParam.default('latest'),
      ...filterTerms,
      filters: otherFilters,
    },
    result: z.strictObject({
      subscription: z.int().describe('counts from 1 on each socket'),
      cursor: z.string().describe('where it begins'),
      epoch: z.string(),
      earliest: z.string(),
      head: z.string(),
    }),
    errors: ['CURSOR_EXPIRED', 'EPOCH_CHANGED', 'CURSOR_AHEAD', 'OVERLOADED'],
    socket: true,
    run(read, params, ctx) {
      const bounds = read.bounds()
      const after = resolveCursor(params.after, bounds)
      const subscription = socketOf(ctx).subscribe(
        after,
        compileFilters(checkTypes(filtersOf(params), known), ctx.caller.agent),
      )
      const at = (seq: number) => formatCursor(bounds.epoch, seq)
      return {
        subscription,
        cursor: at(after),
        epoch: bounds.epoch,
        earliest: at(bounds.earliest),
        head: at(bounds.head),
      }
    },
  })

const unsubscribe = query({
  name: 'event.unsubscribe',
  summary: 'Ends a subscription of this socket.',
  role: 'observer',
  params: { subscription: z.int().min(1) },
  result: z.strictObject({}),
  errors: ['NOT_FOUND'],
  socket: true,
  run(_read, { subscription }, ctx) {
    if (!socketOf(ctx).unsubscribe(subscription)) {
      refuse('NOT_FOUND', 'This socket has no such subscription.', { subscription })
    }
    return {}
  },
})

const readFrom = (known: ReadonlySet<string>) =>
  query({
    name: 'event.read',
    summary: 'A page of the log after a cursor; with `waitMs` a long poll. Done when `cursor` equals `head`.',
    role: 'observer',
    params: {
      after: cursorParam,
      ...filterTerms,
      filters: otherFilters,
      limit: z.int().min(1).max(limits.pushEvents).default(100).describe('events looked at, not events found'),
      waitMs: ms(0, limits.pollMsMax).default(0).describe('at the end of the log, wait this long for an event, ms'),
    },
    result: z.strictObject({
      events: z.array(eventSchema),
      cursor: z.string().describe('go on after this'),
      head: z.string(),
    }),
    errors: ['CURSOR_EXPIRED', 'EPOCH_CHANGED', 'CURSOR_AHEAD'],
    run(read, { after, limit, waitMs, ...terms }, ctx) {
      const bounds = read.bounds()
      const { epoch, head } = bounds
      const filter = compileFilters(checkTypes(filtersOf(terms), known), ctx.caller.agent)
      const from = resolveCursor(after, bounds)
      const page = read.events(from, { limit })
      const passing = page.filter((event) => filter.passes(event))
      const upTo = page.at(-1)?.seq ?? from
      const events = passing.map((event) => JSON.parse(encodeEvent(epoch, event)))
      const found = { events, cursor: formatCursor(epoch, upTo), head: formatCursor(epoch, head) }
      if (events.length > 0 || upTo < head || waitMs === 0) return found
      return {
        parked: 'run-again',
        exclusive: false,
        waitMs,
        params: { after: found.cursor },
        otherwise: () => found,
        wakes: (event) => filter.passes(event),
      }
    },
  })
