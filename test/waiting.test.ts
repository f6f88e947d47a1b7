import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createWaiting, type Outcome, type WaitingCall } from '../src/engine/waiting.js'
import { BridgeError } from '../src/protocol/errors.js'
import type { Happened } from '../src/protocol/method.js'
import { createFakeClock } from './world.js'

const waiting = suite('calls that wait')
const event = { seq: 7, subject: 'it', type: 'lock.acquired', data: {} } as unknown as Happened

waiting('a bug in what one waits for is reported and told to that one alone; a refusal is no bug', () => {
  const faults: unknown[] = []
  const calls = createWaiting(createFakeClock(), (error) => {
    faults.push(error)
    return { refusal: new BridgeError('INTERNAL', 'a fault') }
  })
  const outcomes: Outcome[] = []
  const wait = (answer: () => unknown, since = 0) => {
    const askers: WaitingCall['askers'] = [{ owner: {}, done: (outcome) => outcomes.push(outcome) }]
    const parked = { parked: 'for-event' as const, subjects: ['it'], answer, abandon() {} }
    calls.add({ parked, since, askers, runAgain() {} })
  }
  const bug = new TypeError('a bug')
  wait(() => {
    throw bug
  })
  wait(() => {
    throw new BridgeError('WAIT_TIMEOUT', 'in vain')
  })
  wait(() => 'there')
  wait(() => 'what was before it began to wait', 7)
  calls.committed([event])
  assert.equal(faults, [bug])
  assert.equal(
    outcomes.map((outcome) => ('result' in outcome ? outcome.result : outcome.refusal.reason)),
    ['INTERNAL', 'WAIT_TIMEOUT', '"there"'],
  )
})

waiting.run()
