import { Command, CommanderError, Help, type Option } from 'commander'
import { product } from '../protocol/version.js'
import { addAnswer } from './answer.js'
import { addBackup } from './backup.js'
import { addCompletion } from './completion.js'
import { addDashboard } from './dashboard.js'
import { addDelegate } from './delegate.js'
import { addDoctor } from './doctor.js'
import { addExamples } from './examples.js'
import { exits } from './exits.js'
import { globalsOf, withGlobals } from './globals.js'
import { addGuard } from './guard.js'
import { addHooks } from './hooks.js'
import { addStatus, addStop } from './life.js'
import { addInstall } from './mcp/install.js'
import { addServe } from './mcp/serve.js'
import { addRun } from './run.js'
import { addStart } from './start.js'
import { openTerminal } from './terminal.js'
import { printableJson } from './text.js'
import { addWatch } from './watch.js'
import { addWork } from './work.js'

/** Runs the command line, as Node gives it, and leaves the exit code in `process.exitCode`. */
export async function main(argv: string[]): Promise<void> {
  // A reader such as head has seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? exits.ok.code : exits.fault.code)
  })
  let running: Command | undefined
  let complaint = ''
  const program = await createProgram(argv[2], (text) => {
    complaint += text
  })
  program.hook('preAction', (_program, command) => {
    running = command
  })
  try {
    await program.parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      process.exitCode = openTerminal(running ? globalsOf(running) : {}).report(error)
    } else if (error.exitCode !== 0) {
      process.exitCode = complain(complaint, argv.includes('--json'))
    }
  }
}

/** Commander's own words on what is wrong with the command line: one or two lines, or a command's help. */
function complain(text: string, json: boolean): number {
  const message = text.replace(/^error: /, '').trimEnd()
  process.stderr.write(json ? `${printableJson({ error: { reason: 'USAGE', message } })}\n` : text)
  return exits.usage.code
}

/**
 * The program with all its commands, or, where the line begins with one that is no call, without the calls: what describes
 * them takes most of the start. `complain` gets what Commander finds wrong with the command line.
 */
export async function createProgram(first = '', complain: (text: string) => void = () => {}): Promise<Command> {
  const program = new Command(product.name)
    .description('The bridge through which coding agents that share a repository coordinate.')
    .version(product.version)
    .exitOverride()
    .configureOutput({ writeErr: complain })
    .configureHelp({ optionDescription })
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .addHelpText('after', helpOnExits)
  withGlobals(program)
  program.commandsGroup('The daemon:')
  addStart(program)
  addStop(program)
  addStatus(program)
  addWatch(program)
  addAnswer(program)
  addBackup(program)
  addDoctor(program)
  addDashboard(program)
  program.commandsGroup('Agents:')
  addInstall(addServe(program))
  addWork(program)
  addRun(program)
  addDelegate(program)
  addHooks(program)
  addGuard(program)
  program.commandsGroup('Calls:')
  if (!program.commands.some((command) => command.name() === first)) {
    const { addCalls } = await import('./calls.js')
    addCalls(program)
  }
  program.commandsGroup('Help:')
  addCompletion(program)
  addExamples(program)
  return program
}

/** Commander's, without its JSON: a list that is empty at first needs no word, and a text no quotation marks. */
function optionDescription(this: Help, option: Option): string {
  return Help.prototype.optionDescription
    .call(this, option)
    .replace(/ \(default: \[\]\)/, '')
    .replace(/default: "([^"]*)"/, 'default: $1')
}

const helpOnExits = `
Exit codes:
${Object.values(exits)
  .map(({ code, summary }) => `  ${String(code).padEnd(4)} ${summary}`)
  .join('\n')}`
