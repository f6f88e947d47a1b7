import type { Command } from 'commander'
import { product } from '../protocol/version.js'

/** What one types, and what it is for, by command. */
export const examples: Record<string, readonly (readonly [line: string, meaning: string])[]> = {
  '': [
    ['start', 'run the daemon here, until Ctrl-C'],
    ['mcp install claude', 'give an agent the tools'],
    ["contract create --title 'Speed up the parser' --resource 'file:src/**'", 'offer a task'],
    ['watch --after earliest', 'see all that happened and happens'],
    ['answer', 'what agents ask you'],
  ],
  start: [
    ['start --port 0', 'on any free port'],
    ['start --home /srv/bridge', 'another daemon beside the usual one'],
  ],
  run: [
    ["run --lock 'src/**' npm run format", 'nobody else writes there meanwhile'],
    ['run --lock port:3000 --wait-ms 60000 --as ci npm test', 'wait a minute for one’s turn'],
  ],
  watch: [
    ["watch --type 'contract.*'", 'contracts only'],
    ['watch --mine --as codex --json', 'what concerns one agent, for a program'],
    ['watch --contract ctr_0mw... --after earliest', 'the whole life of one contract'],
  ],
  stop: [['stop', 'its agents find it again when it has been started anew']],
  status: [['status --json', 'for a program; exits with 3 when no daemon runs']],
  answer: [
    ['answer', 'what is asked, by whom, and until when'],
    ['answer ctr_0mw...', 'be asked for each answer'],
    ['answer ctr_0mw... blue', 'the answer to its one question'],
    ['answer ctr_0mw... --set branch=next --set tag=v2', 'to several, by their keys'],
  ],
  backup: [['backup ../shop.abrg', 'this repository’s workspace, while the daemon works']],
  restore: [['restore ../shop.abrg', 'after agent-bridge stop; what was there is kept beside it']],
  doctor: [['doctor', 'faults, and what to do about each']],
  dashboard: [['dashboard --no-open', 'only print the link, to be opened within a minute']],
  work: [
    ["work --agent codex --allow-check 'npm test'", 'one contract after the other, here'],
    ['work --agent claude --concurrency 3 --worktree', 'three side by side, each contract on a branch of its own'],
    ['work --agent gemini -- --sandbox', 'what comes behind -- is the agent’s'],
  ],
  delegate: [
    [
      "delegate 'Speed up the parser' --to codex --lock 'file:src/**' --check 'npm test' --wait",
      'and follow it to its end',
    ],
    ['delegate --plan plan.yaml --wait', 'several, in an order'],
  ],
  'hooks install': [
    ['hooks install claude', 'an edit of what another has locked is refused'],
    ['hooks install codex --outside acquire --fail open', 'lock what it edits; let it edit when no daemon runs'],
  ],
  'hooks uninstall': [['hooks uninstall claude', 'and out again']],
  'guard install': [['guard install --fail open', 'commit when no daemon runs, too']],
  'guard uninstall': [['guard uninstall', 'and out again']],
  'guard check': [['guard check pre-commit', 'may what is staged be committed?']],
  'mcp uninstall': [['mcp uninstall cursor', 'all else in the file stays']],
  mcp: [
    ['mcp install codex', "into this repository's configuration"],
    ['mcp --agent codex-left --profile full', 'by hand: what the configuration starts'],
  ],
  'mcp install': [
    ['mcp install cursor --dry-run', 'what would be written, and where'],
    ['mcp install claude --user', 'for all repositories of this user'],
  ],
  'contract create': [
    ["contract create --title 'Fix the login' --assignee codex --resource 'file:src/login/**'", 'to one agent'],
    [
      `contract create --title Migrate --check '{"name":"tests","command":"npm test"}'`,
      'done only when its check passes',
    ],
    ['contract create --title Review --capability review --priority high', 'to whoever can'],
  ],
  'contract next': [['contract next --as codex --wait-ms 60000', 'take work, or wait a minute for it']],
  'contract start': [
    ['contract start ctr_0mw... --attempt 1 --as codex --wait-ms 60000', 'with its locks, in line if need be'],
  ],
  'contract update': [
    ["contract update ctr_0mw... --attempt 1 --progress 0.5 --note 'half of it' --as codex", 'how far it is'],
  ],
  'contract complete': [["contract complete ctr_0mw... --attempt 1 --note 'twice as fast' --as codex", 'done']],
  'contract fail': [
    [
      "contract fail ctr_0mw... --attempt 1 --error-reason TESTS_FAILED --error-message '3 of 40'",
      'it may be tried again',
    ],
    [
      'contract fail ctr_0mw... --attempt 1 --error-reason IMPOSSIBLE --error-message no --no-error-retryable',
      'it may not',
    ],
  ],
  'contract list': [
    ['contract list --status working --status input_required', 'what is under way'],
    ['contract list --ready --json', 'what can be taken, for a program'],
  ],
  'lock acquire': [
    ["lock acquire --resource 'file:src/**' --reason 'moving files' --as codex", 'or be told who holds it'],
    ['lock acquire --resource port:3000 --wait-ms 60000 --as codex', 'in line, for a minute'],
  ],
  'lock check': [['lock check src/a.ts --as codex && vi src/a.ts', 'exit code 1 when another holds it']],
  'message publish': [
    ["message publish --to codex --text 'the build is red' --require-ack", 'to an agent that must say it has acted'],
    ['message publish --topic builds.nightly --text done', 'to whoever follows the topic'],
  ],
}

/** Adds its examples to a command's help. */
export function addExamples(program: Command): void {
  for (const [path, lines] of Object.entries(examples)) {
    const command = path
      .split(' ')
      .reduce<Command | undefined>(
        (at, name) => (name === '' ? at : at?.commands.find((inner) => inner.name() === name)),
        program,
      )
    const shown = lines.map(([line, meaning]) => `  # ${meaning}\n  ${product.name} ${line}`)
    command?.addHelpText('after', `\nExamples:\n${shown.join('\n')}`)
  }
}
