// The lock table as one would write it with all the time in the world: a pattern is the set of paths that it matches
// among all paths there are, everything is compared with everything, and after each change everyone is looked at.
// It shares nothing with the source but what a lease is long by.

import { limits } from '../../src/protocol/limits.js'

export interface Claim {
  resource: string
  mode: 'exclusive' | 'shared'
  literal?: boolean
}

/** Every path of up to three of these segments, and names of other schemes. */
const SEGMENTS = ['a', 'b', 'ab', '[ab]']
const deeper = (paths: string[]) => paths.flatMap((path) => SEGMENTS.map((segment) => `${path}/${segment}`))
const two = deeper(SEGMENTS)
const universe = [...[...SEGMENTS, ...two, ...deeper(two)].map((path) => `file:${path}`), 'port:1', 'port:2', 'db:a']

function alternativesOf(text: string): string[] {
  const braces = /\{([^{}]*)\}/.exec(text)
  if (!braces) return [text]
  const [before, after] = [text.slice(0, braces.index), text.slice(braces.index + braces[0].length)]
  return braces[1]!.split(',').flatMap((part) => alternativesOf(before + part + after))
}

const segmentOf = (segment: string): string =>
  segment === '**' ? '(?:[^/]+/)*' : `${segment.replaceAll('*', '[^/]*').replaceAll('?', '[^/]')}/`

/** What a claim is of, as numbers of the universe. */
function membersOf({ resource, literal }: Claim): Set<number> {
  const [scheme, rest = ''] = resource.split(':')
  const regexes = alternativesOf(rest).map(
    (text) => new RegExp(`^${scheme}:/${text.split('/').map(segmentOf).join('')}$`),
  )
  const isIn = (path: string) =>
    literal ? path === resource : regexes.some((regex) => regex.test(`${path.replace(':', ':/')}/`))
  return new Set(universe.flatMap((path, n) => (isIn(path) ? n : [])))
}

const known = new Map<string, Set<number>>()
function members(claim: Claim): Set<number> {
  const key = `${claim.literal} ${claim.resource}`
  const found = known.get(key) ?? membersOf(claim)
  known.set(key, found)
  return found
}

const meets = (a: Claim, b: Claim): boolean =>
  (a.mode === 'exclusive' || b.mode === 'exclusive') && [...members(a)].some((path) => members(b).has(path))
const includes = (outer: Claim, inner: Claim): boolean =>
  (outer.mode === 'exclusive' || inner.mode === 'shared') &&
  [...members(inner)].every((path) => members(outer).has(path))

/** Every path of one claim is in the other. */
export const isWithin = (inner: string, outer: string): boolean =>
  includes({ resource: outer, mode: 'exclusive' }, { resource: inner, mode: 'exclusive' })

export interface Session {
  agent: string
  graceMs: number
  graceUntil?: number | undefined
}

/** One request, from its place in the queue to its end. */
export interface Entry {
  agent: string
  session?: Session | undefined
  /** Whose end is the end of its waiting. */
  socket: object
  claims: Claim[]
  state: 'waiting' | 'held' | 'cooling' | 'gone'
  expiresAt?: number | undefined
  ttlMs?: number | undefined
  /** The how-manieth grant it was. */
  granted?: number | undefined
  /** What its asker is told in the end. */
  outcome?: string
}

export interface Asking {
  agent: string
  session?: Session | undefined
  socket: object
  claims: Claim[]
  waitMs: number
  ttlMs?: number | undefined
}

export type Naive = ReturnType<typeof createNaive>

