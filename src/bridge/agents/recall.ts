import { formatCursor } from '../../protocol/cursor.js'
import { limits } from '../../protocol/limits.js'
import type { Find, Read } from '../../protocol/method.js'
import { type Contract, contracts, openStatuses, type Status } from '../contracts/row.js'
import { cut, quoted } from '../fields.js'
import { locks } from '../locks/row.js'
import { inboxKey, type Message, messages } from '../messages/row.js'
import type { Entry } from './digest.js'

// What an agent that lost its context is told, each thing in a line or a few, with whoever said what.

/** `length`: of each peer's text, at most, in characters. */
export interface Given {
  read: Read
  agent: string
  length: number
}

interface Told<Value> {
  entries: Entry<Value>[]
  open: boolean
}

/** As many as are looked at, and whether there are others. */
function few<Row, Value>(rows: readonly Row[], tell: (row: Row) => Entry<Value>): Told<Value> {
  return { entries: rows.slice(0, limits.briefRows).map(tell), open: rows.length > limits.briefRows }
}

const findContracts = (read: Read, find: Find): Contract[] =>
  read.find(contracts, { ...find, limit: limits.briefRows + 1 })

const ownOf = ({ read, agent }: Given): Contract[] =>
  findContracts(read, { where: { owner: agent, status: openStatuses } }).sort(
    // What it is to stop comes first.
    (a, b) => Number(b.cancelRequestedAt !== undefined) - Number(a.cancelRequestedAt !== undefined),
  )

const isOpenRequest = ({ answeredAt }: Contract['inputRequests'][number]): boolean => answeredAt === undefined

const inFlight: readonly Status[] = ['submitted', ...openStatuses]

export const openOf = (given: Given) => few(ownOf(given), (contract) => tellContract(contract, given.length))

export const offeredTo = ({ read, agent, length }: Given) =>
  few(findContracts(read, { where: { ready: 1, offered: `@${agent}` }, order: ['-priority'] }), (contract) =>
    tellContract(contract, length),
  )

export function createdBy({ read, agent, length }: Given) {
  const rows = findContracts(read, { where: { creator: agent, status: inFlight }, order: ['-id'] })
  const others = rows.filter(({ owner }) => owner !== agent)
  const told = few(others, (contract) => tellContract(contract, Math.floor(length / 2)))
  return { ...told, open: rows.length > limits.briefRows }
}

function tellContract(contract: Contract, length: number) {
  const { id: contractId, createdBy, owner, status, priority, attempt, progress, dueAt, cancelRequestedAt } = contract
  const title = cut(contract.title, length)
  const description = contract.description === undefined ? undefined : cut(contract.description, length)
  const note = contract.statusMessage === undefined ? undefined : cut(contract.statusMessage, length)
  const checks = contract.checks.map(({ name }) => name)
  const asks = contract.inputRequests.filter(isOpenRequest).map(({ key }) => key)
  const state = [
    status,
    ...(attempt > 0 ? [`attempt ${attempt}`] : []),
    ...(owner === undefined ? [] : [`by ${owner}`]),
    ...(progress === undefined ? [] : [`${Math.round(progress * 100)} %`]),
    ...(priority === 'normal' ? [] : [priority]),
    ...(dueAt === undefined ? [] : [`due ${dueAt}`]),
  ].join(', ')
  const lines = [
    `- ${contractId} of ${createdBy}: ${quoted(title)} (${state})`,
    ...(cancelRequestedAt ? ['  It is to be canceled: stop, then say so with contract.acknowledgeCancel.'] : []),
    ...(description ? [`  ${createdBy} describes it: ${quoted(description)}`] : []),
    ...(note ? [`  last note: ${quoted(note)}`] : []),
    ...(asks.length > 0 ? [`  waits for answers to ${listed(asks, length)}`] : []),
    ...(checks.length > 0 ? [`  to complete it, bring evidence for ${listed(checks, length)}`] : []),
    ...(contract.resources.length > 0
      ? [
          `  locks ${listed(
            contract.resources.map(({ resource }) => resource),
            length,
          )}`,
        ]
      : []),
  ]
  const value = {
    contractId,
    title,
    description,
    createdBy,
    owner,
    status,
    priority,
    attempt,
    progress,
    dueAt,
    cancelRequestedAt,
    note,
    ...(checks.length > 0 && { checks }),
    ...(asks.length > 0 && { asks }),
  }
  return { text: lines.join('\n'), value }
}

const listed = (words: readonly string[], length: number): string =>
  cut(words.map((word) => quoted(word)).join(', '), length)

/** What it asked in attempts that are open, and was told: it may not know the answers any more. */
export function answersOf(given: Given) {
  const { length } = given
  const answered = ownOf(given).flatMap(({ id, attempt, inputRequests }) =>
    inputRequests
      .filter((request) => request.attempt === attempt && !isOpenRequest(request))
      .map((request) => ({ id, request })),
  )
  return few(answered, ({ id: contractId, request }) => {
    const { key, answeredBy = 'bridge', answeredAt = request.requestedAt } = request
    const json = JSON.stringify(request.answer ?? null)
    const prompt = cut(request.prompt, length)
    const text = `- ${contractId}, ${quoted(key)}: you asked ${quoted(prompt)}; ${answeredBy} answered ${cut(json, length)}`
    const answer = json.length > length ? cut(json, length) : request.answer
    return { text, value: { contractId, key, prompt, answer, answeredBy, answeredAt } }
  })
}

