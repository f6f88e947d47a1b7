/** One WebSocket, as the client needs it. Whoever made it sets the three handlers in the same turn. */
export interface SocketLike {
  onopen: () => void
  onmessage: (text: string) => void
  /** Called once, however it ended, also when it never opened. */
  onclose: (end: SocketEnd) => void
  send(text: string): void
  /** Ends it soon, whether or not the other side answers. */
  close(): void
}

export interface SocketEnd {
  /** RFC 6455, 7.4; 1006 when there was no goodbye. */
  code: number
  reason: string
  /** Why it never opened, where the platform tells. */
  error?: Error
}

/** The browser's own. It can set no header, so the token travels as a subprotocol; and it never says why it failed. */
export function browserSocket(url: string, token: string): SocketLike {
  const encoded = btoa(token).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  const socket = new WebSocket(url, ['agent-bridge', `agent-bridge.bearer.${encoded}`])
  const handlers: SocketLike = {
    onopen() {},
    onmessage() {},
    onclose() {},
    send: (text) => socket.send(text),
    close: () => socket.close(),
  }
  socket.onopen = () => handlers.onopen()
  socket.onmessage = ({ data }) => handlers.onmessage(String(data))
  socket.onclose = ({ code, reason }) => handlers.onclose({ code, reason })
  return handlers
}
