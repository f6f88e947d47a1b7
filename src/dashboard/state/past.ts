import type { Client } from '../../client/index.js'
import { cursorAt, type Line, lineOf, seqOf } from './line.js'

/** Events looked at in one reading of the log; how many of them pass depends on the filter. */
const LOOK = 500
/** Readings made for one page of the timeline before the reader is asked whether to go on. */
const READINGS_MAX = 8
const WANTED = 100

export interface Wanted {
  types?: string[] | undefined
  contractId?: string | undefined
  passes(line: Line): boolean
}

export interface Found {
  /** The oldest first. */
  lines: Line[]
  /** Everything after this has been looked at. */
  reached: number
}

/**
 * Reads the log backwards from `before` (a seq, itself included), for as many lines as a page needs. The log is read
 * forwards by nature, so a stretch of it at a time is. @throws CallError, ConnectionError
 */
export async function readBack(
  client: Client,
  head: string,
  before: number,
  earliest: number,
  wanted: Wanted,
): Promise<Found> {
  let lines: Line[] = []
  let reached = before
  for (let reading = 0; reading < READINGS_MAX && lines.length < WANTED && reached > earliest; reading++) {
    const from = Math.max(earliest, reached - LOOK)
    lines = [...(await readBetween(client, head, from, reached, wanted)), ...lines]
    reached = from
  }
  return { lines, reached }
}

/** The events after `from` up to `to`; a page may end early, by its bytes. */
async function readBetween(client: Client, head: string, from: number, to: number, wanted: Wanted): Promise<Line[]> {
  const { types, contractId, passes } = wanted
  const found: Line[] = []
  for (let at = from; at < to; ) {
    const { events, cursor } = await client.call('event.read', {
      after: cursorAt(head, at),
      limit: to - at,
      ...(types && { types }),
      ...(contractId && { contractId }),
    })
    found.push(...events.map((event) => lineOf(event)).filter((line) => line.seq <= to && passes(line)))
    if (seqOf(cursor) <= at) break
    at = seqOf(cursor)
  }
  return found
}
