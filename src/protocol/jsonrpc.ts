import { BridgeError, errors, refuse } from './errors.js'
import { isFields } from './fields.js'
import { limits } from './limits.js'

/** JSON-RPC 2.0, 4: an id is a string, a number or null. */
export type Id = string | number | null

/** One call as it came in. Without `id` it is a notification and gets no answer (4.1). */
export interface Call {
  id?: Id
  method: string
  params: Record<string, unknown>
  /** Its part of the frame, in characters. */
  bytes: number
}

/**
 * What a frame holds: each item is a call to make or a refusal to send; without an id, of a notification, to keep to
 * oneself. `batch`: answer with an array.
 */
export interface Frame {
  batch: boolean
  items: Array<{ call: Call } | { id?: Id; refusal: BridgeError }>
}

/** Decodes one frame. Never throws: whatever is wrong with it becomes a refusal in its place. */
export function decodeFrame(text: string): Frame {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return refused('PARSE_ERROR', 'The frame is not JSON.')
  }
  if (!Array.isArray(json)) return { batch: false, items: [decodeItem(json, text.length)] }
  // JSON-RPC 2.0, 6: an empty array is one invalid request, not an empty batch.
  if (json.length === 0) return refused('INVALID_REQUEST', 'A batch holds at least one call.')
  if (json.length > limits.batchCalls) {
    return refused('INVALID_REQUEST', `A batch holds at most ${limits.batchCalls} calls.`)
  }
  const bytes = Math.ceil(text.length / json.length)
  return { batch: true, items: json.map((item) => decodeItem(item, bytes)) }
}

function refused(reason: 'PARSE_ERROR' | 'INVALID_REQUEST', message: string): Frame {
  return { batch: false, items: [{ id: null, refusal: new BridgeError(reason, message) }] }
}

function decodeItem(json: unknown, bytes: number): Frame['items'][number] {
  // JSON-RPC 2.0, 5: the id of a request whose id cannot be told is null.
  let ask: { id?: Id } = { id: null }
  try {
    const shape = 'A call is an object with "jsonrpc", "method" and, if wanted, "params" and "id".'
    if (!isFields(json)) refuse('INVALID_REQUEST', shape)
    const named = Object.hasOwn(json, 'id')
    if (named) ask = { id: readId(json.id) }
    if (json.jsonrpc !== '2.0') refuse('INVALID_REQUEST', 'A call carries "jsonrpc": "2.0".')
    const { method } = json
    if (typeof method !== 'string') refuse('INVALID_REQUEST', 'The "method" of a call is a string.')
    // JSON-RPC 2.0, 4.1: from here on it is a notification, and not answered whatever else is wrong with it.
    if (!named) ask = {}
    checkSize(json)
    return { call: { ...ask, method, params: readParams(json), bytes } }
  } catch (error) {
    if (error instanceof BridgeError) return { ...ask, refusal: error }
    throw error
  }
}

function readId(id: unknown): Id {
  if (id === null || typeof id === 'string' || (typeof id === 'number' && Number.isFinite(id))) return id
  return refuse('INVALID_REQUEST', 'The "id" of a call is a string, a number or null.')
}

/** The parameters of a call that is not in a frame: the same checks. @throws BridgeError */
export function decodeParams(text: string): Record<string, unknown> {
  let params: unknown
  try {
    params = JSON.parse(text)
  } catch {
    refuse('PARSE_ERROR', 'The body is not JSON.')
  }
  return checkParams(params)
}

/** Parameters that came parsed, in whatever frame: the same checks. @throws BridgeError */
export function checkParams(params: unknown): Record<string, unknown> {
  const json = { params }
  checkSize(json)
  return readParams(json)
}

function readParams(json: Record<string, unknown>): Record<string, unknown> {
  const params = Object.hasOwn(json, 'params') ? json.params : {}
  // JSON-RPC 2.0, 4.2 allows both forms; the bridge takes parameters by name only.
  if (Array.isArray(params)) refuse('INVALID_PARAMS', 'Parameters are given by name, as an object.')
  if (!isFields(params)) refuse('INVALID_REQUEST', 'The "params" of a call are an object.')
  checkValues(params)
  return params
}

/**
 * Nesting is counted without recursion: a frame of brackets must not use up the stack. Values are counted because what
 * checking them costs goes by their number, and a frame holds half a million of the smallest.
 */
function checkSize(json: unknown): void {
  let level: unknown[] = [json]
  let values = 0
  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= limits.jsonDepth) refuse('INVALID_REQUEST', `JSON is nested at most ${limits.jsonDepth} deep.`)
    const next: unknown[] = []
    for (const value of level) {
      if (typeof value !== 'object' || value === null) continue
      const children = Object.values(value)
      values += children.length
      if (values > limits.jsonValues) refuse('INVALID_REQUEST', `A call holds at most ${limits.jsonValues} values.`)
      for (const child of children) if (typeof child === 'object' && child !== null) next.push(child)
    }
    level = next
  }
}

/** Refuses what would be stored as something else than was sent, or could change a prototype. Depth is checked before. */
function checkValues(value: unknown): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) refuse('INVALID_PARAMS', 'Text holds a lone surrogate, which is no character.')
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse('INVALID_PARAMS', 'A number is too large to be represented.')
  } else if (Array.isArray(value)) {
    for (const item of value) checkValues(item)
  } else if (isFields(value)) {
    for (const key of Object.keys(value)) {
      if (key === '__proto__') refuse('INVALID_PARAMS', 'No field may be named "__proto__".')
      checkValues(key)
      checkValues(value[key])
    }
  }
}

/** An answer (5). `result` is JSON text, so that what was stored ready to send need not be parsed. */
export const encodeResult = (id: Id, result: string): string =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`

/** A refusal (5.1). */
export function encodeRefusal(id: Id, error: BridgeError, requestId?: string): string {
  const data = { ...error.facts, reason: error.reason, ...(requestId && { requestId }) }
  return JSON.stringify({
    jsonrpc: '2.0',
    id,
    error: { code: errors[error.reason].rpc, message: error.message, data },
  })
}
