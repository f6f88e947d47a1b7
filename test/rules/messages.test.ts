import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

const publish = (actor: Actor, params: ParamsOf<'message.publish'>) => actor.call('message.publish', params)

const inbox = async (actor: Actor, state?: 'unread' | 'unacked' | 'all') =>
  (await actor.call('message.inbox', { state })).items.map(({ text }) => text)

const all = (world: World, ...names: string[]) => Promise.all(names.map((name) => world.as(name).opened))

const sends = suite('messages: publish')

scenario(sends, 'to one agent: it has a row, a receipt, and says whether somebody is there', async (world) => {
  await all(world, 'codex', 'cursor')
  const sent = await publish(world.as('cursor'), { to: 'codex', text: 'hello' })
  assert.equal(sent.recipients, [{ agent: 'codex', live: true }])
  const [message] = (await world.as('codex').call('message.inbox', {})).items
  assert.equal(
    [message?.messageId, message?.from, message?.role, message?.to, message?.threadId],
    [sent.messageId, 'cursor', 'agent', ['codex'], sent.messageId],
  )
  assert.equal(message?.receipts, { codex: { state: 'sent', at: world.now() } })
  const [event] = world.events({ types: ['message.published'] })
  assert.equal([event?.actor, event?.to, event?.topic], ['cursor', ['codex'], undefined])
  const { epoch } = world.engine.bounds()
  assert.is(sent.cursor, `${epoch}-${event?.cursor.slice(2)}`)
  await world.as('codex').drop()
  const late = await publish(world.as('cursor'), { to: 'codex', text: 'are you there' })
  assert.equal(late.recipients, [{ agent: 'codex', live: false }])
  assert.equal(await inbox(world.connect('codex')), ['hello', 'are you there'])
})

scenario(sends, 'to several, each once, and to those with a capability', async (world) => {
  await Promise.all([world.as('codex', { capabilities: ['rust'] }).opened, world.as('gemini').opened])
  const sent = await publish(world.as('cursor'), { to: ['gemini', 'codex', 'gemini'], text: 'all' })
  assert.equal(
    sent.recipients.map(({ agent }) => agent),
    ['gemini', 'codex'],
  )
  const able = await publish(world.as('cursor'), { capability: 'rust', text: 'rustaceans' })
  assert.equal(able.recipients, [{ agent: 'codex', live: true }])
  assert.equal(await inbox(world.as('gemini')), ['all'])
  assert.equal(await inbox(world.as('codex', { capabilities: ['rust'] })), ['all', 'rustaceans'])
})

scenario(sends, 'to a topic: the event is all there is', async (world) => {
  await all(world, 'codex')
  const sent = await publish(world.as('cursor'), { topic: 'tasks.api', text: 'news' })
  assert.equal(sent.recipients, [])
  await refused(world.as('codex').call('message.get', { messageId: sent.messageId }), 'NOT_FOUND')
  assert.equal(await inbox(world.as('codex'), 'all'), [])
  const [event] = world.events({ types: ['message.published'] })
  assert.equal([event?.topic, event?.subject], ['tasks.api', sent.messageId])
})

scenario(sends, 'whom nobody has heard of, and what is not there, is NOT_FOUND and leaves no trace', async (world) => {
  const cursor = world.as('cursor')
  await cursor.opened
  const head = world.head()
  const unknown = await refused(publish(cursor, { to: ['cursor', 'nobody'], text: 'hello' }), 'NOT_FOUND')
  assert.equal(unknown.facts.agents, ['nobody'])
  await refused(publish(cursor, { capability: 'cobol', text: 'hello' }), 'NOT_FOUND')
  await refused(publish(cursor, { to: 'cursor', text: 'hello', replyTo: 'msg_none' }), 'NOT_FOUND')
  await refused(publish(cursor, { to: 'cursor', text: 'hello', contractId: 'ctr_none' }), 'NOT_FOUND')
  assert.is(world.head(), head)
})

scenario(sends, 'to exactly one kind of address, with something to say', async (world) => {
  const cursor = world.as('cursor')
  await refused(publish(cursor, { text: 'to whom?' }), 'INVALID_PARAMS')
  await refused(publish(cursor, { to: 'cursor', topic: 'a', text: 'both' }), 'INVALID_PARAMS')
  await refused(publish(cursor, { to: 'cursor' }), 'INVALID_PARAMS')
  await refused(publish(cursor, { to: [], text: 'nobody' }), 'INVALID_PARAMS')
  for (const topic of ['', 'a..b', '.a', 'a b', 'a.*', 'a.>']) {
    await refused(publish(cursor, { topic, text: 'x' }), 'INVALID_PARAMS')
  }
  await refused(publish(cursor, { topic: 'a', text: 'x'.repeat(limits.textLength + 1) }), 'INVALID_PARAMS')
})

