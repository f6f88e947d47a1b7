import { limits } from '../../protocol/limits.js'
import type { Context, EventDef, Tx } from '../../protocol/method.js'
import { later } from '../../protocol/time.js'
import type { Lock } from './row.js'

/**
 * Ends a lock that its holder did not give back. Whoever held it may be in the midst of a write and not know yet, so
 * files that it had alone stay shut for a while; the rest is free at once.
 */
export function lose(tx: Tx, def: EventDef<Lock>, lock: Lock, reason: string | undefined, ctx: Context): void {
  const why = reason === undefined ? {} : { reason }
  const shut = lock.resources.filter(({ resource, mode }) => mode === 'exclusive' && resource.startsWith('file:'))
  if (shut.length === 0) return tx.drop(def, lock, { data: why })
  const expiresAt = later(ctx.now, limits.coolingMs)
  const cooling: Lock = { ...lock, state: 'cooling', session: undefined, ttlMs: undefined, resources: shut, expiresAt }
  tx.put(def, cooling, { data: { ...why, last: lock } })
}
