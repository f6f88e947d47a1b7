/** One error of the closed table: what a client decides by, and how each transport spells it. */
export interface ErrorSpec {
  /** JSON-RPC 2.0, 5.1: `error.code`. */
  rpc: number
  /** HTTP status. */
  http: number
  /** The same call may succeed later, unchanged. */
  retry: boolean
  summary: string
}

const spec = (rpc: number, http: number, summary: string, retry = false): ErrorSpec => ({ rpc, http, retry, summary })

/** Every error the bridge answers. Clients decide by the reason, never by the message. */
export const errors = {
  PARSE_ERROR: spec(-32700, 400, 'The frame is not JSON.'),
  INVALID_REQUEST: spec(-32600, 400, 'The frame is JSON but no request of JSON-RPC 2.0, or comes at the wrong time.'),
  METHOD_NOT_FOUND: spec(-32601, 404, 'There is no method of that name.'),
  INVALID_PARAMS: spec(-32602, 400, 'A parameter is missing, of the wrong type or out of range.'),
  INTERNAL: spec(-32603, 500, 'A fault of the bridge; its log has the details under the request id.'),
  UNAUTHENTICATED: spec(-32001, 401, 'No session is open on this socket, or the token is wrong.'),
  FORBIDDEN: spec(-32002, 403, 'The caller may not do this.'),
  NOT_FOUND: spec(-32003, 404, 'Nothing has that id or name.'),
  INVALID_TRANSITION: spec(-32004, 409, 'The contract is in a status from which this verb does not lead.'),
  CLAIM_LOST: spec(-32005, 409, 'Another agent has accepted the contract.'),
  STALE_ATTEMPT: spec(-32006, 409, 'That attempt is not the open one.'),
  GENERATION_MISMATCH: spec(-32007, 412, 'The contract changed since the generation named.'),
  NOT_READY: spec(-32008, 409, 'The contract cannot be taken yet.', true),
  CHECKS_FAILED: spec(-32009, 422, 'Evidence for a check is missing or says it failed.'),
  LOCK_CONFLICT: spec(-32010, 423, 'Others hold or wait for what was asked.', true),
  LOCK_LOST: spec(-32011, 409, 'The lock is not held under that token.'),
  DEADLOCK: spec(-32012, 409, 'Waiting would close a circle of waiting agents.'),
  WAIT_TIMEOUT: spec(-32013, 408, 'What was waited for did not come in time.', true),
  BAD_RESOURCE: spec(-32014, 422, 'The resource is not written as the grammar asks.'),
  CURSOR_EXPIRED: spec(-32015, 410, 'Events after that cursor have been removed.'),
  EPOCH_CHANGED: spec(-32016, 410, 'The cursor belongs to another history of this workspace.'),
  CURSOR_AHEAD: spec(-32017, 410, 'The cursor is ahead of the log.'),
  IDEMPOTENCY_CONFLICT: spec(-32018, 422, 'The idempotency key was used with other parameters.'),
  OVERLOADED: spec(-32019, 503, 'Too much is under way; try later.', true),
  RATE_LIMITED: spec(-32020, 429, 'Too many calls in a short time.', true),
  TOO_LARGE: spec(-32021, 413, 'The value is larger than the limit.'),
  SHUTTING_DOWN: spec(-32022, 503, 'The daemon is stopping.', true),
} as const satisfies Record<string, ErrorSpec>

export type Reason = keyof typeof errors

/** What a client may need to act on an error; names and numbers, and peers' text only here, never in the message. */
export type Facts = Record<string, unknown> & { reason?: never }

/**
 * A refusal: the one error a rule throws. Anything else thrown is a bug and is answered as `INTERNAL`.
 * `message` says what to do and holds only our words and validated names.
 */
export class BridgeError extends Error {
  readonly reason: Reason
  readonly facts: Facts

  constructor(reason: Reason, message: string, facts: Facts = {}) {
    super(message)
    this.name = 'BridgeError'
    this.reason = reason
    this.facts = facts
  }
}

/** Throws a `BridgeError`; an expression, so that it can stand where a value is wanted. */
export function refuse(reason: Reason, message: string, facts?: Facts): never {
  throw new BridgeError(reason, message, facts)
}

/** The daemon, or a client of it, cannot run as things are on this machine; the message says what to do about it. */
export class SetupError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'SetupError'
  }
}
