// `agent-bridge mcp` as agents run it: a process each, driven by the SDK's own client, in both eras of the protocol.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, makeHome, type RunningDaemon, removeHome, serve, until, type Wire } from '../socket.js'
import { type Host, startHost } from './host.js'

interface World {
  daemon: RunningDaemon & { stop(): Promise<void> }
  wire: Wire
  hosts: Host[]
  start(options?: { args?: string[]; era?: 'old' | 'new'; name?: string }): Promise<Host>
}

const stdio = suite<World>('mcp stdio')

stdio.before(async (world) => {
  world.daemon = await serve()
  world.wire = await connect(world.daemon, { agent: 'cursor', open: { workspace: 'test' } })
})
stdio.before.each((world) => {
  world.hosts = []
  world.start = async (options) => {
    const host = await startHost({ home: world.daemon.home, ...options })
    world.hosts.push(host)
    return host
  }
})
stdio.after.each(({ hosts }) => Promise.all(hosts.map((host) => host.close())).then(() => {}))
stdio.after(async ({ daemon, wire }) => {
  await wire.close()
  await daemon.stop()
})

const online = async (wire: Wire) => (await wire.ask('agent.list', { online: true })).items.map(({ agent }) => agent)

for (const era of ['old', 'new'] as const) {
  stdio(`a contract is done over tools, its creator hears of it (${era} protocol)`, async ({ start, wire }) => {
    const agent = `codex-${era}`
    const host = await start({ era, args: ['--agent', agent] })
    assert.is(host.client.getNegotiatedProtocolVersion(), era === 'old' ? '2025-11-25' : '2026-07-28')
    assert.match(host.client.getInstructions() ?? '', /contract_next/)
    const { tools } = await host.client.listTools()
    assert.ok(tools.length <= 12)
    const { id } = await wire.ask('contract.create', {
      title: 'Speed up',
      assignee: agent,
      resources: [{ resource: `file:${era}` }],
    })
    const { offers } = await host.ask('wait', { seconds: 0 })
    assert.equal(
      (offers as { id: string }[]).map((offer) => offer.id),
      [id],
    )
    const taken = await host.ask('contract_next')
    assert.equal([taken.id, taken.attempt, taken.createdBy], [id, 1, 'cursor'])
    const started = await host.ask('contract_start', { contractId: id, attempt: 1 })
    assert.is((started.contract as { status: string }).status, 'working')
    assert.is((started.locks as unknown[]).length, 1)
    await host.ask('contract_update', { contractId: id, attempt: 1, progress: 0.5, note: 'half' })
    const done = await host.ask('contract_set_status', { contractId: id, status: 'completed', result: { faster: 2 } })
    assert.is(done.status, 'completed')
    assert.equal((await wire.ask('contract.get', { contractId: id })).result, { faster: 2 })
  })
}

stdio('who gave itself no name gets one by its kind that is free, and the others see it', async ({ start, wire }) => {
  const [first, second] = await Promise.all([
    start({ name: 'codex-mcp-client' }),
    start({ name: 'codex-mcp-client', era: 'new' }),
  ])
  const chosen = async () => (await online(wire)).filter((agent) => /^codex(-\d)?$/.test(agent)).sort()
  assert.equal(await chosen(), [], 'nobody has asked for tools yet')
  await Promise.all([first.client.listTools(), second.client.listTools()])
  await until(async () => (await chosen()).length === 2, 'both to be seen')
  assert.equal(await chosen(), ['codex', 'codex-2'])
})

stdio('a process that ends lets go of what it holds, and its name', async ({ start, wire }) => {
  const host = await start({ args: ['--kind', 'claude'] })
  await host.ask('lock_acquire', { resources: [{ resource: 'file:held.ts' }] })
  assert.equal((await wire.ask('lock.list', { holder: 'claude' })).items.length, 1)
  await host.close()
  await until(async () => (await wire.ask('lock.list', { holder: 'claude' })).items.length === 0, 'the lock to go')
  assert.not.ok((await online(wire)).includes('claude'))
})

