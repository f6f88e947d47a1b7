import { existsSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { product } from '../protocol/version.js'

/** How this program is run from elsewhere: by name where the path leads to it, and else by Node and its file. */
export function selfWords(node = 'node'): string[] {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  const onPath = folders.some((folder) => existsSync(join(folder, product.name)))
  return onPath ? [product.name] : [node, process.argv[1] ?? product.name]
}

/** A word as a shell takes it. */
export const quote = (text: string): string => (/^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

/** This program to the letter, as it runs now: for what is to call this very one, wherever it is called. */
export const selfCommand = (): string[] => [process.execPath, ...process.execArgv, resolve(process.argv[1] ?? '')]
