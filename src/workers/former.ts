import type { Shop } from './shop.js'
import { endTree, MARK, marked } from './tree.js'

// What a worker of the same name has left that was killed: its agent's processes, and its attempts.

/** What the marks of all workers of this name begin with, and the process of the worker that a mark is of. */
const formerOf = (runs: string): string => runs.slice(0, runs.lastIndexOf('/', runs.length - 2) + 1)
const workerOf = (former: string, run: string): number => Number(run.slice(former.length).split('/')[0])

/** A worker that was killed may have left its agent running, under marks that name a process that is no more. */
export async function endFormerRuns(runs: string, tell: (line: string) => void): Promise<void> {
  const former = formerOf(runs)
  for (const { pid, run } of marked(former)) {
    const worker = workerOf(former, run)
    if (isAlive(worker)) continue
    tell(`ends what a former worker left running (process ${pid}, ${MARK}=${run})`)
    await endTree(`${former}${worker}/`)
  }
}

/** Its attempts count as failed at once: nobody works on them, and nothing of them runs any more. */
export async function giveUpFormerWork({ client, runs }: Shop, tell: (line: string) => void): Promise<void> {
  const former = formerOf(runs)
  const status = ['accepted', 'working', 'input_required'] as const
  const { items } = await client.call('contract.list', { owner: client.agent, status: [...status] })
  for (const { id: contractId, attempt, metadata } of items) {
    const { worker } = metadata
    if (typeof worker !== 'string' || !worker.startsWith(former) || isAlive(workerOf(former, worker))) continue
    tell(`gives up attempt ${attempt} at ${contractId}, which a former worker was at`)
    const error = { reason: 'WORKER_LOST', message: 'The worker was killed, and started again.', retryable: true }
    await client.call('contract.fail', { contractId, attempt, error })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
