import { product } from '../../protocol/version.js'
import { proveKey } from '../auth.js'
import { answerJson } from './problem.js'
import type { Router } from './router.js'

const NONCE_LENGTH_MAX = 128

/** Is the daemon alive, is it ready, is it the one: for anyone who asks on this machine. */
export function serveHealth(router: Router, { key, ready }: { key: string; ready(): boolean }): void {
  router.open('/healthz', {
    GET: ({ req }) => {
      const nonce = req.query('nonce')
      const proof = nonce !== undefined && nonce.length <= NONCE_LENGTH_MAX && { proof: proveKey(key, nonce) }
      return answerJson(JSON.stringify({ name: product.name, version: product.version, ...proof }))
    },
  })
  router.open('/readyz', {
    GET: () => answerJson(JSON.stringify({ ready: ready() }), ready() ? 200 : 503),
  })
}
