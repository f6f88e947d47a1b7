import type { ComponentChildren } from 'preact'
import { useApp } from './app.js'
import { hrefOf } from './state/route.js'
import type { Card, Worker } from './state/rows.js'
import { age, clockTime, percentOf, words } from './state/words.js'

// Small things that many views show.

/** Something that a peer wrote: text, whatever is in it, and it cannot turn around what stands beside it. */
export const Peer = ({ children }: { children: string }) => <bdi class="peer">{children}</bdi>

/** How a contract stands. The mark says it as well, for those who do not see the colour. */
const marks: Record<string, string> = {
  submitted: '○',
  accepted: '◔',
  working: '◑',
  input_required: '?',
  completed: '✓',
  failed: '✕',
  canceled: '–',
  rejected: '⊘',
}

export const StatusBadge = ({ status }: { status: string }) => (
  <span class={`badge status-${status}`}>
    <span aria-hidden="true">{marks[status] ?? '·'}</span> {words(status)}
  </span>
)

/** Since when, in words; the instant itself is in its title. */
export function Since({ at, label }: { at: string; label?: string }) {
  const { nowMs } = useApp()
  return (
    <time dateTime={at} title={clockTime(at, nowMs)}>
      {label ? `${label} ` : ''}
      {age(at, nowMs)}
    </time>
  )
}

/** A link to an agent among all agents. */
export const AgentLink = ({ name }: { name: string }) => (
  <a class="agent" href={hrefOf({ view: 'timeline', agent: name })} title={`What ${name} did`}>
    {name}
  </a>
)

/** Several agents, joined by commas. */
export const AgentLinks = ({ names }: { names: readonly string[] }) => (
  <span>
    {names.map((name, index) => (
      <span key={name}>
        {index > 0 ? ', ' : ''}
        <AgentLink name={name} />
      </span>
    ))}
  </span>
)

export function ContractLink({ id }: { id: string }) {
  const { model } = useApp()
  const title = model.state.cards.get(id)?.title
  return (
    <a class="contract-link" href={hrefOf({ view: 'contract', contractId: id })} title={id}>
      {title === undefined ? id : <Peer>{title}</Peer>}
    </a>
  )
}

export const Presence = ({ presence }: Pick<Worker, 'presence'>) => (
  <span class={`presence presence-${presence}`}>
    <span class="dot" aria-hidden="true" />
    {words(presence)}
  </span>
)

/** How far it is: a bar and the number. Nothing, while the owner has not said. */
export function Progress({ progress, title }: Pick<Card, 'progress' | 'title'>) {
  if (progress === undefined) return null
  return (
    <span class="progress">
      <Bar progress={progress} title={title} />
      <span class="percent">{percentOf(progress)}</span>
    </span>
  )
}

export const Bar = ({ progress, title }: { progress: number; title: string }) => (
  <progress value={progress} max={1} aria-label={`Progress of ${title}`} />
)

export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="empty-state">
    <p class="empty-title">{title}</p>
    {children && <p>{children}</p>}
  </div>
)

/** A panel with a heading of its own. */
export function Panel({
  title,
  note,
  class: kind = '',
  children,
}: {
  title: string
  note?: ComponentChildren
  class?: string
  children: ComponentChildren
}) {
  return (
    <section class={`panel ${kind}`} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {note !== undefined && <span class="panel-note">{note}</span>}
      </header>
      {children}
    </section>
  )
}
