import { existsSync } from 'node:fs'
import type { AxeResults } from 'axe-core'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core'
import { type RunningDaemon, until } from '../socket.js'

// Debian's Chromium, or another that is here, as somebody who looks at the dashboard.

const PLACES = [
  process.env.CHROMIUM ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]

const ARGUMENTS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

const place = PLACES.find((file) => file !== '' && existsSync(file))

/** Why the page cannot be driven here, if it cannot. */
export const whyNoBrowser = (): string | undefined =>
  place === undefined
    ? 'There is no Chromium: install it (apt-get install chromium), or name it in CHROMIUM.'
    : undefined

/** Nothing here takes so long, ms, unless it never comes. */
const PATIENCE_MS = 30_000

export const openBrowser = (): Promise<Browser> =>
  chromium.launch({ ...(place !== undefined && { executablePath: place }), args: ARGUMENTS, timeout: 60_000 })

export interface Visit {
  page: Page
  /** What the page complained of: errors of its script, and whatever its policy refused. */
  complaints: string[]
  close(): Promise<void>
}

export interface VisitOptions {
  workspace?: string
  /** With a code, unless told otherwise. */
  invited?: boolean
  browser?: BrowserContextOptions
}

/** Opens the dashboard in a browser profile of its own. */
export async function visit(browser: Browser, daemon: RunningDaemon, options: VisitOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options.browser })
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  const invitation = options.invited === false ? '' : `#${await invite(daemon, options.workspace)}`
  await page.goto(`${daemon.http}/${invitation}`)
  return { page, complaints, close: () => context.close() }
}

/** What stands behind the # of a link that lets in. */
export async function invite(daemon: RunningDaemon, workspace?: string): Promise<string> {
  const headers = { Authorization: `Bearer ${daemon.token}` }
  const response = await fetch(`${daemon.http}/dashboard/code`, { method: 'POST', headers })
  const { code } = (await response.json()) as { code: string }
  return String(new URLSearchParams({ code, ...(workspace !== undefined && { workspace }) }))
}

/** Goes to a view by its address, as its link does. */
export async function go(page: Page, hash: string, heading: string | RegExp): Promise<void> {
  await page.evaluate((to) => {
    location.hash = to
  }, hash)
  await page.getByRole('heading', { level: 1, name: heading }).waitFor({ state: 'attached' })
}

/** Waits until the text of an element, as it is seen, is as it should be. */
export async function shows(place: Locator, pattern: RegExp): Promise<void> {
  let text = ''
  const matches = async () => {
    text = (await place.allInnerTexts()).join('\n')
    return pattern.test(text)
  }
  await until(matches, `${pattern}`).catch((error: Error) => {
    throw new Error(`${error.message}, in: ${text}`)
  })
}

/** What axe finds wrong with the page as it is now, in a line each. */
export async function findBarriers(page: Page): Promise<string[]> {
  // By the tester's own means: the page's policy lets nobody add a script.
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  )
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`)
}

/** Whether anything stands out to the right of the window. */
export const isTooWide = (page: Page): Promise<boolean> =>
  page.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.body.scrollWidth > innerWidth)
