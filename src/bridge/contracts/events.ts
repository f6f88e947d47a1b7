import { event } from '../../protocol/method.js'
import { contracts } from './row.js'

// What can happen to a contract.

const noted = { note: 'what the caller said' }
export const created = event('contract.created', contracts, 'A task is offered.')
export const accepted = event('contract.accepted', contracts, 'An agent took it: an attempt begins.')
export const started = event('contract.started', contracts, 'Its locks are held and work begins.', {
  locks: 'the locks',
})
export const progressed = event('contract.progressed', contracts, 'The owner told how far it is.', noted)
export const updated = event(
  'contract.updated',
  contracts,
  'Its terms changed, or what it waits for, or an attempt was given time.',
  noted,
)
export const inputRequested = event('contract.inputRequested', contracts, 'The owner asks and waits for answers.', {
  ...noted,
  keys: 'of the questions',
})
export const inputProvided = event(
  'contract.inputProvided',
  contracts,
  'Questions were answered; with the last of them the work goes on.',
  { ...noted, keys: 'of the questions answered' },
)
export const verified = event('contract.verified', contracts, 'Another agent than the owner ran checks.', {
  ...noted,
  checks: 'their names',
})
export const completed = event('contract.completed', contracts, 'Done.', noted)
export const failed = event('contract.failed', contracts, 'Failed for good: no attempts left, or not retryable.')
export const attemptFailed = event(
  'contract.attemptFailed',
  contracts,
  'An attempt failed or was lost; it is offered again.',
)
export const releasedContract = event(
  'contract.released',
  contracts,
  'The owner gave it back; it is offered again.',
  noted,
)
export const rejected = event('contract.rejected', contracts, 'The assignee will not do it.', noted)
export const cancelRequested = event('contract.cancelRequested', contracts, 'The owner is asked to stop.', noted)
export const canceled = event('contract.canceled', contracts, 'Called off.', {
  ...noted,
  forced: 'true when the owner had not stopped in time',
})
export const retried = event('contract.retried', contracts, 'Offered again, with one more attempt.')
export const unblocked = event('contract.unblocked', contracts, 'Nothing stands against taking it any longer.')

export const blocked = event('contract.blocked', contracts, 'A contract it depends on ended without being completed.', {
  dependency: 'its id',
  status: 'how it ended',
})
export const dueDatePassed = event('contract.dueDatePassed', contracts, 'It is not done by its `dueAt`.')
