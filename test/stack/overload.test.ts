import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Priority, priorities } from '../../src/core/routing.ts'
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts'
import { count, full } from '../support/lane.ts'
import { keyOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

const NODE_AT_ONCE = 2
/** The slower the vendor and the fewer calls it takes, the fewer are ten times too many. */
const AT_ONCE = count(4, 8)
const ANSWER_MS = count(400, 1000)
const OVERLOAD_SECONDS = count(3, 60)
/** What the flood's callers have: the line ends as soon afterwards as the longest of them waits. */
const TIMEOUT_MS = count(5000, 8000)
/** Out of twenty calls in order: few are urgent, so that these alone could all be served. */
const MIX: readonly Priority[] = Array.from({ length: 20 }, (_, at) =>
  at === 7 ? 'critical' : at % 10 === 3 ? 'high' : at % 2 === 0 ? 'normal' : 'low',
)

let stack: Stack
let upstream: CountingUpstream

beforeAll(async () => {
  upstream = await startCountingUpstream({ answerMs: ANSWER_MS })
  stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-1',
      OPENAI_BASE_URL: upstream.vendorUrl,
      OLLAMA_BASE_URL: upstream.nodeUrl,
      OLLAMA_CONCURRENCY: String(NODE_AT_ONCE),
    },
  })
})
afterAll(async () => {
  await stack?.close()
  await upstream?.close()
})

type Told = { priority: Priority; status: number; code: string | undefined; retryAfter: number }

async function ask(apiKey: string, priority: Priority, more: object = {}, init: RequestInit = {}): Promise<Told> {
  const { helix, ...rest } = { helix: {}, ...more }
  const messages = [{ role: 'user', content: 'Hello' }]
  const body = { model: 'openai/gpt-4o', messages, max_tokens: 20, ...rest, helix: { priority, ...helix } }
  const response = await stack.call(apiKey, '/v1/chat/completions', body, init)
  const text = await response.text()
  const code = response.ok ? undefined : String(JSON.parse(text).error.code)
  return { priority, status: response.status, code, retryAfter: Number(response.headers.get('retry-after')) }
}

/** An organisation that may have so many calls at once at the vendor, and pays for them. */
async function team() {
  const { orgId, userId, accessToken } = await person(stack)
  const { apiKey } = await keyOf(stack, { orgId, userId })
  const post = async (path: string, body: object) => {
    const response = await stack.call(accessToken, path, body)
    expect(response.status, await response.clone().text()).toBe(201)
    return String(((await response.json()) as { id: unknown }).id)
  }
  const limit = { subject_kind: 'provider', subject_id: 'openai', metric: 'concurrency', amount: AT_ONCE }
  await post('/api/v1/limits', limit)
  const budget = { subject_kind: 'org', subject_id: orgId, window: 'total', limit_usd: 1000, hard: true }
  const budgetId = await post('/api/v1/budgets', budget)
  const heldUsd = async () => {
    const response = await stack.call(accessToken, `/api/v1/budgets/${budgetId}/spend`)
    return ((await response.json()) as { held_usd: number }).held_usd
  }
  return { apiKey, heldUsd }
}

/** Calls at a steady rate, whatever becomes of them. */
async function flood(apiKey: string, perSecond: number, seconds: number) {
  const calls: Promise<Told>[] = []
  const startedMs = performance.now()
  for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - startedMs) / 1000) {
    while (calls.length < elapsed * perSecond) {
      const priority = MIX[calls.length % MIX.length] ?? 'normal'
      const lost = { priority, status: 0, code: undefined, retryAfter: 0 }
      calls.push(ask(apiKey, priority, { helix: { timeout_ms: TIMEOUT_MS } }).catch(() => lost))
    }
    await pause(5)
  }
  return Promise.all(calls)
}

const shareRefused = (told: readonly Told[], ...of: Priority[]): number => {
  const mine = told.filter(({ priority }) => of.includes(priority))
  return mine.filter(({ status }) => status === 503).length / mine.length
}

