import { limits } from '../protocol/limits.js'
import type { Context, Noun, Table, Tx } from '../protocol/method.js'
import { type Instant, later, toInstant } from '../protocol/time.js'
import { runRule } from './command.js'
import type { Batch, Core } from './core.js'

// Time passing is a command like any other, and the first of every batch.

/** Brings the batch's instant up to date, and makes events of every deadline that has passed. */
export function passTime(core: Core, batch: Batch): void {
  const { clock } = core.options
  const [wallMs, monotonicMs] = [clock.wallMs(), clock.monotonicMs()]
  const jumpMs = wallMs - core.wallMs - (monotonicMs - core.monotonicMs)
  Object.assign(core, { wallMs, monotonicMs })
  const wall = toInstant(wallMs)
  if (wall > core.now) core.now = wall
  // The machine slept: nobody could renew anything meanwhile.
  if (jumpMs > limits.clockJumpMs) runRule(core, batch, (tx, ctx) => rebase(core, tx, ctx))
  // What was said in time counts before what was not done in time.
  writeHeld(core, batch)
  if (core.dueAt !== undefined && core.dueAt <= core.now) tick(core, batch)
}

/** The first command of a daemon's life. */
export function beginLife(core: Core, tx: Tx, ctx: Context): void {
  for (const noun of core.options.nouns) {
    if (core.options.restored) noun.restored?.(tx, ctx)
    noun.started?.(tx, ctx)
  }
  rebase(core, tx, ctx)
}

function rebase(core: Core, tx: Tx, ctx: Context): void {
  for (const noun of core.options.nouns) noun.rebase?.(tx, later(ctx.now, limits.rebaseMs), ctx)
}

/** Every deadline that has passed becomes events: a table at a time, the earliest first, each row a command of its own. */
function tick(core: Core, batch: Batch): void {
  for (const [table, expire] of timed(core)) {
    const due = core.tx.find(table, { where: { deadline: { upTo: core.now } }, order: ['deadline'] })
    for (const row of due) {
      runRule(core, batch, (tx, ctx) => {
        // A row before it may have changed or removed this one.
        const fresh = tx.get(table, table.id(row))
        if (fresh && (table.deadline?.(fresh) ?? '~') <= ctx.now) expire(tx, fresh as never, ctx)
      })
    }
  }
}

type Expire = NonNullable<Noun['expire']>[string]

function timed({ options }: Core): Array<[Table<object>, Expire]> {
  return options.nouns.flatMap(({ tables, expire }) =>
    tables.flatMap((table): Array<[Table<object>, Expire]> => {
      const rule = expire?.[table.name]
      return rule ? [[table, rule]] : []
    }),
  )
}

/** Writes what was held and is due; all of it, when the daemon stops. */
function writeHeld(core: Core, batch: Batch): void {
  for (const [name, { at, write }] of [...core.held]) {
    if (at > core.now && !core.stopped) continue
    core.held.delete(name)
    runRule(core, batch, write)
  }
}

/** When time alone next changes something. */
export function nextDeadline(core: Core): Instant | undefined {
  const rows = timed(core).map(([table]) => {
    const [row] = core.tx.find(table, { where: { deadline: { from: '' } }, order: ['deadline'], limit: 1 })
    return row && table.deadline?.(row)
  })
  return [...rows, ...[...core.held.values()].map(({ at }) => at)].filter((at) => at !== undefined).sort()[0]
}
