import { get, type IncomingMessage } from 'node:http'
import type { Event } from '../../src/protocol/event.js'
import type { RunningDaemon } from '../socket.js'

// A stream of events as it comes over the wire, block by block.

/** What stood between two empty lines. */
export interface Block {
  /** Every line, as it came. */
  lines: string[]
  id?: string
  event?: Event
}

export interface Stream {
  response: IncomingMessage
  blocks: Block[]
  events(): Event[]
  /** How it ended: `end`, or `cut` when the connection broke. */
  ended: Promise<'end' | 'cut'>
  close(): void
}

/** Opens a stream; once its headers are there this resolves, whatever they say. */
export function openStream(
  { http, token }: Pick<RunningDaemon, 'http' | 'token'>,
  query = '',
  headers: Record<string, string> = {},
): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const request = get(`${http}/events${query}`, {
      agent: false,
      headers: { Authorization: `Bearer ${token}`, ...headers },
    })
    request.once('error', reject)
    request.once('response', (response) => {
      const blocks: Block[] = []
      let rest = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        const parts = (rest + chunk).split('\n\n')
        rest = parts.pop() ?? ''
        for (const part of parts) blocks.push(readBlock(part))
      })
      const ended = new Promise<'end' | 'cut'>((done) => {
        response.once('end', () => done('end'))
        response.once('error', () => done('cut'))
      })
      resolve({
        response,
        blocks,
        events: () => blocks.flatMap(({ event }) => event ?? []),
        ended,
        close: () => request.destroy(),
      })
    })
  })
}

function readBlock(text: string): Block {
  const lines = text.split('\n')
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
  const [id, data] = [field('id'), field('data')]
  return { lines, ...(id !== undefined && { id }), ...(data !== undefined && { event: JSON.parse(data) }) }
}
