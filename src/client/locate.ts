import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { ConnectionError } from './errors.js'
import type { Address } from './link.js'

const PROOF_WITHIN_MS = 5_000
const PROOF_BYTES = 16_384

/** A daemon that has proved to be the one which wrote `daemon.json`. */
export interface Located extends Address {
  pid: number
  /** `http://host:port` */
  http: string
  version: string
}

/**
 * Finds the daemon of a home, with the home's token unless another is given. Whatever listens where `daemon.json` says
 * may be another program by now: it is given the token only when it proves to know the file's key.
 * @throws ConnectionError when there is no such daemon
 */
export async function locate(home: string, token?: string): Promise<Located> {
  const { key, ...found } = readDaemonFile(home)
  const nonce = randomBytes(16).toString('hex')
  const proof = await askProof(`${found.http}/healthz?nonce=${nonce}`)
  const expected = createHmac('sha256', key).update(nonce).digest('hex')
  if (!equal(proof, expected)) {
    throw new ConnectionError(
      `What listens at ${found.http} is not the daemon of ${home}: start it with agent-bridge start.`,
    )
  }
  return { ...found, token: token ?? readToken(home) }
}

function readDaemonFile(home: string): Omit<Located, 'token'> & { key: string } {
  const file = join(home, 'daemon.json')
  try {
    const { pid, url, http, version, key } = JSON.parse(readFileSync(file, 'utf8'))
    if ([url, http, version, key].every((field) => typeof field === 'string')) return { pid, url, http, version, key }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new ConnectionError(`No daemon runs in ${home}: start it with agent-bridge start.`)
    }
  }
  throw new ConnectionError(`${file} cannot be read: start the daemon anew with agent-bridge start.`)
}

function readToken(home: string): string {
  const file = join(home, 'token')
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new ConnectionError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
}

/** Asks without the token. Gives an empty string when the answer is no proof. */
function askProof(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const unreachable = (error: NodeJS.ErrnoException) =>
      reject(new ConnectionError(`No daemon answers at ${url.split('?')[0]} (${error.code ?? error.message}).`))
    const request = get(url, { agent: false, signal: AbortSignal.timeout(PROOF_WITHIN_MS) }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
        if (body.length > PROOF_BYTES) request.destroy()
      })
      response.on('error', unreachable)
      response.on('end', () => resolve(readProof(body)))
    })
    request.on('error', unreachable)
  })
}

function readProof(body: string): string {
  try {
    return String(JSON.parse(body).proof)
  } catch {
    return ''
  }
}

const equal = (given: string, expected: string): boolean =>
  given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected))
