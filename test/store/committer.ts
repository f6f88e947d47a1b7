// A process that commits through the real store and engine as fast as it can and prints each acknowledgement, until it
// is killed: `committer.ts <file> <agents> <plan>`. Plans:
//   run              just that
//   full:<n>         kills itself after n acknowledgements
//   normal:<n>       the same, with a store that believes it is synchronous=FULL and is NORMAL
//   append:<n>       kills itself at the n-th append; so do `put`, `commit` (before it) and `committed` (after it)

import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import type { Store } from '../../src/engine/ports.js'
import { type Call, openWorkspace } from './workspace.js'

const [, , file = '', agents = '1', plan = 'run'] = process.argv
const [step, times] = plan.split(':')
let left = Number(times)

if (step === 'normal') {
  const pragma = Database.prototype.pragma
  Database.prototype.pragma = function (source, options) {
    if (source === 'synchronous = FULL') return pragma.call(this, 'synchronous = NORMAL')
    return source === 'synchronous' ? 2 : pragma.call(this, source, options)
  }
}

/** Dies at the n-th time that the plan's step is passed. */
function passing(...names: string[]): void {
  if (step !== undefined && names.includes(step) && --left === 0) process.kill(process.pid, 'SIGKILL')
}

const mortal = (store: Store): Store => ({
  ...store,
  append(record) {
    store.append(record)
    passing('append')
  },
  put(table, row, json, secret) {
    store.put(table, row, json, secret)
    passing('put')
  },
  async commit() {
    passing('commit')
    await store.commit()
    passing('committed')
  },
})

const { engine, connect } = openWorkspace(file, mortal)
let acknowledged = 0

/** What was answered is committed, and so is all that came before it. */
function acknowledge(): void {
  const { head } = engine.bounds()
  if (head === acknowledged) return
  acknowledged = head
  process.stdout.write(`acknowledged ${head}\n`)
  passing('full', 'normal')
}

/** Every table gets rows, changes and, but for agents, deletions or settled ones. */
async function work(agent: string, call: Call): Promise<void> {
  const asked: Call = async (name, params) => {
    const result = await call(name, params)
    acknowledge()
    return result
  }
  await asked('message.publish', { topic: 'tasks.load', text: 'x'.repeat(200) })
  const contract = await asked('contract.create', {
    title: 'load',
    tags: ['load'],
    resources: [{ resource: `port:${agent}` }],
  })
  await asked('contract.accept', { contractId: contract.id })
  await asked('contract.start', { contractId: contract.id, attempt: 1 })
  const lock = await asked('lock.acquire', { resources: [{ resource: `file:${agent}/**` }] })
  const { messageId } = await asked('message.publish', { to: agent, text: 'y'.repeat(200) })
  await asked('message.ack', { messageIds: [messageId] })
  await asked('lock.release', { lockId: lock.lockId, token: lock.token ?? 0 })
  await asked('contract.complete', { contractId: contract.id, attempt: 1 })
}

/** Until the idle checkpoint has copied the WAL into the database, as it does when there is nothing to do. */
async function rest(): Promise<void> {
  const before = statSync(file).size
  while (statSync(file).size === before) await new Promise((resolve) => setTimeout(resolve, 20))
}

const calls = await Promise.all(
  Array.from({ length: Number(agents) }, async (_, index) => {
    const agent = `agent-${index}`
    return { agent, call: await connect(agent) }
  }),
)
for (let round = 1; ; round++) {
  await Promise.all(calls.map(({ agent, call }) => work(agent, call)))
  if (round === 3 && (step === 'full' || step === 'normal')) await rest()
}
