import { describe, expect, it } from 'vitest'
import { type Provider, UpstreamError } from '../../../src/core/models.ts'
import { requireKnown } from '../../../src/features/ensembles/known.ts'
import { SaidEnsemble, SomeEnsemble } from '../../../src/features/ensembles/schema.ts'
import { node, provider } from '../routing/world.ts'

const listing = node('ollama', async () => [{ name: 'qwen3:latest' }])
const silent = node('ollama', () => Promise.reject(new UpstreamError('connect', 'No answer.')))

const account = { id: 'prv_1', maxRetries: 0, usable: () => 1, readyAtMs: () => undefined }
const own: Provider = { ...provider('mine'), account: { ...account, vendor: 'mistral', models: [] } }

const worldOf = (...all: Provider[]) => ({ providers: new Map(all.map((one) => [one.name, one])) })
const refusalOf = (world: ReturnType<typeof worldOf>, config: Parameters<typeof requireKnown>[1]) =>
  requireKnown(world, config).then(
    () => undefined,
    (error: unknown) => error,
  )

describe('models of an ensemble', () => {
  it.each([
    ['of the catalog', 'gpt-4o'],
    ['that only their vendor may know', 'openai/gpt-99'],
    ['that are chosen', 'auto:cost'],
    ['of an account’s vendor', 'mistral-large-latest'],
    ['of a node', 'qwen3'],
    ['of a node that is named', 'ollama/qwen3'],
  ])('%s are known', async (_which, name) => {
    const world = worldOf(provider('openai'), own, listing)
    expect(await refusalOf(world, { members: ['openai/gpt-4o', name], judge_model: name })).toBeUndefined()
  })

  it('are refused by name where nobody serves them', async () => {
    const members = ['gpt-4o', 'claude-sonnet-4-5', 'ollama/llama9']
    const error = await refusalOf(worldOf(provider('openai'), listing), { members, judge_model: 'nobody' })
    expect(error).toMatchObject({
      code: 'invalid_request',
      status: 422,
      fields: [{ pointer: '/members/1' }, { pointer: '/members/2' }, { pointer: '/judge_model' }],
    })
    for (const name of [...members.slice(1), 'nobody']) expect(String(error)).toContain(`'${name}'`)
    expect(String(error)).not.toContain("'gpt-4o'")
  })

  it('are taken at their word where a node does not say what it has', async () => {
    const world = worldOf(provider('openai'), silent)
    expect(await refusalOf(world, { members: ['gpt-4o', 'llama9'] })).toBeUndefined()
    expect(await refusalOf(world, { members: ['gpt-4o', 'ollama/llama9'] })).toBeUndefined()
  })
})

describe('what is said of an ensemble', () => {
  it.each([
    [{ min_providers: 3, max_providers: 2 }, 'must not be above max_providers'],
    [{ min_providers: 3, members: ['gpt-4o', 'auto'] }, 'must not be above the number of members'],
  ])('wants no more answers than models are asked: %j', (config, message) => {
    expect(SaidEnsemble.safeParse(config).error?.issues).toMatchObject([{ path: ['min_providers'], message }])
    expect(SaidEnsemble.safeParse({ ...config, min_providers: 2 }).success).toBe(true)
  })

  it('may be nothing only where that is no oversight', () => {
    expect([SaidEnsemble.safeParse({}).success, SomeEnsemble.safeParse({}).success]).toEqual([true, false])
  })
})