export function questionsTo({ read, agent, length }: Given) {
  const asking = findContracts(read, { where: { creator: agent, status: 'input_required' } }).filter(
    ({ owner }) => owner !== agent,
  )
  const open = asking.flatMap(({ id, owner = '', inputRequests, inputDueAt }) =>
    inputRequests.filter(isOpenRequest).map((request) => ({ id, owner, request, inputDueAt })),
  )
  return few(open, ({ id: contractId, owner, request, inputDueAt: deadline }) => {
    const { key } = request
    const prompt = cut(request.prompt, length)
    const fallback = request.default === undefined ? undefined : JSON.stringify(request.default)
    const until = `by ${deadline}, else ${fallback === undefined ? 'the attempt fails' : `the answer is ${cut(fallback, length)}`}`
    const text = `- ${contractId}, ${quoted(key)}: ${owner} asks ${quoted(prompt)} (${until})`
    const short = fallback === undefined || fallback.length <= length
    return {
      text,
      value: { contractId, key, prompt, owner, default: short ? request.default : cut(fallback, length), deadline },
    }
  })
}

export const locksOf = ({ read, agent, length }: Given) =>
  few(
    read.find(locks, { where: { holder: agent }, order: ['size'], limit: limits.briefRows + 1 }),
    ({ lockId, state, token, contractId, expiresAt, resources }) => {
      const names = resources.map(({ resource }) => resource)
      const about = [
        state,
        ...(token === undefined ? [] : [`token ${token}`]),
        ...(contractId === undefined ? [] : [`for ${contractId}`]),
        ...(expiresAt === undefined ? [] : [`until ${expiresAt}`]),
      ].join(', ')
      const fitting = names.slice(0, Math.max(1, Math.floor(length / 20))).map((name) => cut(name, length))
      return {
        text: `- ${lockId}: ${listed(names, length)} (${about})`,
        value: { lockId, state, token, contractId, expiresAt, resources: fitting },
      }
    },
  )

export function unreadOf({ read, agent, length }: Given) {
  const find = { key: inboxKey(agent, 'unread'), limit: limits.briefRows + 1, bytes: limits.pageBytes }
  const rows = read.find(messages, find)
  const last = rows.at(-1)
  // A page that ends for its size says nothing of what comes behind it.
  const open = last !== undefined && read.find(messages, { ...find, after: [last.messageId], limit: 1 }).length > 0
  const first = [...rows].sort((a, b) => Number(b.requireAck ?? false) - Number(a.requireAck ?? false))
  const told = few(first, (message) => tellMessage(message, length))
  return { ...told, open: told.open || open }
}

function tellMessage(message: Message, length: number) {
  const { messageId, from, role, unverified, contractId, requireAck, sentAt, threadId, parts = [] } = message
  const text = cut(
    [message.text, ...parts.map((part) => part.text)].filter((said) => said !== undefined).join('\n'),
    length,
  )
  const attachments = parts.filter((part) => part.text === undefined).length
  const about = [
    sentAt,
    ...(requireAck ? ['say acked with message.ack'] : []),
    ...(contractId === undefined ? [] : [`about ${contractId}`]),
    ...(attachments > 0 ? [`${attachments} parts that are not text`] : []),
  ].join(', ')
  const value = {
    messageId,
    from,
    role,
    unverified,
    contractId,
    requireAck,
    sentAt,
    threadId,
    text,
    ...(attachments > 0 && { attachments }),
  }
  return {
    text: `- ${messageId} from ${from} (${role}${unverified ? ', a name that nothing vouches for' : ''}): ${quoted(text, length + 1)} (${about})`,
    value,
  }
}

/** What concerns others' doings with its contracts and locks. Messages have a section of their own, progress a note. */
const told =
  /^(contract\.(?!progressed)|lock\.(lost|broken|expired|contended|abandoned)|message\.(expired|ackDuePassed))/

export function changesSince({ read, agent, length }: Given, since: number) {
  const { epoch, head } = read.bounds()
  const from = Math.max(since, head - limits.briefEvents)
  const events = read
    .events(from, { limit: limits.briefEvents })
    .filter(({ type, parties }) => told.test(type) && parties?.includes(`|${agent}|`))
    .map(({ seq, body }) => ({ cursor: formatCursor(epoch, seq), ...(JSON.parse(body) as Said) }))
    .filter(({ actor }) => actor !== agent)
    .reverse()
  const shown = few(events, (event) => tellChange(event, length))
  return { ...shown, open: shown.open || since < from }
}

interface Said {
  type: string
  time: string
  actor: string
  subject: string
  contractId?: string
  data: { note?: string; reason?: string; contract?: Contract | null }
}

function tellChange(
  { cursor, type, time, actor, subject, contractId, data }: Said & { cursor: string },
  length: number,
) {
  const words = data.note ?? data.reason ?? data.contract?.error?.message
  const note = words === undefined ? undefined : cut(words, length)
  const status = data.contract?.status
  const what = [
    subject,
    ...(status ? [status] : []),
    ...(contractId && contractId !== subject ? [`of ${contractId}`] : []),
  ]
  const text = `- ${time} ${type} by ${actor}: ${what.join(' ')}${note ? `, ${quoted(note)}` : ''}`
  return { text, value: { cursor, type, time, actor, subject, contractId, status, note } }
}
