import type { Event } from '../client/node.js'
import type { Outcome } from './answer.js'
import { asks, type Letter, unread } from './mail.js'
import type { Shop } from './shop.js'
import { beginTalk, type Talk, type TalkEnd } from './talk.js'

// Messages to an agent that has no task: those that wait are one turn, and what the agent says last answers them.

/** Messages that one turn begins with: so many, and so long together, characters. */
const LETTERS_MAX = 20
const LETTERS_LENGTH = 32_768

/** What answers messages while there is no contract. */
export interface Idle {
  /** What the next turn is to show: nothing unless a message wants an answer that has not been tried. */
  waiting(): Promise<Letter[]>
  /** Runs one turn for these messages. @throws CallError, ConnectionError */
  answer(letters: readonly Letter[]): Promise<Outcome>
  heard(event: Event): void
  /** A message that comes meanwhile: into the running turn, if it can be; else it waits for the next. False when none runs. */
  deliver(letter: Letter): boolean
  /** Ends a running turn, and begins none. Settles when nothing of it runs any more. */
  leave(): Promise<void>
}

export function createIdle(shop: Shop): Idle {
  /** By id. A message begins one turn: what failed is not begun again. */
  let tried: ReadonlySet<string> = new Set()
  /** Who answers an answer goes on with the same conversation. */
  let last: { threadId: string; session: string } | undefined
  let talk: Talk | undefined
  let left = false

  return {
    async waiting() {
      const letters = await unread(shop.client)
      const ids = letters.map(({ messageId }) => messageId)
      tried = new Set(ids.filter((id) => tried.has(id)))
      return pick(letters.filter(({ messageId }) => !tried.has(messageId)))
    },
    async answer(letters) {
      tried = new Set([...tried, ...letters.map(({ messageId }) => messageId)])
      const threads = [...new Set(letters.filter(asks).map(({ threadId }) => threadId))]
      const [threadId = ''] = threads
      const known = threads.length === 1 && last?.threadId === threadId
      talk = await beginTalk(shop, letters, known ? last?.session : undefined)
      if (left) talk.leave()
      const end = await talk.ended
      talk = undefined
      last = end.fault || !end.session ? undefined : { threadId, session: end.session }
      return outcomeOf(letters.filter(asks), end)
    },
    heard: (event) => talk?.heard(event),
    deliver(letter) {
      void talk?.deliver(letter).catch(() => {})
      return talk !== undefined
    },
    async leave() {
      left = true
      talk?.leave()
      await talk?.ended.catch(() => {})
    },
  }
}

/** The oldest that want an answer, and what else there is to know; a first one in any case. */
function pick(letters: readonly Letter[]): Letter[] {
  const wanting = letters.filter(asks)
  const picked: Letter[] = []
  let length = 0
  for (const letter of wanting.length > 0 ? [...wanting, ...letters.filter((one) => !asks(one))] : []) {
    length += JSON.stringify(letter.text ?? letter.parts ?? '').length
    if (picked.length === LETTERS_MAX || (picked.length > 0 && length > LETTERS_LENGTH)) break
    picked.push(letter)
  }
  return picked.sort((a, b) => (a.sentAt < b.sentAt ? -1 : 1))
}

function outcomeOf(asked: readonly Letter[], { fault }: TalkEnd): Outcome {
  const who = [...new Set(asked.map(({ from }) => from))].join(', ')
  if (!fault) return { text: `has answered ${who}` }
  const text = `could not answer ${who}: ${fault.reason}: ${fault.message}`
  return { text, ...(fault.fatal && { fatal: fault.message }) }
}
