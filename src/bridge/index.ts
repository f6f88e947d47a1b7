import type { z } from 'zod'
import type { EventDef, Method, Noun } from '../protocol/method.js'
import { agentNoun } from './agents/agents.js'
import { attentionNoun } from './attention.js'
import { contractNoun } from './contracts/contracts.js'
import { discoverNoun } from './discover.js'
import { eventNoun } from './events.js'
import { lockNoun } from './locks/locks.js'
import { messageNoun } from './messages/messages.js'
import { bridgeNoun } from './status.js'
import { tokenNoun } from './tokens.js'

// The registry: everything that can be said to the bridge. Every surface is derived from it.

const acting = [bridgeNoun, agentNoun, messageNoun, contractNoun, lockNoun, tokenNoun] as const
const served = [
  ...acting,
  attentionNoun,
  eventNoun(acting.flatMap((noun): readonly EventDef[] => noun.events).map(({ type }) => type)),
] as const
const discovery = discoverNoun(served.flatMap((noun): readonly Method[] => noun.methods))

/** In the order in which they settle. */
export const nouns: readonly Noun[] = [...served, discovery]

/** A `Map`, for a plain object would find methods named "constructor". */
export const methods: ReadonlyMap<string, Method> = new Map(
  nouns.flatMap((noun) => noun.methods).map((method) => [method.name, method]),
)

type Registered = (typeof served)[number]['methods'][number] | (typeof discovery)['methods'][number]

/** `noun.verb` of every method. */
export type MethodName = Registered['name']
type Named<Name extends MethodName> = Extract<Registered, { name: Name }>

/** What a caller passes: fields with a default may be left out. */
export type ParamsOf<Name extends MethodName> = z.input<Named<Name>['params']>
export type ResultOf<Name extends MethodName> = z.output<Named<Name>['result']>

export { isKnown, sessionDropped } from './agents/sessions.js'
export { countsOf } from './status.js'
export { revoked as tokenRevoked, tokenIdOf, tokens, workspaceOfToken } from './tokens.js'
