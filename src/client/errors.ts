import { errors, type Reason } from '../protocol/errors.js'

/** A refusal, as the daemon answered it. Decide by `reason`; `data` holds the facts, `retry` says whether to try again. */
export class CallError extends Error {
  readonly reason: Reason
  readonly code: number
  readonly data: Record<string, unknown>
  /** The same call may succeed later, unchanged. */
  readonly retry: boolean

  constructor(reason: Reason, message: string, data: Record<string, unknown> = {}, code?: number) {
    super(message)
    this.name = 'CallError'
    // A newer daemon may know reasons that this client does not.
    const spec = isReason(reason) ? errors[reason] : undefined
    this.reason = reason
    this.code = code ?? spec?.rpc ?? errors.INTERNAL.rpc
    this.data = data
    this.retry = spec?.retry ?? false
  }
}

/** There is no connection, or no longer one; the daemon has refused nothing. */
export class ConnectionError extends Error {
  /** The code with which the socket was closed, where there is one. */
  readonly closeCode: number | undefined

  constructor(message: string, closeCode?: number) {
    super(message)
    this.name = 'ConnectionError'
    this.closeCode = closeCode
  }
}

/** JSON-RPC 2.0, 5.1. */
export interface WireError {
  code: number
  message: string
  data?: { reason?: string } & Record<string, unknown>
}

export const isReason = (name: unknown): name is Reason => typeof name === 'string' && Object.hasOwn(errors, name)

export const readError = ({ code, message, data = {} }: WireError): CallError =>
  new CallError((data.reason ?? 'INTERNAL') as Reason, message, data, code)
