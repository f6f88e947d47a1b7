// What a person does at the dashboard, and what the dashboard does when the daemon goes and comes back.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ParamsOf } from '../../src/bridge/index.js'
import { connect, makeHome, type RunningDaemon, removeHome, serve, until, type Wire } from '../socket.js'
import { go, invite, openBrowser, shows, type Visit, type VisitOptions, visit, whyNoBrowser } from './chromium.js'

interface World {
  daemon: RunningDaemon & { stop(): Promise<void> }
  browser: Browser
  /** Ends what was begun, the last first. */
  ends: Array<() => unknown>
}

const acts = suite<World>('dashboard acts')
const missing = whyNoBrowser()
if (missing) console.error(`\n!!! NOT TESTED: acting at the dashboard. ${missing}\n`)
const done = missing ? acts.skip : acts

acts('the browser is looked for', () => {
  assert.ok(missing === undefined || missing.startsWith('There is no Chromium'))
})

if (!missing) {
  acts.before(async (world) => {
    world.daemon = await serve()
    world.browser = await openBrowser()
    world.ends = []
  })
  acts.after.each(async ({ ends }) => {
    for (const end of ends.splice(0).reverse()) await end()
  })
  acts.after(async ({ daemon, browser }) => {
    await browser.close()
    await daemon.stop()
  })
}

async function come(world: World, options: VisitOptions = {}, daemon = world.daemon): Promise<Visit> {
  const opened = await visit(world.browser, daemon, options)
  world.ends.push(opened.close)
  return opened
}

async function meet(world: World, agent: string, workspace: string, daemon = world.daemon): Promise<Wire> {
  const wire = await connect(daemon, { agent, open: { workspace } })
  world.ends.push(wire.close)
  return wire
}

/** A contract that the agent has begun. */
async function begin(wire: Wire, params: { title: string } & Record<string, unknown>): Promise<string> {
  const { id: contractId } = await wire.ask('contract.create', params)
  await wire.ask('contract.accept', { contractId })
  await wire.ask('contract.start', { contractId, attempt: 1 })
  return contractId
}

done('a code lets in once, leaves the address at once, and the tab stays in', async (world) => {
  const fragment = await invite(world.daemon)
  const { page } = await come(world, { invited: false })
  await page.getByText('agent-bridge dashboard').waitFor()
  await page.goto(`${world.daemon.http}/#${fragment}`)
  // The address differs in its fragment only, so the browser loads nothing anew.
  await page.getByRole('navigation').waitFor()
  assert.is(page.url(), `${world.daemon.http}/`)
  const kept = await page.evaluate(() => ({
    session: Object.keys(sessionStorage),
    local: localStorage.length,
    cookie: document.cookie,
  }))
  assert.equal(kept, { session: ['agent-bridge.token'], local: 0, cookie: '' })
  await page.reload()
  await page.getByRole('navigation').waitFor()
  const other = await come(world, { invited: false })
  await other.page.goto(`${world.daemon.http}/#${fragment}`)
  await other.page.getByText('That code has been used, or is older than a minute.').waitFor()
})

done('a token that is good no more is dropped, and the page says how to get in', async (world) => {
  const { page } = await come(world)
  await page.getByRole('navigation').waitFor()
  await page.evaluate(() => sessionStorage.setItem('agent-bridge.token', 'abd_zzzzzzzz_no'))
  await page.reload()
  await page.getByText('has to be let in again').waitFor()
  await page.getByText('agent-bridge dashboard', { exact: true }).waitFor()
  assert.is(await page.evaluate(() => sessionStorage.length), 0)
})

done('a question is answered where it is listed', async (world) => {
  const worker = await meet(world, 'worker', 'answers')
  const contractId = await begin(worker, { title: 'Write the guide' })
  const { page } = await come(world, { workspace: 'answers' })
  await page.getByText('Nothing needs you.').waitFor()
  const requests: ParamsOf<'contract.requestInput'>['requests'] = [
    { key: 'audience', prompt: 'Who is it for?', schema: { enum: ['operators', 'authors'] } },
    { key: 'oldest', prompt: 'The oldest Node?', schema: { type: 'integer' } },
    { key: 'name', prompt: 'Its name?', default: 'guide.md' },
  ]
  await worker.ask('contract.requestInput', { contractId, attempt: 1, requests })
  // Nobody has reloaded the page.
  await page.getByLabel('Who is it for?').selectOption('authors')
  await page.getByLabel('The oldest Node?').fill('22')
  await page.getByRole('button', { name: 'Answer worker' }).click()
  await page.getByText('Nothing needs you.').waitFor()
  const { inputRequests, status } = await worker.ask('contract.get', { contractId })
  assert.is(status, 'working')
  assert.equal(
    inputRequests.map(({ answer, answeredBy }) => [answer, answeredBy]),
    [
      ['authors', 'human'],
      [22, 'human'],
      ['guide.md', 'human'],
    ],
  )
})