/** `now` in milliseconds. */
export function createNaive(now: number) {
  const entries: Entry[] = []
  const sessions: Session[] = []
  let grants = 0

  const live = () => entries.filter(({ state }) => state !== 'gone')
  const held = () => entries.filter(({ state }) => state === 'held')
  const conflict = (a: Entry, b: Entry) => a.claims.some((mine) => b.claims.some((theirs) => meets(mine, theirs)))
  const before = (a: Entry, b: Entry) => entries.indexOf(a) < entries.indexOf(b)

  /** Whom a request waits for. */
  const against = (entry: Entry): Entry[] =>
    live().filter(
      (other) =>
        other !== entry &&
        conflict(entry, other) &&
        (other.state === 'cooling' ||
          (other.agent !== entry.agent && (other.state === 'held' || before(other, entry)))),
    )
  const covered = ({ agent, claims }: Entry): boolean =>
    claims.every((claim) =>
      held().some((other) => other.agent === agent && other.claims.some((own) => includes(own, claim))),
    )

  function grant(entry: Entry): void {
    entry.state = 'held'
    entry.granted = ++grants
    entry.outcome = 'held'
    entry.expiresAt = entry.ttlMs === undefined ? undefined : now + entry.ttlMs
  }
  function grantAll(): void {
    for (let again = true; again; ) {
      const next = entries.find((entry) => entry.state === 'waiting' && (covered(entry) || against(entry).length === 0))
      again = next !== undefined
      if (next) grant(next)
    }
  }
  function end(entry: Entry, outcome: string): void {
    if (entry.state === 'waiting') entry.outcome = outcome
    entry.state = 'gone'
  }
  function lose(entry: Entry): void {
    const shut = entry.claims.filter(({ mode, resource }) => mode === 'exclusive' && resource.startsWith('file:'))
    if (shut.length === 0) return end(entry, '')
    Object.assign(entry, { state: 'cooling', claims: shut, session: undefined, ttlMs: undefined })
    entry.expiresAt = now + limits.coolingMs
  }

  const waitsFor = (agent: string): string[] =>
    entries
      .filter((entry) => entry.agent === agent && entry.state === 'waiting')
      .flatMap((entry) => against(entry).filter(({ state }) => state !== 'cooling'))
      .map((other) => other.agent)
  function closesCircle(entry: Entry): boolean {
    const reached = new Set(
      against(entry)
        .filter(({ state }) => state !== 'cooling')
        .map(({ agent }) => agent),
    )
    for (const agent of reached) for (const next of waitsFor(agent)) reached.add(next)
    return reached.has(entry.agent)
  }

  const dueSessions = () =>
    [...new Set(sessions.map(({ agent }) => agent))]
      .map((agent) => ({
        agent,
        until: Math.min(
          ...sessions.filter((one) => one.agent === agent).map(({ graceUntil = Infinity }) => graceUntil),
        ),
      }))
      .filter(({ until }) => until <= now)
      .sort((a, b) => a.until - b.until || (a.agent < b.agent ? -1 : 1))

  /** Every deadline that has passed, in order: sessions first, then requests. */
  function passTime(): void {
    for (const { agent } of dueSessions()) {
      const lost = sessions.filter((one) => one.agent === agent && (one.graceUntil ?? Infinity) <= now)
      for (const session of lost) {
        sessions.splice(sessions.indexOf(session), 1)
        for (const entry of live()) {
          if (entry.session !== session) continue
          if (entry.state === 'held') lose(entry)
          else end(entry, 'any')
        }
      }
      grantAll()
    }
    const due = live().filter(({ expiresAt = Infinity }) => expiresAt <= now)
    for (const entry of due.sort((a, b) => a.expiresAt! - b.expiresAt! || (before(a, b) ? -1 : 1))) {
      if (entry.state === 'gone' || (entry.expiresAt ?? Infinity) > now) continue
      if (entry.state === 'held') lose(entry)
      else end(entry, 'WAIT_TIMEOUT')
      grantAll()
    }
  }

  function rebase(): void {
    const until = now + limits.rebaseMs
    for (const session of sessions) if ((session.graceUntil ?? until) < until) session.graceUntil = until
    for (const entry of live()) {
      const given = entry.state === 'cooling' ? now + limits.coolingMs : until
      if ((entry.expiresAt ?? given) < given) entry.expiresAt = given
    }
  }

  /** What `entry`'s holder asks for it: undefined when it may. */
  const refusal = (entry: Entry, agent: string, token: 'right' | 'wrong'): string | undefined => {
    if (entry.state === 'gone') return 'NOT_FOUND'
    if (entry.agent !== agent) return 'FORBIDDEN'
    return entry.state === 'held' && token === 'right' ? undefined : 'LOCK_LOST'
  }

  return {
    live,
    now: () => now,
    against,
    passTime,
    waitsFor,
    open(agent: string, graceMs: number): Session {
      const session = { agent, graceMs }
      sessions.push(session)
      return session
    },
    /** False when it is over: then it is another that has been opened. */
    resume(session: Session): boolean {
      if (!sessions.includes(session)) return false
      session.graceUntil = undefined
      sessions.push(...sessions.splice(sessions.indexOf(session), 1))
      return true
    },
    acquire({ waitMs, ttlMs, ...asked }: Asking): Entry {
      const timed = asked.session ? ttlMs : (ttlMs ?? limits.lockTtlMs)
      const session = timed === undefined ? asked.session : undefined
      const entry: Entry = { ...asked, session, ttlMs: timed, state: 'waiting' }
      entries.push(entry)
      if (covered(entry) || against(entry).length === 0) grant(entry)
      else if (waitMs === 0) end(entry, 'LOCK_CONFLICT')
      else if (closesCircle(entry)) end(entry, 'DEADLOCK')
      else entry.expiresAt = now + waitMs
      return entry
    },
    release(entry: Entry, agent: string, token: 'right' | 'wrong'): string {
      const refused = refusal(entry, agent, token)
      if (refused === undefined) end(entry, '')
      grantAll()
      return refused ?? 'done'
    },
    downgrade(entry: Entry, agent: string, token: 'right' | 'wrong'): string {
      const refused = refusal(entry, agent, token)
      if (refused === undefined) entry.claims = entry.claims.map((claim) => ({ ...claim, mode: 'shared' }))
      grantAll()
      return refused ?? 'done'
    },
    renew(entry: Entry, agent: string, token: 'right' | 'wrong', ttlMs?: number): string {
      const refused = refusal(entry, agent, token)
      const length = ttlMs ?? entry.ttlMs
      if (refused !== undefined) return refused
      if (length !== undefined) Object.assign(entry, { ttlMs: length, session: undefined, expiresAt: now + length })
      return 'done'
    },
    break(entry: Entry): string {
      if (entry.state === 'gone') return 'NOT_FOUND'
      if (entry.state === 'held') lose(entry)
      else end(entry, 'LOCK_LOST')
      grantAll()
      return 'done'
    },
    check(agent: string, resource: string, mode: Claim['mode']): { allowed: boolean; mine: boolean } {
      const path: Entry = { agent, socket: {}, claims: [{ resource, mode, literal: true }], state: 'waiting' }
      const mine = covered(path)
      return { mine, allowed: mine || !against(path).some(({ state }) => state !== 'waiting') }
    },
    /** A socket breaks: its waiting ends, and the grace of its session begins. */
    drop(socket: object, session: Session | undefined): void {
      if (session) session.graceUntil = now + session.graceMs
      for (const entry of entries.filter((one) => one.socket === socket && one.state === 'waiting')) {
        // One may be granted as the one before it goes, and its asker never hears of it.
        end(entry, 'any')
        grantAll()
      }
    },
    goodbye(socket: object, session: Session): void {
      sessions.splice(sessions.indexOf(session), 1)
      for (const entry of live()) if (entry.session === session && entry.state !== 'cooling') end(entry, 'any')
      grantAll()
      this.drop(socket, undefined)
    },
    /** When time alone next changes something. */
    nextDeadline(): number {
      const deadlines = [...sessions.map(({ graceUntil }) => graceUntil), ...live().map(({ expiresAt }) => expiresAt)]
      return Math.min(...deadlines.map((at = Infinity) => at))
    },
    advance(ms: number): void {
      now += ms
      passTime()
    },
    sleep(ms: number): void {
      now += ms
      if (ms > limits.clockJumpMs) rebase()
    },
    restart(awayMs: number): void {
      now += awayMs
      for (const session of sessions) session.graceUntil ??= now + Math.max(session.graceMs, limits.rebaseMs)
      for (const entry of live()) if (entry.state === 'waiting') end(entry, 'any')
      rebase()
    },
  }
}
