// Help that teaches, and completion: both are made from the program's own commands.

import { spawnSync } from 'node:child_process'
import { type Command, Option } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { completionOf } from '../src/cli/completion.js'
import { formatEvent } from '../src/cli/events.js'
import { examples } from '../src/cli/examples.js'
import { createProgram } from '../src/cli/main.js'
import { refusalInFlags } from '../src/cli/session.js'
import { createPaint } from '../src/cli/text.js'
import { CallError } from '../src/client/node.js'

const help = suite('cli help')

const program = await createProgram()

const find = (path: readonly string[]): { command: Command; rest: readonly string[] } => {
  let [command, at] = [program, 0]
  for (; at < path.length; at++) {
    const inner = command.commands.find((candidate) => candidate.name() === path[at])
    if (!inner) break
    command = inner
  }
  return { command, rest: path.slice(at) }
}

/** A line as a shell takes it apart, up to where another command or the words of another program begin. */
const wordsOf = (line: string): string[] =>
  (line.split(/ (?:&&|--) /)[0]!.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, '$1'))

help('every example is of a command that there is, with options that it has', () => {
  for (const [path, lines] of Object.entries(examples)) {
    assert.ok(lines.length > 0)
    for (const [line] of lines) {
      const { command, rest } = find(wordsOf(line))
      const own = command.options.flatMap(({ long, short }) => [long, short])
      const flags = rest.filter((word) => word.startsWith('--'))
      assert.equal(
        flags.filter((flag) => !own.includes(flag)),
        [],
        `${path}: ${line}`,
      )
      assert.is.not(command, program, line)
    }
  }
})

help('the examples stand in the help of their command', () => {
  let shown = ''
  const { command } = find(['contract', 'create'])
  command.configureOutput({ writeOut: (text) => (shown += text) })
  command.outputHelp()
  assert.match(shown, /Examples:\n {2}# to one agent\n {2}agent-bridge contract create --title 'Fix the login'/)
})

help('every command that is no call has examples, and none shows what an empty list looks like', () => {
  const without = (command: Command, path: string[]): string[] => {
    let shown = ''
    command.configureOutput({ writeOut: (text) => (shown += text) }).outputHelp()
    assert.not.match(shown, /default: (\[\]|")/, path.join(' '))
    const inner = command.commands.filter((one) => one.helpGroup() !== 'Calls:')
    const missing = inner.flatMap((one) => without(one, [...path, one.name()]))
    const hidden = !command.parent?.createHelp().visibleCommands(command.parent).includes(command)
    return /Examples:/.test(shown) || command.commands.length > 0 || (hidden && path.length > 0)
      ? missing
      : [...missing, path.join(' ')]
  }
  assert.equal(without(program, []), [])
})

/** What bash offers for the last of the words. */
function offered(...words: string[]): string[] {
  const quoted = ['agent-bridge', ...words].map((word) => `'${word}'`).join(' ')
  const script = `${completionOf(program, 'bash')}
COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _agent_bridge; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
  assert.equal([status, stderr], [0, ''])
  return stdout.split('\n').filter((line) => line !== '')
}

help('bash completes commands, verbs, options and choices', () => {
  assert.equal(offered('contr'), ['contract'])
  assert.equal(offered('contract', 'cr'), ['create'])
  assert.equal(offered('--json', 'lock', 'acquire', '--wait'), ['--wait-ms'])
  assert.equal(offered('contract', 'create', '--priority', ''), ['low', 'normal', 'high', 'critical'])
  assert.equal(offered('contract', 'list', '--status', 'w'), ['working'])
  assert.equal(offered('mcp', 'install', 'c'), ['codex', 'cursor', 'claude'])
  assert.equal(offered('completion', 'f'), ['fish'])
  assert.equal(offered('contract', 'fail', 'ctr_1', '--error-re'), ['--error-reason', '--error-retryable'])
  // A word that is no command of the place leads nowhere else.
  assert.equal(offered('message', 'publish', '--text', 'lock', '--top'), ['--topic'])
})

for (const shell of ['zsh', 'fish'] as const) {
  help(`${shell} takes the script, where there is ${shell}`, () => {
    const script = completionOf(program, shell)
    assert.match(script, /'contract create'/)
    const { error, status, stderr } = spawnSync(shell, ['-n', '-c', script], { encoding: 'utf8' })
    if (!error) assert.is(status, 0, stderr)
  })
}

help('no description can break out of its quotes', async () => {
  const evil = await createProgram()
  evil
    .command('evil')
    .description(`it's "$(touch /tmp/x)" \`y\` \\ [z]: a`)
    .addOption(new Option('--q <x>', "'; rm -rf '"))
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const script = completionOf(evil, shell)
    assert.not.match(script, /\$\(touch|rm -rf '|`y`|it's/)
  }
})

help('a refusal names its facts as they are printed below it, and parameters as they are typed', async () => {
  const message = 'It waits for what `data.blockedBy` names. Wait with `waitMs`.'
  const refused = Promise.reject(new CallError('NOT_READY', message, { reason: 'NOT_READY' }))
  const told = await refusalInFlags('contract.start', refused).catch((error: CallError) => error.message)
  assert.is(told, 'It waits for what `blockedBy` names. Wait with --wait-ms.')
})

help('progress is drawn', () => {
  const event = (progress: number) => ({
    cursor: 'a-1',
    type: 'contract.progressed',
    time: '2026-01-01T00:00:00.000Z',
    actor: 'codex',
    subject: 'ctr_1',
    data: { contract: { id: 'ctr_1', title: 'x', progress } },
  })
  assert.match(formatEvent(event(0.34), createPaint(false)), /███░░░░░░░ 34%$/)
  assert.match(formatEvent(event(0), createPaint(false)), /░{10} 0%$/)
  assert.match(formatEvent(event(1), createPaint(false)), /█{10} 100%$/)
})

help.run()
