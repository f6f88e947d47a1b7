import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { applyEdits, modify, type ParseError, parse } from 'jsonc-parser'
import { SetupError } from '../../protocol/errors.js'
import type { Fields } from '../../protocol/fields.js'
import { type AgentKind, fieldsOf } from '../agents/adapter.js'
import { topOf } from '../git.js'

// Writes the hook into the agents' own configuration, and takes it out again, leaving everything else as it is.

export interface InstallOptions {
  kind: AgentKind
  cwd: string
  /** Into the user's configuration, for all projects, not into the project's. */
  user: boolean
  /** How this program is run, as a shell reads it. */
  self: string
  failing: 'closed' | 'open'
  outside: 'allow' | 'acquire' | 'refuse'
  agent?: string
}

/** One file and what is to become of it. */
export interface Change {
  file: string
  before: string | undefined
  after: string
}

interface Place {
  project: string
  user(env: NodeJS.ProcessEnv): string
  /** Where the lists of hooks are, in the file. */
  path: string[]
  /** The hooks, by event. */
  hooks(command: string, closed: boolean): Record<string, Fields>
}

const EDITS_OF_CLAUDE = 'Write|Edit|MultiEdit|NotebookEdit'
const TIMEOUT_S = 30

const grouped = (matcher: string, command: string, timeout: number): Fields => ({
  matcher,
  hooks: [{ type: 'command', command, timeout }],
})

const PLACES: Record<AgentKind, Place> = {
  codex: {
    project: '.codex/hooks.json',
    user: ({ CODEX_HOME }) => join(CODEX_HOME || join(homedir(), '.codex'), 'hooks.json'),
    path: ['hooks'],
    hooks: (command) => ({
      PreToolUse: grouped('apply_patch|Bash', command, TIMEOUT_S),
      PostToolUse: grouped('Bash', command, TIMEOUT_S),
    }),
  },
  claude: {
    // The file that is not shared: the command holds paths of this machine.
    project: '.claude/settings.local.json',
    user: ({ CLAUDE_CONFIG_DIR }) => join(CLAUDE_CONFIG_DIR || join(homedir(), '.claude'), 'settings.json'),
    path: ['hooks'],
    hooks: (command) => ({
      PreToolUse: grouped(`${EDITS_OF_CLAUDE}|Bash`, command, TIMEOUT_S),
      PostToolUse: grouped('Bash', command, TIMEOUT_S),
    }),
  },
  gemini: {
    project: '.gemini/settings.json',
    user: ({ GEMINI_CLI_HOME }) => join(GEMINI_CLI_HOME || homedir(), '.gemini', 'settings.json'),
    path: ['hooks'],
    hooks: (command) => ({
      BeforeTool: grouped('write_file|replace|run_shell_command', command, TIMEOUT_S * 1_000),
      AfterTool: grouped('run_shell_command', command, TIMEOUT_S * 1_000),
    }),
  },
  cursor: {
    project: '.cursor/hooks.json',
    user: () => join(homedir(), '.cursor', 'hooks.json'),
    path: ['hooks'],
    // One event that it does not know voids its whole file: only the one that is known for certain.
    hooks: (command, closed) => ({
      preToolUse: { command, matcher: 'Write|Delete|Shell', timeout: TIMEOUT_S, failClosed: closed },
    }),
  },
}

/** What installing changes; the same text when all is there already. @throws SetupError for a file that cannot be read as JSON */
export function installing(options: InstallOptions): Change {
  const { kind, failing } = options
  const file = fileOf(options)
  const before = textIn(file)
  const hooks = PLACES[kind].hooks(commandOf(options), failing === 'closed')
  let after = before ?? (kind === 'cursor' ? '{ "version": 1 }\n' : '{}\n')
  for (const [event, entry] of Object.entries(hooks)) {
    const path = [...PLACES[kind].path, event]
    const others = listAt(after, path, file).filter((one) => !isOurs(one, kind))
    after = set(after, path, [...others, entry])
  }
  return { file, before, after }
}

/** What taking it out changes. @throws SetupError */
export function uninstalling(options: Pick<InstallOptions, 'kind' | 'cwd' | 'user'>): Change {
  const { kind } = options
  const file = fileOf(options)
  const before = textIn(file)
  let after = before ?? ''
  for (const event of Object.keys(PLACES[kind].hooks('', false))) {
    const path = [...PLACES[kind].path, event]
    if (before === undefined) break
    const all = listAt(after, path, file)
    const others = all.filter((one) => !isOurs(one, kind))
    if (others.length < all.length) after = set(after, path, others.length > 0 ? others : undefined)
  }
  return { file, before, after }
}

export function apply({ file, before, after }: Change): boolean {
  if (before === after || (before === undefined && after === '')) return false
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, after)
  return true
}

function fileOf({ kind, cwd, user }: Pick<InstallOptions, 'kind' | 'cwd' | 'user'>): string {
  const place = PLACES[kind]
  return user ? place.user(process.env) : join(topOf(cwd) ?? cwd, place.project)
}

function commandOf({ kind, self, failing, outside, agent }: InstallOptions): string {
  const words = [self, 'hook', kind, '--fail', failing, '--outside', outside, ...(agent ? ['--as', agent] : [])]
  // Any end but 2 would be a yes: a program that is gone must be a no too. Cursor has a word of its own for that.
  return failing === 'closed' && kind !== 'cursor' ? `${words.join(' ')} || exit 2` : words.join(' ')
}

const isOurs = (entry: unknown, kind: AgentKind): boolean => JSON.stringify(entry).includes(` hook ${kind} --fail `)

const textIn = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : undefined)

function listAt(text: string, path: readonly string[], file: string): unknown[] {
  const errors: ParseError[] = []
  let at: unknown = parse(text, errors, { allowTrailingComma: true })
  if (errors.length > 0) throw new SetupError(`${file} cannot be read as JSON: mend it first.`)
  for (const name of path) at = fieldsOf(at)[name]
  if (at !== undefined && !Array.isArray(at))
    throw new SetupError(`${path.join('.')} in ${file} is no list: mend it first.`)
  return at ?? []
}

const set = (text: string, path: string[], value: unknown): string =>
  applyEdits(text, modify(text, path, value, { formattingOptions: { insertSpaces: true, tabSize: 2 } }))
