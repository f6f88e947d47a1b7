// The Cursor side: offers a task to Codex, follows it, and does not believe "done" before it has seen for itself.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, connectLocal } from '../src/client/node.js'
import { CHECK, CHECK_COMMAND, contract, createLog, run } from './task.js'

const log = createLog('cursor')

const client = await connectLocal({ agent: 'cursor', kind: 'cursor', home: run.home })
log('connected', { session: client.session.session })
await waitFor(client, 'codex')
const sent = await client.call('message.publish', { to: 'codex', text: 'Please take this one.', contract })
const contractId = sent.contract?.id ?? ''
log('delegated', { contractId, messageId: sent.messageId, recipients: sent.recipients })
await followToTheEnd(client, contractId)
await verify(client, contractId)
await client.call('message.publish', { to: 'codex', text: 'Thank you, it does what it should.', contractId })
log('verified', { contractId })
await client.close()

/** A message to an agent that nobody has heard of is refused: wait until it is known. */
async function waitFor(client: Client, agent: string): Promise<void> {
  for await (const { subject } of client.events({ after: 'earliest', types: ['agent.registered'] })) {
    if (subject === agent) return
  }
}

async function followToTheEnd(client: Client, contractId: string): Promise<void> {
  for await (const event of client.events({ after: sent.cursor, contractId, types: ['contract.*'] })) {
    log('saw', { type: event.type, cursor: event.cursor })
    if (event.type === 'contract.completed') return
    if (['contract.failed', 'contract.rejected', 'contract.canceled'].includes(event.type)) {
      throw new Error(`the contract ended with ${event.type}`)
    }
  }
}

/** Looks at the files, runs the check anew, and reads what is recorded. */
async function verify(client: Client, contractId: string): Promise<void> {
  const done = await client.call('contract.get', { contractId })
  for (const { name, text } of done.artifacts) {
    if (readFileSync(join(run.repository, name), 'utf8') !== text) throw new Error(`${name} is not what was delivered`)
  }
  if (done.artifacts.length !== 2) throw new Error('artifacts are missing')
  const [evidence] = done.evidence
  if (evidence?.check !== CHECK || evidence.exitCode !== 0 || evidence.by !== 'codex') throw new Error('no evidence')
  const [command = '', ...args] = CHECK_COMMAND.split(' ')
  const { status } = spawnSync(command, args, { cwd: run.repository })
  if (status !== 0) throw new Error('the check fails here')
  const { items } = await client.call('contract.history', { contractId, limit: 100 })
  const types = items.map(({ type }) => type).filter((type) => type.startsWith('contract.'))
  log('checked', { history: types })
  for (const type of ['contract.created', 'contract.accepted', 'contract.started', 'contract.completed']) {
    if (!types.includes(type)) throw new Error(`the history lacks ${type}`)
  }
}
