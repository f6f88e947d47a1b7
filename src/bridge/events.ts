import { z } from 'zod'
import { continues, formatCursor, resolveCursor, resumeCursor } from '../protocol/cursor.js'
import { refuse } from '../protocol/errors.js'
import { compileFilters, encodeEvent, type Filter, filterTerms } from '../protocol/event.js'
import { limits } from '../protocol/limits.js'
import { type Noun, type QueryContext, query, type Socket } from '../protocol/method.js'
import { agentName, cursorParam, instant, ms } from './fields.js'

const readerName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/, 'is up to 64 letters, digits, ".", "_" and "-"')
  .describe("a name of the caller's own, under which the bridge keeps how far it has read")

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
    methods: [subscribeTo(known), ack, unsubscribe, readFrom(known)] as const,
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
      durable: readerName
        .optional()
        .describe(
          'a name under which the bridge keeps what is acknowledged; where there is such, `after` counts only when further on',
        ),
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
      const { durable } = params
      const { agent } = ctx.caller
      const kept = durable === undefined ? undefined : ctx.readers.at(agent, durable)
      const after = resumeCursor(kept, params.after, bounds)
      const at = (seq: number) => formatCursor(bounds.epoch, seq)
      const filter = compileFilters(checkTypes(filtersOf(params), known), agent)
      // Where it begins is kept only for a name that begins anew: what is passed over here is not acknowledged by that.
      if (durable !== undefined && !continues(kept, bounds)) ctx.readers.move(agent, durable, at(after))
      const subscription = socketOf(ctx).subscribe(after, filter, durable)
      return {
        subscription,
        cursor: at(after),
        epoch: bounds.epoch,
        earliest: at(bounds.earliest),
        head: at(bounds.head),
      }
    },
  })

const subscribed = (ctx: QueryContext, subscription: number) =>
  socketOf(ctx).subscription(subscription) ??
  refuse('NOT_FOUND', 'This socket has no such subscription.', { subscription })

const ack = query({
  name: 'event.ack',
  summary: 'A durable reader is done with all events up to a cursor: a later one of its name goes on after it.',
  role: 'observer',
  params: { subscription: z.int().min(1), cursor: cursorParam.describe('of the last event that was dealt with') },
  result: z.strictObject({ cursor: z.string().describe('what is acknowledged now; it never goes back') }),
  errors: ['NOT_FOUND', 'CURSOR_EXPIRED', 'EPOCH_CHANGED', 'CURSOR_AHEAD'],
  socket: true,
  run(read, { subscription, cursor }, ctx) {
    const { durable } = subscribed(ctx, subscription)
    if (durable === undefined) refuse('INVALID_PARAMS', 'Only a subscription with a `durable` name is acknowledged.')
    const { agent } = ctx.caller
    const bounds = read.bounds()
    const seq = resumeCursor(
      ctx.readers.at(agent, durable),
      formatCursor(bounds.epoch, resolveCursor(cursor, bounds)),
      bounds,
    )
    ctx.readers.move(agent, durable, formatCursor(bounds.epoch, seq))
    return { cursor: formatCursor(bounds.epoch, seq) }
  },
})

const unsubscribe = query({
  name: 'event.unsubscribe',
  summary: 'Ends a subscription of this socket; its durable name keeps its place, unless it is to be forgotten.',
  role: 'observer',
  params: {
    subscription: z.int().min(1),
    forget: z.boolean().default(false).describe('the durable name is new again'),
  },
  result: z.strictObject({}),
  errors: ['NOT_FOUND'],
  socket: true,
  run(_read, { subscription, forget }, ctx) {
    const { durable } = subscribed(ctx, subscription)
    if (forget && durable === undefined) refuse('INVALID_PARAMS', 'It has no `durable` name that could be forgotten.')
    socketOf(ctx).unsubscribe(subscription)
    if (forget && durable !== undefined) ctx.readers.forget(ctx.caller.agent, durable)
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
