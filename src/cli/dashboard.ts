import { spawn } from 'node:child_process'
import type { Command } from 'commander'
import type { ResultOf } from '../bridge/index.js'
import { ConnectionError, locate } from '../client/node.js'
import { homeOf } from '../config.js'
import { fail } from './exits.js'
import { environmentOf, type Globals, globalsOf, terminalOf, withGlobals } from './globals.js'
import { callOnce } from './session.js'
import { printableJson } from './text.js'

export function addDashboard(program: Command): void {
  const command = program
    .command('dashboard')
    .description(
      'Opens the dashboard in a browser, by a link that lets in once, within a minute. The tab then stays in for 12 hours.',
    )
    .option('--no-open', 'only print the link')
  withGlobals(command).action(() => dashboard(command))
}

async function dashboard(command: Command): Promise<void> {
  const { json, print, tell } = terminalOf(command)
  const globals = globalsOf(command)
  // The page opens no workspace that is not there: this call makes it, should it be new.
  const { workspace } = (await callOnce(globals, 'bridge.status', {})) as ResultOf<'bridge.status'>
  const { http, token } = await find(globals)
  const { code, expiresInMs } = await askCode(http, token)
  // Behind the #, which a browser sends to nobody and the page removes at once.
  const url = `${http}/#${new URLSearchParams({ code, workspace })}`
  print(json ? printableJson({ url, workspace, expiresInMs }) : url)
  if (command.opts<{ open: boolean }>().open && !open(url))
    tell('There is no desktop to open it on: open the link yourself.')
}

async function find(globals: Globals): Promise<{ http: string; token: string }> {
  const { AGENT_BRIDGE_URL: url, AGENT_BRIDGE_TOKEN: token, ...env } = environmentOf(globals)
  if (url && token) return { http: url.replace(/^ws/, 'http').replace(/\/ws$/, ''), token }
  return locate(homeOf(globals.home, env), token || undefined)
}

async function askCode(http: string, token: string): Promise<{ code: string; expiresInMs: number }> {
  const asked = { method: 'POST', headers: { Authorization: `Bearer ${token}` } }
  const response = await fetch(`${http}/dashboard/code`, asked).catch(() => {
    throw new ConnectionError(`${http} was lost before it answered.`)
  })
  const answer = await response.json()
  if (response.ok) return answer
  return fail('refused', answer.detail)
}

/** Hands the link to the desktop. False where there is none. */
function open(url: string): boolean {
  const { platform, env } = process
  if (platform === 'linux' && !env.DISPLAY && !env.WAYLAND_DISPLAY && !env.BROWSER) return false
  const child = spawn(platform === 'darwin' ? 'open' : 'xdg-open', [url], { detached: true, stdio: 'ignore' })
  // Without such a program the link that was printed is all there is.
  child.on('error', () => {})
  child.unref()
  return true
}
