// The client over kill -9 of a daemon in a process of its own: what was acknowledged stays, what was not is asked again.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectLocal } from '../src/client/node.js'
import { type DaemonProcess, makeHome, removeHome, seqOf, serveApart, until, within } from './socket.js'

const kill = suite('client: kill -9')
const home = makeHome()
let daemon: DaemonProcess

kill.after(async () => {
  daemon.child.kill('SIGKILL')
  await daemon.ended
  removeHome(home)
})

/** Ends the daemon in the middle of whatever it does, and starts another on the same files. */
async function killAndRestart(): Promise<void> {
  daemon.child.kill('SIGKILL')
  await daemon.ended
  daemon = await serveApart(home)
}

kill('sessions, streams and commands go on with the next daemon: none lost, none twice', async () => {
  daemon = await serveApart(home)
  const open = (agent: string) => connectLocal({ agent, home, workspace: 'default', env: {} })
  const [reader, writer] = [await open('reader'), await open('writer')]
  const sessions = [reader.session.session, writer.session.session]
  const seen: number[] = []
  const texts: string[] = []
  const reading = (async () => {
    for await (const { cursor, type, data } of reader.events({ after: 'earliest' })) {
      seen.push(seqOf(cursor))
      if (type === 'message.published') texts.push((data.message as { text: string }).text)
    }
  })()

  const acknowledged = new Map<string, string>()
  const lanes = 8
  const each = 60
  const lane = async (name: number) => {
    for (let at = 0; at < each; at++) {
      const text = `${name}.${at}`
      const { messageId } = await writer.call('message.publish', { topic: 'tasks', text })
      acknowledged.set(text, messageId)
    }
  }
  const writing = Promise.all(Array.from({ length: lanes }, (_, name) => lane(name)))
  for (const enough of [100, 250]) {
    await until(() => acknowledged.size >= enough, `${enough} answers`)
    await killAndRestart()
  }
  await within(writing, 'every command to be answered')

  const { head } = await reader.call('bridge.status')
  await until(() => seen.at(-1) === seqOf(head), 'the end of the log')
  assert.equal(
    seen,
    Array.from({ length: seqOf(head) }, (_, at) => at + 1),
    'contiguous, each once',
  )
  assert.is(texts.length, lanes * each, 'each command had its effect once')
  assert.equal([...new Set(texts)].sort(), [...acknowledged.keys()].sort())
  assert.is(new Set(acknowledged.values()).size, lanes * each)
  assert.equal([reader.session.session, writer.session.session], sessions)
  assert.ok(reader.session.resumed && writer.session.resumed)
  await Promise.all([reader.close(), writer.close()])
  await reading
})

kill.run()
