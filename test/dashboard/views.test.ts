// Every view in a browser, over a workspace in the middle of its work: what it shows, to whom, and at what width.

import type { Browser } from 'playwright-core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, type RunningDaemon, serve } from '../socket.js'
import {
  findBarriers,
  go,
  isTooWide,
  openBrowser,
  shows,
  type Visit,
  type VisitOptions,
  visit,
  whyNoBrowser,
} from './chromium.js'
import { makeScene, type Scene } from './scene.js'

const WORKSPACE = 'shop'

interface World {
  daemon: RunningDaemon & { stop(): Promise<void> }
  browser: Browser
  scene: Scene
  /** The page that most tests look at. */
  shared: Visit
  /** Pages of one test. */
  visits: Visit[]
}

const views = suite<World>('dashboard views')
const missing = whyNoBrowser()
if (missing) console.error(`\n!!! NOT TESTED: the dashboard in a browser. ${missing}\n`)
const seen = missing ? views.skip : views

views('the browser is looked for', () => {
  assert.ok(missing === undefined || missing.startsWith('There is no Chromium'))
})

if (!missing) {
  views.before(async (world) => {
    world.daemon = await serve()
    world.browser = await openBrowser()
    world.scene = await makeScene(world.daemon, WORKSPACE)
    world.visits = []
    world.shared = await look(world)
    world.visits = []
  })
  views.after.each(async ({ visits }) => {
    for (const { close } of visits.splice(0)) await close()
  })
  views.after(async ({ daemon, browser, scene }) => {
    await browser.close()
    await scene.leave()
    await daemon.stop()
  })
}

/** Opens the page and waits until everything has been listed. */
async function look({ browser, daemon, visits }: World, options: VisitOptions = {}): Promise<Visit> {
  const opened = await visit(browser, daemon, { workspace: WORKSPACE, ...options })
  visits.push(opened)
  await opened.page.getByRole('navigation').waitFor()
  return opened
}

/** Every view, by address and heading. */
const all = ({ scene }: World): Array<[string, string | RegExp]> => [
  ['#/now', 'Now'],
  ['#/contracts', 'Contracts'],
  [`#/contracts/${scene.parser}`, /parser twice/],
  [`#/contracts/${scene.question}`, /upgrade guide/],
  [`#/contracts/${scene.done}`, /retry policy/],
  [`#/contracts/${scene.failed}`, /build to esbuild/],
  ['#/locks', 'Locks'],
  ['#/agents', 'Agents'],
  ['#/timeline', 'Timeline'],
]

seen('the first view says who is here, what is in work, who waits for whom, and what needs you', async (world) => {
  const { page, complaints } = world.shared
  const panel = (name: string) => page.getByRole('region', { name, exact: true })
  await panel('Needs you').getByText('Who is the guide for?').waitFor()
  await panel('Needs you').getByText('14 tests fail').waitFor()
  await panel('Needs you').getByText('may I download 40 MB?').waitFor()
  await shows(panel('In work'), /Make the parser twice as fast[\s\S]*codex[\s\S]*45%[\s\S]*two tests left/)
  await shows(panel('Who is here'), /codex[\s\S]*running[\s\S]*src\/parser\/lines\.ts/)
  await shows(
    panel('Who waits for whom'),
    /cursor[\s\S]*codex[\s\S]*lines\.ts[\s\S]*claude[\s\S]*codex, cursor[\s\S]*src\/\*\*/,
  )
  await shows(panel('Flow'), /Events a second/)
  await page.getByRole('status').filter({ hasText: 'live' }).waitFor()
  const number = await panel('Needs you').locator('.attention-list > li').count()
  assert.is(await page.title(), `(${number}) shop`)
  assert.equal(complaints, [])
})

seen('the board has each contract in the column of its status', async (world) => {
  const { page } = world.shared
  await go(page, '#/contracts', 'Contracts')
  const column = (name: string) => page.getByRole('region', { name: `${name}: contracts` })
  await shows(
    column('Offered'),
    /^Fix the flaky reconnect test[\s\S]*critical[\s\S]*Publish the release notes[\s\S]*blocked by 1/,
  )
  await shows(column('In work'), /Make the parser/)
  await shows(column('Needs an answer'), /upgrade guide/)
  await shows(column('Completed'), /Review the retry policy[\s\S]*two remarks/)
  await shows(column('Ended otherwise'), /Move the build to esbuild[\s\S]*failed/)
  await page.getByRole('searchbox').fill('timeouts')
  await page.getByText('Sort the imports').waitFor({ state: 'detached' })
  await shows(column('Offered'), /^Name the timeouts/)
  await page.getByRole('link', { name: 'Name the timeouts' }).click()
  await page.getByRole('heading', { level: 1, name: 'Name the timeouts' }).waitFor()
})