scenario(sends, 'it may bring a contract, created in the same command, for a single recipient', async (world) => {
  await all(world, 'codex', 'gemini', 'cursor')
  const cursor = world.as('cursor')
  const head = world.head()
  const { contract, messageId } = await publish(cursor, { to: 'codex', text: 'please', contract: { title: 'do it' } })
  assert.equal([contract?.assignee, contract?.createdBy, contract?.messageId], ['codex', 'cursor', messageId])
  assert.equal(world.types(head), ['contract.created', 'message.published'])
  const [created, published] = world.events({ after: head })
  assert.equal([created?.contractId, published?.contractId], [contract?.id, contract?.id])
  assert.is(new Set(world.log().flatMap(({ seq, command }) => (seq > head ? [command] : []))).size, 1)
  const several = await publish(cursor, { to: ['codex', 'gemini'], contract: { title: 'who wants' } })
  assert.is(several.contract?.assignee, undefined)
  const named = await publish(cursor, { to: 'codex', contract: { title: 'for gemini', assignee: 'gemini' } })
  assert.is(named.contract?.assignee, 'gemini')
  const bad = { to: 'codex', contract: { title: 'bad', resources: [{ resource: 'nowhere' }] } }
  await refused(publish(cursor, bad), 'BAD_RESOURCE')
  const both = { to: 'codex', contractId: contract!.id, contract: { title: 'a' } }
  await refused(publish(cursor, both), 'INVALID_PARAMS')
})

scenario(sends, 'what is about a contract passes its filter and is in its history', async (world) => {
  await all(world, 'codex', 'cursor')
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const { id: contractId } = await cursor.call('contract.create', { title: 'x' })
  await codex.call('event.subscribe', { contractId })
  await world.idle()
  const { messageId } = await publish(cursor, { to: 'codex', text: 'about it', contractId })
  await publish(cursor, { topic: 'tasks', text: 'also', contractId })
  await publish(cursor, { to: 'codex', text: 'about nothing' })
  await codex.call('message.ack', { messageIds: [messageId], state: 'read' })
  assert.equal(
    codex.frames.flatMap(({ params }) => params.events ?? []).map(({ type }) => type),
    ['message.published', 'message.published', 'message.receiptChanged'],
  )
  const { items } = await cursor.call('contract.history', { contractId })
  const told = items.map(({ type, changes }) => [type, (changes.message as { text: string } | undefined)?.text])
  assert.equal(told, [
    ['contract.created', undefined],
    ['message.published', 'about it'],
    ['message.published', 'also'],
    ['message.receiptChanged', 'about it'],
  ])
})

scenario(sends, 'an answer stays in the thread', async (world) => {
  await all(world, 'codex', 'cursor')
  const first = await publish(world.as('cursor'), { to: 'codex', text: 'a question' })
  const second = await publish(world.as('codex'), { to: 'cursor', text: 'an answer', replyTo: first.messageId })
  const third = await publish(world.as('cursor'), { to: 'codex', text: 'thanks', replyTo: second.messageId })
  const got = await world.as('codex').call('message.get', { messageId: third.messageId })
  assert.equal([got.threadId, got.replyTo], [first.messageId, second.messageId])
})

scenario(sends, 'parts are kept as they are', async (world) => {
  const parts = [{ text: 'see' }, { mediaType: 'application/json', data: { a: [1, null] } }, { uri: 'file:///x' }]
  const cursor = world.as('cursor')
  const { messageId } = await publish(cursor, { to: 'cursor', parts })
  const message = await cursor.call('message.get', { messageId })
  assert.equal(message.parts?.[1], parts[1])
  assert.is(message.parts?.[0]?.mediaType, 'text/plain')
})

sends.run()

const receipts = suite('messages: receipts')

