import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { signalRow } from '../../src/bridge/messages/row.js'
import { limits } from '../../src/protocol/limits.js'
import { type Actor, refused, scenario, type World } from '../world.js'

// Ephemeral messages to a topic: pushed to whoever follows live and has room, and kept nowhere.

const signals = suite('messages: signals')

const publish = (actor: Actor, text: string, params: Record<string, unknown> = {}) =>
  actor.call('message.publish', { topic: 'out.codex', text, ephemeral: true, ...params })

const heard = ({ frames }: Actor, subscription?: number) =>
  frames
    .filter(
      ({ method, params }) => method === 'signals' && params.subscription === (subscription ?? params.subscription),
    )
    .flatMap(({ params }) => params.signals ?? [])
    .map((signal) => signalRow.parse(signal))

const texts = (actor: Actor, subscription?: number) => heard(actor, subscription).map(({ text }) => text)

async function follow(world: World, agent: string, params: Record<string, unknown> = {}) {
  const { subscription } = await world.as(agent).call('event.subscribe', params)
  await world.idle()
  return subscription
}

scenario(signals, 'those who follow the topic hear it; nothing is stored', async (world) => {
  await follow(world, 'human', { topics: ['out.>'] })
  await follow(world, 'gemini', { topics: ['other'] })
  const codex = world.as('codex')
  await codex.opened
  const head = world.head()
  const sent = await publish(codex, 'compiling')
  assert.equal([sent.delivered, sent.recipients, sent.cursor], [1, [], `${world.engine.bounds().epoch}-${head}`])
  assert.equal(heard(world.as('human')), [
    {
      messageId: sent.messageId,
      from: 'codex',
      role: 'agent',
      topic: 'out.codex',
      text: 'compiling',
      sentAt: world.now(),
    },
  ])
  assert.equal(texts(world.as('gemini')), [])
  assert.is(world.head(), head)
  await refused(codex.call('message.get', { messageId: sent.messageId }), 'NOT_FOUND')
})

scenario(signals, 'filters know them by topic, contract and type; nobody is a party to one', async (world) => {
  const codex = world.as('codex')
  const { id: contractId } = await codex.call('contract.create', { title: 'x' })
  const all = await follow(world, 'human')
  const contract = await follow(world, 'human', { contractId })
  const only = await follow(world, 'human', { types: ['message.signalled'] })
  const noun = await follow(world, 'human', { types: ['message.*'] })
  const events = await follow(world, 'human', { types: ['message.published'] })
  const mine = await follow(world, 'human', { mine: true })
  assert.is((await publish(codex, 'about it', { contractId })).delivered, 1, 'a socket counts once')
  await publish(codex, 'about nothing')
  const human = world.as('human')
  assert.equal(
    [all, contract, only, noun, events, mine].map((subscription) => texts(human, subscription)),
    [['about it', 'about nothing'], ['about it'], ['about it', 'about nothing'], ['about it', 'about nothing'], [], []],
  )
  assert.is(heard(human, contract)[0]?.contractId, contractId)
})

scenario(signals, 'who has no room, or is not live yet, misses them; the log they get whole', async (world) => {
  const human = world.as('human')
  const codex = world.as('codex')
  await codex.opened
  await follow(world, 'human', { topics: ['out.codex'] })
  human.drains(false)
  assert.is((await publish(codex, 'missed')).delivered, 0)
  await codex.call('message.publish', { topic: 'out.codex', text: 'kept' })
  human.drains(true)
  await world.idle()
  assert.is((await publish(codex, 'heard')).delivered, 1)
  assert.equal(texts(human), ['heard'])
  assert.equal(
    human.frames
      .flatMap(({ params }) => params.events ?? [])
      .map(({ data }) => (data.message as { text: string }).text),
    ['kept'],
  )
  await human.drop()
  assert.is((await publish(codex, 'to nobody')).delivered, 0)
})

scenario(signals, 'whoever still reads what was before hears none', async (world) => {
  const [human, codex] = [world.as('human'), world.as('codex')]
  await Promise.all([human.opened, codex.opened])
  await Promise.all(Array.from({ length: 3_000 }, (_, n) => codex.call('agent.update', { note: `${n}` })))
  const subscribed = human.call('event.subscribe', { after: 'earliest', topics: ['out.codex'] })
  const missed = publish(codex, 'missed')
  await subscribed
  assert.is((await missed).delivered, 0)
  await world.idle()
  assert.is((await publish(codex, 'heard')).delivered, 1)
  assert.equal(texts(human), ['heard'])
})

scenario(signals, 'they come behind the events of what was done before, in the order sent', async (world) => {
  const human = world.as('human')
  await follow(world, 'human')
  const codex = world.as('codex')
  await codex.opened
  await world.idle()
  const before = human.frames.length
  codex.pipeline('message.publish', { topic: 'out.codex', text: 'first', ephemeral: true })
  codex.pipeline('contract.create', { title: 'x' })
  codex.pipeline('message.publish', { topic: 'out.codex', text: 'second', ephemeral: true })
  await world.idle()
  assert.equal(
    human.frames
      .slice(before)
      .map(({ method, params }) => params.events?.[0]?.type ?? [method, params.signals?.length]),
    ['contract.created', ['signals', 2]],
  )
  assert.equal(texts(human), ['first', 'second'])
})

scenario(signals, 'more than a frame holds goes in several', async (world) => {
  const human = world.as('human')
  await follow(world, 'human')
  const codex = world.as('codex')
  await codex.opened
  const text = 'x'.repeat(limits.textLength)
  const all = [1, 2, 3].map(() => codex.pipeline('message.publish', { topic: 'a', text, ephemeral: true }))
  await Promise.all(all)
  const frames = human.frames.filter(({ method }) => method === 'signals')
  assert.ok(frames.length > 1, `${frames.length} frames`)
  assert.is(texts(human).length, 3)
})

scenario(signals, 'they go to a topic only, and bring nothing that would have to be kept', async (world) => {
  const codex = world.as('codex')
  await codex.opened
  const { messageId } = await codex.call('message.publish', { to: 'codex', text: 'x' })
  await refused(codex.call('message.publish', { to: 'codex', text: 'x', ephemeral: true }), 'INVALID_PARAMS')
  await refused(publish(codex, 'x', { contract: { title: 'x' } }), 'INVALID_PARAMS')
  await refused(publish(codex, 'x', { replyTo: messageId }), 'INVALID_PARAMS')
  await refused(publish(codex, 'x', { contractId: 'ctr_none' }), 'NOT_FOUND')
  await refused(publish(codex, 'x', { text: undefined }), 'INVALID_PARAMS')
  await refused(publish(codex, 'x', { ephemeral: 1 }), 'INVALID_PARAMS')
  const observer = world.as('watcher', { role: 'observer' })
  await refused(publish(observer, 'x'), 'FORBIDDEN')
})

signals.run()
