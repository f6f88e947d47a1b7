import type { CallToolResult } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { BridgeError, errors, refuse } from '../../protocol/errors.js'
import type { Fields } from '../../protocol/fields.js'
import { checkParams } from '../../protocol/jsonrpc.js'
import { limits } from '../../protocol/limits.js'
import type { Method } from '../../protocol/method.js'
import { type Desk, type Port, Unreachable } from './desk.js'
import { readNews, readUnread } from './news.js'
import { methodOf, WAIT, waitParams } from './tools.js'
import { shape } from './views.js'
import { wait } from './wait.js'

/** Where an agent's tools are run: its way to the bridge, and what it has been told. */
export interface Seat {
  port: Port
  desk: Desk
}

/** Runs a tool. A refusal is a result too, for the model is to read it; @throws only for faults. */
export async function runTool(seat: Seat, tool: string, given: Fields, signal: AbortSignal): Promise<CallToolResult> {
  try {
    // The package that reads the frames checks none of what the other surfaces refuse at their edge.
    checkParams(given)
    await confirmRead(seat)
    if (tool === WAIT) return succeed(await wait(seat.port, seat.desk, readWait(given), signal))
    const method = methodOf(tool) ?? refuse('METHOD_NOT_FOUND', `There is no tool ${tool}.`)
    const answer = await callMethod(seat, tool, method, given, signal)
    return succeed({ ...answer, ...(await tidings(seat)) })
  } catch (error) {
    if (error instanceof BridgeError) return await refused(seat, error)
    if (error instanceof Unreachable) return fail(error.message)
    throw error
  }
}

/** Models that are given the one form are not given the other, so both say everything. */
const succeed = (answer: Fields): CallToolResult => ({
  content: [{ type: 'text', text: JSON.stringify(answer) }],
  structuredContent: answer,
})

const fail = (text: string): CallToolResult => ({ isError: true, content: [{ type: 'text', text }] })

/** Who is refused may have news that say why; a bridge that cannot be asked has none. */
async function refused(seat: Seat, error: BridgeError): Promise<CallToolResult> {
  return tellRefusal(error, await tidings(seat).catch(() => ({})))
}

/** A refusal in words: its reason, what to do, and the facts. */
export function tellRefusal({ reason, message, facts }: BridgeError, news: Fields = {}): CallToolResult {
  const again = errors[reason]?.retry ? ' The same call may succeed later.' : ''
  const more = [shape(facts, true), news].filter((fields) => Object.keys(fields).length > 0)
  return fail([`${reason}: ${message}${again}`, ...more.map((fields) => JSON.stringify(fields))].join('\n'))
}

function readWait(given: Fields): z.output<typeof waitParams> {
  const parsed = waitParams.safeParse(given)
  if (parsed.success) return parsed.data
  return refuse('INVALID_PARAMS', `The parameters of wait are not right: ${z.prettifyError(parsed.error)}`)
}

/** Whoever goes on has got the result before, and read the messages in it. */
async function confirmRead({ port, desk }: Seat): Promise<void> {
  const messageIds = [...desk.given]
  if (messageIds.length === 0) return
  desk.given.clear()
  try {
    await port.call('message.ack', { messageIds, state: 'read' })
  } catch (error) {
    // Expired or removed since: nobody waits for their receipts.
    if (!(error instanceof BridgeError)) throw error
  }
}

/** What is said beside every answer, so that an agent that never asks hears it all the same. */
async function tidings({ port, desk }: Seat): Promise<Fields> {
  const news = await readNews(port, desk)
  const unread = await readUnread(port, desk)
  return { ...(news.length > 0 && { news }), ...(unread !== undefined && { unread }) }
}

async function callMethod(
  seat: Seat,
  tool: string,
  method: Method,
  given: Fields,
  signal: AbortSignal,
): Promise<Fields> {
  const { port, desk } = seat
  const { waitMs } = given
  const waits = typeof waitMs === 'number' && waitMs > 0 && waitMs <= limits.waitMsMax
  const lasts = waits && port.lasting && method.mcp?.lasts === true
  const params = waits && !lasts ? { ...given, waitMs: Math.min(waitMs, desk.patienceMs) } : given
  // On a session a call that waits cannot be taken back: it is let go on, and what comes of it is undone.
  const options = port.lasting && waits ? {} : { signal }
  const call = port.call(method.name, params, options)
  const first = await Promise.race([call, ...(waits ? [pause(desk.patienceMs, signal)] : [])])
  if (first === ABORTED) undoLate(port, method, call)
  else if (first === PAUSED) return waitOn(seat, tool, call)
  else return present(method, first)
  throw signal.reason
}

const PAUSED = Symbol('paused')
const ABORTED = Symbol('aborted')

function pause(ms: number, signal: AbortSignal): Promise<symbol> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(PAUSED), ms)
    timer.unref()
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve(ABORTED)
    })
  })
}

/** The call goes on; its answer is told beside that of a later one, or by `wait`. */
function waitOn({ desk }: Seat, tool: string, call: Promise<unknown>): Fields {
  const arrived = (answer: Fields | BridgeError) => {
    desk.late.push({ tool, answer })
    desk.wake()
  }
  call.then(
    (answer) => arrived(shape(answer, false)),
    (error: Error) => arrived(error instanceof BridgeError ? error : new BridgeError('SHUTTING_DOWN', error.message)),
  )
  return { waiting: true, todo: 'You are in line. Do something else, or call wait: it tells when this is granted.' }
}

/** What a call gave that nobody waits for any more is given back. */
function undoLate(port: Port, { name }: Method, call: Promise<unknown>): void {
  const undo = (answer: unknown) => {
    const { id, attempt, lockId, token } = (answer ?? {}) as Fields
    if (name === 'lock.acquire') return port.call('lock.release', { lockId, token })
    if (name === 'contract.next' && id) {
      return port.call('contract.release', { contractId: id, attempt, note: 'The call that took it was cancelled.' })
    }
    return undefined
  }
  // Refused, or given back already: nothing is left to undo.
  call.then(undo).catch(() => {})
}

const pick = (fields: Fields, names: readonly string[]): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => names.includes(name)))

function present({ name, kind, mcp, params }: Method, answer: unknown): Fields {
  const isList = 'page' in params.shape
  const whole = mcp?.whole ?? (kind === 'query' && !isList)
  const shaped = shape(mcp?.only ? pick(answer as Fields, mcp.only) : answer, whole)
  return answer === null && name === 'contract.next'
    ? { ...shaped, todo: 'Nothing is ready for you. Call wait: it tells of new offers.' }
    : shaped
}
