import type { Params } from '../../client/index.js'

/** A value as an answer may be. */
export type Json = Params<'contract.provideInput'>['responses'][string]

/** Something that a worker asks. */
export interface Question {
  key: string
  prompt: string
  /** JSON Schema of the answer. */
  schema?: unknown
  default?: Json | undefined
}

/** The sort of field in which a question is answered. */
export type Kind = { kind: 'text' | 'number' | 'json' } | { kind: 'choice'; choices: string[] }

/** By the simplest parts of the schema; the bridge judges the answer by all of it. */
export function kindOf({ schema }: Question): Kind {
  const { type, enum: values } = (schema ?? {}) as { type?: unknown; enum?: unknown }
  if (Array.isArray(values) && values.length > 0) return { kind: 'choice', choices: values.map(spell) }
  if (type === 'boolean') return { kind: 'choice', choices: ['true', 'false'] }
  if (type === 'number' || type === 'integer') return { kind: 'number' }
  return { kind: type === undefined || type === 'string' ? 'text' : 'json' }
}

const spell = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** What was written, as the value that is meant. */
export function readAnswer(question: Question, text: string): { value: Json } | { problem: string } {
  const { enum: values } = (question.schema ?? {}) as { enum?: Json[] }
  const kind = kindOf(question)
  if (text.trim() === '') {
    return question.default === undefined ? { problem: 'Every question wants an answer.' } : { value: question.default }
  }
  if (kind.kind === 'text') return { value: text }
  if (kind.kind === 'choice' && Array.isArray(values)) {
    const at = kind.choices.indexOf(text)
    return at < 0 ? { problem: 'Choose one of the answers.' } : { value: values[at]! }
  }
  if (kind.kind === 'number') {
    const value = Number(text)
    return Number.isFinite(value) ? { value } : { problem: `“${text}” is not a number.` }
  }
  try {
    return { value: JSON.parse(text) }
  } catch {
    return { problem: 'That answer has to be JSON.' }
  }
}
