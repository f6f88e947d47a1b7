import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type Message, serve, until, type Wire } from '../socket.js'

const ROUNDS = 200
const RIVALS = 64

const test = suite('the wire: races for one contract')
const daemon = await serve()
let rivals: Wire[]

test.before(async () => {
  const agents = Array.from({ length: RIVALS }, (_, n) => `rival-${n}`)
  rivals = await Promise.all(agents.map((agent) => connect(daemon, { agent })))
})
test.after(async () => {
  await Promise.all(rivals.map((rival) => rival.close()))
  await daemon.stop()
})

const rival = (n: number) => rivals[n % RIVALS] as Wire

test(`${RIVALS} sockets accept one contract at once, ${ROUNDS} times: one wins, and the others are told that they lost`, async () => {
  const winners = new Set<number>()
  for (let round = 0; round < ROUNDS; round++) {
    const { id: contractId } = await rival(round).ask('contract.create', { title: `round ${round}` })
    // Whoever calls first is another each time.
    const order = rivals.map((_, n) => rival(n + round * 7))
    const answers = await Promise.all(order.map((wire) => wire.call('contract.accept', { contractId })))
    const won = answers.filter(({ result }) => result !== undefined)
    assert.is(won.length, 1, `round ${round}`)
    const lost = answers.filter(({ error }) => error?.data.reason === 'CLAIM_LOST')
    assert.is(lost.length, RIVALS - 1, `round ${round}`)
    const winner = answers.findIndex(({ result }) => result !== undefined)
    winners.add((winner + round * 7) % RIVALS)
    const { owner, attempt, generation } = await rival(0).ask('contract.get', { contractId })
    assert.equal(
      { owner, attempt, generation },
      { owner: `rival-${(winner + round * 7) % RIVALS}`, attempt: 1, generation: 2 },
    )
    assert.is(lost[0]?.error?.data.owner, owner)
    const again = await order[winner]?.ask('contract.accept', { contractId })
    assert.equal({ owner: again?.owner, generation: again?.generation }, { owner, generation }, 'the contract again')
  }
  assert.ok(winners.size > 1, 'the race is not always won by the same')
})

test('one contract and 64 that ask for work: one gets it, the others nothing', async () => {
  const { events } = await rival(0).ask('event.read', { after: 'latest' })
  assert.equal(events, [])
  for (let round = 0; round < 50; round++) {
    const { id } = await rival(round).ask('contract.create', { title: 'work' })
    const answers = await Promise.all(rivals.map((wire) => wire.ask('contract.next')))
    assert.equal(
      answers.flatMap((contract) => contract?.id ?? []),
      [id],
      `round ${round}`,
    )
  }
})

test('64 that wait for work, and one contract at a time: each contract goes to one of them', async () => {
  const waits = rivals.map((wire) => wire.ask('contract.next', { waitMs: 60_000 }))
  const creator = await connect(daemon, { agent: 'creator' })
  const created: string[] = []
  for (let n = 0; n < RIVALS; n++) created.push((await creator.ask('contract.create', { title: 'awaited' })).id)
  const given = await Promise.all(waits)
  assert.equal(given.map((contract) => contract?.id).sort(), created.sort())
  assert.is(new Set(given.map((contract) => contract?.owner)).size, RIVALS)
  await creator.close()
})

test('a wait for work that ends as work comes gives it or does not, and is answered once', async () => {
  const told = new Map<string, number>()
  let ended = false
  const workers = rivals.slice(0, 16).map(async (wire) => {
    while (!ended) {
      const contract = await wire.ask('contract.next', { waitMs: 1 + Math.floor(Math.random() * 3) })
      if (contract) told.set(contract.id, (told.get(contract.id) ?? 0) + 1)
    }
  })
  const created = new Set<string>()
  for (let n = 0; n < 800; n++) created.add((await rival(20).ask('contract.create', { title: 'brief' })).id)
  const left = async () => (await rival(20).ask('contract.list', { ready: true, limit: 1 })).items.length
  await until(async () => (await left()) === 0, 'all to be taken')
  ended = true
  await Promise.all(workers)
  const untold = [...created].filter((id) => !told.has(id))
  assert.equal(untold, [], 'nobody owns what nobody was given')
  assert.ok([...told.values()].every((times) => times === 1))
  for (const { inbox } of rivals) {
    const ids = (inbox as Message[]).map(({ id }) => id)
    assert.is(new Set(ids).size, ids.length, 'one answer each')
  }
})

test('64 that want one lock: one holds it at a time, in the order in which they asked', async () => {
  const got: Array<{ lockId: string; token: number }> = []
  let holders = 0
  await Promise.all(
    rivals.map(async (wire) => {
      const { lockId, token = 0 } = await wire.ask('lock.acquire', {
        resources: [{ resource: 'file:src/**' }],
        waitMs: 60_000,
      })
      got.push({ lockId, token })
      assert.is(++holders, 1)
      assert.ok((await wire.ask('lock.check', { resource: 'file:src/a.ts' })).mine)
      holders--
      await wire.ask('lock.release', { lockId, token })
    }),
  )
  assert.is(new Set(got.map(({ lockId }) => lockId)).size, RIVALS)
  // Ids rise in the order of the requests, tokens in that of the grants.
  const asked = [...got].sort((a, b) => (a.lockId < b.lockId ? -1 : 1))
  assert.equal(
    asked,
    [...got].sort((a, b) => a.token - b.token),
  )
})

test.run()
