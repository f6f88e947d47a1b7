import { z } from 'zod'
import { limits } from './limits.js'
import type { Instant } from './time.js'

/** One event of the log, as it travels. `data` holds the whole changed row under its noun and what is special beside it. */
export interface Event {
  cursor: string
  /** `noun.pastVerb` */
  type: string
  time: Instant
  /** The agent that caused it; `bridge` for time, restarts and what follows from another event. */
  actor: string
  /** The actor's name was chosen by a holder of the operator's token, and nothing else vouches for it. */
  unverified?: true
  /** Id of what it is about. */
  subject: string
  contractId?: string
  topic?: string
  /** The agents it is addressed to. */
  to?: string[]
  data: Record<string, unknown>
}

/** An event as the log keeps it: ready to send but for its cursor, beside the columns that filters read. */
export interface StoredEvent {
  seq: number
  /** Seq of the first event of the same command. */
  command: number
  type: string
  topic: string | null
  contractId: string | null
  /** The agents concerned, as `|a|b|`, or null. */
  parties: string | null
  /** The event's JSON without its cursor, which names an epoch and so is never stored. */
  body: string
}

/** The JSON of a stored event, with its cursor. */
export const encodeEvent = (epoch: string, stored: StoredEvent): string =>
  `{"cursor":"${epoch}-${stored.seq}",${stored.body.slice(1)}`

/** `contract.created`, `contract.*` or `*`. */
const typePattern = z
  .string()
  .max(limits.nameLength)
  .regex(/^(\*|[a-z]+\.(\*|[a-zA-Z]+))$/, 'is an event type such as "contract.created", "contract.*" or "*"')
  .describe('an event type, or `noun.*`, or `*`')

/** NATS style: words joined by dots; `*` stands for one word, `>` at the end for one or more. */
const topicPattern = z
  .string()
  .max(limits.topicLength)
  .regex(/^((\*|[\w-]+)\.)*(\*|>|[\w-]+)$/, 'is a topic, in which "*" stands for a word and a last ">" for the rest')
  .describe('a topic such as `tasks.api`; `*` stands for one word, a last `>` for one or more')

/** A topic to publish to: words of letters, digits, `_` and `-`, joined by dots. */
export const topicName = z
  .string()
  .max(limits.topicLength)
  .regex(/^[\w-]+(\.[\w-]+)*$/, 'is words of letters, digits, "_" and "-", joined by dots')

/** The terms of one filter; an event passes when it meets every term given. */
export const filterTerms = {
  types: z.array(typePattern).min(1).max(limits.filterTerms).optional(),
  topics: z.array(topicPattern).min(1).max(limits.filterTerms).optional(),
  contractId: z.string().max(limits.idLength).optional(),
  mine: z
    .boolean()
    .optional()
    .describe('only what concerns the caller: addressed to, owned, assigned, created or held'),
}

export type Filter = z.output<z.ZodObject<typeof filterTerms>>

/** What a filter is decided by. */
export type Filterable = Pick<StoredEvent, 'type' | 'topic' | 'contractId' | 'parties'>

/** What is pushed to those who follow live, and kept nowhere: no cursor leads to it. */
export interface Signal extends Filterable {
  /** JSON. */
  body: string
}

/** Several filters as one: an event passes when it passes any of them; none at all lets every event pass. */
export interface EventFilter {
  /** Equal for filters that let the same events pass, so that their frames can be shared. */
  key: string
  passes(event: Filterable): boolean
}

export function compileFilters(filters: Filter[], agent: string): EventFilter {
  const terms = filters.map((filter) => {
    const { types, topics, contractId, mine } = filter
    return { types, topics, contractId, ...(mine && { agent }) }
  })
  const everything =
    terms.length === 0 || terms.some((term) => Object.values(term).every((value) => value === undefined))
  if (everything) return { key: '*', passes: () => true }
  const tests = terms.map(compileTerms)
  return { key: JSON.stringify(terms), passes: (event) => tests.some((test) => test(event)) }
}

function compileTerms(terms: {
  types: string[] | undefined
  topics: string[] | undefined
  contractId: string | undefined
  agent?: string
}): (event: Filterable) => boolean {
  const tests: Array<(event: Filterable) => boolean> = []
  if (terms.types) {
    const exact = new Set(terms.types)
    const any = exact.has('*')
    tests.push(({ type }) => any || exact.has(type) || exact.has(`${type.slice(0, type.indexOf('.'))}.*`))
  }
  if (terms.topics) {
    const patterns = terms.topics.map((topic) => topic.split('.'))
    tests.push(({ topic }) => {
      if (topic === null) return false
      const words = topic.split('.')
      return patterns.some((pattern) => topicMatches(pattern, words))
    })
  }
  const { contractId, agent } = terms
  if (contractId !== undefined) tests.push((event) => event.contractId === contractId)
  if (agent !== undefined) tests.push(({ parties }) => parties?.includes(`|${agent}|`) ?? false)
  return (event) => tests.every((test) => test(event))
}

function topicMatches(pattern: string[], words: string[]): boolean {
  for (const [index, word] of pattern.entries()) {
    if (word === '>') return words.length > index
    if (word !== '*' && word !== words[index]) return false
    if (index >= words.length) return false
  }
  return pattern.length === words.length
}
