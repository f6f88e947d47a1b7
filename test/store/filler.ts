// A process that commits until its disk is full: `filler.ts <file>`. It prints what was acknowledged and refused, why
// the workspace failed, and `closed` when it could close the store all the same.

import { BridgeError } from '../../src/protocol/errors.js'
import { openWorkspace } from './workspace.js'

const TOGETHER = 8
const { store, engine, connect } = openWorkspace(process.argv[2] ?? '')
const say = (text: string) => process.stdout.write(`${text}\n`)
engine.signals.on('failed', (error) => say(`failed ${(error as { code?: string }).code}`))
const call = await connect('ada')

/** @returns whether all were acknowledged */
async function publish(): Promise<boolean> {
  const calls = Array.from({ length: TOGETHER }, () =>
    call('message.publish', { topic: 'tasks.load', text: 'x'.repeat(2_000) }),
  )
  const outcomes = await Promise.allSettled(calls)
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') say(`acknowledged ${outcome.value.cursor.split('-')[1]}`)
    else say(`refused ${outcome.reason instanceof BridgeError ? outcome.reason.reason : outcome.reason}`)
  }
  return outcomes.every(({ status }) => status === 'fulfilled')
}

while (await publish());
await publish()
await engine.stop()
store.close()
say('closed')
