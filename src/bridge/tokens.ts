import { z } from 'zod'
import { refuse } from '../protocol/errors.js'
import { limits } from '../protocol/limits.js'
import { type Caller, command, event, type Noun, query, type Read, roles, type Table } from '../protocol/method.js'
import { agentName, id, instant, listOf, pageParams, readPage } from './fields.js'

export const tokenRow = z.strictObject({
  tokenId: z.string(),
  agent: agentName.describe('the only name under which its holder may speak'),
  role: z.enum(roles),
  ratePerMinute: z.int().optional().describe('calls a minute, over all its sockets; not limited unless told'),
  createdBy: agentName,
  createdAt: instant,
})

/** What lets one agent in, to one workspace, under its own name. It is there until it is revoked. */
export type Token = z.output<typeof tokenRow>

/** The secret of a row is `{ hash }`, SHA-256 of the token's text, in hex. */
export const tokens: Table<Token> = {
  name: 'tokens',
  noun: 'token',
  id: (row) => row.tokenId,
  columns: { agent: 'TEXT', created: 'TEXT' },
  index: (row) => ({ agent: row.agent, created: row.createdAt }),
  indexes: [['agent', 'created'], ['created']],
  about: (row) => ({ parties: [row.agent] }),
}

export const created = event('token.created', tokens, 'An agent was given a token.')
export const revoked = event('token.revoked', tokens, 'A token lets nobody in any more; its sockets are closed.')

/** The part after the workspace is of fixed length, for a workspace's name may hold `_` itself. */
const TOKEN = /^ab_([a-zA-Z0-9][a-zA-Z0-9._-]{0,99})_[\w-]{43}$/

/** The workspace that a token says it is of; undefined for a text that is no agent's token. */
export const workspaceOfToken = (text: string): string | undefined => TOKEN.exec(text)?.[1]

/** A token is found by the beginning of its hash, so that none is looked for by comparing it with others. */
export const tokenIdOf = (hash: string): string => `tok_${hash.slice(0, 20)}`

const create = command({
  name: 'token.create',
  summary:
    'Makes a token with which one agent comes into this workspace, and under no other name. It is told only here.',
  role: 'admin',
  keyless: true,
  params: {
    agent: agentName,
    role: z.enum(roles).default('agent').describe('an observer only reads; an admin also does what is the operator’s'),
    ratePerMinute: z
      .int()
      .min(1)
      .max(limits.ratePerMinuteMax)
      .optional()
      .describe('calls a minute, over all its sockets; as many may come at once'),
  },
  result: z.strictObject({
    tokenId: z.string(),
    token: z.string().describe('keep it secret; it cannot be told again'),
  }),
  errors: ['OVERLOADED'],
  run(tx, { agent, role, ratePerMinute }, ctx) {
    if (agent === 'bridge') refuse('INVALID_PARAMS', 'The name "bridge" is the daemon\'s own.')
    if (tx.count(tokens, {}) >= limits.workspaceTokens) {
      refuse(
        'OVERLOADED',
        `A workspace has at most ${limits.workspaceTokens} tokens: revoke those not needed any more.`,
      )
    }
    const token = `ab_${ctx.workspace}_${ctx.newSecret()}`
    const hash = ctx.hash(token)
    const tokenId = tokenIdOf(hash)
    const row = { tokenId, agent, role, ratePerMinute, createdBy: ctx.caller.agent, createdAt: ctx.now }
    tx.put(created, row, { secret: { hash } })
    return { tokenId, token }
  },
})

const list = query({
  name: 'token.list',
  summary: 'The tokens that let somebody in, the oldest first; never their text.',
  role: 'admin',
  params: { agent: agentName.optional(), ...pageParams },
  result: listOf(tokenRow),
  errors: [],
  run: (read, { agent, ...paging }) =>
    readPage(read, tokens, { ...(agent !== undefined && { where: { agent } }), order: ['created'] }, paging),
})

const revoke = command({
  name: 'token.revoke',
  summary: 'From now on the token lets nobody in; its sockets are closed, and what waits on them is given up.',
  role: 'admin',
  keyless: true,
  params: { tokenId: id },
  result: z.strictObject({ tokenId: z.string() }),
  errors: ['NOT_FOUND'],
  mcp: { destructive: true, idempotent: true },
  run(tx, { tokenId }) {
    const token =
      tx.get(tokens, tokenId) ?? refuse('NOT_FOUND', 'No token has that id, or it was revoked.', { tokenId })
    tx.drop(revoked, token)
    return { tokenId }
  },
})

/** Authority is looked up where the command runs: one that was queued before its token was revoked has no effect after. */
function admit(read: Read, { tokenId }: Caller): void {
  if (tokenId !== undefined && !read.get(tokens, tokenId)) refuse('UNAUTHENTICATED', 'The token was revoked.')
}

export const tokenNoun = {
  tables: [tokens],
  events: [created, revoked],
  methods: [create, list, revoke] as const,
  admit,
} satisfies Noun