seen('a contract’s page has its task, checks, evidence, artifacts, locks, messages and history', async (world) => {
  const { page } = world.shared
  const panel = (name: string) => page.getByRole('region', { name, exact: true })
  await go(page, `#/contracts/${world.scene.parser}`, /parser twice/)
  await shows(panel('Task'), /copies each line\.\nMeasure/)
  await shows(panel('Checks and evidence'), /npm run bench -- parser\s+no evidence yet/)
  await shows(panel('Locks'), /file:src\/parser\/\*\*[\s\S]*held/)
  await panel('Messages').getByText('Keep the column numbers').waitFor()
  await panel('What happened').getByText('took “Make the parser').waitFor()
  await shows(panel('Facts'), /"issue": 214/)
  await go(page, `#/contracts/${world.scene.done}`, /retry policy/)
  await shows(panel('Artifacts'), /review\.md[\s\S]*Name the constant/)
  await shows(panel('Checks and evidence'), /exit 0 by claude[\s\S]*no errors/)
  const links = await panel('Artifacts')
    .getByRole('link')
    .evaluateAll((found) => found.map((link) => (link as HTMLAnchorElement).href))
  assert.equal(links, ['https://example.org/changes/12'], 'a link leads to a page, or is none')
  await go(page, `#/contracts/${world.scene.failed}`, /esbuild/)
  await shows(panel('What went wrong'), /TESTS_FAILED: 14 tests fail/)
  await page.evaluate(() => {
    location.hash = '#/contracts/ctr_nothing'
  })
  await page.getByText('There is no such contract.').waitFor()
})

