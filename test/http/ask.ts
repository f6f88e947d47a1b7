import type { RunningDaemon } from '../socket.js'

// Requests as any HTTP client sends them.

type Json = Record<string, unknown>

export interface Answer {
  status: number
  headers: Headers
  text: string
  /** The body's fields; none when it is no JSON. */
  json: Json
}

/** What a request carries besides its path. */
export interface Asking {
  method?: string
  /** Sent as JSON; a string or bytes as they are. */
  body?: unknown
  agent?: string
  workspace?: string
  /** Over the headers that would be sent; an empty one is left out. */
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** One request with the operator's token, POST when it has a body. */
export async function ask(
  { http, token }: Pick<RunningDaemon, 'http' | 'token'>,
  path: string,
  { method, body, agent, workspace, headers = {}, signal }: Asking = {},
): Promise<Answer> {
  const sent: Record<string, string> = {
    Authorization: `Bearer ${token}`,
    'Content-Type': body === undefined ? '' : 'application/json',
    'Agent-Bridge-Agent': agent ?? '',
    'Agent-Bridge-Workspace': workspace ?? '',
    ...headers,
  }
  const raw = typeof body === 'string' || body instanceof Uint8Array || body instanceof ReadableStream
  const response = await fetch(http + path, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: Object.entries(sent).filter(([, value]) => value !== ''),
    redirect: 'manual',
    ...(body !== undefined && { body: (raw ? body : JSON.stringify(body)) as RequestInit['body'] & {} }),
    ...(body instanceof ReadableStream && { duplex: 'half' }),
    ...(signal && { signal }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: parsed(text) }
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {}
  }
}
