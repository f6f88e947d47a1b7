/** Every exit code, and what it means; the program's help is written from it. */
export const exits = {
  ok: { code: 0, summary: 'done' },
  refused: {
    code: 1,
    summary:
      'the bridge said no: it refused the call, or answered `allowed: false`; or the doctor found something wrong',
  },
  usage: { code: 2, summary: 'the command line is wrong; nothing was sent' },
  unreachable: { code: 3, summary: 'no daemon answers, or it was lost before the answer came' },
  setup: {
    code: 4,
    summary: 'as things are here it cannot be done: the daemon not started or stopped, a file not written',
  },
  lost: { code: 75, summary: 'run: a lock was lost while the command ran, which was ended' },
  fault: { code: 70, summary: 'a fault of agent-bridge itself' },
} as const

export type Exit = keyof typeof exits

/** Ends the command: one line for people, told on standard error, and an exit code. */
export class Failure extends Error {
  readonly exit: Exit

  constructor(exit: Exit, message: string) {
    super(message)
    this.name = 'Failure'
    this.exit = exit
  }
}

/** An expression, so that it can stand where a value is wanted. */
export function fail(exit: Exit, message: string): never {
  throw new Failure(exit, message)
}
