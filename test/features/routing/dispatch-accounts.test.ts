import { describe, expect, it } from 'vitest'
import type { AccountSpec } from '../../../src/core/accounts.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { UpstreamError } from '../../../src/core/models.ts'
import { createAccount } from '../../../src/features/providers/account.ts'
import { dispatch } from '../../../src/features/routing/dispatch.ts'
import { failureOf } from '../../../src/features/routing/failure.ts'
import { fakeAdmission } from '../../support/fake-deps.ts'
import { memoryRedis } from '../../support/gateway-redis.ts'
import { orgId, sealedKeys, specOf, startWorld } from '../providers/world.ts'
import { target, timeouts } from './world.ts'

const status = (code: number, retryAfterMs?: number) =>
  new UpstreamError('status', 'failed', { status: code, retryAfterMs })

/** Calls over an account whose keys fail as given, and over a vendor of the installation behind it. */
async function start(failing: Readonly<Record<string, Error>>, given: Partial<AccountSpec> = {}) {
  const world = startWorld()
  for (const [key, error] of Object.entries(failing)) world.failures.set(key, error)
  const { credentials, dataKeys } = await sealedKeys({ pcr_1: 'key-1', pcr_2: 'key-2', pcr_3: 'key-3' })
  const own = createAccount(world.deps, { orgId, spec: specOf({ credentials, ...given }), dataKeys })
  const redis = memoryRedis(() => world.clock.nowMs)
  const deferred: Promise<unknown>[] = []
  const away = () => Promise.reject(new DependencyError('postgres', new Error('away')))
  const deps = {
    ...world.deps,
    db: { query: away, atomically: away },
    redis,
    random: () => 0,
    admission: fakeAdmission({ orgId }),
    defer: (work: Promise<unknown>) => void deferred.push(work),
    signal: new AbortController().signal,
    requestId: 'req_1',
    startedMs: world.clock.nowMs,
  }
  const run = async (rest: readonly string[] = []) => {
    const targets = [target('own/m', own), ...rest.map((id) => target(id))]
    const outcome = await dispatch(
      deps,
      { strategy: 'explicit', targets: targets.map((one) => ({ target: one, reason: 'test' })), excluded: [] },
      {
        repeatable: false,
        attempt: async ({ id, provider, model }) => {
          if (provider.account) {
            const call = { requestId: 'req_1', model, body: { model, messages: [] }, signal: deps.signal, timeouts }
            await provider.chat(call)
          }
          return id
        },
      },
    )
    await Promise.all(deferred.splice(0))
    return outcome
  }
  const opened = () => redis.fields('tgt:prv_1/m').get('u')
  return { run, world, redis, opened, keysUsed: () => world.sent.map(({ apiKey }) => apiKey) }
}

describe('a call over an account', () => {
  it('is made with one credential after the other until one is good, whatever their number', async () => {
    const { run, keysUsed, world } = await start({ 'key-1': status(401), 'key-2': status(403) })
    expect(await run()).toMatchObject({ ok: true, answer: 'own/m', attempts: 3 })
    expect(keysUsed()).toEqual(['key-1', 'key-2', 'key-3'])
    expect(await run()).toMatchObject({ ok: true, attempts: 1 })
    const aside = world.log.filter(({ event }) => event === 'credential_set_aside').map(({ facts }) => facts)
    expect(aside).toMatchObject([
      { org_id: orgId, provider_id: 'prv_1', credential_id: 'pcr_1', status: 401, for_ms: 300_000 },
      { credential_id: 'pcr_2', status: 403 },
    ])
    expect(JSON.stringify(world.log)).not.toMatch(/key-\d/)
  })

  it('goes on to the next provider when none is good, and opens no breaker however often', async () => {
    const refused = { 'key-1': status(401), 'key-2': status(401), 'key-3': status(402) }
    const { run, keysUsed, redis, world } = await start(refused)
    expect(await run(['openai/m'])).toMatchObject({ ok: true, answer: 'openai/m', attempts: 4 })
    for (let call = 0; call < 9; call += 1) {
      world.clock.nowMs += 301_000
      await run(['openai/m'])
    }
    expect(keysUsed()).toHaveLength(30)
    expect(redis.requests()).toBe(0)
  })

  it('keeps the last credential that is only asked too often', async () => {
    const busy = { 'key-1': status(429), 'key-2': status(429, 70_000), 'key-3': status(429) }
    const { run, keysUsed, world } = await start(busy)
    expect(await run()).toMatchObject({ ok: false })
    expect(keysUsed()).toEqual(['key-1', 'key-2', 'key-3'])
    expect([...world.deps.memory.cooldowns].map(([id, { untilMs, notedMs }]) => [id, untilMs - notedMs])).toEqual([
      ['pcr_1', 60_000],
      ['pcr_2', 70_000],
    ])
  })

  it('that asks for what it is refused by its own fault takes no credential from anybody, and opens no breaker', async () => {
    const refused = (message: string) => new UpstreamError('status', 'failed', { status: 403, vendor: { message } })
    const flagged = refused('Your input was flagged.')
    const input = await start({ 'key-1': flagged })
    for (let call = 0; call < 9; call += 1) expect(await input.run()).toMatchObject({ ok: false })
    const { failures } = await input.run()
    expect(failureOf(failures)).toMatchObject({ status: 403, message: 'Your input was flagged.' })
    expect(input.keysUsed()).toEqual(Array(10).fill('key-1'))
    expect([input.world.deps.memory.cooldowns.size, input.redis.requests()]).toEqual([0, 0])
    const noAccess = refused('Project p does not have access to model m')
    const model = await start({ 'key-1': noAccess, 'key-2': noAccess, 'key-3': noAccess })
    for (let call = 0; call < 9; call += 1) expect(await model.run()).toMatchObject({ ok: false })
    expect(model.keysUsed()).toEqual(['key-1', 'key-2', ...Array(9).fill('key-3')])
    expect(model.opened()).toBeUndefined()
    expect(model.world.log.filter(({ event }) => event === 'provider_refused_credential')).toEqual([])
  })

  it('tells the other isolates of a credential that rests for a while, and of none that is back soon', async () => {
    const told = async (retryAfterMs: number) => {
      const { run, world } = await start({ 'key-1': status(429, retryAfterMs) })
      await run()
      return world.log.filter(({ event }) => event === 'cooldown_not_told').length
    }
    expect([await told(29_000), await told(31_000)]).toEqual([0, 1])
  })

  it('is repeated as often as its organisation said', async () => {
    for (const maxRetries of [0, 1, 2]) {
      const { run, keysUsed } = await start({ 'key-1': status(500) }, { maxRetries })
      expect(await run()).toMatchObject({ ok: false })
      expect(keysUsed()).toEqual(Array(maxRetries + 1).fill('key-1'))
    }
  })

  it('has a breaker by the account’s id', async () => {
    const { run, opened } = await start({ 'key-1': status(500) }, { maxRetries: 0 })
    for (let call = 0; call < 5; call += 1) await run()
    expect(Number(opened())).toBeGreaterThan(0)
  })
})
