import type { Connection } from '../engine/door/door.js'
import type { Outcome } from '../engine/engine.js'
import { type Call, encodeRefusal, encodeResult, type Frame, type Id } from '../protocol/jsonrpc.js'

/**
 * Makes the calls of one frame. `finished` is given the frame's answer once all of it is there: one, or a batch's
 * together, or nothing where nothing is to be answered. `settled` is told of each call that is answered.
 */
export function makeCalls(
  connection: Connection,
  { batch, items }: Frame,
  finished: (answer: string | undefined) => void,
  settled = () => {},
): void {
  const answers: string[] = []
  let open = items.length
  const answered = (answer: string | undefined) => {
    open--
    if (answer !== undefined) answers.push(answer)
    // JSON-RPC 2.0, 6: a batch of notifications alone is not answered at all.
    if (open === 0) finished(batch && answers.length > 0 ? `[${answers.join(',')}]` : answers[0])
    settled()
  }
  for (const item of items) {
    if ('refusal' in item) answered(item.id === undefined ? undefined : encodeRefusal(item.id, item.refusal))
    else make(connection, item.call, answered)
  }
}

function make(
  connection: Connection,
  { id, method, params, bytes }: Call,
  answered: (answer: string | undefined) => void,
): void {
  // JSON-RPC 2.0, 4.1: no answer to a notification, not even a refusal.
  const done = (outcome: Outcome) => answered(id === undefined ? undefined : encodeOutcome(id, outcome))
  connection.call(method, params, done, bytes)
}

const encodeOutcome = (id: Id, outcome: Outcome): string =>
  'result' in outcome ? encodeResult(id, outcome.result) : encodeRefusal(id, outcome.refusal)
