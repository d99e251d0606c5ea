import { describe, expect, it } from 'vitest'
import type { RoutingPolicy } from '../../../src/core/routing.ts'
import { CacheOptions } from '../../../src/features/cache/schema.ts'
import { cacheUse, wantsCache } from '../../../src/features/cache/use.ts'
import { fakePolicy } from '../../support/fake-deps.ts'

const routing: RoutingPolicy = { id: 'rpl_1', version: 1, strategy: 'priority', targets: [], fallbacks: {} }
const ruled = (cache: RoutingPolicy['cache'], more: Partial<RoutingPolicy> = {}) =>
  fakePolicy({ userId: 'usr_1', routing: { ...routing, ...more, cache } })
const exact = { mode: 'exact' } as const
const calm = { temperature: 0, hasEffects: false }

describe('the cache', () => {
  it.each([
    ['nobody asked', fakePolicy(), undefined, false],
    ['a policy without a rule', fakePolicy({ routing }), {}, false],
    ['the request asked', fakePolicy(), exact, true],
    ['the policy asked', ruled(exact), undefined, true],
    ['the policy asked, and the request says how long', ruled(exact), { ttl_seconds: 60 }, true],
    ['the policy asked and the request does not want it', ruled(exact), { mode: 'off' as const }, false],
    ['the policy does not, and the request does', ruled({ mode: 'off' }), exact, true],
  ])('is wanted or not where %s', (_where, policy, options, isWanted) => {
    expect(wantsCache(policy, options)).toBe(isWanted)
  })

  it('keeps an answer for an hour and for the key alone unless somebody says otherwise', () => {
    const policy = fakePolicy({ userId: 'usr_1' })
    expect(cacheUse(policy, exact, calm)).toEqual({ ttlSeconds: 3600, scope: 'key', subject: 'key_1', tags: [] })
    expect(cacheUse(policy, { ...exact, scope: 'user' }, calm)).toMatchObject({ scope: 'user', subject: 'usr_1' })
    expect(cacheUse(policy, { ...exact, scope: 'org' }, calm)).toMatchObject({ scope: 'org', subject: 'org_1' })
    expect(cacheUse(ruled({ mode: 'exact', ttlSeconds: 60, scope: 'org' }), {}, calm)).toMatchObject({
      ttlSeconds: 60,
      scope: 'org',
    })
    const said = { ttl_seconds: 5, scope: 'key', tags: ['a', 'b', 'a'] } as const
    expect(
      cacheUse(ruled({ mode: 'exact', ttlSeconds: 60, scope: 'org' }), { ...said, tags: [...said.tags] }, calm),
    ).toEqual({ ttlSeconds: 5, scope: 'key', subject: 'key_1', tags: ['a', 'b'] })
  })

  it('gives a key without a person an answer of its own where it would be the person’s', () => {
    expect(cacheUse(fakePolicy(), { ...exact, scope: 'user' }, calm)).toMatchObject({ scope: 'key', subject: 'key_1' })
  })

  it.each([
    ['0.3 is cool enough', fakePolicy(), exact, 0.3, true],
    ['more is not', fakePolicy(), exact, 0.31, false],
    ['unless it is forced', fakePolicy(), { ...exact, force: true }, 1.5, true],
    ['whoever asks in the request means a call without one', fakePolicy(), exact, undefined, true],
    ['a policy does not', ruled(exact), {}, undefined, false],
    ['a policy with the request’s word does', ruled(exact), { force: true }, undefined, true],
    ['a policy means a cool one', ruled(exact), {}, 0, true],
  ])('looks at the temperature: %s', (_what, policy, options, temperature, isUsed) => {
    expect(cacheUse(policy, options, { temperature, hasEffects: false }) !== undefined).toBe(isUsed)
  })

  it.each([
    ['the request says no_store', fakePolicy(), { ...exact, no_store: true }, calm],
    ['tools have had a say, forced or not', fakePolicy(), { ...exact, force: true }, { ...calm, hasEffects: true }],
    ['an experiment runs', ruled(exact, { experiment: { id: 'e', unit: 'key', variants: [] } }), {}, calm],
    ['a bandit learns', ruled(exact, { strategy: 'bandit' }), {}, calm],
    ['a bandit learns beside', ruled(exact, { bandit: { epsilon: 0.1 } }), {}, calm],
  ])('is gone past where %s', (_where, policy, options, facts) => {
    expect(cacheUse(policy, options, facts)).toBeUndefined()
  })
})

describe('the options of a call', () => {
  it('name what cannot be had yet', () => {
    const { error } = CacheOptions.safeParse({ mode: 'semantic' })
    expect(error?.issues).toMatchObject([{ path: ['mode'], message: 'is not available yet: exact is' }])
  })

  it.each([
    { mode: 'fuzzy' },
    { mode: 'exact', ttl_seconds: 0 },
    { ttl_seconds: 86_401 },
    { scope: 'world' },
    { tags: ['with space'] },
    { tags: Array.from({ length: 9 }, (_, at) => `t${at}`) },
    { threshold: 0.9 },
  ])('refuse %j', (options) => {
    expect(CacheOptions.safeParse(options).success).toBe(false)
  })
})