scenario(receipts, 'looking changes nothing; a receipt only rises, and says when', async (world) => {
  await all(world, 'codex', 'cursor')
  const codex = world.as('codex')
  const { messageId } = await publish(world.as('cursor'), { to: 'codex', text: 'hello' })
  const head = world.head()
  await inbox(codex)
  await codex.call('message.get', { messageId })
  assert.is(world.head(), head)
  const ack = (state: 'injected' | 'read' | 'acked') => codex.call('message.ack', { messageIds: [messageId], state })
  assert.equal(await ack('injected'), { changed: 1 })
  assert.equal([await inbox(codex), await inbox(codex, 'unacked')], [['hello'], ['hello']])
  await world.advance(1_000)
  assert.equal(await ack('read'), { changed: 1 })
  assert.equal([await inbox(codex), await inbox(codex, 'unacked')], [[], ['hello']])
  assert.equal(await ack('injected'), { changed: 0 })
  assert.equal(await ack('read'), { changed: 0 })
  assert.equal(await ack('acked'), { changed: 1 })
  assert.equal([await inbox(codex, 'unacked'), await inbox(codex, 'all')], [[], ['hello']])
  const { receipts } = await codex.call('message.get', { messageId })
  assert.equal(receipts?.codex, { state: 'acked', at: world.now() })
  const events = world.events({ types: ['message.receiptChanged'] })
  assert.equal(
    events.map(({ data, to }) => [data.agent, data.state, to]),
    ['injected', 'read', 'acked'].map((state) => ['codex', state, ['cursor']]),
  )
})

scenario(receipts, 'each recipient has its own', async (world) => {
  await all(world, 'codex', 'gemini', 'cursor')
  const { messageId } = await publish(world.as('cursor'), { to: ['codex', 'gemini'], text: 'both' })
  await world.as('codex').call('message.ack', { messageIds: [messageId] })
  assert.equal([await inbox(world.as('codex')), await inbox(world.as('gemini'))], [[], ['both']])
})

scenario(receipts, 'several at once: all of them or none', async (world) => {
  await all(world, 'codex', 'gemini', 'cursor')
  const [cursor, codex] = [world.as('cursor'), world.as('codex')]
  const one = await publish(cursor, { to: 'codex', text: 'one' })
  const two = await publish(cursor, { to: 'codex', text: 'two' })
  const other = await publish(cursor, { to: 'gemini', text: 'other' })
  const head = world.head()
  const ack = (...messageIds: string[]) => codex.call('message.ack', { messageIds })
  await refused(ack(one.messageId, 'msg_none'), 'NOT_FOUND')
  await refused(ack(one.messageId, other.messageId), 'FORBIDDEN')
  await refused(cursor.call('message.ack', { messageIds: [one.messageId] }), 'FORBIDDEN')
  assert.is(world.head(), head)
  assert.equal(await ack(one.messageId, two.messageId, one.messageId), { changed: 2 })
})

receipts.run()

const waits = suite('messages: the inbox waits')

scenario(waits, 'for a message to the caller, and for none other', async (world) => {
  await all(world, 'codex', 'gemini', 'cursor')
  const call = world.as('codex').call('message.inbox', { waitMs: 50_000 })
  await publish(world.as('cursor'), { to: 'gemini', text: 'not yours' })
  await publish(world.as('cursor'), { topic: 'codex', text: 'not yours either' })
  await world.idle()
  assert.not.ok(call.answered())
  await publish(world.as('cursor'), { to: 'codex', text: 'yours' })
  assert.equal(
    (await call).items.map(({ text }) => text),
    ['yours'],
  )
})

scenario(waits, 'in vain: an empty page at the end of the time', async (world) => {
  const call = world.as('codex').call('message.inbox', { waitMs: 50_000 })
  await world.advance(49_999)
  assert.not.ok(call.answered())
  await world.advance(1)
  assert.equal((await call).items, [])
  await refused(world.as('codex').call('message.inbox', { waitMs: 50_001 }), 'INVALID_PARAMS')
})

scenario(waits, 'page after page, oldest first, with the cursor of the first', async (world) => {
  await all(world, 'codex', 'cursor')
  for (let n = 0; n < 5; n++) await publish(world.as('cursor'), { to: 'codex', text: `${n}` })
  const { epoch } = world.engine.bounds()
  const at = `${epoch}-${world.head()}`
  const texts: Array<string | undefined> = []
  for (let page: string | undefined; ; ) {
    const answer = await world.as('codex').call('message.inbox', { limit: 2, page })
    assert.is(answer.at, at)
    texts.push(...answer.items.map(({ text }) => text))
    if (texts.length === 2) await publish(world.as('cursor'), { to: 'codex', text: 'late' })
    page = answer.nextPage
    if (page === undefined) break
  }
  assert.equal(texts, ['0', '1', '2', '3', '4', 'late'])
  await refused(world.as('codex').call('message.inbox', { page: 'bogus' }), 'INVALID_PARAMS')
})

waits.run()
