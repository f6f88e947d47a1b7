import { useEffect, useState } from 'preact/hooks'
import { useApp } from './app.js'
import { waitingCount } from './state/model.js'
import { keepWorkspace } from './state/pass.js'
import { hrefOf, type Route, type View, views } from './state/route.js'

const titles: Record<View, string> = {
  now: 'Now',
  contracts: 'Contracts',
  locks: 'Locks',
  agents: 'Agents',
  timeline: 'Timeline',
}

/** What stands above every view: where one is, how the connection is, and the ways to the others. */
export function Head({ route }: { route: Route }) {
  const { model, compose, mayAct } = useApp()
  const number = waitingCount(model)
  const current = route.view === 'contract' ? 'contracts' : route.view
  return (
    <header class="head">
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      <span class="brand">
        <img src="/icon.svg" alt="" width={20} height={20} />
        <span class="brand-name">agent-bridge</span>
      </span>
      <WorkspaceChoice />
      <nav aria-label="Views">
        {views.map((view) => (
          <a key={view} href={hrefOf({ view })} aria-current={view === current ? 'page' : undefined}>
            {titles[view]}
            {view === 'now' && number > 0 && (
              <span class="count" title="things need you">
                {number}
                {model.waiting.more && '+'}
                <span class="hidden"> things need you</span>
              </span>
            )}
          </a>
        ))}
      </nav>
      <ConnectionState />
      <button type="button" class="primary" disabled={!mayAct} onClick={() => compose()}>
        Send<span class="wide-only"> a message</span>
      </button>
    </header>
  )
}

/** Not a link, which would change the address: that says what is shown. */
const skip = () => document.getElementById('main')?.focus()

function WorkspaceChoice() {
  const { model } = useApp()
  const here = model.session?.workspace ?? ''
  const names = [...new Set([here, ...model.workspaces])].filter((name) => name !== '')
  if (names.length < 2) return <span class="workspace">{here}</span>
  const change = (name: string) => {
    keepWorkspace(name)
    location.hash = hrefOf({ view: 'now' })
    location.reload()
  }
  return (
    <select
      class="workspace"
      aria-label="Workspace"
      value={here}
      onChange={({ currentTarget }) => change(currentTarget.value)}
    >
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  )
}

/** Whether what is shown is what is; told to screen readers when it changes. */
function ConnectionState() {
  const { model } = useApp()
  const { state, tries } = model.connection
  const open = state === 'open'
  return (
    <span class={`connection connection-${open ? 'open' : 'away'}`} role="status">
      <span class="dot" aria-hidden="true" />
      {open ? 'live' : tries > 1 ? `daemon away, try ${tries}` : 'reconnecting'}
    </span>
  )
}

/** What was done or refused, for a while. */
export interface Notice {
  text: string
  bad: boolean
  id: number
}

const SHOWN_MS = 6_000

export function Notices({ notice }: { notice: Notice | undefined }) {
  const [hidden, setHidden] = useState(0)
  useEffect(() => {
    if (!notice || notice.bad) return
    const timer = setTimeout(() => setHidden(notice.id), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [notice])
  const shown = notice && notice.id !== hidden ? notice : undefined
  return (
    <div class="notices" role="status">
      {shown && (
        <p class={`notice ${shown.bad ? 'bad' : ''}`}>
          {shown.text}{' '}
          <button type="button" class="quiet" onClick={() => setHidden(shown.id)}>
            Dismiss
          </button>
        </p>
      )}
    </div>
  )
}
