import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisKeys } from '../../src/features/admission/keys.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count, full } from '../support/lane.ts'
import { parseMetrics } from '../support/prometheus.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { redisCommand } from '../support/stores.ts'
import { budgetWorld } from './budgets-kit.ts'
import { ask, attemptsPerCall, type Caller, closedLoop, openLoop, type Seen } from './faults-traffic.ts'
import { randomOf } from './truth-traffic.ts'

const metricsToken = 'token-of-the-scraper-of-the-faults'

let stack: Stack
let openai: FakeVendor
let deepseek: FakeVendor
let groq: FakeVendor
let us: Awaited<ReturnType<typeof budgetWorld>>
let budgetId: string

beforeAll(async () => {
  ;[openai, deepseek, groq] = await Promise.all([startFakeVendor(), startFakeVendor(), startFakeVendor()])
  stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-openai',
      OPENAI_BASE_URL: openai.url,
      DEEPSEEK_API_KEY: 'sk-fake-deepseek',
      DEEPSEEK_BASE_URL: deepseek.url,
      GROQ_API_KEY: 'sk-fake-groq',
      GROQ_BASE_URL: groq.url,
      METRICS_TOKEN: metricsToken,
    },
  })
  us = await budgetWorld(stack)
  budgetId = (await us.make({ limit_usd: 1000, hard: true })).id
})

afterAll(async () => {
  await stack?.close()
  await Promise.all([openai, deepseek, groq].map((vendor) => vendor?.close()))
})

const over = (models: readonly [string, ...string[]]): Caller => ({ stack, apiKey: us.apiKey, models })
const after = (ms: number): (() => boolean) => {
  const endMs = Date.now() + ms
  return () => Date.now() >= endMs
}

/** What the metrics say of a breaker: 0 closed, 1 open, 2 half open; undefined where it has never moved. */
async function breakerOf(target: string): Promise<number | undefined> {
  const { samples } = parseMetrics(await (await stack.call(metricsToken, '/metrics')).text())
  return samples.find(({ name, labels }) => name === 'helix_breaker_state' && labels.target === target)?.value
}

/** The small lane does not wait for the ten seconds: it says that they are over. */
async function untilTriedAgain(target: string): Promise<void> {
  if (full()) await expect.poll(() => breakerOf(target), { timeout: 90_000, interval: 100 }).not.toBe(1)
  else await redisCommand('HSET', redisKeys.target(target), 'u', String(Date.now()))
}

/** Calls without an answer; the small lane runs on machines that have no time for its stores. */
const lostOf = (seen: readonly Seen[]): Seen[] =>
  seen.filter(({ isAnswered, isStarved }) => !isAnswered && (full() || !isStarved))

/** What was sent before a refusal came back is seen by the vendor within this time, also where all share two cores. */
const ON_ITS_WAY_MS = 1000

/**
 * Clients, stores, vendors and gateway share the machine: a hundred clients without a pause would measure only that. At
 * full rates, each in a process of its own, `scripts/bench/faults.ts` measures.
 */
const PACE_MS = count(0, 1000)

/** Figures are only worth telling where they were made in full. */
const tell = (line: string): void => {
  if (full()) console.log(line)
}

const nothingHeld = () =>
  expect.poll(async () => (await us.spendOf(budgetId)).held_usd, { timeout: 30_000, interval: 100 }).toBe(0)

describe('a vendor that is down', () => {
  const target = 'openai/gpt-4.1'

  it('costs its callers nothing while another can answer, and is back soon after it is well', async () => {
    const caller = over([target, 'deepseek/deepseek-chat'])
    openai.always('status=500')
    const warmMs = count(0, 5000)
    const beganMs = Date.now()
    let isOver = false
    const load = openLoop(caller, { rps: count(8, 30), isOver: () => isOver })
    await expect.poll(() => breakerOf(target), { timeout: 30_000, interval: 50 }).toBe(1)
    const openMs = Date.now()
    await new Promise((resolve) => setTimeout(resolve, count(500, 30_000)))
    openai.always(undefined)
    const wellMs = Date.now()
    await untilTriedAgain(target)
    let firstGoodMs = 0
    await expect
      .poll(
        () => {
          firstGoodMs =
            openai.truth().find(({ finished, model, atMs }) => finished && model === 'gpt-4.1' && atMs > wellMs)
              ?.atMs ?? 0
          return firstGoodMs
        },
        { timeout: 90_000, interval: 20 },
      )
      .toBeGreaterThan(0)
    await expect.poll(() => breakerOf(target), { timeout: 30_000, interval: 50 }).toBe(0)
    const closedMs = Date.now()
    isOver = true
    const seen = await load
    expect(lostOf(seen)).toEqual([])
    const fromMs = Math.max(openMs, beganMs + warmMs) + 200
    const whileDown = seen.filter(({ startedMs }) => startedMs >= fromMs && startedMs < wellMs)
    expect(whileDown.length).toBeGreaterThan(0)
    expect(attemptsPerCall(whileDown)).toBeLessThanOrEqual(1.1)
    expect(closedMs - firstGoodMs).toBeLessThanOrEqual(10_000)
    tell(
      `down: ${seen.length} calls, ${attemptsPerCall(whileDown).toFixed(4)} attempts a call, closed ${closedMs - firstGoodMs} ms after the first good one`,
    )
    await nothingHeld()
  }, 240_000)
})

