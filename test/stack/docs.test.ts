import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Stack, startStack } from '../support/stack.ts'

const browsers = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']
const executablePath = browsers.find((path) => existsSync(path))
if (!executablePath) console.log('The reference page is not tried in a browser: none is installed.')

let stack: Stack
let browser: Browser | undefined

beforeAll(async () => {
  stack = await startStack({ assets: true })
  if (executablePath) browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
})

afterAll(async () => {
  await browser?.close()
  await stack?.close()
})

describe.skipIf(!executablePath)('the reference page in a browser', () => {
  it('shows the routes and asks no other host for anything', async () => {
    if (!browser) throw new Error('the browser did not start')
    const page = await browser.newPage()
    const asked: string[] = []
    const refused: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    page.on('console', (message) => {
      if (message.type() === 'error') refused.push(message.text())
    })
    await page.goto(`${stack.url}/docs`)
    // Only the first group is open; the others are drawn when they are.
    for (const [group, route] of [
      ['models', 'List the models that this key may use'],
      ['completions', 'Complete a chat'],
    ] as const) {
      await page.getByText(group, { exact: true }).first().click()
      await page.getByText(route, { exact: true }).first().waitFor()
    }
    expect(asked.filter((url) => !url.startsWith(stack.url) && !/^(data|blob):/.test(url))).toEqual([])
    expect(refused).toEqual([])
  })
})
