import { useApp } from './app.js'
import { AgentLink, Bar, Peer, Since, StatusBadge } from './parts.js'
import { hrefOf } from './state/route.js'
import type { Card } from './state/rows.js'
import { isEnded } from './state/state.js'
import { duration, percentOf } from './state/words.js'

/** A contract in a few words: what, who, how long, how far. `plain`: where it stands says its status already. */
export function ContractCard({ card, plain = false }: { card: Card; plain?: boolean }) {
  const progress = isEnded(card) ? undefined : card.progress
  return (
    <article class={`card priority-${card.priority}`}>
      <h3>
        <a href={hrefOf({ view: 'contract', contractId: card.id })}>
          <Peer>{card.title}</Peer>
        </a>
      </h3>
      <p class="card-facts">
        <Whose card={card} />
        {!plain && <StatusBadge status={card.status} />}
        {(card.priority === 'high' || card.priority === 'critical') && (
          <span class={`badge priority-badge-${card.priority}`}>{card.priority}</span>
        )}
        {card.failures > 0 && card.status !== 'failed' && (
          <span class="badge">
            {card.failures} of {card.maxAttempts} failed
          </span>
        )}
        <Hindrance card={card} />
        <Age card={card} />
      </p>
      <p class="card-note">
        {progress !== undefined && <b>{percentOf(progress)} </b>}
        {card.statusMessage && <Peer>{card.statusMessage}</Peer>}
      </p>
      {progress !== undefined && <Bar progress={progress} title={card.title} />}
    </article>
  )
}

function Whose({ card: { owner, assignee, capability } }: { card: Card }) {
  if (owner !== undefined) return <AgentLink name={owner} />
  if (assignee !== undefined)
    return (
      <span>
        for <AgentLink name={assignee} />
      </span>
    )
  return <span>{capability === undefined ? 'for anyone' : `for #${capability}`}</span>
}

/** What stands in its way. */
function Hindrance({ card }: { card: Card }) {
  const { nowMs } = useApp()
  if (card.cancelRequestedAt && !isEnded(card)) return <span class="badge warn">asked to stop</span>
  if (card.overdue && !isEnded(card)) return <span class="badge warn">overdue</span>
  if (card.status !== 'submitted') return null
  if (card.blockedBy && card.blockedBy.length > 0) return <span class="badge">blocked by {card.blockedBy.length}</span>
  if (card.notBefore) return <span class="badge">in {duration(Date.parse(card.notBefore) - nowMs)}</span>
  return null
}

/** Since when it is as it is: offered, taken or ended. */
function Age({ card }: { card: Card }) {
  const [at, label] = card.endedAt
    ? [card.endedAt, 'ended']
    : card.status === 'submitted'
      ? [card.createdAt, 'asked']
      : [card.acceptedAt ?? card.updatedAt, 'taken']
  return (
    <span class="card-age">
      <span class="hidden">{label} </span>
      <Since at={at} />
      <span class="hidden"> ago</span>
    </span>
  )
}
