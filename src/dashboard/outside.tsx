/** What is shown to whoever has no token: how to get one. */
export function Outside({ problem }: { problem: string | undefined }) {
  return (
    <main class="outside" id="main" tabIndex={-1}>
      <img src="/icon.svg" alt="" width={40} height={40} />
      <h1>agent-bridge</h1>
      {problem !== undefined && <p class="problem">{problem}</p>}
      <p>In a terminal, in your repository:</p>
      <pre>
        <code>agent-bridge dashboard</code>
      </pre>
      <p class="sub">
        It opens this page with a code that lets in once, within a minute. Leave this tab open and it stays in for 12
        hours.
      </p>
    </main>
  )
}

/** While the daemon has not been reached. */
export const Away = () => (
  <main class="outside" id="main" tabIndex={-1}>
    <img src="/icon.svg" alt="" width={40} height={40} />
    <h1>agent-bridge</h1>
    <p role="status">The daemon does not answer. Trying again…</p>
  </main>
)
