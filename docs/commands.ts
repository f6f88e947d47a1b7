// The tables of docs/cli.md, from the program's own commands.

import type { Command, Option } from 'commander'
import { exits } from '../src/cli/exits.js'
import { createProgram } from '../src/cli/main.js'
import { product } from '../src/protocol/version.js'
import { table } from './table.js'

const program = await createProgram()

/** A command that does something, and the words that lead to it. */
interface Leaf {
  path: string[]
  command: Command
  /** One that a method makes. */
  call: boolean
}

/** Every command that does something, in the order of the help; hidden ones are for the program itself. */
function leavesOf(command: Command, path: string[] = [], call = false): Leaf[] {
  const inner = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help')
    .flatMap((one) => leavesOf(one, [...path, one.name()], call || one.helpGroup() === 'Calls:'))
  // `mcp` serves by itself, and has commands besides.
  const acts = path.length > 0 && (inner.length === 0 || command.name() === 'mcp')
  return acts ? [{ path, command, call }, ...inner] : inner
}

/** Options of its own; those of all commands are in a group of their own. */
const ownOptions = (command: Command): Option[] =>
  command.options.filter(({ hidden, helpGroupHeading }) => !hidden && helpGroupHeading !== 'Global options:')

const usageOf = ({ path, command }: Leaf): string =>
  [product.name, ...path, command.usage().replace(/\[options\] ?|\[command\] ?/g, '')].join(' ').trim()

/** What each marker in docs/cli.md stands for. */
export const commandTables: Record<string, () => string> = {
  exits: () =>
    table(
      ['code', 'meaning'],
      Object.values(exits).map(({ code, summary }) => [`${code}`, summary]),
    ),
  globals: () =>
    table(
      ['option', ''],
      program.options
        .filter(({ helpGroupHeading }) => helpGroupHeading === 'Global options:')
        .map(({ flags, description }) => [`\`${flags}\``, description]),
    ),
  commands: () =>
    leavesOf(program)
      .filter(({ call }) => !call)
      .map((leaf) => {
        const options = leaf.command.createHelp()
        const lines = ownOptions(leaf.command).map(
          (option) => `- \`${option.flags}\` ${options.optionDescription(option)}`,
        )
        return [
          `\n**\`${usageOf(leaf)}\`** ${leaf.command.description()}`,
          ...(lines.length > 0 ? ['', ...lines] : []),
        ].join('\n')
      })
      .join('\n'),
  calls: () =>
    table(
      ['command', 'options'],
      leavesOf(program)
        .filter(({ call }) => call)
        .map((leaf) => [
          `\`${usageOf(leaf).replace(`${product.name} `, '')}\``,
          ownOptions(leaf.command)
            .filter(({ negate }) => !negate)
            .map(({ flags }) => `\`${flags.split(/[ ,]/)[0]}\``)
            .join(' '),
        ]),
    ),
}