stdio('a refusal is a result that says why and what to do', async ({ start, wire }) => {
  const host = await start({ args: ['--agent', 'codex'] })
  const { lockId, token } = await wire.ask('lock.acquire', {
    resources: [{ resource: 'file:src/**' }],
    reason: 'moving',
  })
  const text = await host.refused('lock_acquire', { resources: [{ resource: 'file:src/a.ts' }] })
  assert.match(text, /^LOCK_CONFLICT: cursor holds/)
  assert.match(text, /"reason":"moving"/)
  assert.match(text, /may succeed later/)
  await wire.ask('lock.release', { lockId, token: token! })
  assert.match(await host.refused('contract_get', { contractId: 'none' }), /^NOT_FOUND/)
})

stdio('bad input is refused for each parameter, and nothing changes', async ({ start, wire }) => {
  const host = await start({ args: ['--agent', 'codex', '--profile', 'full'] })
  const before = (await wire.ask('bridge.status')).head
  const bad: [string, object, RegExp][] = [
    ['wait', { seconds: 46 }, /^INVALID_PARAMS: .*seconds/s],
    ['wait', { seconds: 'x' }, /^INVALID_PARAMS: .*seconds/s],
    ['wait', { acked: 'x' }, /^INVALID_PARAMS: .*acked/s],
    ['wait', { other: 1 }, /^INVALID_PARAMS: .*other/s],
    ['contract_create', {}, /^INVALID_PARAMS: .*title/],
    ['contract_create', { title: 1 }, /^INVALID_PARAMS: .*title/],
    ['contract_create', { title: 'x', titel: 'x' }, /^INVALID_PARAMS: .*titel/s],
    ['lock_acquire', { resources: [{ resource: '../x' }] }, /^BAD_RESOURCE/],
    ['lock_acquire', { resources: [{ resource: 'file:a' }], waitMs: 'long' }, /^INVALID_PARAMS: .*waitMs/],
    ['lock_acquire', { resources: [{ resource: 'file:a' }], waitMs: -1 }, /^INVALID_PARAMS: .*waitMs/],
    ['contract_next', { waitMs: 1e12 }, /^INVALID_PARAMS: .*waitMs/],
    ['message_publish', { to: 'cursor', text: 'x'.repeat(140_000) }, /^INVALID_PARAMS: .*text/],
    ['message_publish', { to: 'nobody-here', text: 'x' }, /^NOT_FOUND/],
  ]
  const problems: string[] = []
  for (const [tool, given, expected] of bad) {
    const text = await host.refused(tool, given)
    if (!expected.test(text)) problems.push(`${tool} ${JSON.stringify(given).slice(0, 60)}: ${text}`)
  }
  assert.equal(problems, [])
  const events = (await wire.ask('event.read', { after: before, limit: 1_000 })).events
  assert.equal(
    events.filter(({ actor, type }) => actor === 'codex' && !type.startsWith('agent.')),
    [],
  )
  let failure = ''
  await host.client.callTool({ name: 'no_such_tool', arguments: {} }).catch((error: Error) => {
    failure = error.message
  })
  assert.match(failure, /no_such_tool/)
})

stdio('tools are there before the daemon is, say so, work once it has come, and go on with another', async () => {
  const home = makeHome()
  const host = await startHost({ home, args: ['--agent', 'codex'] })
  try {
    assert.ok((await host.client.listTools()).tools.length > 0)
    assert.match(await host.refused('agent_list'), /No daemon runs in .*agent-bridge start/)
    const daemon = await serve(home)
    try {
      const { items } = await host.ask('agent_list')
      assert.equal(
        (items as { agent: string }[]).map(({ agent }) => agent),
        ['codex'],
      )
      const lock = await host.ask('lock_acquire', { resources: [{ resource: 'file:kept.ts' }] })
      await daemon.stop()
      const next = await serve(home)
      try {
        // The same session, and with it what it held.
        const { items: locks } = await host.ask('agent_list')
        assert.equal((locks as { locks: string[] }[])[0]?.locks, [lock.lockId])
      } finally {
        await next.stop()
      }
    } finally {
      await daemon.stop()
    }
  } finally {
    await host.close()
    removeHome(home)
  }
})

stdio.run()
