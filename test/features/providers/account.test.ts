import { describe, expect, it } from 'vitest'
import type { AccountSpec } from '../../../src/core/accounts.ts'
import { type ChatCall, UpstreamError } from '../../../src/core/models.ts'
import { createAccount } from '../../../src/features/providers/account.ts'
import { providersFor } from '../../../src/features/providers/service.ts'
import { provider, timeouts } from '../routing/world.ts'
import { orgId, sealedKeys, specOf, startWorld, type World } from './world.ts'

const call = (model = 'a-model'): ChatCall => ({
  requestId: 'req_1',
  model,
  body: { model, messages: [] },
  signal: new AbortController().signal,
  timeouts,
})

async function account(world: World, keys: Readonly<Record<string, string>>, given: Partial<AccountSpec> = {}) {
  const { credentials, dataKeys } = await sealedKeys(keys)
  return createAccount(world.deps, { orgId, spec: specOf({ credentials, ...given }), dataKeys })
}

const failureOf = async (work: Promise<unknown>): Promise<UpstreamError> => {
  const error = await work.catch((thrown: unknown) => thrown)
  if (!(error instanceof UpstreamError)) throw new Error('expected an UpstreamError', { cause: error })
  return error
}

describe('an account', () => {
  it('opens a credential for its first call, and only then', async () => {
    const world = startWorld()
    const own = await account(world, { pcr_1: 'key-1', pcr_2: 'key-2' })
    expect(world.made).toEqual([])
    await own.chat(call())
    await own.embed({ ...call(), body: { model: 'a-model', input: 'Hello' } })
    expect(world.made).toMatchObject([{ apiKey: 'key-1', baseUrl: 'https://models.example.com/v1' }])
    expect(world.sent.map(({ apiKey }) => apiKey)).toEqual(['key-1', 'key-1'])
  })

  it('sends a model under the name that its provider takes', async () => {
    const world = startWorld()
    const models = [{ name: 'house', upstreamName: 'vendor-name', kind: 'chat' as const }]
    const own = await account(world, { pcr_1: 'key-1' }, { models })
    await own.chat(call('house'))
    await own.chat(call('other'))
    expect(world.sent.map(({ model }) => model)).toEqual(['vendor-name', 'other'])
  })

  it('says with which credential a call failed, and passes over one that is put aside', async () => {
    const world = startWorld()
    const own = await account(world, { pcr_1: 'key-1', pcr_2: 'key-2' })
    world.failures.set('key-1', new UpstreamError('status', 'refused', { status: 401 }))
    expect(await failureOf(own.chat(call()))).toMatchObject({ status: 401, credentialId: 'pcr_1' })
    world.deps.memory.cooldowns.set('pcr_1', { untilMs: world.clock.nowMs + 1000, notedMs: world.clock.nowMs })
    expect([own.account?.usable(), own.account?.readyAtMs()]).toEqual([1, undefined])
    await own.chat(call())
    expect(world.sent.at(-1)?.apiKey).toBe('key-2')
    world.deps.memory.cooldowns.set('pcr_2', { untilMs: world.clock.nowMs + 500, notedMs: world.clock.nowMs })
    expect([own.account?.usable(), own.account?.readyAtMs()]).toEqual([0, world.clock.nowMs + 500])
    expect(await failureOf(own.chat(call()))).toMatchObject({ status: 401, credentialId: undefined })
    world.clock.nowMs += 1000
    expect(own.account?.readyAtMs()).toBeUndefined()
  })

  it('takes a credential that does not open for one that is refused, and shows nothing of it', async () => {
    const world = startWorld()
    const { credentials } = await sealedKeys({ pcr_1: 'key-1' })
    const { dataKeys } = await sealedKeys({})
    for (const carried of [dataKeys, []]) {
      const own = createAccount(world.deps, { orgId, spec: specOf({ credentials }), dataKeys: carried })
      expect(await failureOf(own.chat(call()))).toMatchObject({ status: 401, credentialId: 'pcr_1' })
    }
    const elsewhere = createAccount(world.deps, { orgId: 'org_2', spec: specOf({ credentials }), dataKeys })
    expect(await failureOf(elsewhere.chat(call()))).toMatchObject({ status: 401 })
    expect(world.log.map(({ event }) => event)).toEqual(Array(3).fill('credential_not_opened'))
    expect(JSON.stringify(world.log)).not.toContain('key-1')
    expect(world.made).toEqual([])
  })

  it('needs a credential, unless it is a node', async () => {
    const world = startWorld()
    const vendor = createAccount(world.deps, { orgId, spec: specOf(), dataKeys: [] })
    expect([vendor.kind, vendor.account?.readyAtMs()]).toEqual(['vendor', Number.POSITIVE_INFINITY])
    const node = createAccount(world.deps, { orgId, spec: specOf({ kind: 'ollama' }), dataKeys: [] })
    expect([node.kind, node.wire, node.account?.readyAtMs()]).toEqual(['node', 'ollama', undefined])
    await node.chat(call())
    expect(world.sent).toEqual([{ apiKey: undefined, model: 'a-model' }])
  })

  it.each([
    ['openai_compatible', 'openai', false],
    ['anthropic', 'anthropic', true],
    ['gemini', 'gemini', true],
  ] as const)('of kind %s speaks its wire, and counts tokens where that can', async (kind, wire, counts) => {
    const own = await account(startWorld(), { pcr_1: 'key-1' }, { kind })
    expect([own.wire, own.countTokens !== undefined]).toEqual([wire, counts])
    expect(await own.countTokens?.(call())).toBe(counts ? 7 : undefined)
  })
})

