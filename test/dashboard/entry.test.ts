// How the dashboard is let in: codes, passes, the files of the page, and the command that opens it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { limits } from '../../src/protocol/limits.js'
import { createPasses, type Passes } from '../../src/server/passes.js'
import { begin } from '../cli.js'
import { connect, makeHome, type RunningDaemon, removeHome, serve } from '../socket.js'

const passes = suite<{ nowMs: number; make(token?: string): Passes }>('dashboard passes')

passes.before.each((world) => {
  world.nowMs = Date.parse('2026-03-01T12:00:00.000Z')
  world.make = (token = 'the operator’s') => createPasses({ token, wallMs: () => world.nowMs })
})

const reasonOf = (act: () => unknown): string => {
  try {
    act()
    return 'nothing was refused'
  } catch (error) {
    return (error as { reason: string }).reason
  }
}

passes('a code is good once, and for a minute', (world) => {
  const door = world.make()
  const code = door.invite()
  assert.match(code, /^[\w-]{43}$/)
  assert.ok(door.redeem(code).token)
  assert.is(
    reasonOf(() => door.redeem(code)),
    'UNAUTHENTICATED',
  )
  const late = door.invite()
  world.nowMs += limits.codeMs
  assert.is(
    reasonOf(() => door.redeem(late)),
    'UNAUTHENTICATED',
  )
  const inTime = door.invite()
  world.nowMs += limits.codeMs - 1
  assert.ok(door.redeem(inTime))
})

passes('of more codes than may be open the oldest is let go', ({ make }) => {
  const door = make()
  const first = door.invite()
  const others = Array.from({ length: limits.codes }, () => door.invite())
  assert.is(
    reasonOf(() => door.redeem(first)),
    'UNAUTHENTICATED',
  )
  assert.ok(door.redeem(others[0]!))
})

passes('a pass is the human’s, an admin’s without being the operator’s, until it runs out', (world) => {
  const door = world.make()
  const { token, expiresAt } = door.redeem(door.invite())
  assert.is(expiresAt, '2026-03-02T00:00:00.000Z')
  assert.equal(door.grant(token), { role: 'admin', operator: false, agent: 'human' })
  world.nowMs += limits.passMs - 1
  assert.ok(door.grant(token))
  world.nowMs += 1
  assert.is(door.grant(token), undefined)
})

passes('a pass outlives the daemon, and ends with another operator’s token', ({ make }) => {
  const door = make()
  const { token } = door.redeem(door.invite())
  assert.ok(make().grant(token))
  assert.is(make('another').grant(token), undefined)
})

passes('a pass that was changed is none', (world) => {
  const door = world.make()
  const { token } = door.redeem(door.invite())
  const [, expires = '', signature = ''] = token.split('_', 3)
  const later = (world.nowMs + 2 * limits.passMs).toString(36)
  for (const other of [
    token.replace(expires, later),
    `${token}A`,
    token.slice(0, -1),
    token.replace(signature, 'A'.repeat(43)),
    `abd__${signature}`,
    `abd_${expires}_`,
    'abd_constructor_x',
    '',
  ]) {
    assert.is(door.grant(other), undefined, other)
  }
})

passes.run()

const wire = suite<{ daemon: RunningDaemon & { stop(): Promise<void> } }>('dashboard entry')

wire.before(async (world) => {
  world.daemon = await serve()
})
wire.after(async ({ daemon }) => {
  await daemon.stop()
})

interface Answer {
  status: number
  headers: Headers
  text: string
  json: { [field: string]: unknown }
}

async function ask(url: string, options: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, options)
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('Content-Type') ?? '')
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} }
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
const post = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

async function enter(daemon: RunningDaemon): Promise<string> {
  const { json } = await ask(`${daemon.http}/dashboard/code`, { method: 'POST', headers: bearer(daemon.token) })
  const pass = await ask(`${daemon.http}/dashboard/pass`, post({ code: json.code }))
  assert.is(pass.status, 201)
  return String(pass.json.token)
}

wire('the page and its files need no token, and are sent again only when they have changed', async ({ daemon }) => {
  const types = {
    '/': 'text/html',
    '/page.js': 'text/javascript',
    '/page.css': 'text/css',
    '/icon.svg': 'image/svg+xml',
  }
  for (const [path, type] of Object.entries(types)) {
    const first = await ask(daemon.http + path)
    assert.is(first.status, 200, path)
    assert.ok(first.headers.get('Content-Type')?.startsWith(type), path)
    assert.is(first.headers.get('Cache-Control'), 'no-cache')
    assert.is(first.headers.get('X-Content-Type-Options'), 'nosniff')
    const tag = first.headers.get('ETag') ?? ''
    const again = await ask(daemon.http + path, { headers: { 'If-None-Match': `"other", W/${tag}` } })
    assert.is(again.status, 304, path)
    assert.is(again.text, '')
    assert.is((await ask(daemon.http + path, { headers: { 'If-None-Match': '"other"' } })).status, 200)
    assert.is((await ask(daemon.http + path, { method: 'HEAD' })).status, 200)
    assert.is((await ask(daemon.http + path, { method: 'POST' })).status, 405)
  }
})

