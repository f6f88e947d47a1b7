import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../../src/bridge/index.js'
import { limits } from '../../src/protocol/limits.js'
import { type Role, roles } from '../../src/protocol/method.js'
import { type Actor, refused, scenario, type World } from '../world.js'

const test = suite('tokens')

const admin = (world: World): Actor => world.as('human', { role: 'admin' })

/** An agent that came in with a token of its own, as the guard would let it in. */
async function holder(world: World, agent: string, role: Role = 'agent', ratePerMinute?: number) {
  const made = await admin(world).call('token.create', { agent, role, ...(ratePerMinute && { ratePerMinute }) })
  const { tokenId, token } = made
  const grant = { role, agent, workspace: 'default', tokenId, ratePerMinute }
  const connect = () => world.connect(agent, { role, grant })
  return { tokenId, token, connect, actor: connect() }
}

scenario(
  test,
  'a token is told once: the rows and events name it, and hold neither its text nor its hash',
  async (world) => {
    const { tokenId, token } = await admin(world).call('token.create', { agent: 'codex' })
    assert.match(token, /^ab_default_[\w-]{43}$/)
    const { items } = await admin(world).call('token.list', {})
    const { createdAt, ...row } = items[0]!
    assert.equal([row, createdAt], [{ tokenId, agent: 'codex', role: 'agent', createdBy: 'human' }, world.now()])
    await admin(world).call('token.revoke', { tokenId })
    assert.equal((await admin(world).call('token.list', {})).items, [])
    const events = world.events({ types: ['token.created', 'token.revoked'] })
    assert.equal(
      events.map(({ type, subject }) => [type, subject]),
      [
        ['token.created', tokenId],
        ['token.revoked', tokenId],
      ],
    )
    const hash = createHash('sha256').update(token).digest('hex')
    const told = JSON.stringify([items, events, world.sql('SELECT body FROM tokens')])
    for (const secret of [token, token.slice(-43), hash]) assert.not.ok(told.includes(secret))
    assert.ok(JSON.stringify(world.log().map((event) => event.private)).includes(hash), 'the private part has the hash')
  },
)

scenario(test, 'tokens are listed oldest first, in pages, and by agent', async (world) => {
  const made: string[] = []
  for (const agent of ['b', 'a', 'b']) {
    made.push((await admin(world).call('token.create', { agent })).tokenId)
    await world.advance(1)
  }
  const first = await admin(world).call('token.list', { limit: 2 })
  const rest = await admin(world).call('token.list', { limit: 2, page: first.nextPage! })
  assert.equal(
    [...first.items, ...rest.items].map(({ tokenId }) => tokenId),
    made,
  )
  const own = await admin(world).call('token.list', { agent: 'b' })
  assert.equal(
    own.items.map(({ tokenId }) => tokenId),
    [made[0], made[2]],
  )
})

scenario(test, 'only an admin makes, lists and revokes; an observer only reads', async (world) => {
  const { tokenId, actor: codex } = await holder(world, 'codex')
  const { actor: watcher } = await holder(world, 'watcher', 'observer')
  for (const actor of [codex, watcher]) {
    await refused(actor.call('token.create', { agent: 'other' }), 'FORBIDDEN')
    await refused(actor.call('token.list', {}), 'FORBIDDEN')
    await refused(actor.call('token.revoke', { tokenId }), 'FORBIDDEN')
  }
  const before = world.head()
  for (const { name, role } of methods.values()) {
    if (role !== 'observer') await refused(watcher.ask(name, {}), 'FORBIDDEN')
  }
  await watcher.call('bridge.status', {})
  assert.is(world.head(), before, 'nothing has happened')
  const { actor: chief } = await holder(world, 'chief', 'admin')
  await chief.call('token.create', { agent: 'other' })
})

scenario(test, 'what a holder does is vouched for; what the operator does in the same name is not', async (world) => {
  const { actor } = await holder(world, 'codex')
  await actor.call('agent.update', { note: 'mine' })
  const operator = world.connect('codex', { role: 'admin', grant: { operator: true } })
  await operator.call('agent.update', { note: 'not mine' })
  const [own, other] = world.events({ types: ['agent.updated'] })
  assert.equal([own?.actor, own?.unverified, other?.actor, other?.unverified], ['codex', undefined, 'codex', true])
  const sent = { to: 'codex', text: 'hello' }
  const ids = [await actor.call('message.publish', sent), await operator.call('message.publish', sent)]
  const messages = await Promise.all(ids.map(({ messageId }) => actor.call('message.get', { messageId })))
  assert.equal(
    messages.map(({ from, role, unverified }) => [from, role, unverified]),
    [
      ['codex', 'agent', undefined],
      ['codex', 'admin', true],
    ],
  )
})

scenario(test, 'a token is for one name', async (world) => {
  const { tokenId } = await holder(world, 'codex')
  const grant = { agent: 'codex', workspace: 'default', tokenId }
  await refused(world.connect('cursor', { grant }).opened, 'FORBIDDEN')
})

