// Messages to a worker whose agent has no task: a turn of their own, if the worker was told to.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectLocal } from '../../src/client/node.js'
import { marked } from '../../src/workers/tree.js'
import { until } from '../socket.js'
import { openScene, type Scene, type Step, steps } from './scene.js'

const TALKER = join(import.meta.dirname, '..', 'fixtures', 'talker.mjs')
const answering = { answerMessages: true }
const spoken = { ...answering, binary: TALKER, plain: false }
const messages = suite<{ scene: Scene }>('messages to idle agents')

messages.before.each(async (context) => {
  context.scene = await openScene()
})
messages.after.each(({ scene }) => scene.end())

const send = async ({ human }: Scene, to: string, what: Step[] | string): Promise<string> => {
  const text = typeof what === 'string' ? what : steps(what)
  return (await human.call('message.publish', { to, text })).messageId
}

/** What was answered to a message; of all answers, in order. */
async function answersTo({ human }: Scene, messageId: string): Promise<string[]> {
  const { items } = await human.call('message.inbox', { state: 'all' })
  return items.filter(({ replyTo }) => replyTo === messageId).map(({ text = '' }) => text)
}

async function answerTo(scene: Scene, messageId: string): Promise<string> {
  await until(async () => (await answersTo(scene, messageId)).length > 0, `an answer (${scene.lines.join('; ')})`)
  const [first = '', ...more] = await answersTo(scene, messageId)
  assert.equal(more, [], 'one answer')
  return first
}

const stateOf = async ({ human }: Scene, messageId: string, agent = 'codex') =>
  (await human.call('message.get', { messageId })).receipts?.[agent]?.state

