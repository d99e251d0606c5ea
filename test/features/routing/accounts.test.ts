import { describe, expect, it } from 'vitest'
import type { Account, AccountModel } from '../../../src/core/accounts.ts'
import type { Provider } from '../../../src/core/models.ts'
import { plan } from '../../../src/features/routing/named.ts'
import { candidatesOf, listingOf } from '../../../src/features/routing/service.ts'
import { listTargets, targetsFor, type Wanted } from '../../../src/features/routing/target.ts'
import { live, node, provider, world } from './world.ts'

const price = { id: 'prv_1/house@1', base: { input: 1, cachedInput: 1, cacheWrite: 1, output: 2 } }
const described: AccountModel[] = [
  { name: 'house', kind: 'chat', contextWindow: 4096, maxOutputTokens: 512, capabilities: ['vision'], price },
  { name: 'vectors', kind: 'embedding' },
  { name: 'gpt-4.1', kind: 'chat', price: { ...price, id: 'prv_1/gpt-4.1@1' } },
]

const withAccount = (of: Provider, given: Partial<Account> = {}): Provider => ({
  ...of,
  account: {
    id: 'prv_1',
    vendor: undefined,
    models: described,
    maxRetries: 2,
    usable: () => 1,
    readyAtMs: () => undefined,
    ...given,
  },
})

const own = withAccount(provider('own'))
const ownOpenai = withAccount(provider('mine'), { id: 'prv_2', vendor: 'openai', models: described.slice(2) })
const openai = provider('openai')
const chat = (model: string, rest: Partial<Wanted> = {}): Wanted => ({ model, kind: 'chat', ...rest })
const idsFor = (where: ReturnType<typeof world>, wanted: Wanted, policy = live) =>
  targetsFor(where, policy, wanted).targets.map(({ id }) => id)

describe('a name', () => {
  const everything = world([own, ownOpenai, openai])

  it.each([
    ['house', ['own/house']],
    ['own/house', ['own/house']],
    ['own/brand-new', ['own/brand-new']],
    ['mine/gpt-4o', ['mine/gpt-4o']],
    ['mine/brand-new', ['mine/brand-new']],
    ['gpt-4o', ['mine/gpt-4o', 'openai/gpt-4o']],
    ['gpt-4.1', ['own/gpt-4.1', 'mine/gpt-4.1', 'openai/gpt-4.1']],
    ['openai/gpt-4o', ['openai/gpt-4o']],
    ['vectors', []],
    ['own/vectors', []],
    ['nothing', []],
  ])('%s leads to %j', (name, ids) => {
    expect(idsFor(everything, chat(name))).toEqual(ids)
  })

  it('leads to models of its kind alone', () => {
    expect(idsFor(everything, { model: 'vectors', kind: 'embedding' })).toEqual(['own/vectors'])
    expect(idsFor(everything, { model: 'house', kind: 'embedding' })).toEqual([])
  })

  it('leads to nobody else where an account has taken the place of a vendor', () => {
    const taken = world([withAccount(provider('openai'), { vendor: 'openai', models: [] })])
    const { targets } = targetsFor(taken, live, chat('gpt-4o'))
    expect(targets.map(({ id, provider: { account } }) => [id, account?.id])).toEqual([['openai/gpt-4o', 'prv_1']])
  })
})

describe('what is known of a model', () => {
  it('is what its organisation said, then what the catalog has', () => {
    const where = world([own, ownOpenai])
    const [house] = targetsFor(where, live, chat('house')).targets
    expect(house).toMatchObject({
      model: 'house',
      price: { id: 'prv_1/house@1', tiers: [] },
      entry: { contextWindow: 4096, maxOutputTokens: 512, capabilities: ['completion', 'vision'] },
    })
    const [priced] = targetsFor(where, live, chat('mine/gpt-4.1')).targets
    expect(priced).toMatchObject({ price: { id: 'prv_1/gpt-4.1@1' }, entry: { maxOutputTokens: 32_768 } })
    const [ofCatalog] = targetsFor(where, live, chat('mine/gpt-4o')).targets
    expect(ofCatalog?.price?.id).toMatch(/^openai\/gpt-4o@/)
    expect(targetsFor(where, live, chat('own/brand-new')).targets[0]?.price).toBeUndefined()
  })

  it('is listed once, with the rest of its vendor’s', () => {
    const ids = listTargets(world([ownOpenai]), live).map(({ id }) => id)
    expect(ids.filter((id) => id === 'mine/gpt-4.1')).toHaveLength(1)
    expect(ids).toContain('mine/gpt-4o')
    expect(listTargets(world([own]), live).map(({ id }) => id)).toEqual(['own/house', 'own/vectors', 'own/gpt-4.1'])
  })
})

