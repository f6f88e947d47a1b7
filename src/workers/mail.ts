import type { Client, ResultOf } from '../client/node.js'

export type Letter = ResultOf<'message.get'>

/** The longest text that is put into a prompt, characters: it may go through a command line. */
const TEXT_SHOWN = 16_384

/** A message as the model is shown it: marked as another agent's words, for they are no orders of the operator. */
export const shown = ({ messageId, from, role, text, parts }: Letter): string =>
  `Message ${messageId} from the agent "${from}" (${role}), through agent-bridge:\n${cut(text ?? JSON.stringify(parts ?? []), messageId)}`

const cut = (text: string, messageId: string): string =>
  text.length <= TEXT_SHOWN
    ? text
    : `${text.slice(0, TEXT_SHOWN)}\n(cut here: message.get ${messageId} gives the whole of it)`

/** Several of them, as a turn of their own. */
export const asPrompt = (letters: readonly Letter[]): string =>
  [
    ...letters.map(shown),
    'These came while you were working. Take them into account, go on if the task asks for it, and end with your summary again.',
  ].join('\n\n')

/** Tells the senders that the model has been shown their messages. */
export async function acknowledge(client: Client, letters: readonly Letter[]): Promise<void> {
  if (letters.length === 0) return
  await client.call('message.ack', { messageIds: letters.map(({ messageId }) => messageId), state: 'injected' })
}

/** Tells the sender why nobody has read a message. Answers are not answered, or two workers would never end. */
export async function decline(client: Client, letter: Letter, why: string): Promise<void> {
  if (letter.replyTo !== undefined) return
  await client.call('message.publish', { to: letter.from, replyTo: letter.messageId, text: why })
}

/** Tells the sender that the agent has no task, and is not begun for this. */
export const declineIdle = (client: Client, letter: Letter): Promise<void> =>
  decline(
    client,
    letter,
    `${client.agent} has no task now, and nobody has read this yet: it is shown to the agent with its next task.`,
  )

/** What waits for the agent, the oldest first: for a contract, or for none. */
export async function unread(client: Client, contractId?: string): Promise<Letter[]> {
  const letters: Letter[] = []
  let page: string | undefined
  do {
    const { items, nextPage } = await client.call('message.inbox', { state: 'unread', ...(page && { page }) })
    letters.push(...items.filter((letter) => notShown(letter, client.agent)))
    page = nextPage
  } while (page !== undefined)
  return letters.filter((letter) => letter.contractId === undefined || letter.contractId === contractId)
}

const notShown = ({ receipts }: Letter, agent: string): boolean => receipts?.[agent]?.state === 'sent'

/**
 * Wants an answer of the agent itself: it is to it by name, and no answer, unless a person gave it. Were answers
 * answered, two workers would never end.
 */
export const asks = ({ capability, replyTo, role }: Letter): boolean =>
  capability === undefined && (replyTo === undefined || role === 'admin')
