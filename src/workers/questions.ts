import { type Ongoing, untilHeard } from './ongoing.js'
import type { Contract } from './prompt.js'

type Request = Contract['inputRequests'][number]

/**
 * What the agent asked in its turns, with the answers that it has not been shown, as the prompt of its next; undefined
 * when there are none, or when the attempt ended before they came. Who asks ends its turn: waiting costs nothing.
 */
export async function answersTo(ongoing: Ongoing): Promise<string | undefined> {
  const { contractId, attempt, told } = ongoing
  for (;;) {
    // Begun before it is read: what happens in between is not missed.
    const heard = untilHeard(ongoing)
    const contract = await ongoing.shop.client.call('contract.get', { contractId })
    if (ongoing.halt !== undefined || contract.attempt !== attempt) return undefined
    if (contract.status !== 'input_required') {
      const answered = contract.inputRequests.filter((request) => request.attempt === attempt && isNew(request, told))
      for (const request of answered) told.add(nameOf(request))
      if (answered.length === 0) return undefined
      return [...answered.map(shown), 'Go on with your task, and end with your summary.'].join('\n\n')
    }
    await heard
  }
}

const nameOf = ({ key, answeredAt }: Request): string => `${key} ${answeredAt}`

const isNew = (request: Request, told: ReadonlySet<string>): boolean =>
  request.answeredAt !== undefined && !told.has(nameOf(request))

const shown = ({ prompt, answer, answeredBy }: Request): string =>
  `You asked: ${prompt}\n${answeredBy === 'bridge' ? 'Nobody answered in time; the answer you declared holds' : `The answer of "${answeredBy}"`}: ${JSON.stringify(answer)}`
