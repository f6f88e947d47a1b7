import { render } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { Agents } from './agents.js'
import { type App, AppProvider, type Draft, reasonOf } from './app.js'
import { Board } from './board.js'
import { Compose } from './compose.js'
import { ContractPage } from './contract.js'
import { Head, type Notice, Notices } from './frame.js'
import { Locks } from './locks.js'
import { Now } from './now.js'
import { Away, Outside } from './outside.js'
import { createModel, type Model, run, waitingCount } from './state/model.js'
import { parseInvitation, parseRoute, type Route } from './state/route.js'
import { Timeline } from './timeline.js'

/** The page is drawn at most this often, ms, however many events come in. */
const DRAW_EVERY_MS = 100
/** Ages are told anew this often, ms. */
const TICK_MS = 1_000

const model = createModel()
let redraw = () => {}
let asked = false

/** Draws soon: all that changes until then is drawn at once. */
function changed(): void {
  if (asked) return
  asked = true
  setTimeout(() => {
    asked = false
    redraw()
  }, DRAW_EVERY_MS)
}

function Page({ model }: { model: Model }) {
  const [drawn, setDrawn] = useState(0)
  const [route, setRoute] = useState(() => parseRoute(location.hash))
  const [draft, setDraft] = useState<Draft>()
  const [notice, setNotice] = useState<Notice>()
  redraw = () => setDrawn((before) => before + 1)
  useEffect(() => {
    const timer = setInterval(() => document.hidden || redraw(), TICK_MS)
    const follow = () => setRoute(parseRoute(location.hash))
    addEventListener('hashchange', follow)
    return () => {
      clearInterval(timer)
      removeEventListener('hashchange', follow)
    }
  }, [])
  useEffect(() => {
    const { session } = model
    const number = waitingCount(model)
    document.title = `${number > 0 ? `(${number}) ` : ''}${session?.workspace ?? 'agent-bridge'}`
  })
  const act = useMemo(() => actor(model, setNotice), [model])
  const app: App = {
    model,
    drawn,
    nowMs: Date.now(),
    mayAct: model.connection.state === 'open' && model.session?.role !== 'observer',
    act,
    compose: (to = {}) => setDraft(to),
  }
  if (model.phase === 'outside') return <Outside problem={model.problem} />
  if (model.phase === 'away') return <Away />
  if (model.phase === 'entering' || !model.loaded)
    return <main class="outside" id="main" aria-busy="true" tabIndex={-1} />
  return (
    <AppProvider value={app}>
      <Head route={route} />
      <main id="main" tabIndex={-1} class={model.connection.state === 'open' ? '' : 'stale'}>
        <Shown route={route} />
      </main>
      <Notices notice={notice} />
      {draft && <Compose draft={draft} onClose={() => setDraft(undefined)} />}
    </AppProvider>
  )
}

function Shown({ route }: { route: Route }) {
  const narrow = useNarrow()
  if (route.view === 'contracts') return <Board />
  if (route.view === 'contract') return <ContractPage contractId={route.contractId} />
  if (route.view === 'locks') return <Locks />
  if (route.view === 'agents') return <Agents />
  if (route.view === 'timeline') return <Timeline route={route} narrow={narrow} />
  return <Now />
}

/** Whether two lines are needed where one is enough elsewhere; as in the stylesheet. */
function useNarrow(): boolean {
  const query = useMemo(() => matchMedia('(width < 720px)'), [])
  const [narrow, setNarrow] = useState(query.matches)
  useEffect(() => {
    const follow = () => setNarrow(query.matches)
    query.addEventListener('change', follow)
    return () => query.removeEventListener('change', follow)
  }, [query])
  return narrow
}

let notices = 0

const actor =
  (model: Model, tell: (notice: Notice) => void): App['act'] =>
  async (done, call) => {
    try {
      if (!model.client) return false
      await call(model.client)
      tell({ text: done, bad: false, id: ++notices })
      return true
    } catch (error) {
      tell({ text: reasonOf(error), bad: true, id: ++notices })
      return false
    }
  }

// A new link in the same tab lets in anew.
addEventListener('hashchange', () => parseInvitation(location.hash) && location.reload())
// Taken out of the browser's cache of pages, it would be without its session.
addEventListener('pageshow', ({ persisted }) => persisted && location.reload())

render(<Page model={model} />, document.body)
void run(model, changed)
