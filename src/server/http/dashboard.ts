import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { refuse } from '../../protocol/errors.js'
import { limits } from '../../protocol/limits.js'
import type { Passes } from '../passes.js'
import { readParams } from './body.js'
import { answerJson, WrongRequest } from './problem.js'
import type { Handler, Router } from './router.js'

export interface DashboardOptions {
  passes: Passes
  /** The names of all workspaces of the home. */
  workspaces(): string[]
}

/** Where `npm run build` puts the page, seen from the sources as well as from what is built of them. */
const FOLDER = join(import.meta.dirname, '..', '..', '..', 'dist', 'dashboard')

const files = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
] as const

/**
 * The page runs its own script and style, talks to its own daemon, and nothing else: a peer's text that was taken for
 * markup by a fault of the page would still do nothing.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const HEADERS = {
  // Asked for each time, and sent only when it has changed: the page and the daemon are of one version.
  'Cache-Control': 'no-cache',
  'Content-Security-Policy': POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** The dashboard's files, and the way in: a code from the operator, exchanged for a pass. */
export function serveDashboard(router: Router, { passes, workspaces }: DashboardOptions): void {
  for (const [path, file, type] of files) router.open(path, { GET: serveFile(file, type) })
  router.shut('/dashboard/code', {
    POST: (request) => {
      if (!request.get('grant').operator) refuse('FORBIDDEN', "Codes are given to the operator's token alone.")
      return answerJson(JSON.stringify({ code: passes.invite(), expiresInMs: limits.codeMs }), 201)
    },
  })
  router.open('/dashboard/pass', {
    POST: async (request) => {
      const { code } = await readParams(request)
      if (typeof code !== 'string')
        refuse('INVALID_PARAMS', '`code` is the text that agent-bridge dashboard was given.')
      return answerJson(JSON.stringify(passes.redeem(code)), 201)
    },
  })
  router.shut('/dashboard/session', {
    GET: (request) => {
      const { agent, role, workspace } = request.get('grant')
      return answerJson(
        JSON.stringify({ agent, role, workspaces: workspace === undefined ? workspaces() : [workspace] }),
      )
    },
  })
}

/** Reads the file at its first use: a daemon whose page was never built serves everything else. */
function serveFile(name: string, type: string): Handler {
  let file: { body: Buffer<ArrayBuffer>; etag: string } | undefined
  return ({ req }) => {
    file ??= readBuilt(name)
    const headers = { ...HEADERS, 'Content-Type': type, ETag: file.etag }
    // RFC 9110, 13.1.2
    const known = req
      .header('If-None-Match')
      ?.split(',')
      .some((tag) => tag.trim().replace(/^W\//, '') === file?.etag)
    return known ? new Response(null, { status: 304, headers }) : new Response(file.body, { headers })
  }
}

/** @throws WrongRequest when there is no such file */
function readBuilt(name: string): { body: Buffer<ArrayBuffer>; etag: string } {
  try {
    const body = readFileSync(join(FOLDER, name))
    return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
  } catch {
    throw new WrongRequest(404, 'The dashboard has not been built: npm run build makes it.')
  }
}
