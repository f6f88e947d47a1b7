import type { Command } from 'commander'
import { z } from 'zod'
import { methods } from '../bridge/index.js'
import { resourceOf } from '../client/paths.js'
import { isFields } from '../protocol/fields.js'
import type { Method } from '../protocol/method.js'
import { exits, fail } from './exits.js'
import { globalsOf, terminalOf, withGlobals } from './globals.js'
import { inFlags, kebab, type Param, paramsOf } from './params.js'
import { callOnce } from './session.js'
import { formatAnswer } from './show.js'
import { printableJson } from './text.js'

/** Methods that can be a command of their own: all but those that only mean something on a socket that stays. */
const callable: readonly Method[] = [...methods.values()].filter(({ socket }) => !socket)

/** `noun verb` on the command line. */
export const commandOf = ({ name }: Method): [noun: string, verb: string] => {
  const [noun = '', verb = ''] = name.split('.')
  return [kebab(noun), kebab(verb)]
}

/** One command for each method of the registry. */
export function addCalls(program: Command): void {
  for (const noun of new Set(callable.map((method) => commandOf(method)[0]))) {
    const own = callable.filter((method) => commandOf(method)[0] === noun)
    const verbs = own.map((method) => commandOf(method)[1])
    const parent = withGlobals(program.command(noun).description(verbs.join(', ')), false).helpCommand(false)
    for (const method of own) addCall(parent, method)
  }
}

function addCall(parent: Command, method: Method): void {
  const command = parent.command(commandOf(method)[1]).description(inFlags(method.summary, method))
  const params = paramsOf(method)
  for (const param of params) {
    for (const option of [param, ...param.fields].flatMap(({ options }) => options)) command.addOption(option)
    const { positional, variadic } = param
    if (positional) command.argument(variadic ? `[${positional}...]` : `[${positional}]`)
  }
  withGlobals(command).action(async () => {
    const terminal = terminalOf(command)
    const given = readParams(command, method, params)
    const answer = await callOnce(globalsOf(command), method.name, given)
    if (terminal.json) terminal.print(printableJson(answer, 2))
    // A document without a form of its own is best read as what it is.
    else if (method.result instanceof z.ZodRecord) terminal.print(printableJson(answer, 2))
    else terminal.print(formatAnswer(answer, terminal.page))
    if (isFields(answer) && answer.allowed === false) process.exitCode = exits.refused.code
  })
}

/** An object from the options of its fields; undefined when none is given. */
function readFields(options: Record<string, unknown>, { fields }: Param): Record<string, unknown> | undefined {
  const found = fields.flatMap(({ name, options: [option], read }): [string, unknown][] => {
    const given = options[option!.attributeName()] as string[] | boolean | undefined
    if (given === undefined) return []
    return [[name, typeof given === 'boolean' ? given : read(given)]]
  })
  return found.length > 0 ? Object.fromEntries(found) : undefined
}

function readParams(command: Command, method: Method, params: readonly Param[]): Record<string, unknown> {
  const options = command.opts()
  const positionals = params.filter(({ positional }) => positional)
  const read = params.flatMap((param): [string, unknown][] => {
    const {
      name,
      options: [option],
    } = param
    const given = options[option!.attributeName()]
    const argument = command.processedArgs[positionals.indexOf(param)]
    const fields = readFields(options, param)
    if (fields)
      return given === undefined
        ? [[name, fields]]
        : fail('usage', `${option!.long} is given as JSON and by its fields.`)
    const named = (text: string) => (param.isPath ? resourceOf(text, process.cwd()) : text)
    const texts = given ?? (argument === undefined ? undefined : [argument].flat().map(named))
    if (texts === undefined || texts.length === 0) return []
    if (given !== undefined && argument !== undefined && argument.length > 0) {
      fail('usage', `${option!.long} is given twice: as an option and as an argument.`)
    }
    return [[name, typeof texts === 'boolean' ? texts : param.read(texts)]]
  })
  const found = Object.fromEntries(read)
  const missing = params.filter(({ name, required }) => required && !(name in found))
  if (missing.length > 0) {
    const names = missing.map(({ positional, options: [option] }) => (positional ? `<${positional}>` : option!.flags))
    fail('usage', `${commandOf(method).join(' ')} needs ${names.join(' and ')}: --help tells more.`)
  }
  return found
}