describe('auto', () => {
  it('takes the general model of the account’s vendor, or the first that was described and will do', () => {
    expect(idsFor(world([ownOpenai]), chat('auto'))).toEqual(['mine/gpt-4o'])
    expect(idsFor(world([own]), chat('auto'))).toEqual(['own/house'])
    expect(idsFor(world([own]), chat('auto', { needs: ['tools'] }))).toEqual(['own/gpt-4.1'])
    expect(idsFor(world([own]), { model: 'auto', kind: 'embedding' })).toEqual(['own/vectors'])
  })
})

describe('a node of an organisation', () => {
  const gpu = withAccount(node('ollama'), { id: 'prv_9', models: [] })
  const listed = (models: readonly string[]) => {
    const where = world([gpu])
    const known = models.map((name) => ({ name, capabilities: ['completion'] }))
    where.memory.listings.set('prv_9', { models: known, fetchedMs: 0, failed: false, refreshing: false })
    where.memory.listings.set('ollama', {
      models: [{ name: 'others' }],
      fetchedMs: 0,
      failed: false,
      refreshing: false,
    })
    return where
  }

  it('serves what it lists itself, not what another of its name does, and costs nothing', () => {
    const where = listed(['llama3.2:3b'])
    expect(listingOf(where, gpu)?.models).toHaveLength(1)
    expect(idsFor(where, chat('llama3.2:3b'))).toEqual(['ollama/llama3.2:3b'])
    expect(idsFor(where, chat('others'))).toEqual([])
    expect(targetsFor(where, live, chat('llama3.2:3b')).targets[0]?.price?.base.output).toBe(0)
  })

  it('is within the reach of test keys, and no other account is', () => {
    const test = { ...live, mode: 'test' as const }
    expect(idsFor(listed(['llama3.2:3b']), chat('llama3.2:3b'), test)).toEqual(['ollama/llama3.2:3b'])
    expect(idsFor(world([own]), chat('house'), test)).toEqual([])
  })
})

describe('a plan', () => {
  const resting = withAccount(provider('own'), { readyAtMs: () => 61_000 })
  const planOf = (providers: readonly Provider[], model: string) =>
    plan({
      targets: targetsFor(world(providers), live, chat(model)).targets,
      openBreakers: new Map(),
      model,
      nowMs: 1000,
    })

  it('leaves out accounts whose credentials are all put aside', () => {
    const { targets, excluded } = planOf([resting, openai], 'gpt-4.1')
    expect(targets.map(({ target }) => target.id)).toEqual(['openai/gpt-4.1'])
    expect(excluded).toEqual([{ id: 'own/gpt-4.1', reason: 'credentials_refused' }])
  })

  it('says when the first of them may be asked again, if there is nothing else', () => {
    expect(() => planOf([resting], 'house')).toThrow(
      expect.objectContaining({ code: 'model_overloaded', retryAfterSeconds: 60 }),
    )
    const never = withAccount(provider('own'), { readyAtMs: () => Number.POSITIVE_INFINITY })
    expect(() => planOf([never], 'house')).toThrow(
      expect.objectContaining({ code: 'model_overloaded', retryAfterSeconds: undefined }),
    )
  })

  it('has breakers that go by the account where there is one', () => {
    const { targets } = targetsFor(world([own, openai]), live, chat('gpt-4.1'))
    expect(candidatesOf(targets)).toEqual({
      candidates: ['own/gpt-4.1', 'openai/gpt-4.1'],
      breakers: ['prv_1/gpt-4.1', 'openai/gpt-4.1'],
    })
    expect(candidatesOf(targets.slice(1))).toEqual({ candidates: ['openai/gpt-4.1'] })
  })
})
