import { CallError, type Client, connect, type State as LinkState, type Session } from '../../client/index.js'
import { createFeed, type Feed } from './feed.js'
import type { Waiting } from './lists.js'
import { dropToken, keepWorkspace, readToken, readWorkspace, redeemCode, workspacesOf } from './pass.js'
import { createRates, type Rates } from './rates.js'
import { parseInvitation } from './route.js'
import type { Status } from './rows.js'
import { createState, type State } from './state.js'

/** As whom the page acts. */
const AGENT = 'human'
const RETRY_MS = 2_000

/** `outside`: there is no token that is good. `away`: the daemon has not been reached yet. */
export type Phase = 'entering' | 'away' | 'outside' | 'inside'

export interface Connection {
  state: LinkState
  /** Of the next try to connect, from 1. */
  tries: number
}

/** All that the page shows. Its fields change; whoever draws it is told. */
export interface Model {
  phase: Phase
  /** Why the page is outside, when there is something to say. */
  problem: string | undefined
  workspaces: string[]
  connection: Connection
  client: Client | undefined
  session: Session | undefined
  feed: Feed | undefined
  status: Status | undefined
  waiting: Waiting
  /** False until all has been listed once. */
  loaded: boolean
  readonly state: State
  readonly rates: Rates
}

/** How many things wait for the person at the page, as far as they are listed. */
export const waitingCount = ({ waiting }: Model): number => waiting.attention.length + waiting.inbox.length

export const createModel = (): Model => ({
  phase: 'entering',
  problem: undefined,
  workspaces: [],
  connection: { state: 'connecting', tries: 0 },
  client: undefined,
  session: undefined,
  feed: undefined,
  status: undefined,
  waiting: { attention: [], inbox: [], more: false },
  loaded: false,
  state: createState(),
  rates: createRates(),
})

/** Lets the page in, connects it and keeps the model as the workspace is, for the life of the tab. */
export async function run(model: Model, changed: () => void): Promise<void> {
  const set = (fields: Partial<Model>) => {
    Object.assign(model, fields)
    changed()
  }
  for (;;) {
    try {
      const token = await enter(set)
      if (token === undefined) return
      await serve(model, token, set, changed)
    } catch (error) {
      if (model.phase === 'outside') return
      if (error instanceof CallError) return set({ phase: 'outside', problem: error.message })
      set({ phase: 'away' })
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

/** The token to connect with, once the daemon has said that it is good. @throws TypeError when the daemon is away */
async function enter(set: (fields: Partial<Model>) => void): Promise<string | undefined> {
  const invitation = parseInvitation(location.hash)
  if (invitation) {
    if (invitation.workspace) keepWorkspace(invitation.workspace)
    const redeemed = await redeemCode(invitation.code)
    history.replaceState(null, '', location.pathname)
    if (!redeemed && readToken() === undefined) {
      set({ phase: 'outside', problem: 'That code has been used, or is older than a minute.' })
      return undefined
    }
  }
  const token = readToken()
  const workspaces = token === undefined ? undefined : await workspacesOf(token)
  if (workspaces) set({ workspaces })
  else {
    dropToken()
    set({
      phase: 'outside',
      ...(token && { problem: 'This page was let in some time ago, and has to be let in again.' }),
    })
  }
  return workspaces && token
}

async function serve(
  model: Model,
  token: string,
  set: (fields: Partial<Model>) => void,
  changed: () => void,
): Promise<void> {
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`
  const workspace = readWorkspace()
  const client = await connect({
    agent: AGENT,
    kind: 'dashboard',
    url,
    token,
    ...(workspace && { workspace }),
    onState(state, { tries = 0 }) {
      set({ connection: { state, tries } })
      if (state === 'open' && model.client) set({ session: model.client.session })
      // A browser does not say why a socket was refused: it may be the token.
      if (tries === 2) void leaveWithout(token, model, set)
    },
  })
  const { state, rates } = model
  const feed = createFeed({
    client,
    state,
    rates,
    changed,
    status: (status) => set({ status, loaded: true }),
    waiting: (waiting) => set({ waiting }),
  })
  addEventListener('pagehide', () => void client.close())
  set({ phase: 'inside', client, session: client.session, feed })
  try {
    await feed.run()
  } finally {
    feed.stop()
    void client.close()
  }
}

/** Goes outside when the token opens nothing any more. */
async function leaveWithout(token: string, model: Model, set: (fields: Partial<Model>) => void): Promise<void> {
  const good = await workspacesOf(token).catch(() => [])
  if (good) return
  dropToken()
  set({ phase: 'outside', problem: 'The daemon does not know this page any more: it has to be let in again.' })
  await model.client?.close()
}
