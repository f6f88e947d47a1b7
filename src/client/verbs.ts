import type { MethodName, ParamsOf } from '../bridge/index.js'

// The client must know which calls change something, and cannot carry the registry into a browser to find out.
// So the vocabulary tells: a verb reads in every noun or in none. A test holds the registry to it.

const reading = [
  'brief',
  'check',
  'discover',
  'get',
  'history',
  'inbox',
  'list',
  'outbox',
  'read',
  'search',
  'status',
  'subscribe',
  'thread',
  'unsubscribe',
] as const

/** Nouns whose commands are about who comes in: what they answer is secret and kept nowhere, so they are never sent twice. */
const keyless = ['session', 'token'] as const

const readingVerbs: ReadonlySet<string> = new Set(reading)
const keylessNouns: ReadonlySet<string> = new Set(keyless)

/** Methods about something that lives and dies with one socket. */
const bound = new Set(['event.subscribe', 'event.ack', 'event.unsubscribe'])

/** How a call whose answer was lost is made good: asked again, sent again under its key, or not at all. */
export type Repeat = 'freely' | 'by-key' | 'never'

export function repeatOf(method: string): Repeat {
  const [noun = '', verb = ''] = method.split('.')
  if (bound.has(method)) return 'never'
  if (readingVerbs.has(verb)) return 'freely'
  return keylessNouns.has(noun) ? 'never' : 'by-key'
}

type Unkeyed = 'event.ack' | `${string}.${(typeof reading)[number]}` | `${(typeof keyless)[number]}.${string}`

/** What a caller passes. A command without an `idempotencyKey` is given one by the client. */
export type Params<Name extends MethodName> = Name extends Unkeyed
  ? ParamsOf<Name>
  : ParamsOf<Name> & { idempotencyKey?: string }