describe('a vendor of three that fails now and then', () => {
  it('leaves no caller without an answer', async () => {
    const random = randomOf(17)
    const faults = ['status=500', 'status=503', 'reset', 'html200', 'eof=0']
    groq.always(() => {
      const fault = faults[Math.floor(random() * faults.length)]
      return random() < 0.3 ? `${fault}` : `delay=${50 + Math.floor(random() * 450)}`
    })
    const [first, second, third] = ['groq/llama-3.3-70b-versatile', 'openai/gpt-4o-mini', 'deepseek/deepseek-chat']
    const callers = [over([first, second, third]), over([second, first, third]), over([first, third])]
    const isLate = after(60_000)
    const isOver = (calls: number) => (full() ? isLate() : calls >= 90)
    const seen = await closedLoop(callers, { clients: count(8, 100), everyMs: PACE_MS, isOver })
    groq.always(undefined)
    const lost = lostOf(seen)
    tell(`now and then: ${seen.length} calls, ${lost.length} lost, ${attemptsPerCall(seen).toFixed(3)} attempts a call`)
    expect(lost.length / seen.length).toBeLessThanOrEqual(0.001)
    await nothingHeld()
  }, 240_000)
})

describe('a vendor that has no capacity', () => {
  const [target, other] = ['openai/gpt-4o', 'deepseek/deepseek-chat']
  const asked = () => openai.truth().filter(({ model }) => model === 'gpt-4o')

  it('is asked by nobody before it said, and then again', async () => {
    const seconds = count(2, 7)
    openai.always(`status=429,retry-after=${seconds}`)
    expect(await ask(over([target, other]))).toMatchObject({ status: 200, provider: 'deepseek', attempts: 2 })
    openai.always(undefined)
    const [refusal] = asked()
    const backMs = (refusal?.atMs ?? 0) + seconds * 1000
    const alone = await ask(over([target]))
    // A machine that is slow enough may have let the time pass already.
    if (alone.startedMs < backMs - 500) {
      expect(alone).toMatchObject({ status: 429, attempts: 0 })
      expect(alone.retryAfterSeconds).toBeGreaterThanOrEqual(1)
      expect(alone.retryAfterSeconds).toBeLessThanOrEqual(seconds)
    }
    const seen = await closedLoop([over([target, other])], {
      clients: count(4, 100),
      everyMs: PACE_MS,
      isOver: () => asked().length > 5,
    })
    expect(lostOf(seen)).toEqual([])
    expect(asked()[1]?.atMs).toBeGreaterThanOrEqual(backMs)
    expect(seen.filter(({ endedMs }) => endedMs < backMs).every(({ attempts }) => attempts === 1)).toBe(true)
    await nothingHeld()
  }, 120_000)

  it('is asked no more often in a storm than it allows', async () => {
    const [perSecond, seconds] = [count(2, 20), count(2, 3)]
    let [windowMs, used] = [0, 0]
    openai.always(() => {
      if (Date.now() - windowMs >= 1000) [windowMs, used] = [Date.now(), 0]
      used += 1
      return used > perSecond ? `status=429,retry-after=${seconds}` : 'delay=5'
    })
    const before = asked().length
    const isLate = after(60_000)
    const isOver = (calls: number) => (full() ? isLate() : calls >= 80)
    const seen = await closedLoop([over([target, other])], { clients: count(8, 100), everyMs: PACE_MS, isOver })
    openai.always(undefined)
    expect(lostOf(seen)).toEqual([])
    const rows = asked().slice(before)
    const refusals = rows.filter(({ status }) => status === 429)
    expect(refusals.length).toBeGreaterThan(0)
    // What was on its way when the first refusal came back may still arrive; each client has one call at most.
    const early = refusals.map(({ atMs }) =>
      rows.filter((row) => row.atMs > atMs + ON_ITS_WAY_MS && row.atMs < atMs + seconds * 1000),
    )
    tell(
      `storm: ${seen.length} calls, ${refusals.length} refusals, ${early.filter((list) => list.length > 0).length} of them not kept`,
    )
    if (full()) expect(early.flat()).toEqual([])
    await nothingHeld()
  }, 240_000)
})
