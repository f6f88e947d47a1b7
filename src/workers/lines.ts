/** A longer line is dropped: no agent's message is, and memory is not to be filled by one that never ends. */
const LINE_LENGTH_MAX = 8 * 1024 * 1024

/** Splits a stream of text into lines; `flush` gives out a last line that has no end. */
export function createLines(take: (line: string) => void): { push(chunk: string): void; flush(): void } {
  let kept = ''
  let dropping = false

  function flush(): void {
    if (kept.trim() !== '' && !dropping) take(kept)
    kept = ''
    dropping = false
  }

  return {
    push(chunk) {
      const [first = '', ...others] = chunk.split('\n')
      if (!dropping) kept += first
      for (const next of others) {
        flush()
        kept = next
      }
      if (kept.length > LINE_LENGTH_MAX) {
        dropping = true
        kept = ''
      }
    },
    flush,
  }
}
