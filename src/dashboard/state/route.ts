/** What the page shows, as its address says after the `#`. */
export type Route =
  | { view: 'now' | 'contracts' | 'locks' | 'agents' }
  | { view: 'contract'; contractId: string }
  | { view: 'timeline'; after?: string; nouns?: string; agent?: string; contract?: string; text?: string }

export const views = ['now', 'contracts', 'locks', 'agents', 'timeline'] as const
export type View = (typeof views)[number]

const timelineFields = ['after', 'nouns', 'agent', 'contract', 'text'] as const

/** Reads the part of an address behind `#`; whatever cannot be read is the first view. */
export function parseRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#?\/?/, '').split('?')
  const [view, id] = path.split('/')
  if (view === 'contracts' && id) return { view: 'contract', contractId: decode(id) }
  if (view === 'contracts' || view === 'locks' || view === 'agents') return { view }
  if (view !== 'timeline') return { view: 'now' }
  const params = new URLSearchParams(search)
  const given = timelineFields.flatMap((field) => (params.get(field) ? [[field, params.get(field)] as const] : []))
  return { view, ...Object.fromEntries(given) }
}

/** The address of a view, for a link. */
export function hrefOf(route: Route): string {
  if (route.view === 'contract') return `#/contracts/${encodeURIComponent(route.contractId)}`
  if (route.view !== 'timeline') return `#/${route.view}`
  const given = timelineFields.flatMap((field) => (route[field] ? [[field, route[field]] as [string, string]] : []))
  return `#/timeline${given.length > 0 ? `?${new URLSearchParams(given)}` : ''}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What `agent-bridge dashboard` puts behind the `#`: a code that lets in once, and the workspace to open. */
export function parseInvitation(hash: string): { code: string; workspace: string | undefined } | undefined {
  const params = new URLSearchParams(hash.replace(/^#/, ''))
  const code = params.get('code')
  return code ? { code, workspace: params.get('workspace') ?? undefined } : undefined
}
