import { describe, expect, it } from 'vitest'
import type { Policy } from '../../../src/core/admission.ts'
import type { DecisionRow } from '../../../src/core/decision.ts'
import { type RoutingPolicy, strategies } from '../../../src/core/routing.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { startGateway, type TestGateway } from '../../support/gateway.ts'

const vendors = ['openai', 'anthropic', 'deepseek', 'mistral', 'groq']
const messages = [{ role: 'user', content: 'Compare these two, step by step, and prove it.' }]

const answer = () =>
  Response.json({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hello!' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  })

const rules: RoutingPolicy = { id: 'rpl_1', version: 4, strategy: 'priority', targets: [], fallbacks: {} }

/** Figures fade: what is compared is of the same moment. */
const NOW_MS = 1_800_000_000_000

const start = (policy: Partial<Policy> = {}) =>
  startGateway({
    vendors,
    upstream: answer,
    now: () => NOW_MS,
    policy: { scopes: ['chat:write', 'routing:read'], ...policy },
  })

type Explained = {
  targets: { target: string; reason: string; cost_usd: number | null }[]
  inputs: unknown
} & Record<string, unknown>

async function explained(gateway: TestGateway, body: object): Promise<Explained> {
  const response = await gateway.call('/api/v1/routing/explain', body)
  const text = await response.text()
  expect(response.status, text).toBe(200)
  return JSON.parse(text)
}

/** The decision of a call that is made. */
async function decided(gateway: TestGateway, body: object): Promise<DecisionRow> {
  const response = await gateway.chat({ ...body })
  await response.text()
  await gateway.rows()
  const all = [...gateway.ledger.decisions(), ...gateway.noted.flatMap(({ decision }) => decision ?? [])]
  const found = all.find(({ id }) => id === response.headers.get('x-helix-decision-id'))
  if (!found) throw new Error('there is no decision')
  return JSON.parse(JSON.stringify(found))
}

/** That an explanation says what the decision did. */
function expectSame(explanation: Explained, decision: DecisionRow): void {
  expect(explanation.targets.map(({ target, reason }) => ({ target, reason }))).toEqual(
    decision.candidates.map(({ target, reason }) => ({ target, reason })),
  )
  const { asked_model, strategy, excluded, propensity, relaxed, task_type, policy_version, prices_version } = decision
  const { routing_policy_id, routing_policy_version, experiment, inputs } = decision
  expect(explanation).toMatchObject({
    ...{ asked_model, strategy, excluded, propensity, relaxed, task_type, policy_version, prices_version },
    ...{ routing_policy_id, routing_policy_version, experiment, inputs },
  })
}

describe('an explanation', () => {
  it.each(strategies)('says what a call by %s then does', async (strategy) => {
    const gateway = await start({ routing: { ...rules, strategy } })
    await gateway.redis.pipeline([
      ['HSET', redisKeys.target('openai/gpt-4o-mini'), { u: String(NOW_MS + 60_000) }],
      ['HSET', redisKeys.figures('deepseek/deepseek-chat'), { f: `[${NOW_MS},90,700,2000,300,50,9,90]` }],
    ])
    const body = { model: 'auto', messages }
    for (const _turn of [1, 2]) {
      const explanation = await explained(gateway, body)
      expect(explanation.targets.length).toBeGreaterThan(0)
      expectSame(explanation, await decided(gateway, body))
    }
  })

  it.each([
    ['a name', { model: 'gpt-4o' }],
    ['a name with fallbacks', { model: 'gpt-4o', helix: { fallback_models: ['mistral/mistral-large-latest'] } }],
    ['plain auto', { model: 'auto' }],
    ['a strategy of its own', { model: 'auto:cost' }],
    ['caps', { model: 'auto', helix: { routing: { strategy: 'smart', max_cost_usd: 0.5, min_quality: 8 } } }],
    ['a stream', { model: 'auto:latency', stream: true }],
    ['tools', { model: 'auto:quality', tools: [{ type: 'function', function: { name: 'f' } }] }],
  ])('says what a call with %s then does', async (_what, given) => {
    const gateway = await start()
    const body = { ...given, messages }
    expectSame(await explained(gateway, body), await decided(gateway, body))
  })

  it('knows the variant that the caller falls to', async () => {
    const variants = [
      { name: 'a', weight: 1, strategy: 'cost' as const },
      { name: 'b', weight: 1, model: 'gpt-4o' },
    ]
    const gateway = await start({ routing: { ...rules, experiment: { id: 'exp', unit: 'key', variants } } })
    const body = { model: 'auto', messages }
    const explanation = await explained(gateway, body)
    expect(explanation.experiment).toMatchObject({ id: 'exp', propensity: 0.5 })
    expectSame(explanation, await decided(gateway, body))
  })

  it('draws the number that it is given', async () => {
    const gateway = await start({ routing: { ...rules, strategy: 'random' } })
    const firsts = new Set<string | undefined>()
    for (const random of [0.01, 0.3, 0.6, 0.99]) {
      const { targets, inputs } = await explained(gateway, { model: 'auto', messages, random })
      expect(inputs).toMatchObject({ random })
      firsts.add(targets[0]?.target)
    }
    expect(firsts.size).toBeGreaterThan(1)
    expect((await gateway.call('/api/v1/routing/explain', { model: 'auto', messages, random: 1 })).status).toBe(422)
  })

  it('runs, holds, counts and moves nothing', async () => {
    const budget = { id: 'bud_1', window: 'total', limitNanoUsd: 1_000_000_000, softPercent: [] } as const
    const gateway = await start({ routing: { ...rules, strategy: 'round_robin' }, budgets: [budget] })
    await gateway.redis.pipeline([['HSET', redisKeys.target('openai/gpt-4o'), { u: '1', k: '2' }]])
    const before = [...gateway.redis.fields(redisKeys.target('openai/gpt-4o'))]
    const once = await explained(gateway, { model: 'auto', messages })
    const twice = await explained(gateway, { model: 'auto', messages })
    expect(twice.inputs).toEqual(once.inputs)
    expect([...gateway.redis.fields(redisKeys.target('openai/gpt-4o'))]).toEqual(before)
    expect([gateway.sent.length, await gateway.rows(), gateway.ledger.openHolds()]).toEqual([0, [], 0])
    expect(gateway.noted.some(({ decision }) => decision)).toBe(false)
    expectSame(twice, await decided(gateway, { model: 'auto', messages }))
  })

  it('asks Redis once beside its own admission', async () => {
    const gateway = await start({ routing: { ...rules, strategy: 'smart' } })
    await explained(gateway, { model: 'auto', messages })
    const before = gateway.redis.requests()
    await explained(gateway, { model: 'auto', messages })
    expect(gateway.redis.requests() - before).toBe(2)
  })

  it('tells what a target would cost also where that decides nothing', async () => {
    const { targets } = await explained(await start(), { model: 'gpt-4o', messages, max_tokens: 100 })
    expect(targets[0]?.cost_usd).toBeGreaterThan(0.001)
    expect(targets[0]?.cost_usd).toBeLessThan(0.002)
  })

  it('of what would be refused says why, and what was left out', async () => {
    const gateway = await start()
    await gateway.redis.pipeline([['HSET', redisKeys.target('openai/gpt-4o'), { u: String(NOW_MS + 60_000) }]])
    const explanation = await explained(gateway, { model: 'openai/gpt-4o', messages })
    expect(explanation).toMatchObject({
      targets: [],
      excluded: [{ target: 'openai/gpt-4o', reason: 'breaker_open' }],
      refusal: { code: 'model_overloaded', retry_after: expect.any(Number) },
    })
    const nothing = { model: 'auto', messages, helix: { routing: { min_quality: 10 } } }
    expect(await explained(gateway, nothing)).toMatchObject({ targets: [], refusal: { code: 'no_target_within_caps' } })
  })

  it('of a model that is out of use says until when, with a budget and without', async () => {
    const mark = { model: 'gpt-4o', reason: 'a test', untilMs: NOW_MS + 600_000 }
    const budget = { id: 'bud_1', window: 'total', limitNanoUsd: 1_000_000_000, softPercent: [] } as const
    for (const budgets of [[], [budget]]) {
      const gateway = await start({ marks: [mark], budgets })
      const explanation = await explained(gateway, { model: 'gpt-4o', messages })
      expect(explanation).toMatchObject({ targets: [], excluded: [{ target: 'openai/gpt-4o', reason: 'unavailable' }] })
      expect(explanation).toMatchObject({ refusal: { code: 'model_overloaded', retry_after: expect.any(Number) } })
      const response = await gateway.chat({ model: 'gpt-4o', messages })
      expect([response.status, Number(response.headers.get('retry-after')) > 500]).toEqual([503, true])
    }
  })

  it.each([
    ['a model that nobody has', { model: 'nobody-has-this', messages }, 404],
    ['several models at once', { model: 'auto', messages, helix: { ensemble_config: {} } }, 422],
    ['neither messages nor features', { model: 'auto' }, 422],
    ['features that there are not', { features: { input_tokens: 5, colour: 'red' } }, 422],
  ])('is not to be had of %s', async (_what, body, status) => {
    expect((await (await start()).call('/api/v1/routing/explain', body)).status).toBe(status)
  })

  it('is to be had of a call that is not written yet', async () => {
    const gateway = await start({ routing: { ...rules, strategy: 'smart' } })
    const features = { input_tokens: 3000, max_output_tokens: 200, needs: ['vision'], complexity: 'complex' }
    const explanation = await explained(gateway, { features })
    expect(explanation).toMatchObject({ asked_model: 'auto', strategy: 'smart', complexity: 'complex', refusal: null })
    expect(explanation.targets.length).toBeGreaterThan(0)
    const named = await explained(gateway, { model: 'gpt-4o', features: { input_tokens: 1000 } })
    expect(named.targets).toMatchObject([{ target: 'openai/gpt-4o', reason: 'explicit_choice' }])
  })
})

describe('a classification', () => {
  it('shows the points and what they were given for', async () => {
    const gateway = await start()
    const body = { messages, reasoning_effort: 'high', response_format: { type: 'json_schema' } }
    const response = await gateway.call('/api/v1/routing/classify', body)
    expect(await response.json()).toMatchObject({
      complexity: 'complex',
      points: 5,
      counted: { json_schema: 1, reasoning_words: 2, reasoning_effort: 2 },
      features: { messages: 1, reasoning_words: 3, json_schema: true, hard_thinking: true, code: false },
    })
    expect((await gateway.call('/api/v1/routing/classify', { messages, model: 'auto' })).status).toBe(422)
  })
})
