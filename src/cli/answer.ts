import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import type { Client, Params, ResultOf } from '../client/node.js'
import { product } from '../protocol/version.js'
import { fail } from './exits.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { openSession } from './session.js'
import { formatAnswer } from './show.js'
import { formatTable } from './table.js'
import type { Terminal } from './terminal.js'
import { printable, printableJson, printableLines } from './text.js'

type Contract = ResultOf<'contract.get'>
type Question = Contract['inputRequests'][number]
type Answers = Params<'contract.provideInput'>['responses']

interface AnswerOptions {
  set?: string[]
  note?: string
}

export function addAnswer(program: Command): void {
  const command = program
    .command('answer')
    .description('What agents ask and wait for: lists it, or answers one contract, asking you for each answer.')
    .argument('[contract-id]', 'the contract whose questions are answered')
    .argument('[answer]', 'the answer, where there is one question')
    .option(
      '--set <key=answer>',
      'the answer to one question, instead of being asked for it; repeatable',
      (given: string, before: string[] = []) => [...before, given],
    )
    .option('--note <text>', 'said beside the answers')
  withGlobals(command).action((contractId?: string, only?: string) => answer(command, contractId, only))
}

async function answer(command: Command, contractId: string | undefined, only: string | undefined): Promise<void> {
  const terminal = terminalOf(command)
  const { set, note } = command.opts<AnswerOptions>()
  const client = await openSession(globalsOf(command), { reconnect: false })
  try {
    if (contractId === undefined) return await list(client, terminal)
    const contract = await client.call('contract.get', { contractId })
    const open = contract.inputRequests.filter(isOpen)
    if (contract.status !== 'input_required' || open.length === 0) {
      fail('refused', `Nothing is asked about that contract now: it is ${contract.status}.`)
    }
    const responses = given(open, set, only) ?? (await ask(contract, open, terminal))
    const said = note === undefined ? {} : { note }
    const answered = await client.call('contract.provideInput', { contractId, responses, ...said })
    terminal.print(terminal.json ? printableJson(answered, 2) : formatAnswer(answered, terminal.page))
  } finally {
    await client.close()
  }
}

const isOpen = ({ answeredAt }: Question): boolean => answeredAt === undefined

/** All open questions, the contracts that have waited longest first. */
async function list(client: Client, { json, print, page }: Terminal): Promise<void> {
  const rows: Record<string, unknown>[] = []
  for (let next: string | undefined, more = true; more; more = next !== undefined) {
    const found = await client.call('contract.list', {
      status: ['input_required'],
      ...(next !== undefined && { page: next }),
    })
    next = found.nextPage
    for (const contract of found.items)
      rows.push(...contract.inputRequests.filter(isOpen).map((open) => rowOf(contract, open)))
  }
  rows.sort((a, b) => (String(a.requestedAt) < String(b.requestedAt) ? -1 : 1))
  if (json) print(printableJson({ items: rows }, 2))
  else if (rows.length === 0) print(page.paint('dim', 'Nobody asks anything.'))
  else
    print([
      ...formatTable(rows, page.width, page.paint),
      page.paint('dim', `${product.name} answer <contract-id> asks you for each answer`),
    ])
}

const rowOf = (contract: Contract, question: Question) => ({
  contractId: contract.id,
  owner: contract.owner,
  name: question.key,
  text: question.prompt,
  default: question.default === undefined ? undefined : JSON.stringify(question.default),
  requestedAt: question.requestedAt,
  expiresAt: contract.inputDueAt,
})

/** The answers of the command line; undefined when it has none. */
function given(
  open: readonly Question[],
  set: readonly string[] | undefined,
  only: string | undefined,
): Answers | undefined {
  if (only === undefined && set === undefined) return undefined
  if (only !== undefined && (set !== undefined || open.length > 1)) {
    fail(
      'usage',
      `There are ${open.length} questions: answer each with --set, ${open.map(({ key }) => `--set ${key}=...`).join(' ')}.`,
    )
  }
  const texts = only === undefined ? (set ?? []).map(splitPair) : [[open[0]!.key, only] as const]
  return Object.fromEntries(
    texts.map(([key, text]) => [
      key,
      readAnswer(
        open.find((question) => question.key === key),
        text,
      ),
    ]),
  )
}

function splitPair(pair: string): readonly [key: string, text: string] {
  const at = pair.indexOf('=')
  return at > 0 ? [pair.slice(0, at), pair.slice(at + 1)] : fail('usage', '--set is written key=answer.')
}

/** Text as it is where text is wanted, and else as the JSON that it may be. */
function readAnswer(question: Question | undefined, text: string): Answers[string] {
  const type = (question?.schema as { type?: unknown } | undefined)?.type
  if (type === undefined || type === 'string') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Asks whoever sits at the terminal. An empty line takes the default, or leaves the question open. */
async function ask(contract: Contract, open: readonly Question[], { page }: Terminal): Promise<Answers> {
  if (!process.stdin.isTTY) fail('usage', 'Standard input is no terminal: give the answers with --set key=answer.')
  const { paint } = page
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const ended = new AbortController()
  lines.once('SIGINT', () => lines.close()).once('close', () => ended.abort())
  const answers: Answers = {}
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  try {
    say(`${paint('bold', printable(contract.owner ?? 'an agent'))} asks about "${printable(contract.title)}":`)
    for (const question of open) {
      for (const line of printableLines(question.prompt)) say(`  ${paint('dim', '|')} ${line}`)
      if (question.schema) say(`  ${paint('dim', printableJson(question.schema))}`)
      const fallback = question.default === undefined ? '' : ` [${printableJson(question.default)}]`
      const text = await lines.question(`  ${printable(question.key)}${fallback}: `, ended)
      if (text !== '') answers[question.key] = readAnswer(question, text)
      else if (question.default !== undefined) answers[question.key] = question.default
    }
  } catch (error) {
    if (!ended.signal.aborted) throw error
    fail('usage', 'The answers were broken off: nothing was sent.')
  } finally {
    lines.close()
  }
  return Object.keys(answers).length > 0 ? answers : fail('usage', 'No question was answered.')
}
