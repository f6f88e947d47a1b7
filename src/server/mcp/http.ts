import { createMcpHandler } from '@modelcontextprotocol/server'
import type { Door, Grant, Who } from '../../engine/door/door.js'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import { whoOf } from '../http/methods.js'
import type { Request, Router } from '../http/router.js'
import { createDesk, type Desk, type Port } from './desk.js'
import type { Seat } from './run.js'
import { createMcpServer, type McpOptions } from './server.js'
import { type Profile, profiles } from './tools.js'

/**
 * The tools over streamable HTTP, at `/mcp`. Requests are on their own: an agent is known by its token and the header
 * `Agent-Bridge-Agent`, and what it has been told by this process, as long as there are not too many.
 */
export function serveMcp(router: Router, door: Door, fault: McpOptions['fault']): void {
  const desks = createDesks()
  const handler = createMcpHandler(
    ({ authInfo }) => {
      const { seat, profile } = authInfo!.extra as unknown as { seat: Seat; profile: Profile }
      return createMcpServer({ profile, fault, seat: async () => seat })
    },
    { maxRequestBodySize: limits.frameBytes },
  )
  router.shut('/mcp', {
    POST(request) {
      const grant = request.get('grant')
      const who = nameOf(request, grant)
      const seat: Seat = { port: createPort(door, grant, who), desk: desks.of(who) }
      // The agent's own token goes no further than to here.
      const authInfo = { token: '', clientId: who.agent, scopes: [], extra: { seat, profile: profileOf(request) } }
      return handler.fetch(request.req.raw, { authInfo })
    },
  })
}

type Named = Who & { agent: string }

/**
 * Whose desk it is: asked before the door is, which would refuse only what is called from there.
 * @throws INVALID_REQUEST when the token may speak as anyone and nobody is named; FORBIDDEN for the name of another
 */
function nameOf(request: Request, grant: Grant): Named {
  const { agent, workspace } = whoOf(request)
  const name = agent || (grant.agent ?? refuse('INVALID_REQUEST', 'Name the agent in the header Agent-Bridge-Agent.'))
  if (grant.agent !== undefined && grant.agent !== name) refuse('FORBIDDEN', `This token is ${grant.agent}'s alone.`)
  if (grant.workspace !== undefined && (workspace ?? grant.workspace) !== grant.workspace)
    refuse('FORBIDDEN', `This token is for the workspace ${grant.workspace} alone.`)
  return { agent: name, workspace: workspace ?? grant.workspace }
}

/** `?profile=full`. @throws INVALID_PARAMS for one that there is not */
function profileOf({ req }: Request): Profile {
  const given = req.query('profile') ?? 'default'
  return (
    profiles.find((profile) => profile === given) ??
    refuse('INVALID_PARAMS', `\`profile\` is one of ${profiles.join(', ')}.`)
  )
}

const createPort = (door: Door, grant: Grant, who: Named): Port => ({
  lasting: false,
  agent: () => who.agent,
  async call(method, params, { signal } = {}) {
    const bytes = JSON.stringify(params).length
    const outcome = await door.request(grant, who, method, { ...params }, { ...(signal && { signal }), bytes })
    if ('refusal' in outcome) throw outcome.refusal
    return JSON.parse(outcome.result)
  },
})

/** One desk an agent; who has not been here for the longest time is forgotten first. */
function createDesks(): { of(who: Named): Desk } {
  const desks = new Map<string, Desk>()
  return {
    of({ agent, workspace = '' }) {
      const key = `${workspace}/${agent}`
      const desk = desks.get(key) ?? createDesk()
      desks.delete(key)
      desks.set(key, desk)
      const [oldest] = desks.keys()
      if (desks.size > limits.toolAgents) desks.delete(oldest!)
      return desk
    },
  }
}
