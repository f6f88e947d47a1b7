// Words for an agent that works: messages, questions and their answers, and what is told of it live.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, until } from '../socket.js'
import { openScene, type Scene } from './scene.js'

const work = suite<{ scene: Scene }>('words')

work.before.each(async (context) => {
  context.scene = await openScene()
})
work.after.each(({ scene }) => scene.end())

work('a message is shown to the agent in a turn that follows, and its sender told so', async ({ scene }) => {
  await scene.worker('codex')
  const id = await scene.offer({
    do: [{ edit: { path: 'begun', content: '' } }, { until: 'go' }, { say: 'first turn' }],
  })
  await until(() => existsSync(join(scene.repository, 'begun')), 'the agent to begin')
  const { messageId } = await scene.human.call('message.publish', { to: 'codex', text: 'use tabs' })
  scene.write('go', '')
  const done = await scene.reach(id, 'completed', 'failed')
  assert.match(
    (done.result as { message: string }).message,
    /^read: Message .* from the agent "human" \(admin\).*\nuse tabs/s,
  )
  const { receipts } = await scene.human.call('message.get', { messageId })
  assert.is(receipts?.codex?.state, 'injected')
})

work('a message to an idle agent is answered with the truth', async ({ scene }) => {
  await scene.worker('codex')
  await scene.human.call('message.publish', { to: 'codex', text: 'hello' })
  await until(async () => (await scene.human.call('message.inbox', {})).items.length === 1, 'an answer')
  const { items } = await scene.human.call('message.inbox', {})
  assert.match(items[0]?.text ?? '', /nobody has read this yet/)
  const id = await scene.offer({ do: [{ say: 'done' }] })
  await scene.reach(id, 'completed')
})

work('a question ends the turn; its answer begins the next, in the same session', async ({ scene }) => {
  await scene.worker('codex')
  const id = await scene.offer({ do: [{ edit: { path: 'begun', content: '' } }, { until: 'go' }, { say: 'asked' }] })
  await until(() => existsSync(join(scene.repository, 'begun')), 'the agent to begin')
  // As the agent would, by its tool of the bridge.
  const agent = await scene.as('codex')
  const requests = [{ key: 'style', prompt: 'Tabs or spaces?' }]
  await agent.call('contract.requestInput', { contractId: id, attempt: 1, requests })
  scene.write('go', '')
  await scene.human.call('contract.provideInput', { contractId: id, responses: { style: 'tabs' } })
  const done = await scene.reach(id, 'completed', 'failed')
  assert.match(
    (done.result as { message: string }).message,
    /You asked: Tabs or spaces\?\nThe answer of "human": "tabs"/,
  )
})

work('what the agent says and does goes to who follows it live, as signals', async ({ scene }) => {
  await scene.worker('codex')
  const id = await scene.offer({ do: [{ edit: { path: 'begun', content: '' } }, { until: 'go' }, { say: 'hello' }] })
  const { token } = await scene.human.call('token.create', { agent: 'watcher' })
  const wire = await connect(
    { url: scene.url, token },
    { agent: 'watcher', open: { workspace: scene.human.session.workspace } },
  )
  await wire.ask('event.subscribe', { topics: [`work.${id}`] })
  await until(() => existsSync(join(scene.repository, 'begun')), 'the agent to begin')
  scene.write('go', '')
  await until(() => JSON.stringify(wire.inbox).includes('says: hello'), 'a signal')
  await wire.close()
})

work.run()
