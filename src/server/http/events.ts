import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { methods } from '../../bridge/index.js'
import type { Door, Peer } from '../../engine/door/door.js'
import { refuse } from '../../protocol/errors.js'
import { streamBookmark, streamForm } from '../../protocol/form.js'
import { limits } from '../../protocol/limits.js'
import { whoOf } from './methods.js'
import { PLAIN } from './problem.js'
import { readQuery } from './query.js'
import type { Request, Router } from './router.js'

const TERMS = ['after', 'types', 'topics', 'contractId', 'mine']

/** One reader's response, which goes on until either side ends it. */
interface Stream {
  response: ServerResponse
  /** Heartbeats since it took what is written to it. */
  unread: number
}

export interface Streams {
  /** Ends them all: their readers come back when there is a daemon again. */
  end(): void
}

/** `GET /events`: the event stream for whoever speaks plain HTTP, over the same tail as sockets. */
export function serveEvents(router: Router, door: Door, everyMs: number = limits.heartbeatMs): Streams {
  const streams = new Set<Stream>()
  router.shut('/events', {
    GET: (request) => {
      const params = termsOf(request)
      if (request.req.method === 'HEAD') return new Response(null, { headers: HEADERS })
      return follow(door, request, params, streams)
    },
  })
  const heartbeat = setInterval(() => beat(streams, everyMs), everyMs).unref()
  return {
    end() {
      clearInterval(heartbeat)
      for (const { response } of streams) response.end()
    },
  }
}

const HEADERS = { 'Content-Type': 'text/event-stream', ...PLAIN }

/** @throws INVALID_PARAMS */
function termsOf({ req }: Request): Record<string, unknown> {
  const method = methods.get('event.subscribe')
  const query = req.queries()
  if (!method || Object.keys(query).some((name) => !TERMS.includes(name))) {
    refuse('INVALID_PARAMS', `The query of a stream takes ${TERMS.join(', ')}.`)
  }
  const params = readQuery(query, method)
  // HTML, 9.2.4: how a reader that was cut off says where it was. The URL is still that of its first request.
  const last = req.header('Last-Event-ID')
  if (last) params.after = last
  return params
}

/** Answers with a stream once the subscription stands. @throws BridgeError when it is refused */
function follow(
  door: Door,
  request: Request,
  params: Record<string, unknown>,
  streams: Set<Stream>,
): Promise<Response> {
  const response = request.env.outgoing
  const stream = { response, unread: 0 }
  const visitor = door.visit(request.get('grant'), whoOf(request), peerOf(response))
  // Without a listener an error of one connection would end the process; `close` follows in any case.
  response.on('error', () => {})
  response.on('drain', () => {
    // It reads, however slowly.
    stream.unread = 0
    visitor.drained()
  })
  response.once('close', () => {
    streams.delete(stream)
    visitor.closed()
  })
  return new Promise((resolve, reject) => {
    visitor.call('event.subscribe', params, (outcome) => {
      if ('refusal' in outcome) {
        visitor.closed()
        return reject(outcome.refusal)
      }
      streams.add(stream)
      response.writeHead(200, HEADERS)
      response.flushHeaders()
      const { cursor } = JSON.parse(outcome.result) as { cursor: string }
      // Who said "latest" and is cut off before the first event must not come back to a later one.
      if (params.after !== cursor && params.after !== 'earliest') response.write(streamBookmark(cursor))
      resolve(RESPONSE_ALREADY_SENT)
    })
  })
}

const peerOf = (response: ServerResponse): Peer => ({
  form: streamForm,
  push(head, rest) {
    // A bookmark may still come for one that is being ended.
    if (response.writableEnded) return
    if (head !== '') response.write(head)
    if (rest !== undefined) response.write(rest)
  },
  writable: () => !response.writableEnded && response.writableLength < limits.highWaterBytes,
  close: () => void response.end(),
})

/** A comment to each that has read what was written; one with unread output is slow, and given up after a while. */
function beat(streams: Iterable<Stream>, everyMs: number): void {
  for (const stream of streams) {
    const { response } = stream
    if (response.writableLength === 0 && !response.writableEnded) {
      stream.unread = 0
      response.write(':\n\n')
    } else if (++stream.unread * everyMs > limits.unreadMs) response.destroy()
  }
}
