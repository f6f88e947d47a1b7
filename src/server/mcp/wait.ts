import type { z } from 'zod'
import type { Fields } from '../../protocol/fields.js'
import { limits } from '../../protocol/limits.js'
import type { Desk, Port } from './desk.js'
import { type Inbox, readNews, wakers } from './news.js'
import type { waitParams } from './tools.js'
import { briefRow, shape } from './views.js'

/** Looks for what needs the agent, and waits for it. An empty answer when nothing came in time. */
export async function wait(
  port: Port,
  desk: Desk,
  { seconds, acked }: z.output<typeof waitParams>,
  signal: AbortSignal,
): Promise<Fields> {
  if (acked.length > 0) await port.call('message.ack', { messageIds: acked, state: 'acked' })
  const untilMs = performance.now() + seconds * 1_000
  for (;;) {
    const found = await look(port, desk, signal)
    const leftMs = Math.floor(untilMs - performance.now())
    // Nobody is given it, so it has not been read.
    if (signal.aborted) for (const { messageId } of messagesIn(found)) desk.given.delete(messageId)
    if (found !== undefined) return found
    if (leftMs <= 0) return { todo: 'Nothing yet. Call wait again while you have nothing else to do.' }
    await anything(port, desk, leftMs, signal)
  }
}

/** An event that may matter, or the answer of a pending call. It is only a hint: what there is, `look` finds. */
async function anything(port: Port, desk: Desk, waitMs: number, signal: AbortSignal): Promise<void> {
  const own = new AbortController()
  const answered = new Promise<void>((resolve) => {
    desk.wake = resolve
  })
  // It came between the look and here.
  if (desk.late.length > 0) return
  try {
    const params = { after: desk.cursor ?? 'latest', filters: wakers, waitMs }
    const event = port.call('event.read', params, { signal: AbortSignal.any([signal, own.signal]) })
    event.catch(() => {})
    await Promise.race([event, answered])
  } finally {
    own.abort()
  }
}

const messagesIn = (found: Fields | undefined) => (found?.messages ?? []) as { messageId: string }[]

async function look(port: Port, desk: Desk, signal: AbortSignal): Promise<Fields | undefined> {
  const news = await readNews(port, desk, signal)
  const messages = await takeMessages(port, desk)
  const offers = await findOffers(port, desk)
  if (news.length + messages.length + offers.length === 0) return undefined
  return {
    ...(messages.length > 0 && { messages }),
    ...(offers.length > 0 && { offers }),
    ...(news.length > 0 && { news }),
    ...(offers.length > 0 && { todo: 'Take an offer with contract_next, then contract_start it before you edit.' }),
  }
}

/** The unread messages that the model has not been given, as data labelled with sender and role. */
async function takeMessages(port: Port, desk: Desk): Promise<Fields[]> {
  const limit = limits.toolNews + desk.given.size
  const { items } = (await port.call('message.inbox', { state: 'unread', limit })) as Inbox
  const fresh = items.filter(({ messageId }) => !desk.given.has(messageId)).slice(0, limits.toolNews)
  if (fresh.length === 0) return []
  const messageIds = fresh.map(({ messageId }) => messageId)
  await port.call('message.ack', { messageIds, state: 'injected' })
  for (const messageId of messageIds) desk.given.add(messageId)
  return fresh.map((message) => shape(message, true))
}

interface Offer extends Fields {
  id: string
  createdBy: string
  assignee?: string
  capability?: string
}

/** Contracts that others offer: to it each time, to anyone once. */
async function findOffers(port: Port, desk: Desk): Promise<Fields[]> {
  const own = await listReady(port, { assignee: port.agent() })
  const open = (await listReady(port, {})).filter(
    ({ id, assignee, createdBy }) => assignee === undefined && createdBy !== port.agent() && !desk.offered.has(id),
  )
  const able = open.some(({ capability }) => capability) ? await capabilitiesOf(port) : []
  const takable = open.filter(({ capability }) => capability === undefined || able.includes(capability))
  for (const { id } of takable) desk.offered.add(id)
  forgetOldest(desk.offered)
  return [...own, ...takable].slice(0, limits.toolNews).map(briefRow)
}

async function listReady(port: Port, terms: object): Promise<Offer[]> {
  const page = await port.call('contract.list', { ready: true, limit: limits.toolNews, ...terms })
  return (page as { items: Offer[] }).items
}

async function capabilitiesOf(port: Port): Promise<string[]> {
  const page = await port.call('agent.list', { limit: limits.pageItemsMax })
  const { items } = page as { items: Array<{ agent: string; capabilities: string[] }> }
  return items.find(({ agent }) => agent === port.agent())?.capabilities ?? []
}

function forgetOldest(offered: Set<string>): void {
  for (const id of offered) {
    if (offered.size <= limits.pageItemsMax) return
    offered.delete(id)
  }
}
