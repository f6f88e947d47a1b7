import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { tokenIdOf, tokens, workspaceOfToken } from '../bridge/index.js'
import type { Grant } from '../engine/door/door.js'
import { refuse } from '../protocol/errors.js'
import type { Read } from '../protocol/method.js'

const BEARER = 'agent-bridge.bearer.'
/** The subprotocol that a browser offers beside the one that carries its token; it alone is echoed. */
export const SUBPROTOCOL = 'agent-bridge'

export interface Guard {
  /** Refuses what a web page, or a name that was rebound to this address, could have sent. @throws FORBIDDEN */
  checkSource(request: IncomingMessage): void
  /** What the request's token allows. @throws UNAUTHENTICATED, RATE_LIMITED */
  authenticate(request: IncomingMessage): Grant
}

export interface GuardOptions {
  /** The operator's token. */
  token: string
  /** `host:port` forms under which the daemon may be called. */
  hosts(): ReadonlySet<string>
  /** Origins of pages that may connect, besides the daemon's own; none unless named. */
  origins?: ReadonlySet<string>
  nowMs(): number
  /** A workspace's committed rows; undefined when there is no such workspace. */
  tokensOf(workspace: string): Read | undefined
  /** What a pass of the dashboard allows; nothing when the token is none. */
  passGrant?(token: string): Grant | undefined
}

/** Failed logins allowed in a window, for everyone together: tokens are not to be guessed, on loopback neither. */
const FAILURES_MAX = 100
const WINDOW_MS = 60_000

export function createGuard({
  token,
  hosts,
  origins = new Set(),
  nowMs,
  tokensOf,
  passGrant = () => undefined,
}: GuardOptions): Guard {
  const expected = digest(token)
  let failures = 0
  let windowFrom = 0
  return {
    checkSource({ headers, headersDistinct }) {
      // RFC 9112, 3.2: of two, Node reads the first, and whoever stands between may read the other.
      if ((headersDistinct.host?.length ?? 0) > 1) refuse('INVALID_REQUEST', 'A request has one Host header.')
      const host = headers.host?.toLowerCase() ?? ''
      // DNS rebinding: a page's own name, pointed at this address, comes in as Host.
      if (!hosts().has(host)) refuse('FORBIDDEN', 'The Host header does not name this daemon.')
      const { origin } = headers
      // Programs send no Origin. "null" is what a sandboxed page sends, and is refused as any other page.
      if (origin !== undefined && !isOwn(origin, host) && !origins.has(origin)) {
        refuse('FORBIDDEN', 'Pages of that origin may not call this daemon.')
      }
    },
    authenticate(request) {
      const given = tokenOf(request)
      // Whoever has the token is let in also while others guess: else anyone on this machine could lock everyone out.
      if (given !== undefined && timingSafeEqual(digest(given), expected)) return { role: 'admin', operator: true }
      const grant = given === undefined ? undefined : (passGrant(given) ?? agentGrant(given, tokensOf))
      if (grant) return grant
      const now = nowMs()
      if (now - windowFrom > WINDOW_MS) {
        windowFrom = now
        failures = 0
      }
      if (failures >= FAILURES_MAX) refuse('RATE_LIMITED', 'Too many failed logins: try again in a minute.')
      failures++
      return refuse('UNAUTHENTICATED', 'The token is missing or wrong: the daemon prints where it is kept.')
    },
  }
}

/** What an agent's token allows, read anew each time: one that was revoked a moment ago is not known any more. */
function agentGrant(given: string, tokensOf: GuardOptions['tokensOf']): Grant | undefined {
  const workspace = workspaceOfToken(given)
  const read = workspace === undefined ? undefined : tokensOf(workspace)
  if (workspace === undefined || read === undefined) return undefined
  const hash = digest(given)
  const tokenId = tokenIdOf(hash.toString('hex'))
  const row = read.get(tokens, tokenId)
  const expected = Buffer.from(String(read.secret(tokens, tokenId)?.hash), 'hex')
  if (row === undefined || expected.length !== hash.length || !timingSafeEqual(hash, expected)) return undefined
  const { role, agent, ratePerMinute } = row
  return { role, operator: false, agent, workspace, tokenId, ratePerMinute }
}

/** Of equal length, so that comparing takes the same time whatever was sent. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

const isOwn = (origin: string, host: string): boolean => origin === `http://${host}` || origin === `https://${host}`

/** RFC 6750, 2.1; or, from a browser, which cannot set the header of a WebSocket, a subprotocol. Never from the URL. */
function tokenOf({ headers }: IncomingMessage): string | undefined {
  const header = /^Bearer ([\w.~+/-]+=*)$/i.exec(headers.authorization ?? '')
  if (header) return header[1]
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim())
  const encoded = offered?.find((name) => name.startsWith(BEARER))?.slice(BEARER.length)
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64url').toString('utf8')
}

/** Proof for a client that this is the daemon whose `daemon.json` it has read: only then does it send its token. */
export const proveKey = (key: string, nonce: string): string => createHmac('sha256', key).update(nonce).digest('hex')
