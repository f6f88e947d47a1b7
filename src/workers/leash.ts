// A process of its own that outlives its worker: when the worker is gone, however it went, the pipe between them ends,
// and whatever the worker's run has left is ended too, before the bridge gives the run's locks to others.

import { endTree } from './tree.js'

const [prefix] = process.argv.slice(2)
if (!prefix) throw new Error('usage: leash <run id>')
// A Ctrl-C is for the worker, which then ends its run in good order.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})
process.stdin.resume()
process.stdin.once('close', async () => {
  await endTree(prefix)
  process.exit(0)
})
