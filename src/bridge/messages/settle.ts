import type { Context, Tx } from '../../protocol/method.js'
import type { Instant } from '../../protocol/time.js'
import { ackDueOf, ackDuePassed, expired, expiryOf, isAwaited, type Message, messages, owing, removed } from './row.js'

// How messages end: by time, and by retention.

/** Those who have not had it get it no more; an acknowledgement that is still owed is overdue. */
export function expireMessage(tx: Tx, row: Message, ctx: Context): void {
  const passed = (at: Instant | undefined) => at !== undefined && at <= ctx.now
  let message = row
  if (passed(expiryOf(message))) {
    const agents = owing(message, 'injected')
    const gone = agents.map((agent) => [agent, { state: 'expired' as const, at: ctx.now }])
    const receipts = { ...message.receipts, ...Object.fromEntries(gone) }
    message = tx.put(expired, { ...message, receipts }, { to: [message.from], data: { agents } })
  }
  if (passed(ackDueOf(message)) && isAwaited(message)) {
    const beside = { to: [message.from], data: { agents: owing(message, 'acked') } }
    tx.put(ackDuePassed, { ...message, overdueAt: ctx.now }, beside)
  }
}

/**
 * Removes messages that were settled before an instant, the longest settled first and at most `limit`; gives how many.
 * What was said is not said once more in the event that tells of it.
 */
export function trimMessages(tx: Tx, before: Instant, limit: number): number {
  const settled = tx.find(messages, { where: { settled: { to: before } }, order: ['settled'], limit })
  for (const { text: _text, parts: _parts, ...message } of settled) tx.drop(removed, message)
  return settled.length
}