scenario(
  test,
  'revoking closes the sockets of the token at once, of no other, and ends what waits on them',
  async (world) => {
    const { tokenId, actor: codex, connect } = await holder(world, 'codex')
    const second = connect()
    const cursor = (await holder(world, 'cursor')).actor
    await Promise.all([codex.opened, second.opened, cursor.opened])
    await cursor.call('lock.acquire', { resources: [{ resource: 'file:a' }] })
    await codex.call('event.subscribe', {})
    const waits = codex.call('lock.acquire', { resources: [{ resource: 'file:a' }], waitMs: 60_000 })
    const polls = codex.call('message.inbox', { waitMs: 50_000 })
    await world.idle()
    assert.is((await admin(world).call('lock.list', { state: 'waiting' })).items.length, 1)
    await admin(world).call('token.revoke', { tokenId })
    assert.equal([codex.closedWith(), second.closedWith(), cursor.closedWith()], [4403, 4403, undefined])
    await world.idle()
    assert.equal([waits.answered(), polls.answered()], [false, false])
    assert.is((await admin(world).call('lock.list', { state: 'waiting' })).items.length, 0)
    assert.ok(!JSON.stringify(codex.frames).includes('token.revoked'), 'who was put out is told nothing more')
    const { items } = await admin(world).call('agent.list', {})
    assert.is(items.find(({ agent }) => agent === 'codex')?.presence, 'offline')
    await world.advance(limits.graceMs + 1)
    assert.is(world.types().filter((type) => type === 'agent.lost').length, 2, 'its sessions had their grace')
  },
)

scenario(test, 'a command that was queued before the token was revoked has no effect after', async (world) => {
  const { tokenId, actor: codex } = await holder(world, 'codex')
  await codex.opened
  await admin(world).opened
  const revoking = admin(world).call('token.revoke', { tokenId })
  const late = codex.call('agent.update', { note: 'too late' })
  await revoking
  await refused(late, 'UNAUTHENTICATED')
  assert.equal(world.events({ types: ['agent.updated'] }), [])
})

scenario(test, 'a socket that is opened while its token is revoked does not come in', async (world) => {
  const { tokenId, connect } = await holder(world, 'codex')
  await admin(world).opened
  await admin(world).call('token.revoke', { tokenId })
  const late = connect()
  await refused(late.opened, 'UNAUTHENTICATED')
})

scenario(test, 'another token of the agent takes the session over, with what hangs on it', async (world) => {
  const { tokenId, actor } = await holder(world, 'codex')
  const { session, resumeKey = '' } = await actor.opened
  await actor.call('lock.acquire', { resources: [{ resource: 'file:a' }] })
  await admin(world).call('token.revoke', { tokenId })
  const { tokenId: next } = await admin(world).call('token.create', { agent: 'codex' })
  const grant = { agent: 'codex', workspace: 'default', tokenId: next }
  const again = world.connect('codex', { grant, resume: { session, resumeKey } })
  assert.ok((await again.opened).resumed)
  await world.advance(limits.graceMs + 1)
  assert.is((await again.call('lock.list', { state: 'held' })).items.length, 1)
})

scenario(
  test,
  'a token that is held to a rate is refused beyond it, over all its sockets, until it has waited',
  async (world) => {
    const { actor, connect } = await holder(world, 'codex', 'agent', 6)
    const second = connect()
    await Promise.all([actor.opened, second.opened])
    for (let call = 0; call < 2; call++) {
      await actor.call('bridge.status', {})
      await second.call('bridge.status', {})
    }
    const before = world.head()
    const { facts } = await refused(second.call('agent.update', { note: 'too much' }), 'RATE_LIMITED')
    assert.is(facts.retryAfterMs, 10_000)
    assert.is(world.head(), before)
    await admin(world).call('bridge.status', {})
    await world.advance(9_999)
    await refused(actor.call('bridge.status', {}), 'RATE_LIMITED')
    await world.advance(1)
    await actor.call('bridge.status', {})
    await refused(actor.call('bridge.status', {}), 'RATE_LIMITED')
  },
)

scenario(test, 'bad parameters make no token', async (world) => {
  const before = world.head()
  const wrong = [
    {},
    { agent: '' },
    { agent: 'bridge' },
    { agent: 'No' },
    { agent: 'a'.repeat(65) },
    { agent: 'a', role: 'operator' },
    { agent: 'a', role: null },
    { agent: 'a', ratePerMinute: 0 },
    { agent: 'a', ratePerMinute: 1.5 },
    { agent: 'a', ratePerMinute: -1 },
    { agent: 'a', ratePerMinute: limits.ratePerMinuteMax + 1 },
    { agent: 'a', idempotencyKey: 'k' },
    { agent: 'a', token: 'mine' },
  ]
  await admin(world).opened
  const head = world.head()
  for (const params of wrong) await refused(admin(world).ask('token.create', params), 'INVALID_PARAMS')
  for (const params of [{}, { tokenId: 1 }, { tokenId: 'x'.repeat(limits.idLength + 1) }, { tokenId: 'a', more: 1 }]) {
    await refused(admin(world).ask('token.revoke', params), 'INVALID_PARAMS')
  }
  for (const tokenId of ['', 'tok_none', 'ctr_none', "' OR 1"]) {
    await refused(admin(world).call('token.revoke', { tokenId }), 'NOT_FOUND')
  }
  assert.ok(head > before)
  assert.is(world.head(), head)
})

scenario(test, 'a workspace has so many tokens and no more', async (world) => {
  for (let made = 0; made < limits.workspaceTokens; made++) await admin(world).call('token.create', { agent: 'a' })
  await refused(admin(world).call('token.create', { agent: 'a' }), 'OVERLOADED')
  const [first] = (await admin(world).call('token.list', { limit: 1 })).items
  await admin(world).call('token.revoke', { tokenId: first!.tokenId })
  await admin(world).call('token.create', { agent: 'a' })
})

test('the roles rise', () => assert.equal(roles, ['observer', 'agent', 'admin']))

test.run()