done('cancel asks first; retry offers again; what is refused is told', async (world) => {
  const worker = await meet(world, 'worker', 'ending')
  const offered = await worker.ask('contract.create', { title: 'Not wanted any more' })
  const failed = await begin(worker, { title: 'Too hard', maxAttempts: 1 })
  const error = { reason: 'HARD', message: 'no idea' }
  await worker.ask('contract.fail', { contractId: failed, attempt: 1, error })
  const { page } = await come(world, { workspace: 'ending' })
  await page.getByRole('navigation').waitFor()
  await go(page, `#/contracts/${offered.id}`, 'Not wanted any more')
  await page.getByRole('button', { name: 'Cancel' }).click()
  const dialog = page.getByRole('dialog', { name: 'Cancel' })
  await dialog.getByLabel('Why (optional)').fill('we do something else')
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('Called off, or its owner').waitFor()
  await shows(page.getByRole('main'), /canceled[\s\S]*we do something else/)
  assert.is((await worker.ask('contract.get', { contractId: offered.id })).status, 'canceled')

  await go(page, `#/contracts/${failed}`, 'Too hard')
  await page.getByRole('button', { name: 'Retry' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Retry' }).click()
  await page.getByText('It is offered again.').last().waitFor()
  assert.is((await worker.ask('contract.get', { contractId: failed })).status, 'submitted')

  await page.getByRole('button', { name: /^Send/ }).click()
  await page.getByLabel('Agent', { exact: true }).fill('workre')
  await page.getByRole('textbox', { name: 'Message' }).fill('hello')
  await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click()
  await page.getByText('(NOT_FOUND)').waitFor()
  assert.ok(await page.getByRole('dialog').isVisible(), 'what was written is not lost')
})

done('a lock is broken, for a reason', async (world) => {
  const worker = await meet(world, 'worker', 'locks')
  const lock = await worker.ask('lock.acquire', { resources: [{ resource: 'branch:main' }] })
  const { page } = await come(world, { workspace: 'locks' })
  await page.getByRole('navigation').waitFor()
  await go(page, '#/locks', 'Locks')
  await page
    .getByRole('row', { name: /branch:main/ })
    .getByRole('button', { name: 'Break' })
    .click()
  await page.getByLabel('Why').fill('its holder has gone home')
  await page.getByRole('dialog').getByRole('button', { name: 'Break' }).click()
  await page.getByText('Nothing is locked.').waitFor()
  const [broken] = (await worker.ask('event.read', { after: 'earliest', types: ['lock.broken'] })).events
  assert.equal(
    [broken?.subject, broken?.actor, broken?.data.reason],
    [lock.lockId, 'human', 'its holder has gone home'],
  )
})

done('messages: one is sent, one comes in and is replied to', async (world) => {
  const worker = await meet(world, 'worker', 'talk')
  const { page } = await come(world, { workspace: 'talk' })
  await page.getByRole('button', { name: /^Send/ }).click()
  await page.getByLabel('Agent', { exact: true }).fill('worker')
  await page.getByRole('textbox', { name: 'Message' }).fill('Is it done?')
  await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click()
  await page.getByText('Sent.').waitFor()
  const [asked] = (await worker.ask('message.inbox', {})).items
  assert.equal([asked?.from, asked?.text], ['human', 'Is it done?'])
  const { messageId } = await worker.ask('message.publish', { to: 'human', text: 'Nearly: which branch?' })
  const needs = page.getByRole('region', { name: 'Needs you' })
  await needs.getByText('Nearly: which branch?').waitFor()
  await needs.getByRole('button', { name: 'Reply' }).click()
  await page.getByRole('textbox', { name: 'Message' }).fill('main')
  await page.getByRole('dialog').getByRole('button', { name: 'Send' }).click()
  await page.getByText('Nothing needs you.').waitFor()
  const answer = (await worker.ask('message.inbox', {})).items.at(-1)
  assert.equal([answer?.text, answer?.replyTo], ['main', messageId])
})

done('another workspace is a choice away', async (world) => {
  await (await meet(world, 'one', 'first')).ask('contract.create', { title: 'Of the first' })
  await (await meet(world, 'two', 'second')).ask('contract.create', { title: 'Of the second' })
  const { page } = await come(world, { workspace: 'first' })
  await page.getByRole('navigation').waitFor()
  await go(page, '#/contracts', 'Contracts')
  await page.getByText('Of the first').waitFor()
  await page.getByLabel('Workspace').selectOption('second')
  await page.getByRole('region', { name: 'Needs you' }).waitFor()
  await go(page, '#/contracts', 'Contracts')
  await page.getByText('Of the second').waitFor()
  assert.is(await page.getByText('Of the first').count(), 0)
})

/** A daemon with a home of its own, that can be stopped and started where it was. */
async function serveAgain(world: World) {
  const home = makeHome()
  let daemon = await serve(home)
  const port = Number(new URL(daemon.http).port)
  world.ends.push(
    () => removeHome(home),
    () => daemon.stop(),
  )
  return {
    daemon: () => daemon,
    home,
    stop: () => daemon.stop(),
    async start() {
      daemon = await serve(home, port)
    },
  }
}

done('a restart shows itself, and what happened meanwhile is not lost', async (world) => {
  const house = await serveAgain(world)
  const { page } = await come(world, {}, house.daemon())
  await page.getByRole('navigation').waitFor()
  await go(page, '#/timeline', 'Timeline')
  await house.stop()
  await page
    .getByRole('status')
    .filter({ hasText: /reconnecting|daemon away/ })
    .waitFor()
  await page.getByText('not live: the daemon is away').waitFor()
  assert.ok(await page.getByRole('button', { name: /^Send/ }).isDisabled(), 'nothing can be done meanwhile')
  await house.start()
  const worker = await meet(world, 'worker', 'default', house.daemon())
  await worker.ask('contract.create', { title: 'Made before the page was back' })
  await page.getByRole('status').filter({ hasText: 'live' }).first().waitFor()
  const events = page.getByRole('region', { name: /^Events/ })
  await events.getByText('Made before the page was back').waitFor()
  // Everything from before the restart to now, each event once.
  const types = await events.locator('.event-type').allInnerTexts()
  const log = (await worker.ask('event.read', { after: 'earliest', limit: 1_000 })).events.map(({ type }) => type)
  assert.equal(types, log.reverse())
})

done('a log that is another one is listed anew', async (world) => {
  const house = await serveAgain(world)
  const before = await meet(world, 'worker', 'default', house.daemon())
  await before.ask('contract.create', { title: 'Of the old history' })
  const { page } = await come(world, {}, house.daemon())
  await page.getByRole('navigation').waitFor()
  await go(page, '#/contracts', 'Contracts')
  await page.getByText('Of the old history').waitFor()
  await house.stop()
  for (const name of ['default.db', 'default.db-wal', 'default.db-shm', 'default.head']) {
    rmSync(join(house.home, 'workspaces', name), { force: true })
  }
  await house.start()
  const after = await meet(world, 'worker', 'default', house.daemon())
  await after.ask('contract.create', { title: 'Of the new history' })
  await page.getByText('Of the new history').waitFor()
  assert.is(await page.getByText('Of the old history').count(), 0)
})

done('thousands of contracts: all are found, few are drawn', async (world) => {
  const maker = await meet(world, 'maker', 'many')
  const COUNT = 3_000
  const made: Array<Promise<unknown>> = []
  for (let number = 1; number <= COUNT; number++) {
    made.push(maker.ask('contract.create', { title: `Task ${number} of many` }))
    if (number % 500 === 0) await Promise.all(made.splice(0))
  }
  const { page } = await come(world, { workspace: 'many' })
  await page.getByRole('navigation').waitFor()
  await go(page, '#/contracts', 'Contracts')
  const column = page.getByRole('region', { name: 'Offered: contracts' })
  await column.getByText('Task 1 of many', { exact: true }).waitFor()
  const drawn = () => column.locator('article').count()
  assert.ok((await drawn()) < 60, `${await drawn()} cards`)
  await column.evaluate((box) => box.scrollTo(0, box.scrollHeight))
  await column.getByText(`Task ${COUNT} of many`).waitFor()
  assert.ok((await drawn()) < 60, `${await drawn()} cards`)
  await page.getByRole('searchbox').fill('Task 1234 ')
  await column.getByText('Task 1234 of many').waitFor()
  await until(async () => (await drawn()) === 1, 'one card')
})

acts.run()