describe('the reach of a policy', () => {
  const shared = new Map([
    ['openai', provider('openai')],
    ['gemini', provider('gemini')],
  ])

  it('is that of the installation where there are no accounts', () => {
    const { deps } = startWorld()
    expect(providersFor({ ...deps, providers: shared }, {})).toBe(shared)
  })

  it('begins with the accounts, which take the places of those whose names they have', async () => {
    const { deps } = startWorld()
    const accounts = {
      orgId,
      providers: [specOf({ id: 'prv_2', name: 'mine' }), specOf({ id: 'prv_1', name: 'openai' })],
      dataKeys: [],
    }
    const reach = providersFor({ ...deps, providers: shared }, { accounts })
    expect([...reach].map(([name, { account: own }]) => [name, own?.id])).toEqual([
      ['mine', 'prv_2'],
      ['openai', 'prv_1'],
      ['gemini', undefined],
    ])
    expect(providersFor({ ...deps, providers: shared }, { accounts })).toBe(reach)
  })

  it('shares what was made of a description among policies, and makes it anew after a change', async () => {
    const world = startWorld()
    const { credentials, dataKeys } = await sealedKeys({ pcr_1: 'key-1' })
    const reachOf = (given: Partial<AccountSpec> = {}) =>
      providersFor(
        { ...world.deps, providers: shared },
        { accounts: { orgId, providers: [specOf({ credentials, ...given })], dataKeys } },
      ).get('own')
    await reachOf()?.chat(call())
    await reachOf()?.chat(call())
    expect(world.made).toHaveLength(1)
    await reachOf({ baseUrl: 'https://elsewhere.example.com' })?.chat(call())
    expect(world.made.map(({ baseUrl }) => baseUrl)).toEqual([
      'https://models.example.com/v1',
      'https://elsewhere.example.com',
    ])
  })

  it('remembers no more than a few hundred accounts', () => {
    const { deps } = startWorld()
    for (let at = 0; at < 600; at += 1) {
      const accounts = { orgId, providers: [specOf({ id: `prv_${at}` })], dataKeys: [] }
      providersFor({ ...deps, providers: shared }, { accounts })
    }
    expect(deps.memory.accounts.size).toBe(500)
  })
})
