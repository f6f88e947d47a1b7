import { Argument, type Command, type Option } from 'commander'
import { product } from '../protocol/version.js'
import { terminalOf, withGlobals } from './globals.js'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

/** What the values of an option can be, for completion; what else there is, such as another spelling, the bridge judges. */
export const choicesOf = new WeakMap<Option, readonly string[]>()

/** Where each shell finds it, said in the help. */
const HELP = `
Examples:
  source <(${product.name} completion bash)                                    in ~/.bashrc
  source <(${product.name} completion zsh)                                     in ~/.zshrc, after compinit
  ${product.name} completion fish > ~/.config/fish/completions/${product.name}.fish`

export function addCompletion(program: Command): void {
  const command = program
    .command('completion')
    .description('Prints what a shell needs to complete commands, options and their choices.')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText('after', HELP)
  withGlobals(command).action((shell: Shell) => terminalOf(command).print(completionOf(program, shell)))
}

/** One thing that can be typed next. */
interface Word {
  word: string
  summary: string
}

/** What can follow the words of a command, and what the values of its options can be. */
interface Place {
  /** Such as `contract create`; empty for the program itself. */
  path: string
  words: Word[]
  choices: { flag: string; values: readonly string[] }[]
}

/** The script for a shell, made from the program's own commands: it asks nobody while one types. */
export function completionOf(program: Command, shell: Shell): string {
  return scripts[shell](placesOf(program, []))
}

function placesOf(command: Command, path: readonly string[]): Place[] {
  const options = command.options.filter(({ hidden }) => !hidden)
  const subcommands = command.commands.map((inner) => ({
    word: inner.name(),
    summary: firstSentence(inner.description()),
  }))
  const choices = options.flatMap((option) => {
    const values = option.argChoices ?? choicesOf.get(option) ?? []
    const flags = [option.long, option.short].filter((flag) => flag !== undefined)
    return values.length > 0 ? flags.map((flag) => ({ flag, values })) : []
  })
  const values = command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices)
  return [
    {
      path: path.join(' '),
      words: [...subcommands, ...values.map((word) => ({ word, summary: '' })), ...options.map(wordOf)],
      choices,
    },
    ...command.commands.flatMap((inner) => placesOf(inner, [...path, inner.name()])),
  ]
}

const wordOf = ({ long, flags, description }: Option): Word => ({
  word: long ?? flags,
  summary: firstSentence(description),
})

/** Plain text without what shells give a meaning to. */
const firstSentence = (text: string): string =>
  (text.split(/[.;:]\s|\.$/)[0] ?? '').replace(/["'`$\\[\]:]/g, '').slice(0, 80)

const scripts: Record<Shell, (places: readonly Place[]) => string> = { bash, zsh, fish }

const quoted = (texts: readonly string[]): string => texts.map((text) => `'${text}'`).join(' ')

/** The patterns `contract` + `create`, by which a shell walks from word to word. */
const steps = (places: readonly Place[]): string[] =>
  places.flatMap(({ path }) => {
    if (path === '') return []
    const at = path.lastIndexOf(' ')
    return [`${path.slice(0, Math.max(0, at))} ${path.slice(at + 1)}`]
  })

function bash(places: readonly Place[]): string {
  const choices = places.flatMap(({ path, choices }) =>
    choices.map(({ flag, values }) => `    '${path} ${flag}') words='${values.join(' ')}' ;;`),
  )
  return `# ${product.name} completion for bash
_agent_bridge() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
      ${steps(places)
        .map((step) => `'${step}'`)
        .join('|')}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at $prev" in
${choices.join('\n')}
  esac
  if [ -z "$words" ]; then
    case "$at" in
${places.map(({ path, words }) => `      '${path}') words='${words.map(({ word }) => word).join(' ')}' ;;`).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _agent_bridge ${product.name}`
}

function zsh(places: readonly Place[]): string {
  const described = ({ word, summary }: Word) => (summary === '' ? word : `${word}:${summary}`)
  const choices = places.flatMap(({ path, choices }) =>
    choices.map(({ flag, values }) => `    '${path} ${flag}') items=(${quoted(values)}) ;;`),
  )
  return `#compdef ${product.name}
# ${product.name} completion for zsh
_agent_bridge() {
  local at='' word
  local -a items
  for word in \${words[2,CURRENT-1]}; do
    case "$at $word" in
      ${steps(places)
        .map((step) => `'${step}'`)
        .join('|')}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${choices.join('\n')}
  esac
  if (( ! $#items )); then
    case "$at" in
${places.map(({ path, words }) => `      '${path}') items=(${quoted(words.map(described))}) ;;`).join('\n')}
    esac
  fi
  _describe '${product.name}' items || _files
}
compdef _agent_bridge ${product.name}`
}

function fish(places: readonly Place[]): string {
  const lines = (words: readonly Word[]) =>
    quoted(words.map(({ word, summary }) => `${word}\\t${summary}`)).replaceAll('\\t', '\t')
  const choices = places.flatMap(({ path, choices }) =>
    choices.map(
      ({ flag, values }) => `    case '${path} ${flag}'\n      printf '%s\\n' ${quoted(values)}\n      return`,
    ),
  )
  return `# ${product.name} completion for fish
function __agent_bridge
  set -l at ''
  set -l typed (commandline -opc)
  for word in $typed[2..-1]
    switch "$at $word"
      case ${quoted(steps(places))}
        set at (string trim "$at $word")
    end
  end
  switch "$at $typed[-1]"
${choices.join('\n')}
  end
  switch "$at"
${places.map(({ path, words }) => `    case '${path}'\n      printf '%s\\n' ${lines(words)}`).join('\n')}
  end
end
complete -c ${product.name} -a '(__agent_bridge)'`
}
