import { createWriteStream } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathIn } from '../client/paths.js'
import { folderOf } from './account.js'
import type { Milestone } from './agents/adapter.js'
import { forbids, type Gate, type Outside } from './gate.js'
import type { Shop } from './shop.js'
import { type LiveTurn, runTurn } from './turn.js'

/** What the agent printed is kept beside the repository up to this, characters a turn. */
const LOG_LENGTH_MAX = 16 * 1024 * 1024
/** What only a model that has read its prompt brings about. */
const PROOFS = new Set<Milestone['kind']>(['said', 'thought', 'edit', 'command', 'tool'])

/** The model has been shown the prompt of its turn. */
export const isProof = ({ kind }: Milestone): boolean => PROOFS.has(kind)

/** What is different from one turn of a shop to the next. */
export interface TurnTerms {
  prompt: string
  /** The agent's own session to go on with. */
  resume?: string | undefined
  /** Marks its processes, behind the mark of the shop. */
  run: string
  /** The name of the file in which what it prints is kept. */
  log: string
  /** Beside the environment of the shop. */
  env?: NodeJS.ProcessEnv
  stallMs: number
  outside: Outside
  lease?: Gate['lease']
  tell(milestone: Milestone): void
  late(pids: number[]): void
}

/** Runs the shop's agent for one turn. */
export function startTurn(shop: Shop, terms: TurnTerms): LiveTurn {
  const { client, options, top, cwd, hook, mcp } = shop
  const { prompt, resume, outside, lease } = terms
  const gate = { client, top, outside, ...(lease && { lease }) }
  const log = openLog(join(folderOf(top), terms.log))
  const turn = runTurn({
    adapter: shop.adapter,
    binary: options.binary,
    runId: `${shop.runs}${terms.run}`,
    env: { ...shop.env, ...terms.env },
    stallMs: terms.stallMs,
    tell: terms.tell,
    forbids: (paths) =>
      forbids(
        gate,
        paths.map((path) => resolve(cwd, path)),
      ),
    keep: log.keep,
    late: terms.late,
    task: {
      prompt,
      cwd,
      more: options.more,
      ...(resume && { resume }),
      ...(options.model && { model: options.model }),
      ...(hook && { hook: hook(outside) }),
      ...(mcp && { mcp }),
    },
  })
  void turn.ended.finally(log.close)
  return turn
}

/** A path as locks name it; agents name them from their folder, which need not be the top of the work tree. */
export const nameOf = ({ top, cwd }: Shop, path: string): string => pathIn(top, resolve(cwd, path)) ?? path

function openLog(file: string): { keep(line: string): void; close(): void } {
  const log = createWriteStream(file, { flags: 'a', mode: 0o600 })
  // A log that cannot be written is no reason to stop the work.
  log.on('error', () => {})
  let length = 0
  return {
    keep(line) {
      length += line.length
      if (length <= LOG_LENGTH_MAX) log.write(`${line}\n`)
    },
    close: () => void log.end(),
  }
}
