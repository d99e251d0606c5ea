import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { budgetOf, holdOf } from '../ledger/calls.ts'
import { backends, type RedisBackend } from './backends.ts'
import { callerOf, requests, START_MS } from './script-caller.ts'

const DAY_SECONDS = 24 * 3600

describe.each(backends)('the vault in the admission script on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  const keep = (values: Readonly<Record<string, string>>, ttlMs = 60_000) =>
    backend.redis.pipeline(Object.entries(values).map(([key, value]) => ['SETPX', key, value, ttlMs] as const))

  it('brings what is kept under each key, in one request with everything else', async () => {
    const { run, name } = await callerOf(backend, [requests(6, 3)])
    const [first, second] = [`${name}:signed:1`, `${name}:signed:2`]
    await keep({ [first]: 'v1.1.a', [second]: 'v1.1.b' })
    await run(START_MS)
    const before = backend.proxy.requests()
    const ask = { candidates: ['a/b', 'c/d'], vault: [first, `${name}:signed:none`, second] }
    expect(await run(START_MS, ask)).toMatchObject({
      kind: 'admitted',
      rates: [{ remaining: 1 }],
      states: [undefined, undefined],
      vault: ['v1.1.a', null, 'v1.1.b'],
    })
    expect(backend.proxy.requests() - before).toBe(1)
  })

  it('brings it behind whatever else is asked: a cached answer, limits of providers, a hold', async () => {
    const onTarget = { ...requests(6, 3), id: 'shared', subject: 'provider' as const, target: 'a' }
    const { run, name, policy } = await callerOf(backend, [requests(60, 30), onTarget])
    await keep({ [`${name}:signed:1`]: 'v1.1.a' })
    const ask = {
      candidates: ['a/b', 'c/d'],
      cache: { key: `${name}:cache`, index: `${name}:index`, held: undefined },
      vault: [`${name}:signed:1`],
    }
    const hold = holdOf(`${policy.orgId} request`, { budgets: [budgetOf(1000)], amountNanoUsd: 5 })
    expect(await run(START_MS, ask, hold)).toMatchObject({
      kind: 'admitted',
      charged: [{ id: 'shared' }],
      vault: ['v1.1.a'],
    })
    expect(await run(START_MS, ask)).toMatchObject({
      kind: 'admitted',
      usedUp: [undefined, undefined],
      vault: ['v1.1.a'],
    })
  })

  it('lets what is asked for live on for another day', async () => {
    const { run, name } = await callerOf(backend, [])
    const key = `${name}:signed:1`
    await keep({ [key]: 'v1.1.a' }, 5000)
    await run(START_MS, { vault: [key] })
    const body = JSON.stringify(['TTL', key])
    const response = await fetch(backend.url, {
      method: 'POST',
      body,
      headers: { authorization: `Bearer ${backend.token}` },
    })
    const { result } = (await response.json()) as { result: number }
    expect(result).toBeGreaterThan(DAY_SECONDS - 60)
    expect(result).toBeLessThanOrEqual(DAY_SECONDS)
  })

  it('brings no more than about a megabyte, the most wanted first', async () => {
    const { run, name } = await callerOf(backend, [])
    const keys = Array.from({ length: 15 }, (_, at) => `${name}:signed:${at}`)
    await keep(Object.fromEntries(keys.map((key) => [key, 'x'.repeat(90_000)])))
    const reply = await run(START_MS, { vault: keys })
    if (reply.kind !== 'admitted') throw new Error(`it was ${reply.kind}`)
    expect(reply.vault.indexOf(null)).toBe(12)
    expect(reply.vault.slice(12)).toEqual([null, null, null])
  })
})
