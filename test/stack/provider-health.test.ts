import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

const INTERVAL_MS = 300

let stack: Stack
let token: string
const vendors = { openai: listing(), groq: listing() }

/** A vendor that lists its models, or fails to while it is told so. */
function listing() {
  const state = { isDown: false, lists: 0 }
  const server: Server = createServer((_request, response) => {
    state.lists += 1
    if (state.isDown) return void response.writeHead(503).end()
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[]}')
  })
  const listens = new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    state,
    listens,
    url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  }
}

beforeAll(async () => {
  await Promise.all(Object.values(vendors).map(({ listens }) => listens))
  stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-1',
      OPENAI_BASE_URL: vendors.openai.url(),
      GROQ_API_KEY: 'sk-fake-2',
      GROQ_BASE_URL: vendors.groq.url(),
      HEALTH_INTERVAL_MS: String(INTERVAL_MS),
    },
  })
  const { orgId } = await stack.org()
  token = (await keyOf(stack, { orgId, scopes: ['providers:read'] })).apiKey
})
afterAll(async () => {
  await stack?.close()
  await Promise.all(Object.values(vendors).map(({ close }) => close()))
})

const Told = z.looseObject({ status: z.string() })
const get = (path: string) => stack.call(token, path)
const statusOf = async (name: string) => {
  const response = await get(`/v1/providers/${name}/health`)
  return [response.status, Told.parse(await response.json()).status]
}

// A machine that is busy may take its time; isolates keep what the monitor told for a second.
const soon = { timeout: 20_000, interval: 250 }

describe('the monitor of providers', () => {
  it('begins to watch with the first request, and tells when a provider goes down and comes back', async () => {
    await expect.poll(() => statusOf('openai'), soon).toEqual([200, 'healthy'])
    expect(Told.parse(await (await fetch(`${stack.url}/v1/health`)).json())).toMatchObject({ status: 'ok', total: 2 })
    vendors.groq.state.isDown = true
    await expect.poll(() => statusOf('groq'), soon).toEqual([503, 'unhealthy'])
    expect(await statusOf('openai')).toEqual([200, 'healthy'])
    expect(await (await get('/v1/providers/health')).json()).toMatchObject({ total: 2, healthy: 1, unhealthy: 1 })
    vendors.groq.state.isDown = false
    await expect.poll(() => statusOf('groq'), soon).toEqual([200, 'healthy'])
  })

  it('is what answers: however many ask, no provider is asked for it', async () => {
    const before = vendors.openai.state.lists
    const startedMs = performance.now()
    await Promise.all(Array.from({ length: 50 }, async () => (await get('/v1/providers')).text()))
    const elapsedMs = performance.now() - startedMs
    expect(vendors.openai.state.lists - before).toBeLessThanOrEqual(Math.ceil(elapsedMs / INTERVAL_MS) + 1)
  })
})
