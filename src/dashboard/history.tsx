import { useEffect, useMemo, useState } from 'preact/hooks'
import { useApp } from './app.js'
import { contentOf } from './letter.js'
import { AgentLink, Panel, Peer, Since } from './parts.js'
import type { Line } from './state/line.js'
import { hrefOf } from './state/route.js'
import { readStory, type Story } from './state/story.js'
import { count } from './state/words.js'
import { TimelineRows } from './timerow.js'

/** Everything that happened to a contract and was said about it, the latest first. */
export function History({ contractId }: { contractId: string }) {
  const { story, lines } = useStory(contractId)
  return (
    <>
      <Panel title="Messages">
        {!story || story.messages.length === 0 ? (
          <p class="sub">Nobody has written about it.</p>
        ) : (
          <ul class="plain">
            {story.messages.map((message) => (
              <li key={message.messageId}>
                <AgentLink name={message.from} />{' '}
                <span class="sub">
                  <Since at={message.sentAt} /> ago
                </span>
                <p class="long">
                  <Peer>{contentOf(message)}</Peer>
                </p>
              </li>
            ))}
          </ul>
        )}
      </Panel>
      <Panel title="What happened" note={lines.length > 0 && count(lines.length)} class="history">
        {story?.more && (
          <p class="sub">
            The beginning only: <a href={hrefOf({ view: 'timeline', contract: contractId })}>the timeline</a> has all.
          </p>
        )}
        <TimelineRows lines={lines} />
        {story?.truncated && <p class="sub">What happened earlier has been removed from the log.</p>}
      </Panel>
    </>
  )
}

/** The history as it was read, and what has come since; the latest first. */
function useStory(contractId: string): { story: Story | undefined; lines: Line[] } {
  const { model } = useApp()
  const { client, state } = model
  const [story, setStory] = useState<Story>()
  const since = useMemo(
    () =>
      state.lines.filter(
        (line) => line.contractId === contractId && line.seq > (story?.upTo ?? Number.POSITIVE_INFINITY),
      ),
    [story, state.versions.lines],
  )
  // What was said is wanted whole, and what was let go of by the page is found in the history alone.
  const said = since.filter(({ type }) => type === 'message.published').length
  const missing = story !== undefined && (state.lines[0]?.seq ?? 0) > story.upTo + 1
  useEffect(() => {
    let over = false
    const read = client && readStory(client, contractId)
    read?.then(
      (found) => over || setStory(found),
      () => {},
    )
    return () => {
      over = true
    }
  }, [client, contractId, said > 0, missing])
  return { story, lines: useMemo(() => [...(story?.lines ?? []), ...since].reverse(), [story, since]) }
}
