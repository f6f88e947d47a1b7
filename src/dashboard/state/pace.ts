/** Runs `work` soon after it was asked for, and at most once in `ms`, however often that was. */
export function paced(ms: number, work: () => unknown): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let ranMs = Number.NEGATIVE_INFINITY
  return () => {
    if (timer !== undefined) return
    timer = setTimeout(
      () => {
        timer = undefined
        ranMs = performance.now()
        void work()
      },
      Math.max(0, ranMs + ms - performance.now()),
    )
  }
}
