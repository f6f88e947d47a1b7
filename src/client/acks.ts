/** How often a stream's acknowledgements are sent, ms; the daemon writes them no more often than once a second. */
const ACK_MS = 250

/** Acknowledgements of one stream's events, the latest of which says it all. */
export interface Acks {
  upTo(cursor: string): void
  /** There is a subscription, perhaps another than before. */
  on(subscription: number): void
  /** It is about to be given up: what is not sent goes now. */
  off(): void
  /** It went with its socket. */
  lost(): void
}

export function createAcks(send: (subscription: number, cursor: string) => void): Acks {
  let subscription: number | undefined
  let cursor: string | undefined
  let sent: string | undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (subscription === undefined || cursor === undefined || cursor === sent) return
    sent = cursor
    send(subscription, cursor)
  }

  return {
    upTo(done) {
      cursor = done
      if (cursor !== sent) timer ??= setTimeout(flush, ACK_MS)
    },
    on(id) {
      subscription = id
      // One that went with its socket may not have come in.
      sent = undefined
      if (cursor !== undefined) flush()
    },
    off() {
      flush()
      subscription = undefined
    },
    lost() {
      clearTimeout(timer)
      timer = undefined
      subscription = undefined
    },
  }
}
