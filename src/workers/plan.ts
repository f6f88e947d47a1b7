import { parse } from 'yaml'
import { z } from 'zod'
import type { ParamsOf } from '../bridge/index.js'
import { SetupError } from '../protocol/errors.js'

// A plan: several tasks in a file, in YAML or JSON, and which of them come after which.

const check = z.union([z.string().min(1), z.strictObject({ name: z.string().min(1), command: z.string().min(1) })])
const lock = z.union([
  z.string().min(1),
  z.strictObject({ resource: z.string().min(1), mode: z.enum(['exclusive', 'shared']) }),
])

const terms = {
  to: z.string().optional(),
  capability: z.string().optional(),
  locks: z.array(lock).optional(),
  checks: z.array(check).optional(),
  priority: z.enum(['low', 'normal', 'high', 'critical']).optional(),
  tags: z.array(z.string()).optional(),
  maxAttempts: z.int().min(1).optional(),
}
const task = z.strictObject({
  title: z.string().min(1),
  description: z.string().optional(),
  after: z.union([z.string(), z.array(z.string())]).optional(),
  ...terms,
})
const plan = z.strictObject({
  defaults: z.strictObject(terms).optional().describe('what holds for each task that does not say otherwise'),
  tasks: z.record(z.string(), task).describe('the tasks, each under a name of the plan’s own'),
})

export type Task = z.output<typeof task>

/** A task of a plan: its name, and the names of those that have to be completed before it. */
export interface Step {
  name: string
  after: string[]
  params: ParamsOf<'contract.create'>
}

/** The steps in an order in which each comes after all that it waits for. @throws SetupError, naming what is wrong */
export function readPlan(text: string): Step[] {
  const { tasks, defaults } = parsed(text)
  const names = Object.keys(tasks)
  if (names.length === 0) throw new SetupError('The plan has no tasks.')
  const steps = Object.entries(tasks).map(([name, { after = [], ...own }]): Step => {
    const before = [after].flat()
    const unknown = before.filter((other) => !Object.hasOwn(tasks, other))
    if (unknown.length > 0)
      throw new SetupError(`${name} comes after ${unknown.join(', ')}, which the plan does not have.`)
    return { name, after: before, params: paramsOf({ ...defaults, ...own }) }
  })
  return inOrder(steps)
}

function parsed(text: string): z.output<typeof plan> {
  let value: unknown
  try {
    value = parse(text)
  } catch (error) {
    throw new SetupError(`The plan is neither YAML nor JSON: ${(error as Error).message.split('\n')[0]}`)
  }
  const read = plan.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new SetupError(`The plan is wrong at ${issue?.path.join('.') || 'its top'}: ${issue?.message}.`)
}

/** A task in the words of `contract.create`; a check without a name has that of its command. */
export function paramsOf({ to, locks = [], checks = [], ...same }: Omit<Task, 'after'>): ParamsOf<'contract.create'> {
  return {
    ...same,
    ...(to !== undefined && { assignee: to }),
    resources: locks.map((one) => (typeof one === 'string' ? { resource: one } : one)),
    checks: checks.map((one) => (typeof one === 'string' ? { name: one, command: one } : one)),
  }
}

function inOrder(steps: readonly Step[]): Step[] {
  const done = new Set<string>()
  const ordered: Step[] = []
  while (ordered.length < steps.length) {
    const next = steps.filter(({ name, after }) => !done.has(name) && after.every((other) => done.has(other)))
    if (next.length === 0) {
      const left = steps.filter(({ name }) => !done.has(name)).map(({ name }) => name)
      throw new SetupError(`These wait for each other, and none could ever begin: ${left.join(', ')}.`)
    }
    for (const step of next) done.add(step.name)
    ordered.push(...next)
  }
  return ordered
}
