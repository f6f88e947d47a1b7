import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { refused, scenario } from '../world.js'

// Who goes in the very moment in which something is about to happen for it.

const gone = suite('who is gone')
const resources = [{ resource: 'port:1' }]

scenario(gone, 'begins no wait with a command that was still on its way', async (world) => {
  await world.as('codex').call('lock.acquire', { resources })
  const gemini = world.as('gemini')
  await gemini.opened
  void gemini.call('lock.acquire', { resources, waitMs: 600_000 }).catch(() => {})
  void gemini.call('contract.next', { waitMs: 600_000 }).catch(() => {})
  await gemini.drop()
  await world.idle()
  assert.equal((await world.as('watcher').call('lock.list', { state: 'waiting' })).items, [])
  const alive = world.as('claude').call('contract.next', { waitMs: 600_000 })
  await world.idle()
  await world.as('cursor').call('contract.create', { title: 'for who is here' })
  assert.is((await alive)?.owner, 'claude')
})

scenario(gone, 'leaves no lock behind that was granted as it went', async (world) => {
  const { lockId, token } = await world.as('codex').call('lock.acquire', { resources })
  const gemini = world.as('gemini')
  void gemini.call('lock.acquire', { resources, waitMs: 600_000 }).catch(() => {})
  await world.idle()
  const released = world.as('codex').call('lock.release', { lockId, token: token! })
  await gemini.drop()
  await released
  await world.idle()
  assert.equal((await world.as('watcher').call('lock.list', {})).items, [])
})

scenario(gone, 'an attempt that ends as its locks come free has its start answered', async (world) => {
  const { id: contractId } = await world.as('cursor').call('contract.create', { title: 't', resources })
  const { attempt } = await world.as('codex').call('contract.accept', { contractId })
  const own = [{ resource: 'port:2' }]
  await world.as('codex').call('lock.acquire', { resources: own, ttlMs: 10_000, contractId, attempt })
  await world.as('gemini').call('lock.acquire', { resources, ttlMs: 10_000 })
  const start = world.as('codex').call('contract.start', { contractId, attempt, waitMs: 600_000 })
  await world.idle()
  await world.advance(10_001)
  await world.advance(limits.retryBackoffMs)
  const { answered } = start
  assert.ok(answered(), 'it does not wait for ever')
  await refused(start, 'STALE_ATTEMPT')
})

gone.run()
