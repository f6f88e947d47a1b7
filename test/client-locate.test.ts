// How a client on this machine finds its daemon, and to whom it never gives the token.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type CallError, ConnectionError, connectLocal, locate } from '../src/client/node.js'
import { SetupError } from '../src/protocol/errors.js'
import { makeHome, type RunningDaemon, removeHome, serve, within } from './socket.js'

const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => Promise.reject(new Error('it was not rejected')),
    (error: Error) => error,
  )

/** A program that took the port of a daemon that is gone, and writes down all it is sent. */
async function impostor(answer: (request: IncomingMessage) => string) {
  const heard: string[] = []
  const server = createServer((request, response) => {
    heard.push(`${request.method} ${request.url} ${JSON.stringify(request.rawHeaders)}`)
    response.end(answer(request))
  })
  server.on('upgrade', (request, socket) => {
    heard.push(`upgrade ${request.url} ${JSON.stringify(request.rawHeaders)}`)
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    heard,
    port,
    async stop() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

let daemon: RunningDaemon & { stop(): Promise<void> }
let daemonFile: string
const options = () => ({ agent: 'cursor', home: daemon.home, workspace: 'default', env: {} })

const finding = suite('client: locate')

finding.before(async () => {
  daemon = await serve()
  daemonFile = readFileSync(join(daemon.home, 'daemon.json'), 'utf8')
})
finding.after.each(() => writeFileSync(join(daemon.home, 'daemon.json'), daemonFile))
finding.after(() => daemon.stop())

finding('the daemon of a home is found by its file and proves itself', async () => {
  const { url, token, pid, http } = await locate(daemon.home)
  assert.equal({ url, token, pid, http }, { url: daemon.url, token: daemon.token, pid: process.pid, http: daemon.http })
  const client = await connectLocal(options())
  assert.is(client.session.workspace, 'default')
  await client.close()
})

finding('whoever took the port of a daemon that is gone is never given the token', async () => {
  const answers: Array<(request: IncomingMessage) => string> = [
    () => 'hello',
    () => '{}',
    () => '{"proof":""}',
    () => JSON.stringify({ name: 'agent-bridge', proof: 'f'.repeat(64) }),
    ({ url }) => JSON.stringify({ proof: new URL(url ?? '', 'http://x').searchParams.get('nonce') }),
    () => 'x'.repeat(1_000_000),
  ]
  for (const answer of answers) {
    const { port, heard, stop } = await impostor(answer)
    const stale = JSON.parse(daemonFile)
    const moved = { ...stale, url: `ws://127.0.0.1:${port}/ws`, http: `http://127.0.0.1:${port}` }
    writeFileSync(join(daemon.home, 'daemon.json'), JSON.stringify(moved))
    const refused = await failure(connectLocal(options()))
    await stop()
    assert.instance(refused, ConnectionError)
    assert.is(heard.length, 1, 'asked for the proof, and nothing else')
    assert.match(heard[0] ?? '', /^GET \/healthz\?nonce=[0-9a-f]{32} /)
    const all = heard.join('\n')
    for (const secret of [daemon.token, Buffer.from(daemon.token).toString('base64url'), stale.key]) {
      assert.not(all.includes(secret), all)
    }
  }
})

finding('each way of not being there says what to do', async () => {
  const none = makeHome()
  assert.match((await failure(locate(none))).message, /No daemon runs in .*agent-bridge start/)
  writeFileSync(join(none, 'daemon.json'), '{"url":')
  assert.match((await failure(locate(none))).message, /daemon\.json cannot be read/)
  const { port, stop } = await impostor(() => '')
  await stop()
  writeFileSync(
    join(none, 'daemon.json'),
    JSON.stringify({ ...JSON.parse(daemonFile), http: `http://127.0.0.1:${port}` }),
  )
  const refused = await failure(connectLocal({ ...options(), home: none }))
  assert.instance(refused, ConnectionError)
  assert.match(refused.message, /ECONNREFUSED/)
  removeHome(none)
})

finding('the environment may name another daemon, and then its token', async () => {
  const elsewhere = { AGENT_BRIDGE_HOME: '/nowhere/at/all', AGENT_BRIDGE_URL: daemon.url }
  const named = { agent: 'cursor', workspace: 'default' }
  assert.instance(await failure(connectLocal({ ...named, env: elsewhere })), SetupError)
  const env = { ...elsewhere, AGENT_BRIDGE_TOKEN: daemon.token, AGENT_BRIDGE_WORKSPACE: 'named' }
  const client = await connectLocal({ agent: 'cursor', env })
  assert.is(client.session.workspace, 'named')
  await client.close()
  const wrong = { AGENT_BRIDGE_HOME: daemon.home, AGENT_BRIDGE_TOKEN: 'w'.repeat(43) }
  assert.is(((await failure(connectLocal({ ...named, env: wrong }))) as CallError).reason, 'UNAUTHENTICATED')
})

finding('a process ends by itself once its clients are closed', async () => {
  const node = join(import.meta.dirname, '..', 'src', 'client', 'node.ts')
  const source = `
    import { connectLocal } from ${JSON.stringify(node)}
    const options = { agent: 'leaver', home: ${JSON.stringify(daemon.home)}, workspace: 'default', env: {} }
    const client = await connectLocal(options)
    client.events({ after: 'earliest' }).next()
    client.call('message.inbox', { waitMs: 50_000 }, { timeoutMs: 100_000 }).catch(() => {})
    await client.close()
    console.log('closed')`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', (chunk) => (printed += chunk))
  try {
    const [code] = await within(once(child, 'close'), 'the process to end')
    assert.equal([code, printed.trim()], [0, 'closed'])
  } finally {
    child.kill('SIGKILL')
  }
  assert.ok(existsSync(daemon.home))
})

finding.run()
