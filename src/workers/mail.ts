import type { Client, ResultOf } from '../client/node.js'

export type Letter = ResultOf<'message.get'>

/** A message as the model is shown it: marked as another agent's words, for they are no orders of the operator. */
export const shown = ({ messageId, from, role, text, parts }: Letter): string =>
  `Message ${messageId} from the agent "${from}" (${role}), through agent-bridge:\n${text ?? JSON.stringify(parts ?? [])}`

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

/** What waits for the agent: for a contract, or for none. */
export async function unread(client: Client, contractId?: string): Promise<Letter[]> {
  const { items } = await client.call('message.inbox', { state: 'unread' })
  return items.filter(
    (letter) => notShown(letter, client.agent) && (letter.contractId === undefined || letter.contractId === contractId),
  )
}

const notShown = ({ receipts }: Letter, agent: string): boolean => receipts?.[agent]?.state === 'sent'
