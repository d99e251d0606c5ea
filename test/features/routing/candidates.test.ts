import { describe, expect, it } from 'vitest'
import type { Policy } from '../../../src/core/admission.ts'
import type { RoutingPolicy, Strategy } from '../../../src/core/routing.ts'
import {
  type Candidate,
  MOST_CANDIDATES,
  namedCandidates,
  openCandidates,
} from '../../../src/features/routing/candidates.ts'
import { chainOf, defaultsFor } from '../../../src/features/routing/defaults.ts'
import { live, node, provider, world } from './world.ts'

const vendors = ['openai', 'anthropic', 'gemini', 'deepseek', 'openrouter']
const all = world([...vendors.map((name) => provider(name)), node('ollama')], {
  ollama: ['qwen3:8b', 'llama3.1:8b', { name: 'nomic-embed-text', capabilities: ['embedding'] }],
})
const auto = { model: 'auto', kind: 'chat' as const }

const rules = (given: Partial<RoutingPolicy>): RoutingPolicy => ({
  id: 'rpl_1',
  version: 1,
  strategy: 'priority',
  targets: [],
  fallbacks: {},
  ...given,
})

const open = (strategy: Strategy, policy: Partial<Policy> = {}, wanted: object = {}) =>
  openCandidates(all, { ...live, ...policy }, { wanted: { ...auto, ...wanted }, strategy })
const ids = ({ candidates }: { candidates: readonly Candidate[] }) => candidates.map(({ target }) => target.id)

describe('what a strategy may choose from', () => {
  it("is one model of each provider where it cannot tell models apart: the provider's own choice", () => {
    expect(ids(open('priority'))).toEqual([
      'openai/gpt-4o',
      'anthropic/claude-sonnet-4-5',
      'gemini/gemini-2.5-flash',
      'deepseek/deepseek-chat',
      'openrouter/openai/gpt-4o',
      'ollama/llama3.1:8b',
    ])
  })

  it('is every model of which something is expected where it can, fifty at most and none in a variant', () => {
    const found = ids(open('smart'))
    expect(found).toHaveLength(MOST_CANDIDATES)
    for (const one of [
      'openai/gpt-3.5-turbo',
      'openai/gpt-4',
      'anthropic/claude-sonnet-4-5',
      'gemini/gemini-2.5-pro',
    ]) {
      expect(found).toContain(one)
    }
    // What its vendor will end is left out, unless it is the vendor's own choice.
    const ending = open('smart').candidates.filter(({ target }) => target.entry?.deprecated)
    expect(ids({ candidates: ending })).toEqual(['deepseek/deepseek-chat'])
    expect(found.filter((id) => id.startsWith('openrouter/') && id.includes(':'))).toEqual([])
    expect(new Set(found).size).toBe(found.length)
  })

  it('is what the policy names, a model before all those of its provider', () => {
    const targets = [
      { provider: 'deepseek', priority: 7 },
      { provider: 'deepseek', model: 'deepseek-chat', priority: 2 },
    ]
    const { candidates } = open('cost', { routing: rules({ targets }) })
    expect(candidates.map(({ target, row }) => [target.id, row.priority])).toEqual([
      ['deepseek/deepseek-chat', 2],
      ['deepseek/deepseek-v4-pro', 7],
    ])
    expect(ids(open('cost', { routing: rules({ targets: [{ provider: 'nobody' }] }) }))).toEqual([])
  })

  it('has the fallbacks of the policy behind it, and its default model at the end', () => {
    const routing = rules({
      targets: [{ provider: 'deepseek', model: 'deepseek-chat' }],
      fallbacks: { 'deepseek-chat': ['gpt-4o', 'deepseek-chat'] },
      defaultModel: 'gemini-2.5-flash',
    })
    const { candidates } = open('priority', { routing })
    expect(candidates.map(({ target, tier, isSpare }) => [target.id, tier, isSpare])).toEqual([
      ['deepseek/deepseek-chat', 0, false],
      ['openai/gpt-4o', 1, false],
      ['openrouter/openai/gpt-4o', 1, false],
      ['openrouter/deepseek/deepseek-chat', 1, false],
      ['gemini/gemini-2.5-flash', 0, true],
      ['openrouter/google/gemini-2.5-flash', 0, true],
    ])
    expect(ids(open('priority', { routing }, { provider: 'deepseek' }))).toEqual(['deepseek/deepseek-chat'])
  })

  it('is what the key may use', () => {
    expect(ids(open('smart', { mode: 'test' }))).toEqual(['ollama/llama3.1:8b', 'ollama/qwen3:8b'])
    expect(ids(open('priority', { allowedModels: ['deepseek-chat'] }))).toEqual(['deepseek/deepseek-chat'])
    expect(ids(open('priority', { allowedModels: ['auto'] }))).toHaveLength(6)
    expect(open('priority', { allowedModels: ['nothing'] })).toEqual({ candidates: [], forbidden: true })
    expect(ids(open('cost', {}, { kind: 'embedding' }))).toContain('ollama/nomic-embed-text')
  })
})

