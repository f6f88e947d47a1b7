import type { z } from 'zod'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import type { Method } from '../../protocol/method.js'

/** The parameters of a call, checked and with their defaults. @throws INVALID_PARAMS with every problem and its path */
export function parseParams(method: Method, given: Record<string, unknown>): Record<string, unknown> {
  const parsed = method.params.safeParse(given, { reportInput: true })
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.slice(0, 10).map(describe)
  const [first] = problems
  const where = first?.path ? `\`${first.path}\` ` : ''
  const known = Object.keys(method.params.shape)
  const hint = first?.unknown && !first.path ? ` It takes ${known.length > 0 ? known.join(', ') : 'none'}.` : ''
  return refuse('INVALID_PARAMS', `${method.name}: ${where}${first?.problem}.${hint}`, { problems })
}

/** Says what is wrong in words that hold nothing of what was given: names of fields are the schema's. */
interface Problem {
  path: string
  problem: string
  /** Fields that were given and are not known; the caller's own words, so never in a message. */
  unknown?: string[]
}

function describe(issue: z.core.$ZodIssue): Problem {
  const path = issue.path.map(String).join('.')
  switch (issue.code) {
    case 'unrecognized_keys': {
      const unknown = issue.keys.slice(0, 10).map((key) => key.slice(0, limits.nameLength))
      return {
        path,
        problem: `has ${unknown.length === 1 ? 'a field' : 'fields'} that this method does not know`,
        unknown,
      }
    }
    case 'invalid_type':
      return { path, problem: issue.input === undefined ? 'is missing' : `is not of type ${issue.expected}` }
    case 'too_big':
      return { path, problem: `is above the limit of ${issue.maximum}` }
    case 'too_small':
      return { path, problem: `is below the least, ${issue.minimum}` }
    case 'invalid_format':
      return { path, problem: issue.format === 'regex' ? issue.message : `is not a valid ${issue.format}` }
    case 'invalid_value':
      return { path, problem: `is not one of ${issue.values.map(String).join(', ')}` }
    case 'custom':
      return { path, problem: issue.message }
    default:
      return { path, problem: 'is not of a form that is accepted' }
  }
}