seen('locks: who holds, who stands behind whom; agents: what each does', async (world) => {
  const { page } = world.shared
  await go(page, '#/locks', 'Locks')
  const row = (name: RegExp) => page.getByRole('row', { name })
  await shows(row(/^file:src\/parser/), /codex[\s\S]*Make the parser[\s\S]*cursor, claude/)
  await shows(row(/^port:3000/), /the bench server[\s\S]*ends in 10 min/)
  await go(page, '#/agents', 'Agents')
  await shows(row(/^codex/), /#typescript #rust[\s\S]*running[\s\S]*Make the parser[\s\S]*2 locks/)
  await shows(row(/^gemini-docs/), /requires action[\s\S]*waiting for two answers/)
})

seen('the timeline is filtered, goes back in time and forth to now, and shows an event whole', async (world) => {
  const { page } = world.shared
  await go(page, '#/timeline', 'Timeline')
  const events = page.getByRole('region', { name: 'Events, the newest first' })
  await events.getByText('needs file:src/parser/**').first().waitFor()
  for (const noun of ['contracts', 'locks', 'agents', 'tokens', 'daemon'])
    await page.getByRole('button', { name: noun, exact: true }).click()
  await events.getByText('needs file:src/parser/**').first().waitFor({ state: 'detached' })
  await shows(events, /reviews\.api[\s\S]*40 MB[\s\S]*column numbers/)
  await shows(events, /^(?![\s\S]*(contract\.|lock\.))/)
  await page.getByRole('searchbox', { name: 'Only events of this agent' }).fill('claude')
  await events.getByText('40 MB').waitFor({ state: 'detached' })
  await shows(events, /reviews\.api/)
  assert.match(page.url(), /#\/timeline\?nouns=message&agent=claude$/, 'the address says it, and can be come back to')

  await go(page, '#/timeline', 'Timeline')
  const slider = page.getByRole('slider')
  await slider.fill('6')
  await page.getByText('up to event 6').waitFor()
  await page.getByText('6 shown, back to the beginning of the log').waitFor()
  await shows(events, /is known from now on/)
  await shows(events, /^(?![\s\S]*(contract\.completed))/)
  await page.getByRole('button', { name: 'Back to now' }).click()
  await events.getByText('needs file:src/parser/**').first().waitFor()

  await page.getByRole('searchbox', { name: 'Only events with this text' }).fill('contract.completed')
  await events.getByRole('button', { name: /contract\.completed/ }).click()
  const dialog = page.getByRole('dialog', { name: 'contract.completed' })
  await dialog.getByText('"verdict": "good to go"').waitFor()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
})

for (const [colorScheme, width] of [
  ['light', 1280],
  ['dark', 360],
] as const) {
  seen(`nothing bars anybody from any view (${colorScheme}, ${width} px)`, async (world) => {
    const { page, complaints } = await look(world, { browser: { colorScheme, viewport: { width, height: 740 } } })
    await page.getByText('Who is the guide for?').waitFor()
    for (const [hash, heading] of all(world)) {
      await go(page, hash, heading)
      assert.equal(await findBarriers(page), [], hash)
      assert.is(await isTooWide(page), false, hash)
    }
    await page.getByRole('button', { name: /^Send/ }).click()
    assert.equal(await findBarriers(page), [], 'the form')
    assert.is(await isTooWide(page), false, 'the form')
    assert.equal(complaints, [])
  })
}

seen('by keyboard: to the content at once, and to every view', async (world) => {
  const { page } = await look(world)
  await page.keyboard.press('Tab')
  assert.is(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the content')
  await page.keyboard.press('Enter')
  assert.is(await page.evaluate(() => document.activeElement?.id), 'main')
  await page.getByRole('link', { name: 'Locks', exact: true }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'Locks' }).waitFor()
  const button = page.getByRole('button', { name: 'Send a message' })
  await button.focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  assert.ok(await button.evaluate((element) => element === document.activeElement), 'the focus comes back')
})

const HOSTILE = `<img src=x onerror="window.hacked=1">"'><script>window.hacked=1</script>`

seen('script in every field stays text', async (world) => {
  const workspace = 'hostile'
  const peer = await connect(world.daemon, { agent: 'peer', open: { workspace, kind: '<b>x' } })
  await peer.ask('agent.update', { note: HOSTILE })
  const { id } = await peer.ask('contract.create', {
    title: HOSTILE,
    description: HOSTILE,
    tags: ['<b>'],
    resources: [{ resource: `port:${HOSTILE}` }],
    checks: [{ name: HOSTILE, command: HOSTILE }],
    metadata: { [HOSTILE]: HOSTILE },
  })
  await peer.ask('contract.accept', { contractId: id })
  await peer.ask('contract.start', { contractId: id, attempt: 1 })
  const artifacts = [
    { name: HOSTILE, mediaType: '<i>', text: HOSTILE },
    { name: 'link', uri: `javascript:window.hacked=1` },
    { name: 'data', uri: `data:text/html,${HOSTILE}` },
  ]
  await peer.ask('contract.update', { contractId: id, attempt: 1, note: HOSTILE, artifacts, progress: 0.5 })
  await peer.ask('contract.requestInput', {
    contractId: id,
    attempt: 1,
    requests: [{ key: HOSTILE.slice(0, 60), prompt: HOSTILE, schema: { enum: [HOSTILE] }, default: HOSTILE }],
  })
  await peer.ask('message.publish', { topic: 'noise', text: HOSTILE, contractId: id })
  await peer.ask('agent.list')
  const { page, complaints } = await look(world, { workspace })
  for (const [hash, heading] of [
    ['#/now', 'Now'],
    ['#/contracts', 'Contracts'],
    [`#/contracts/${id}`, /img src/],
    ['#/locks', 'Locks'],
    ['#/agents', 'Agents'],
    ['#/timeline', 'Timeline'],
    ['#/timeline?text=%3Cimg', 'Timeline'],
  ] as const) {
    await go(page, hash, heading)
    await page.getByText('<img src=x').first().waitFor()
    const strange = await page.evaluate(() => ({
      hacked: 'hacked' in window,
      elements: document.querySelectorAll('main img, main script, main b:has(i), main [onerror]').length,
      links: [...document.querySelectorAll('a')]
        .map(({ protocol }) => protocol)
        .filter((name) => !/^https?:$/.test(name)),
    }))
    assert.equal(strange, { hacked: false, elements: 0, links: [] }, hash)
    assert.is(await isTooWide(page), false, hash)
  }
  await go(page, '#/timeline', 'Timeline')
  await page.getByRole('button', { name: /contract\.inputRequested/ }).click()
  await page.getByRole('dialog').locator('pre', { hasText: 'window.hacked' }).waitFor()
  assert.not.ok(await page.evaluate(() => 'hacked' in window))
  assert.equal(complaints, [], 'not even tried')
  await peer.close()
})

views.run()
