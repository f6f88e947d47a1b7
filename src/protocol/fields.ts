/** A JSON object of which nothing further is known. */
export type Fields = Record<string, unknown>

/** Whether a value is a JSON object: no list, and not null. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