const lineCount = ({ lines }: Scene, pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length
const running = (): number => marked('').filter(({ run }) => run.includes('/messages/msg_')).length

messages('unless it was told to, a worker begins no turn for a message, and says so', async ({ scene }) => {
  await scene.worker('codex')
  const id = await send(scene, 'codex', [{ say: 'never' }])
  assert.match(await answerTo(scene, id), /codex has no task now, and nobody has read this yet/)
  assert.is(await stateOf(scene, id), 'sent')
})

for (const kind of ['codex', 'claude'] as const) {
  messages(
    `${kind}: the model is shown who says it and as what, and its last words are the answer`,
    async ({ scene }) => {
      await scene.worker(kind, spoken)
      const id = await send(scene, kind, 'which tests are slow?')
      const answer = await answerTo(scene, id)
      assert.match(answer, /^read: You are the agent ".*", .*no task now/)
      assert.match(answer, new RegExp(`Message ${id} from the agent "human" \\(admin\\).*:\nwhich tests are slow\\?`))
      assert.is(await stateOf(scene, id, kind), 'injected')
      await until(async () => {
        const { items } = await scene.human.call('agent.list', {})
        return items.some(({ agent, presence }) => agent === kind && presence === 'idle')
      }, 'the agent to be idle again')
    },
  )

  messages(`${kind}: what comes meanwhile goes into the running turn, which answers it too`, async ({ scene }) => {
    await scene.worker(kind, spoken)
    const first = await send(scene, kind, [{ say: 'begun' }, { listen: true }])
    await until(async () => (await stateOf(scene, first, kind)) === 'injected', 'the turn to begin')
    const second = await send(scene, kind, 'and this')
    assert.match(await answerTo(scene, first), /^heard: .*and this$/s)
    assert.match(await answerTo(scene, second), /^heard: .*and this$/s)
    assert.is(await stateOf(scene, second, kind), 'injected')
    assert.is(lineCount(scene, /has answered/), 1)
  })

  messages(`${kind}: an edit is refused, unless the agent has locked the file`, async ({ scene }) => {
    await scene.worker(kind, spoken)
    const own = await scene.as(kind)
    await own.call('lock.acquire', { resources: [{ resource: 'file:locked' }], ttlMs: 60_000 })
    const what = [{ edit: { path: 'locked' } }, { edit: { path: 'free' } }, { listen: true as const }]
    const id = await send(scene, kind, what)
    assert.match(await answerTo(scene, id), /heard: .*free is not among the files that are locked for you/s)
    assert.equal(
      [existsSync(join(scene.repository, 'locked')), existsSync(join(scene.repository, 'free'))],
      [true, false],
    )
    assert.is((await scene.human.call('lock.list', { holder: kind })).items.length, 1, 'nothing was locked by an edit')
  })
}

messages('several that wait at the start are one turn; who has no words says so', async ({ scene }) => {
  await scene.as('codex')
  const ids = [await send(scene, 'codex', [{ say: 'both of you: yes' }]), await send(scene, 'codex', 'is it?')]
  await scene.worker('codex', answering)
  for (const id of ids) assert.is(await answerTo(scene, id), 'both of you: yes')
  for (const id of ids) assert.is(await stateOf(scene, id), 'injected')
  assert.is(lineCount(scene, /has answered human/), 1)
  const silent = await send(scene, 'codex', [{ shell: 'true' }])
  assert.match(await answerTo(scene, silent), /said nothing/)
})

messages(
  'an agent that cannot be spoken with has a turn for each that came meanwhile, never two at once',
  async ({ scene }) => {
    await scene.worker('codex', answering)
    const busy = 'test ! -e busy && touch busy && sleep 0.2 && rm busy || touch clash'
    const ids = []
    for (let n = 0; n < 3; n++) ids.push(await send(scene, 'codex', [{ shell: busy }, { say: 'done' }]))
    const contract = await scene.offer({ assignee: 'codex', do: [{ shell: busy }, { say: 'done' }] })
    for (const id of ids) await until(async () => (await stateOf(scene, id)) === 'injected', 'it to be read')
    await scene.reach(contract, 'completed')
    assert.not.ok(existsSync(join(scene.repository, 'clash')), 'two turns ran at once')
  },
)

messages('a contract that waits comes first, and one that comes meanwhile comes next', async ({ scene }) => {
  await scene.as('codex')
  const contract = await scene.offer({ assignee: 'codex', do: [{ say: 'done' }] })
  await scene.worker('codex', answering)
  await scene.reach(contract, 'completed')
  const first = await send(scene, 'codex', [{ say: 'begun' }, { until: 'go' }, { say: 'answered' }])
  await until(async () => (await stateOf(scene, first)) === 'injected', 'the turn to begin')
  const next = await scene.offer({ assignee: 'codex', do: [{ say: 'done' }] })
  const second = await send(scene, 'codex', 'later')
  scene.write('go', '')
  assert.is(await answerTo(scene, first), 'answered')
  await scene.reach(next, 'completed')
  const told = scene.lines.filter((line) => /has answered|is done/.test(line)).map((line) => line.split(' ').at(-1))
  assert.equal(told.slice(0, 3), ['done', 'human', 'done'])
  assert.is(await stateOf(scene, second), 'injected', 'it was shown with the contract')
})

messages('a turn that fails says so, and is not begun again', async ({ scene }) => {
  await scene.worker('codex', answering)
  const limited = await send(scene, 'codex', [{ say: 'begun' }, { fail: 'unexpected status 429 Too Many Requests' }])
  assert.match(await answerTo(scene, limited), /codex has read this, .*RATE_LIMITED.*send it again/)
  const unread = await send(scene, 'codex', [{ die: 'segmentation fault' }])
  assert.match(await answerTo(scene, unread), /^Nobody has read this yet.*AGENT_FAILED: segmentation fault/)
  assert.is(await stateOf(scene, unread), 'sent')
  const fine = await send(scene, 'codex', [{ say: 'fine' }])
  assert.is(await answerTo(scene, fine), 'fine')
  assert.is(lineCount(scene, /could not answer/), 2)
  assert.is((await answersTo(scene, unread)).length, 1)
})

messages('a silent agent is ended, and with it what it started', async ({ scene }) => {
  await scene.worker('codex', { ...answering, stallMs: 3_000 })
  const id = await send(scene, 'codex', [{ orphan: 'trap "" TERM; while :; do sleep 1; done' }, { sleepMs: 600_000 }])
  assert.match(await answerTo(scene, id), /STALLED/)
  assert.is(running(), 0)
})

messages(
  'a worker that is stopped ends the turn and says so; who is not logged in ends the worker',
  async ({ scene }) => {
    const worker = await scene.worker('codex', answering)
    const id = await send(scene, 'codex', [{ say: 'begun' }, { sleepMs: 600_000 }])
    await until(async () => (await stateOf(scene, id)) === 'injected', 'the turn to begin')
    worker.stop()
    assert.is(await worker.ended, undefined)
    assert.match(await answerTo(scene, id), /WORKER_STOPPED/)
    assert.is(running(), 0)
    const second = await scene.worker('codex', answering)
    const denied = await send(scene, 'codex', [{ fail: 'unexpected status 401 Unauthorized: bad key' }])
    assert.match(await answerTo(scene, denied), /NOT_LOGGED_IN/)
    assert.match((await second.ended) ?? '', /401/)
  },
)

messages(
  'an agent’s answer, and a message to all of a capability, begin no turn; a person’s answer does',
  async ({ scene }) => {
    const { human, home, repository: cwd } = scene
    await scene.worker('codex', answering)
    const first = await send(scene, 'codex', [{ say: 'hello' }])
    await answerTo(scene, first)
    const { token } = await human.call('token.create', { agent: 'peer' })
    const peer = await connectLocal({ agent: 'peer', home, cwd, env: { AGENT_BRIDGE_TOKEN: token } })
    try {
      await peer.call('message.publish', { to: 'codex', replyTo: first, text: 'for ever' })
      const { messageId } = await human.call('message.publish', { capability: 'codex', text: 'all of you' })
      assert.match(await answerTo(scene, messageId), /nobody has read this yet/)
      const again = await human.call('message.publish', {
        to: 'codex',
        replyTo: first,
        text: steps([{ say: 'again' }]),
      })
      assert.is(await answerTo(scene, again.messageId), 'again')
      assert.is(lineCount(scene, /has answered/), 2)
      assert.equal((await peer.call('message.inbox', { state: 'all' })).items, [])
    } finally {
      await peer.close()
    }
  },
)

messages.run()
