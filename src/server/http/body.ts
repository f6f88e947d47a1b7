import type { IncomingMessage } from 'node:http'
import { refuse } from '../../protocol/errors.js'
import { decodeParams } from '../../protocol/jsonrpc.js'
import { limits } from '../../protocol/limits.js'
import { WrongRequest } from './problem.js'
import type { Request } from './router.js'

/** The text of a body of JSON. @throws BridgeError for another media type, one that is too large or no UTF-8 */
export async function readText({ req, env }: Request): Promise<string> {
  const body = await readBytes(env.incoming)
  const type = req.header('Content-Type')
  // What a page's form could send is refused with the rest: it would need no leave to be sent.
  if ((body.length > 0 || type !== undefined) && !/^application\/json\s*(;|$)/i.test(type ?? '')) {
    throw new WrongRequest(415, 'The body is JSON: say Content-Type: application/json.')
  }
  if (env.incoming.headers['content-encoding'] !== undefined) {
    throw new WrongRequest(415, 'The body is sent as it is, without a Content-Encoding.')
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return refuse('PARSE_ERROR', 'The body is not UTF-8.')
  }
}

/** Parameters from a body; none when there is no body. @throws BridgeError */
export async function readParams(request: Request): Promise<Record<string, unknown>> {
  const text = await readText(request)
  return text === '' ? {} : decodeParams(text)
}

/** @throws TOO_LARGE; what comes after the limit is read by nobody */
function readBytes(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  return new Promise((resolve, reject) => {
    const take = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= limits.frameBytes) return void chunks.push(chunk)
      incoming.off('data', take)
      try {
        refuse('TOO_LARGE', `A body is at most ${limits.frameBytes} bytes.`)
      } catch (error) {
        reject(error)
      }
    }
    incoming.on('data', take)
    incoming.once('end', () => resolve(Buffer.concat(chunks)))
    incoming.once('error', () => reject(new WrongRequest(400, 'The body broke off.')))
  })
}
