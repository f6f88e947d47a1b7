import { useMemo, useState } from 'preact/hooks'
import { useApp } from './app.js'
import { ContractCard } from './card.js'
import { Empty } from './parts.js'
import { Scroll } from './scroll.js'
import { type Column, columns, deal } from './state/derive.js'
import type { Card, Status } from './state/rows.js'
import { isEnded } from './state/state.js'
import { count } from './state/words.js'

const keyOf = ({ id }: Card): string => id
/** In most columns the status needs no saying. */
const drawCard = (card: Card) => (
  <ContractCard card={card} plain={!isEnded(card) ? card.status !== 'accepted' : card.status === 'completed'} />
)

/** All contracts, in columns by how they stand. */
export function Board() {
  const { model } = useApp()
  const [text, setText] = useState('')
  const [chosen, setChosen] = useState('work')
  const { state, status } = model
  const dealt = useMemo(() => deal(state, text), [state.versions.cards, text])
  return (
    <div class="view board">
      <div class="toolbar">
        <h1>Contracts</h1>
        <input
          type="search"
          placeholder="Title, agent, note or id"
          aria-label="Show only contracts with this text"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <label class="column-choice">
          <span class="hidden">Column</span>
          <select value={chosen} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
            {columns.map((column) => (
              <option key={column.key} value={column.key}>
                {column.title} ({count(numberIn(column, dealt, status, text))})
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="columns">
        {columns.map((column) => (
          <section key={column.key} class={`column column-${column.key} ${column.key === chosen ? 'chosen' : ''}`}>
            <h2>
              {column.title} <span class="number">{count(numberIn(column, dealt, status, text))}</span>
            </h2>
            <Scroll
              label={`${column.title}: contracts`}
              items={dealt.get(column.key)!}
              rowHeight={column.rowHeight}
              keyOf={keyOf}
              draw={drawCard}
              {...(isOfEnded(column) && { onEnd: () => void model.feed?.moreEnded() })}
              empty={<Empty title={text === '' ? column.empty : 'No contract with this text.'} />}
            />
          </section>
        ))}
      </div>
    </div>
  )
}

const isOfEnded = ({ holds }: Column): boolean => holds('completed') || holds('failed')

/** All that there are, which may be more than the page has loaded; with a text, those found. */
function numberIn(column: Column, dealt: Map<string, Card[]>, status: Status | undefined, text: string): number {
  const shown = dealt.get(column.key)!.length
  if (!status || text !== '') return shown
  const all = Object.entries(status.contracts.byStatus).filter(([name]) => column.holds(name))
  // What the page has seen since the bridge counted.
  return Math.max(
    shown,
    all.reduce((sum, [, number]) => sum + number, 0),
  )
}