wire('the page may run its own script and style, and nothing else', async ({ daemon }) => {
  const { headers, text } = await ask(daemon.http)
  const policy = headers.get('Content-Security-Policy') ?? ''
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/)
  assert.not.match(policy, /unsafe|https?:|data:|\*/)
  assert.is(headers.get('Referrer-Policy'), 'no-referrer')
  // Nothing inline, and nothing from elsewhere.
  assert.not.match(text, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc="\/)/)
  assert.not.match(text, /(src|href)="(?!\/)/)
})

wire('no path leads out of the folder of the page', async ({ daemon }) => {
  for (const path of [
    '/index.html',
    '/page.js/',
    '/../package.json',
    '/%2e%2e/package.json',
    '/page.js%00',
    '/dashboard/',
  ]) {
    assert.is((await ask(daemon.http + path)).status, 404, path)
  }
})

wire('codes are given to the operator’s token alone', async ({ daemon }) => {
  const url = `${daemon.http}/dashboard/code`
  const given = await ask(url, { method: 'POST', headers: bearer(daemon.token) })
  assert.is(given.status, 201)
  assert.is(given.json.expiresInMs, limits.codeMs)
  assert.is((await ask(url, { method: 'POST' })).status, 401)
  assert.is((await ask(url, { method: 'POST', headers: bearer('wrong') })).status, 401)
  assert.is((await ask(url, { method: 'POST', headers: bearer(await enter(daemon)) })).status, 403)
  assert.is((await ask(url, { headers: bearer(daemon.token) })).status, 405)
})

wire('what is no code is refused, and lets nobody in', async ({ daemon }) => {
  const url = `${daemon.http}/dashboard/pass`
  assert.is((await ask(url, post({ code: 'x' }))).json.reason, 'UNAUTHENTICATED')
  assert.is((await ask(url, post({ code: '' }))).status, 401)
  for (const body of [{}, { code: 1 }, { code: null }, { code: ['x'] }]) {
    assert.is((await ask(url, post(body))).json.reason, 'INVALID_PARAMS', JSON.stringify(body))
  }
  assert.is((await ask(url, post('{'))).json.reason, 'PARSE_ERROR')
  assert.is((await ask(url, post('code=x', { 'Content-Type': 'application/x-www-form-urlencoded' }))).status, 415)
  assert.is((await ask(url, post({ code: 'x' }, { Origin: 'http://evil.example' }))).status, 403)
  assert.is((await ask(`${daemon.http}/dashboard/session`)).status, 401)
})

wire('a pass lists the workspaces, speaks as the human alone, and makes no workspace', async ({ daemon }) => {
  const maker = await connect(daemon, { agent: 'maker', open: { workspace: 'shop' } })
  await maker.close()
  const token = await enter(daemon)
  const { json } = await ask(`${daemon.http}/dashboard/session`, { headers: bearer(token) })
  assert.equal(json, { agent: 'human', role: 'admin', workspaces: ['default', 'shop'] })
  const page = await connect({ url: daemon.url, token }, { agent: 'human', open: { workspace: 'shop' } })
  const { id } = await page.ask('contract.create', { title: 'from the page' })
  const [created] = (await page.ask('event.read', { after: 'earliest', types: ['contract.created'] })).events
  assert.is(created?.subject, id)
  assert.is(created?.actor, 'human')
  assert.is(created?.unverified, undefined, 'the pass vouches for the name')
  await page.close()
  const other = await connect({ url: daemon.url, token })
  assert.is(await other.refused('session.open', { agent: 'codex' }), 'FORBIDDEN')
  assert.is(await other.refused('session.open', { agent: 'human', workspace: 'new' }), 'NOT_FOUND')
  await other.close()
})

wire('a pass is good for a daemon that was started again', async () => {
  const home = makeHome()
  const first = await serve(home)
  const token = await enter(first)
  await first.stop()
  const second = await serve(home)
  assert.is((await ask(`${second.http}/dashboard/session`, { headers: bearer(token) })).status, 200)
  await second.stop()
  removeHome(home)
})

wire('the command prints a link that lets in once, to the workspace it is run for', async ({ daemon }) => {
  const { home } = daemon
  const opening = begin(['dashboard', '--no-open', '--workspace', 'from-the-cli', '--json'], { home })
  assert.is(await opening.ended, 0, opening.stderr())
  const { url, workspace, expiresInMs } = JSON.parse(opening.stdout())
  assert.equal([workspace, expiresInMs], ['from-the-cli', limits.codeMs])
  const link = new URL(url)
  assert.is(link.origin, daemon.http)
  assert.is(link.search, '', 'nothing that is sent to anybody')
  const fragment = new URLSearchParams(link.hash.slice(1))
  assert.is(fragment.get('workspace'), 'from-the-cli')
  const pass = await ask(`${daemon.http}/dashboard/pass`, post({ code: fragment.get('code') }))
  const session = await ask(`${daemon.http}/dashboard/session`, { headers: bearer(String(pass.json.token)) })
  assert.ok((session.json.workspaces as string[]).includes('from-the-cli'))
})

wire(
  'without a daemon the command says so, and with a token that is not the operator’s it is refused',
  async ({ daemon }) => {
    const home = makeHome()
    const alone = begin(['dashboard', '--no-open'], { home })
    assert.is(await alone.ended, 3)
    assert.match(alone.stderr(), /No daemon runs/)
    removeHome(home)
    const pass = await enter(daemon)
    const env = { AGENT_BRIDGE_URL: daemon.url, AGENT_BRIDGE_TOKEN: pass }
    const refused = begin(['dashboard', '--no-open', '--workspace', 'default'], { home: daemon.home, env })
    assert.is(await refused.ended, 1)
    assert.match(refused.stderr(), /operator/)
  },
)

wire.run()
