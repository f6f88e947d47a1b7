// `watch` as a process: live, filtered, over kill -9 and a restart, before a daemon is there, and to its end.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { exits } from '../src/cli/exits.js'
import type { Event } from '../src/protocol/event.js'
import { begin, type Run } from './cli.js'
import {
  connect,
  type DaemonProcess,
  makeHome,
  type RunningDaemon,
  removeHome,
  serve,
  serveApart,
  until,
  within,
} from './socket.js'

interface World {
  home: string
  watch(line: string): Run
  /** A daemon in this process. */
  serve(): Promise<RunningDaemon>
  /** A daemon that can be killed. */
  serveApart(): Promise<DaemonProcess>
  /** Ends what was begun. */
  ends: Array<() => Promise<unknown>>
}

const UP_TO_DATE = /Up to date with default: what follows is live/

const watching = suite<World>('cli watch')

watching.before.each((world) => {
  world.home = makeHome()
  world.ends = []
  world.watch = (line) => {
    const run = begin(['watch', '--workspace', 'default', ...line.split(' ').filter(Boolean)], { home: world.home })
    world.ends.push(() => run.end('SIGKILL'))
    return run
  }
  world.serve = async () => {
    const daemon = await serve(world.home)
    world.ends.push(daemon.stop)
    return daemon
  }
  world.serveApart = async () => {
    const daemon = await serveApart(world.home)
    world.ends.push(() => {
      daemon.child.kill('SIGKILL')
      return daemon.ended
    })
    return daemon
  }
})
watching.after.each(async ({ home, ends }) => {
  await Promise.all(ends.map((end) => end()))
  removeHome(home)
})

const eventsOf = ({ stdout }: Run): Event[] => {
  const text = stdout()
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  return whole
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

watching('shows what happens, as it happens, one line each, to whoever asked for it', async ({ serve, watch }) => {
  const daemon = await serve()
  const wire = await connect(daemon, { agent: 'codex' })
  const all = watch('')
  const locks = watch('--types lock.*,agent.updated --json')
  const topic = watch('--topic news.> --json')
  const mine = watch('--mine --as cursor --json')
  await Promise.all([all, locks, topic, mine].map(({ says }) => says(UP_TO_DATE)))
  const contract = await wire.ask('contract.create', { title: 'Fix it', assignee: 'cursor' })
  const one = watch(`--contract ${contract.id} --after earliest --json`)
  await wire.ask('lock.acquire', { resources: [{ resource: 'file:src/**', mode: 'shared' }] })
  await wire.ask('message.publish', { topic: 'news.today', text: 'hello \u001b[2J' })
  await all.says('hello')
  const lines = all
    .stdout()
    .trim()
    .split('\n')
    .map((line) => line.replace(/^\S+ +/, '').replace(/ {2,}/g, '  '))
  const shown = lines.filter((line) => !line.startsWith('agent.'))
  assert.is(shown[0], `contract.created  codex  ${contract.id}  "Fix it"  for cursor`)
  assert.match(shown[1]!, /^lock\.acquired {2}codex {2}lck_\w+ {2}file:src\/\*\* \(shared\)$/)
  assert.match(shown[2]!, /^message\.published {2}codex {2}msg_\w+ {2}"hello \\e\[2J" {2}on news\.today$/)
  for (const [run, types] of [
    [locks, ['lock.acquired']],
    [topic, ['message.published']],
    [mine, ['contract.created']],
    [one, ['contract.created']],
  ] as const) {
    await until(() => eventsOf(run).some(({ type }) => type === types[0]), `${types}`)
    assert.equal(
      eventsOf(run)
        .filter(({ type }) => !type.startsWith('agent.'))
        .map(({ type }) => type),
      types,
    )
  }
})

watching(
  'goes on where it was when the daemon was killed and another started, and says so',
  async ({ serveApart, watch }) => {
    const publish = async (daemon: { url: string; token: string }, texts: string[]) => {
      const wire = await connect(daemon, { agent: 'codex', open: { oneShot: true } })
      for (const text of texts) await wire.ask('message.publish', { topic: 'news', text })
      await wire.close()
    }
    const textsOf = (run: Run) => eventsOf(run).map(({ data }) => (data.message as { text: string }).text)
    const first = await serveApart()
    const watched = watch('--types message.published --json')
    await watched.says(UP_TO_DATE)
    await publish(first, ['1', '2'])
    await until(() => textsOf(watched).length === 2, 'what came before')
    first.child.kill('SIGKILL')
    await first.ended
    await watched.says('The daemon has gone: waiting for it.')
    const second = await serveApart()
    await publish(second, ['3', '4', '5'])
    await watched.says(/The daemon is back: going on after \w+-\d+\./)
    await until(() => textsOf(watched).length >= 5, 'what came since')
    assert.equal(textsOf(watched), ['1', '2', '3', '4', '5'], 'each once, in order')
    assert.is(watched.stderr().split('has gone').length, 2, 'it says so once')
    assert.is(await watched.end('SIGINT'), 0)
    second.child.kill('SIGTERM')
    await second.ended
  },
)

watching('waits for a daemon that is not there yet; Ctrl-C ends it in any state', async ({ serve, watch }) => {
  const early = watch('--after earliest')
  const given = watch('')
  await Promise.all([early.says('No daemon runs in'), given.says('Waiting for it.')])
  assert.is(await given.end('SIGINT'), 0)
  await serve()
  await early.says('bridge.started')
  await early.says(UP_TO_DATE)
  assert.is(await early.end('SIGTERM'), 0)
})

watching('what cannot be followed ends it with the reason', async ({ serve, watch }) => {
  await serve()
  const runs = ['--after zzz-1', '--after nonsense', '--types no', '--as BAD'].map((line) => watch(line))
  const codes = await Promise.all(runs.map(({ ended }) => within(ended, 'watch to end')))
  assert.equal(codes, Array(4).fill(exits.refused.code))
  const reasons = runs.map(({ stderr }) => stderr().split(':')[0])
  assert.equal(reasons, ['EPOCH_CHANGED', 'INVALID_PARAMS', 'INVALID_PARAMS', 'INVALID_PARAMS'])
})

watching.run()
