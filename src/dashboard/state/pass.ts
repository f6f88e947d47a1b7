// How the page is let in: a code, good once, is exchanged for a token that lives as long as the tab.

/** Where the token is kept: gone with the tab, and never part of an address. */
const TOKEN = 'agent-bridge.token'
const WORKSPACE = 'agent-bridge.workspace'

export const readToken = (): string | undefined => sessionStorage.getItem(TOKEN) ?? undefined
export const dropToken = (): void => sessionStorage.removeItem(TOKEN)
export const readWorkspace = (): string | undefined => sessionStorage.getItem(WORKSPACE) ?? undefined
export const keepWorkspace = (workspace: string): void => sessionStorage.setItem(WORKSPACE, workspace)

/** Exchanges a code for a token and keeps it. False when the code is not good any more. @throws TypeError when the daemon is away */
export async function redeemCode(code: string): Promise<boolean> {
  const response = await fetch('/dashboard/pass', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ code }),
  })
  if (!response.ok) return false
  const { token } = (await response.json()) as { token: string }
  sessionStorage.setItem(TOKEN, token)
  return true
}

/** The workspaces a token opens; nothing when it opens none any more. @throws TypeError when the daemon is away */
export async function workspacesOf(token: string): Promise<string[] | undefined> {
  const response = await fetch('/dashboard/session', { headers: { Authorization: `Bearer ${token}` } })
  if (response.status === 401) return undefined
  if (!response.ok) throw new TypeError(`the daemon answers ${response.status}`)
  const { workspaces } = (await response.json()) as { workspaces: string[] }
  return workspaces
}
