import { methods } from '../bridge/index.js'
import type { Connection } from '../engine/door/door.js'
import type { Outcome } from '../engine/engine.js'
import { BridgeError } from '../protocol/errors.js'
import { type Call, encodeRefusal, encodeResult, type Frame, type Id } from '../protocol/jsonrpc.js'
import { limits } from '../protocol/limits.js'

/**
 * Makes the calls of one frame. `finished` is given the frame's answer once all of it is there: one, or a batch's
 * together, or nothing where nothing is to be answered. `settled` is told of each call that is answered. What a batch asks
 * beyond `limits.batchAnswerBytes` is refused: its answer is kept whole until it is read, and a few bytes ask for a page.
 */
export function makeCalls(
  connection: Connection,
  { batch, items }: Frame,
  finished: (answer: string | undefined) => void,
  settled = () => {},
): void {
  const answers: string[] = []
  let open = items.length
  let bytes = 0
  const answered = (answer: string | undefined) => {
    open--
    if (answer !== undefined) answers.push(answer)
    bytes += answer?.length ?? 0
    // JSON-RPC 2.0, 6: a batch of notifications alone is not answered at all.
    if (open === 0) finished(batch && answers.length > 0 ? `[${answers.join(',')}]` : answers[0])
    settled()
  }
  for (const item of items) {
    if ('refusal' in item) answered(item.id === undefined ? undefined : encodeRefusal(item.id, item.refusal))
    else make(connection, item.call, () => batch && bytes > limits.batchAnswerBytes, answered)
  }
}

function make(
  connection: Connection,
  { id, method, params, bytes }: Call,
  isFull: () => boolean,
  answered: (answer: string | undefined) => void,
): void {
  const done = (outcome: Outcome) => {
    // JSON-RPC 2.0, 4.1: no answer to a notification, not even a refusal.
    if (id === undefined) return answered(undefined)
    // A command has had its effect, and says so.
    const asks = methods.get(method)?.kind === 'query'
    answered(encodeOutcome(id, asks && isFull() ? { refusal: tooLarge() } : outcome))
  }
  connection.call(method, params, done, bytes)
}

const tooLarge = () =>
  new BridgeError('TOO_LARGE', 'The answers of this batch are too large together: ask for the rest in another.')

const encodeOutcome = (id: Id, outcome: Outcome): string =>
  'result' in outcome ? encodeResult(id, outcome.result) : encodeRefusal(id, outcome.refusal)