describe('a vendor with a limit of calls at once', () => {
  it('is kept busy and never asked for more by ten times too many calls, of which the least urgent are refused', {
    timeout: count(60_000, 300_000),
  }, async () => {
    const { apiKey, heldUsd } = await team()
    await ask(apiKey, 'normal')
    upstream.reset()
    const told = await flood(apiKey, 10 * ((AT_ONCE * 1000) / ANSWER_MS), OVERLOAD_SECONDS)
    expect(upstream.most()).toBe(AT_ONCE)

    // A machine that is busy with other things may serve somebody too late, and refuses nobody for that.
    const refused = told.filter(({ status }) => status !== 200 && status !== 504)
    expect(new Set(refused.map(({ status, code }) => `${status} ${code}`))).toEqual(new Set(['503 model_overloaded']))
    expect(refused.every(({ retryAfter }) => retryAfter >= 1)).toBe(true)
    expect(shareRefused(told, 'low', 'normal')).toBeGreaterThan(shareRefused(told, 'high', 'critical'))

    // Those who waited have been answered by now: it is as if nothing had been.
    for (const priority of ['normal', 'low'] as const) expect((await ask(apiKey, priority)).status).toBe(200)
    await expect.poll(heldUsd, { timeout: 20_000 }).toBe(0)
    expect(upstream.running()).toBe(0)

    // How quick all this is, `scripts/bench/faults.ts` measures: here the clients take their time from the gateway.
    if (full()) {
      const shares = priorities.map((priority) => shareRefused(told, priority))
      expect(shares).toEqual(shares.toSorted((one, other) => other - one))
    }
  })

  it('has a place again when callers leave, those who are answered and those who wait', async () => {
    const { apiKey, heldUsd } = await team()
    const leaving = new AbortController()
    const gone = Array.from({ length: AT_ONCE + 4 }, () =>
      ask(apiKey, 'normal', {}, { signal: leaving.signal }).catch(() => undefined),
    )
    await expect.poll(upstream.running, { timeout: 20_000 }).toBe(AT_ONCE)
    leaving.abort()
    await Promise.all(gone)
    const next = await Promise.all(Array.from({ length: AT_ONCE }, () => ask(apiKey, 'normal')))
    expect(next.map(({ status }) => status)).toEqual(Array(AT_ONCE).fill(200))
    await expect.poll(heldUsd, { timeout: 20_000 }).toBe(0)
  })
})

describe('a node that takes so many calls at once', () => {
  const model = 'ollama/llama3'
  const embed = async (apiKey: string) => {
    const response = await stack.call(apiKey, '/v1/embeddings', { model, input: 'Hello', helix: { priority: 'high' } })
    await response.text()
    return response.status
  }

  it('never has more of ten callers, whatever they ask for, and answers all of them', async () => {
    const { apiKey } = await stack.org()
    await ask(apiKey, 'normal', { model })
    upstream.reset()
    const kinds = [
      async () => (await ask(apiKey, 'low', { model })).status,
      async () => (await ask(apiKey, 'critical', { model, stream: true })).status,
      () => embed(apiKey),
    ]
    const statuses = await Promise.all(Array.from({ length: 10 }, (_, at) => kinds[at % kinds.length]?.()))
    expect(statuses).toEqual(Array(10).fill(200))
    expect(upstream.most()).toBe(NODE_AT_ONCE)
  })

  it('has a place again when callers leave, in their answer and before it', async () => {
    const { apiKey } = await stack.org()
    for (let round = 0; round < count(2, 20); round++) {
      const leaving = new AbortController()
      const gone = Array.from({ length: 6 }, (_, at) =>
        ask(apiKey, 'normal', { model, stream: at % 2 === 0 }, { signal: leaving.signal }).catch(() => undefined),
      )
      await expect.poll(upstream.running, { timeout: 20_000, interval: 5 }).toBe(NODE_AT_ONCE)
      leaving.abort()
      await Promise.all(gone)
    }
    const next = await Promise.all(Array.from({ length: 4 }, () => ask(apiKey, 'normal', { model })))
    expect(next.map(({ status }) => status)).toEqual(Array(4).fill(200))
  })

  it('refuses who could not be served in their time, and says when to come back', async () => {
    const { apiKey } = await stack.org()
    const helix = { timeout_ms: 2000 }
    const crowd = Array.from({ length: 16 }, () => ask(apiKey, 'normal', { model, helix }))
    const told = await Promise.all(crowd)
    const refused = told.filter(({ status }) => status === 503)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.every(({ code, retryAfter }) => code === 'model_overloaded' && retryAfter >= 1)).toBe(true)
  })
})

describe.runIf(full())('workerd killed with every place taken', () => {
  it('gives the places of a node back when the calls that had them must be over', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'helix-overload-'))
    const slow = await startCountingUpstream({ answerMs: 60_000 })
    const vars = {
      OPENAI_API_KEY: 'sk-fake-1',
      OPENAI_BASE_URL: slow.vendorUrl,
      OLLAMA_BASE_URL: slow.nodeUrl,
      OLLAMA_CONCURRENCY: String(NODE_AT_ONCE),
    }
    const mortal = await startStack({ vars, persistTo: folder })
    const { apiKey } = await mortal.org()
    const body = {
      model: 'ollama/llama3',
      messages: [{ role: 'user', content: 'Hello' }],
      helix: { timeout_ms: 10_000 },
    }
    const ask = () => mortal.call(apiKey, '/v1/chat/completions', body)
    try {
      const lost = Array.from({ length: NODE_AT_ONCE + 3 }, () => ask().catch(() => undefined))
      await expect.poll(slow.running, { timeout: 20_000 }).toBe(NODE_AT_ONCE)
      mortal.kill()
      await Promise.all(lost)
      await mortal.restart()
      // Stored places outlive the object: nobody gets one before the calls of those who had them must have ended.
      expect((await ask()).status).toBe(503)
      expect(slow.running()).toBe(0)
      const asking = setInterval(() => void ask().catch(() => undefined), 500)
      await expect
        .poll(slow.running, { timeout: 30_000 })
        .toBe(NODE_AT_ONCE)
        .finally(() => clearInterval(asking))
    } finally {
      await mortal.close()
      await slow.close()
      await rm(folder, { recursive: true, force: true })
    }
  })
})