describe('what serves a name', () => {
  const named = (model: string, fallbacks: RoutingPolicy['fallbacks'], wanted: object = {}) =>
    namedCandidates(all, { ...live, routing: rules({ fallbacks }) }, { model, kind: 'chat', ...wanted })

  it('is followed by what the policy names for it, each name behind the last', () => {
    const { candidates, isExtended } = named('deepseek-chat', { 'deepseek-chat': ['gemini-2.5-flash', 'nothing'] })
    expect(isExtended).toBe(true)
    expect(candidates.map(({ target, tier, isTrusted }) => [target.id, tier, isTrusted])).toEqual([
      ['deepseek/deepseek-chat', 0, true],
      ['openrouter/deepseek/deepseek-chat', 0, true],
      ['gemini/gemini-2.5-flash', 1, false],
      ['openrouter/google/gemini-2.5-flash', 1, false],
    ])
    expect(named('deepseek-chat', {}).isExtended).toBe(false)
    expect(named('deepseek-chat', { '*': ['gpt-4o'] }, { provider: 'deepseek' }).isExtended).toBe(false)
  })
})

describe('the fallbacks of a model', () => {
  const some = { other: ['x'] }

  it('are those of the policy, then those that it has for all, then the built-in ones', () => {
    expect(chainOf({}, { names: ['gpt-4-turbo'], vendor: 'openai' })).toEqual([])
    expect(chainOf(some, { names: ['gpt-4-turbo'], vendor: 'openai' })).toEqual(['claude-3-opus', 'gemini-pro'])
    expect(chainOf({ '*': ['y'], ...some }, { names: ['gpt-4-turbo'], vendor: 'openai' })).toEqual(['y'])
    expect(chainOf({ '*': ['y'], 'gpt-4-turbo': [] }, { names: ['gpt-4-turbo'], vendor: 'openai' })).toEqual([])
    expect(chainOf(some, { names: ['toString'], vendor: undefined })).toEqual([])
  })

  it.each([
    ['gemini-pro', ['gpt-4-turbo', 'claude-3-sonnet']],
    ['gpt-4-turbo', ['claude-3-opus', 'gemini-pro']],
    ['claude-3-opus', ['gpt-4-turbo', 'gemini-pro']],
    ['gpt-3.5-turbo', ['gemini-pro', 'mistral-large']],
  ])('of %s are built in', (name, chain) => {
    expect(chainOf(some, { names: [name], vendor: 'openai' })).toEqual(chain)
  })

  it('of a model of Anthropic without any are those of two other vendors', () => {
    const chain = chainOf(some, { names: ['claude-sonnet-4-5'], vendor: 'anthropic' })
    expect(chain).toEqual(['openai/gpt-4o', 'deepseek/deepseek-chat'])
  })
})

describe('what a vendor has where no policy says', () => {
  it('puts three before the others, which keep their order', () => {
    const places = ['anthropic', 'openai', 'deepseek', 'gemini', 'openrouter', undefined]
    const priorities = places.map((vendor) => defaultsFor('priority', vendor, 0).priority ?? 0)
    expect(priorities.toSorted((one, other) => one - other)).toEqual(priorities)
    expect(defaultsFor('priority', 'openai', 1).priority).toBeGreaterThan(
      defaultsFor('priority', 'openai', 0).priority ?? 0,
    )
  })

  it('limits what they may cost, or the time that they get, where that is the question', () => {
    expect(defaultsFor('cost', 'deepseek', 0)).toMatchObject({ maxCostPerRequestNanoUsd: 10_000_000 })
    expect(defaultsFor('cost', 'openai', 0)).toMatchObject({
      maxCostPerTokenNanoUsd: 2000,
      maxCostPerRequestNanoUsd: 100_000_000,
    })
    const dear = defaultsFor('cost', 'anthropic', 0)
    expect(dear).toEqual({ priority: expect.any(Number) })
    expect(dear.priority).toBeGreaterThan(defaultsFor('cost', 'ollama', 999).priority ?? 0)
    expect(defaultsFor('latency', 'anthropic', 0)).toMatchObject({ timeoutMs: 30_000 })
    expect(defaultsFor('latency', 'openai', 0)).toMatchObject({ timeoutMs: 15_000 })
    expect(defaultsFor('smart', 'openai', 0).timeoutMs).toBeUndefined()
  })
})
