#!/usr/bin/env node
const [, , command, ...args] = process.argv
if (command === 'hook') {
  // Asked before every edit of an agent: it loads no more than it needs.
  const { runHook } = await import('../dist/workers/hooks/entry.js')
  await runHook(args)
} else {
  const { main } = await import('../dist/cli/main.js')
  await main(process.argv)
}
