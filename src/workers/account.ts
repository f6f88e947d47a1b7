import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ParamsOf } from '../bridge/index.js'
import type { AgentKind, Usage } from './agents/adapter.js'
import { commonOf, diffOf } from './git.js'
import type { Contract } from './prompt.js'

type Artifact = NonNullable<ParamsOf<'contract.complete'>['artifacts']>[number]

/** A patch up to this is kept in the contract itself, characters; a larger one by the address of a file. */
const DIFF_KEPT = 16_384
const MESSAGE_KEPT = 8_192

/** What is known of an attempt when it is over. */
export interface Account {
  agent: AgentKind
  version: string
  /** The agent's own session, to go on with in the next attempt. */
  session?: string
  outcome: string
  usage?: Usage
  durationMs: number
  /** The agent's last words. */
  message: string
  changed: string[]
  refused: string[]
  outsideLocks: string[]
  top: string
  head: string | undefined
  branch?: string
}

/** What an attempt leaves with its contract: its account, the sum of all attempts' usage, the patch. */
export function artifactsOf(contract: Contract, account: Account): Artifact[] {
  const { top, head, message, usage, ...facts } = account
  const { id, attempt } = contract
  const own = {
    name: `attempt-${attempt}`,
    mediaType: 'application/json',
    data: { ...facts, changed: facts.changed.slice(0, PATHS_KEPT), ...(usage && { usage: { ...usage } }) },
  }
  const used = sumOf([
    ...contract.artifacts.map(({ name, data }) =>
      /^attempt-\d+$/.test(name) && name !== own.name ? usageIn(data) : undefined,
    ),
    account.usage,
  ])
  return [
    own,
    { name: 'usage', mediaType: 'application/json', data: { ...used } },
    { name: 'last-message', mediaType: 'text/markdown', text: message.slice(-MESSAGE_KEPT) || '(none)' },
    ...patchOf(diffOf(top, head, account.changed), top, `${id}-${attempt}.diff`),
  ]
}

const PATHS_KEPT = 200

function patchOf(patch: string, top: string, name: string): Artifact[] {
  if (patch === '') return []
  const artifact = { name: 'diff', mediaType: 'text/x-diff' }
  if (patch.length <= DIFF_KEPT) return [{ ...artifact, text: patch }]
  const file = join(folderOf(top), name)
  writeFileSync(file, patch)
  return [{ ...artifact, uri: pathToFileURL(file).href }]
}

/** Where what is too large for a contract is kept: in git's own folder, so that it is no part of any work tree. */
export function folderOf(top: string): string {
  const common = commonOf(top)
  const elsewhere = join(tmpdir(), `agent-bridge-${userInfo().username}`, top.replace(/[^\w.-]/g, '-'))
  const folder = common === undefined ? elsewhere : join(common, 'agent-bridge')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

const usageIn = (data: unknown): Usage | undefined => (data as { usage?: Usage } | undefined)?.usage

/** Costs are summed where they are told: an agent that tells none adds nothing to them. */
export function sumOf(usages: ReadonlyArray<Usage | undefined>): Usage {
  const sum: Usage = { inputTokens: 0, outputTokens: 0, cachedTokens: 0 }
  for (const usage of usages) {
    if (!usage) continue
    sum.inputTokens += usage.inputTokens
    sum.outputTokens += usage.outputTokens
    sum.cachedTokens += usage.cachedTokens
    if (usage.costUsd !== undefined) sum.costUsd = (sum.costUsd ?? 0) + usage.costUsd
  }
  return sum
}

/** The session of the latest attempt by the same kind of agent under the same name, unless its memory was the trouble. */
export function sessionOf(contract: Contract, agent: AgentKind): string | undefined {
  const last = contract.attempts.filter(({ n, outcome }) => n < contract.attempt && outcome !== undefined).at(-1)
  const left = contract.artifacts.find(({ name }) => name === `attempt-${last?.n}`)?.data as
    | Partial<Account>
    | undefined
  if (!last || last.owner !== contract.owner || left?.agent !== agent || left.outcome === 'CONTEXT_OVERFLOW')
    return undefined
  return isSession(left.session) ? left.session : undefined
}

/** It goes into a command line, and whoever had an attempt could write there what is taken for an option. */
const isSession = (value: unknown): value is string => typeof value === 'string' && /^\w[\w.:-]{0,127}$/.test(value)
