import { describe, expect, it } from 'vitest'
import type { Policy } from '../../../src/core/admission.ts'
import type { DecisionRow } from '../../../src/core/decision.ts'
import { nanoFromUsd } from '../../../src/core/money.ts'
import { type RoutingPolicy, strategies } from '../../../src/core/routing.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { arrange, type PlanInputs } from '../../../src/features/routing/plan.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'

const messages = [{ role: 'user', content: 'Hello' }]
const vendors = ['openai', 'deepseek', 'mistral', 'qwen']
const gpt4o = 'openai/gpt-4o'

const answer = () =>
  Response.json({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hello!' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  })

const rules = (given: Partial<RoutingPolicy> = {}): RoutingPolicy => ({
  id: 'rpl_1',
  version: 3,
  strategy: 'priority',
  targets: [],
  fallbacks: {},
  ...given,
})

const start = (policy: Partial<Policy> = {}, options: TestGatewayOptions = {}) =>
  startGateway({ vendors, upstream: answer, policy, ...options })

/** As it would be read again. */
async function decided(gateway: TestGateway, { headers }: Response): Promise<DecisionRow> {
  await gateway.rows()
  const all = [...gateway.ledger.decisions(), ...gateway.noted.flatMap(({ decision }) => decision ?? [])]
  const made = all.find(({ id }) => id === headers.get('x-helix-decision-id'))
  if (!made) throw new Error('there is no decision')
  return JSON.parse(JSON.stringify(made))
}

type Measured = { calls: number; latencyMs: number }

/** As the ledgers write what they were told of a target. */
const measured = ({ redis }: TestGateway, target: string, { calls, latencyMs }: Measured) => {
  const kept = [Date.now(), calls, latencyMs, latencyMs, latencyMs, 50, 0, calls]
  return redis.pipeline([['HSET', redisKeys.figures(target), { f: JSON.stringify(kept) }]])
}

type Asking = { model?: string; helix?: object; [field: string]: unknown }

async function ask(gateway: TestGateway, body: Asking): Promise<DecisionRow & { status: number }> {
  const response = await gateway.chat({ model: 'auto', messages, ...body })
  await response.text()
  return { ...(await decided(gateway, response)), status: response.status }
}

/** What the order would be again, from what was stored of it. */
const again = ({ inputs }: DecisionRow) => arrange(inputs as PlanInputs)

describe('a model that is left to us', () => {
  it.each(strategies)('is chosen by %s, and its decision works out the same again', async (strategy) => {
    const gateway = await start()
    for (const least of [0, 8]) {
      const helix = { routing: { strategy, min_quality: least } }
      const decision = await ask(gateway, { helix })
      expect(decision).toMatchObject({ status: 200, strategy, outcome: 'ok', task_type: 'text_generation' })
      const { ordered, excluded, propensity, relaxed } = again(decision)
      expect(decision.candidates.map(({ target, reason }) => ({ id: target, reason }))).toEqual(
        ordered.slice(0, 3).map(({ id, reason }) => ({ id, reason })),
      )
      expect(decision.excluded).toEqual(excluded.map(({ id, reason }) => ({ target: id, reason })))
      expect([decision.propensity, decision.relaxed]).toEqual([propensity, relaxed])
      expect(decision.chosen).toBe(ordered[0]?.id)
      for (const { quality = 0 } of decision.candidates) expect(quality).toBeGreaterThanOrEqual(least)
    }
  })

  it('is the first vendor there is where nobody says by what to choose', async () => {
    const decision = await ask(await start(), {})
    expect(decision).toMatchObject({ strategy: 'first', chosen: gpt4o, propensity: 1, routing_policy_id: null })
    expect(decision.candidates[0]?.reason).toBe('first_choice')
  })

  it('goes by the name that follows auto', async () => {
    const gateway = await start()
    const by = async (name: string) => (await ask(gateway, { model: `auto:${name}` })).strategy
    expect([await by('cost'), await by('latency'), await by('quality'), await by('balanced')]).toEqual([
      'cost',
      'latency',
      'quality',
      'smart',
    ])
  })

  it('goes by the routing policy, and the decision names it', async () => {
    const targets = [
      { provider: 'mistral', model: 'mistral-large-latest', priority: 2 },
      { provider: 'deepseek', model: 'deepseek-chat', priority: 1 },
    ]
    const gateway = await start({ routing: rules({ targets }) })
    const decision = await ask(gateway, {})
    expect(decision).toMatchObject({ strategy: 'priority', routing_policy_id: 'rpl_1', routing_policy_version: 3 })
    expect(decision.candidates.map(({ target }) => target)).toEqual([
      'deepseek/deepseek-chat',
      'mistral/mistral-large-latest',
    ])
  })

  it('stays within the caps of a row, of a token and of a request', async () => {
    const targets = [
      { provider: 'openai', model: 'gpt-4o', priority: 1, maxCostPerRequestNanoUsd: 1 },
      { provider: 'mistral', model: 'mistral-large-latest', priority: 2, maxCostPerTokenNanoUsd: 1 },
      { provider: 'deepseek', model: 'deepseek-chat', priority: 3, maxCostPerTokenNanoUsd: nanoFromUsd(0.00001) },
    ]
    const decision = await ask(await start({ routing: rules({ targets }) }), {})
    expect(decision.chosen).toBe('deepseek/deepseek-chat')
    expect(decision.excluded).toEqual([
      { target: gpt4o, reason: 'over_policy_cost' },
      { target: 'mistral/mistral-large-latest', reason: 'over_policy_cost' },
    ])
  })

  it('passes over what lacks something, is too small, or is taken out of use', async () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }]
    const gateway = await start({ marks: [{ model: 'mistral-large-latest', reason: 'broken' }] })
    const decision = await ask(gateway, {
      tools,
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://a.test/b.png' } }] }],
      helix: { routing: 'priority' },
    })
    const reasons = Object.fromEntries(decision.excluded.map(({ target, reason }) => [target, reason]))
    expect(reasons).toEqual({
      'deepseek/deepseek-chat': 'lacks_vision',
      'mistral/mistral-large-latest': 'unavailable',
      'qwen/qwen-plus': 'lacks_vision',
    })
    expect(decision).toMatchObject({ chosen: gpt4o, task_type: 'image_analysis' })
    const long = await ask(gateway, {
      messages: [{ role: 'user', content: 'word '.repeat(60_000) }],
      model: 'auto:cost',
    })
    expect(long.excluded).toContainEqual({ target: 'deepseek/deepseek-chat', reason: 'window_too_small' })
  })

  it('takes the next target where the first does not answer', async () => {
    const gateway = await start(
      {},
      { upstream: ({ to }) => (to === 'deepseek' ? new Response('busy', { status: 503 }) : answer()) },
    )
    const decision = await ask(gateway, { helix: { routing: { strategy: 'quality', max_cost_usd: 0.002 } } })
    const [first, second] = decision.candidates.map(({ target }) => target)
    expect(decision.attempts[0]).toMatchObject(
      first?.startsWith('deepseek/') ? { target: first, outcome: 'status_503' } : { target: first, outcome: 'ok' },
    )
    expect([first, second]).toContain(decision.chosen)
  })

  it('weighs what was measured, once there is enough of it', async () => {
    const gateway = await start()
    const by = (strategy: string) => ask(gateway, { helix: { routing: strategy } })
    expect((await by('latency')).candidates[0]).toMatchObject({ target: 'qwen/qwen-turbo', latency_ms: 1000 })
    await measured(gateway, 'openai/gpt-4', { calls: 20, latencyMs: 300 })
    expect((await by('latency')).chosen).toBe('qwen/qwen-turbo')
    await measured(gateway, 'openai/gpt-4', { calls: 60, latencyMs: 300 })
    expect((await by('latency')).candidates[0]).toMatchObject({ target: 'openai/gpt-4', latency_ms: 300 })
  })

  it('weighs what its own organisation had judged, and nobody else’s marks', async () => {
    const marking = await start({ orgId: 'org_marking', marked: { 'openai/gpt-4': [10, 200] } })
    const other = await start({ orgId: 'org_other' })
    const before = (await ask(other, { model: 'auto:quality' })).candidates
    // (200 judged answers of 10, and 20 expected of 9)
    expect((await ask(marking, { model: 'auto:quality' })).candidates[0]).toMatchObject({
      target: 'openai/gpt-4',
      quality: 9.909,
    })
    expect((await ask(other, { model: 'auto:quality' })).candidates).toEqual(before)
    expect(before[0]?.target).not.toBe('openai/gpt-4')
  })

  it('gives each its turn', async () => {
    const gateway = await start()
    const chosen = []
    for (let call = 0; call < 5; call += 1)
      chosen.push((await ask(gateway, { helix: { routing: 'round_robin' } })).chosen)
    expect(new Set(chosen.slice(0, 4)).size).toBe(4)
    expect(chosen[4]).toBe(chosen[0])
  })

  it('has a class whose caps are given up where nothing keeps them, and says which', async () => {
    const gateway = await start({}, { vendors: ['deepseek'] })
    const helix = { routing: { strategy: 'smart', task_complexity: 'complex' } }
    expect(await ask(gateway, { helix })).toMatchObject({ complexity: 'complex', relaxed: ['quality'], status: 200 })
    const simple = { routing: { strategy: 'smart', task_complexity: 'simple' } }
    expect(await ask(gateway, { helix: simple })).toMatchObject({ complexity: 'simple', relaxed: [] })
  })

  const hard = 'Compare both proofs step by step, then design a plan and derive what follows. '

  it.each([
    [['openai', 'deepseek'], []],
    [['openrouter', 'qwen', 'groq'], []],
    [['deepseek', 'mistral', 'qwen'], ['quality']],
    [['qwen'], ['quality']],
  ])('is no model below 9 for a complex prompt unless the decision says so (%j: %j)', async (some, relaxed) => {
    const gateway = await start({}, { vendors: some })
    const decision = await ask(gateway, {
      messages: [{ role: 'user', content: hard.repeat(200) }],
      helix: { routing: 'smart' },
    })
    expect(decision).toMatchObject({ status: 200, complexity: 'complex', relaxed })
    for (const { quality = 0 } of decision.candidates) expect(quality >= 9).toBe(relaxed.length === 0)
  })

  it('is the default model where all that is good enough fails, and the decision says what that is not', async () => {
    const targets = [{ provider: 'openai', model: 'gpt-4o' }]
    const gateway = await start(
      { routing: rules({ strategy: 'smart', targets, defaultModel: 'deepseek-chat' }) },
      { upstream: ({ to }) => (to === 'openai' ? new Response('busy', { status: 503 }) : answer()) },
    )
    const helix = { routing: { strategy: 'smart', task_complexity: 'complex' } }
    const decision = await ask(gateway, { helix })
    expect(decision).toMatchObject({ status: 200, chosen: 'deepseek/deepseek-chat', relaxed: [] })
    expect(decision.candidates).toMatchObject([
      { target: gpt4o, reason: 'smart_choice', quality: 9 },
      { target: 'deepseek/deepseek-chat', reason: 'default_model', quality: 8.3, relaxed: ['quality'] },
    ])
    expect(decision.candidates[0]).not.toHaveProperty('relaxed')
  })

  it('falls back to the default model of the policy', async () => {
    const targets = [{ provider: 'deepseek', model: 'deepseek-chat', maxCostPerRequestNanoUsd: 0 }]
    const gateway = await start({ routing: rules({ strategy: 'cost', targets, defaultModel: 'gpt-4o' }) })
    const decision = await ask(gateway, {})
    expect(decision).toMatchObject({ chosen: gpt4o, candidates: [{ target: gpt4o, reason: 'default_model' }] })
  })

  it.each([
    ['costs too much', { max_cost_usd: 0 }, 'over_max_cost'],
    ['takes too long', { max_latency_ms: 0 }, 'over_max_latency'],
    ['is not good enough', { min_quality: 10 }, 'below_min_quality'],
  ])('is refused where every target %s, by the name of the cap', async (_why, caps, reason) => {
    const gateway = await start()
    const response = await gateway.chat({ model: 'auto', messages, helix: { routing: caps } })
    expect(response.status).toBe(400)
    const param = `helix.routing.${Object.keys(caps)[0]}`
    const message = `No target keeps ${param}.`
    expect(await response.json()).toMatchObject({
      error: { code: 'no_target_within_caps', caps: [reason], param, message },
    })
    expect(gateway.sent).toEqual([])
    expect(await decided(gateway, response)).toMatchObject({ outcome: 'refused', chosen: null, candidates: [] })
  })
})

describe('auto with a word that is no strategy', () => {
  it.each(['auto:foo', 'auto:', 'auto:cost:x', 'auto:COST'])('is no model: %s', async (model) => {
    const gateway = await start({ routing: rules({ fallbacks: { '*': ['gpt-4o'] } }) })
    for (const more of [{}, { helix: { fallback_models: ['gpt-4o'] } }, { helix: { ensemble_config: {} } }]) {
      const response = await gateway.chat({ model, messages, ...more })
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({
        error: { code: 'model_not_found', message: expect.stringContaining('priority, cost, latency, quality') },
      })
    }
    expect(gateway.sent).toEqual([])
  })
})

describe('a policy', () => {
  it('of providers that are not configured is told so', async () => {
    const gateway = await start({ routing: rules({ targets: [{ provider: 'nowhere', model: 'm' }] }) })
    const response = await gateway.chat({ model: 'auto', messages })
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({
      error: {
        code: 'no_capable_model',
        message: 'None of the providers that the routing policy names is configured.',
      },
    })
  })

  it('of which one is not configured goes by the others, and says so', async () => {
    const targets = [{ provider: 'anthropic', model: 'claude-sonnet-4-5' }, { provider: 'groq' }, { provider: 'qwen' }]
    const gateway = await start({ routing: rules({ targets }) })
    const decision = await ask(gateway, {})
    expect(decision).toMatchObject({ status: 200, chosen: 'qwen/qwen-plus' })
    const excluded = ['anthropic/claude-sonnet-4-5', 'groq'].map((id) => ({ id, reason: 'not_configured' }))
    expect(decision.excluded).toEqual(excluded.map(({ id, reason }) => ({ target: id, reason })))
    expect(again(decision).excluded).toEqual(excluded)
    expect((await ask(gateway, { helix: { provider: 'qwen' } })).excluded).toEqual([])
  })

  it('is named where its caps of a target leave nothing', async () => {
    const targets = [{ provider: 'deepseek', model: 'deepseek-chat', maxCostPerRequestNanoUsd: 0 }]
    const gateway = await start({ routing: rules({ strategy: 'cost', targets }) })
    const response = await gateway.chat({ model: 'auto', messages })
    expect(await response.json()).toMatchObject({
      error: {
        code: 'no_target_within_caps',
        caps: ['over_policy_cost'],
        message: 'No target keeps what the routing policy lets a target cost.',
      },
    })
  })
})

describe('fallbacks of a model that is left to us', () => {
  const down = () => new Response('', { status: 503, headers: { 'x-should-retry': 'false' } })
  const six = ['openai', 'deepseek', 'mistral', 'qwen', 'groq', 'anthropic']

  it.each(['auto:cost', 'auto:priority', 'auto:random'])('come after three that %s chose', async (model) => {
    const gateway = await start({}, { vendors: six, upstream: ({ to }) => (to === 'openai' ? answer() : down()) })
    const helix = { fallback_models: ['openai/gpt-4-turbo'] }
    const decision = await ask(gateway, { model, helix })
    const fallback = { target: 'openai/gpt-4-turbo', reason: 'fallback' }
    expect(decision.candidates.slice(3)).toMatchObject([fallback])
    expect([decision.status, decision.chosen === 'openai/gpt-4-turbo' || model !== 'auto:cost']).toEqual([200, true])
    expect(again(decision).tried.map(({ id, reason }) => [id, reason])).toEqual(
      decision.candidates.map(({ target, reason }) => [target, reason]),
    )
  })

  it('are those of the policy where the caller names none', async () => {
    const targets = ['deepseek', 'mistral', 'qwen', 'groq'].map((provider, at) => ({ provider, priority: at }))
    const routing = rules({ targets, fallbacks: { '*': ['gpt-4o'] }, defaultModel: 'openai/gpt-4.1' })
    const gateway = await start({ routing }, { vendors: six })
    const namesOf = ({ candidates }: DecisionRow) => candidates.map(({ target, reason }) => `${reason} ${target}`)
    const first = ['priority_choice deepseek/deepseek-chat', 'fallback mistral/mistral-large-latest']
    const decision = await ask(gateway, {})
    expect(namesOf(decision).slice(0, 2)).toEqual(first)
    expect(namesOf(decision).slice(3)).toEqual([`fallback ${gpt4o}`, 'default_model openai/gpt-4.1'])
    const named = await ask(gateway, { helix: { fallback_models: ['gpt-4.1-mini'] } })
    expect(namesOf(named).slice(3)).toEqual(['fallback openai/gpt-4.1-mini', 'default_model openai/gpt-4.1'])
  })
})

describe('a model that was named', () => {
  it('is honoured whatever the policy would choose', async () => {
    const gateway = await start({ routing: rules({ strategy: 'cost', targets: [{ provider: 'deepseek' }] }) })
    const decision = await ask(gateway, { model: 'gpt-4o' })
    expect(decision).toMatchObject({ strategy: 'explicit', chosen: gpt4o, excluded: [] })
    expect(decision.candidates.map(({ target }) => target)).toEqual([gpt4o])
    expect(again(decision).ordered.map(({ id }) => id)).toEqual([gpt4o])
  })

  it('is followed by the fallbacks of the policy, as far as they can do it', async () => {
    const fallbacks = { 'gpt-4o': ['deepseek-chat', 'qwen-plus'], '*': [] }
    const gateway = await start(
      { routing: rules({ fallbacks }) },
      { upstream: ({ to }) => (to === 'openai' ? new Response('', { status: 503 }) : answer()) },
    )
    const decision = await ask(gateway, { model: 'gpt-4o', response_format: { type: 'json_schema', json_schema: {} } })
    expect(decision.candidates.map(({ target }) => target)).toEqual([gpt4o, 'qwen/qwen-plus'])
    expect(decision.excluded).toEqual([{ target: 'deepseek/deepseek-chat', reason: 'lacks_json_schema' }])
    expect(decision.chosen).toBe('qwen/qwen-plus')
    expect((await ask(gateway, { model: 'deepseek-chat' })).candidates).toHaveLength(1)
  })

  it('is not followed by them where its caller names others', async () => {
    const gateway = await start({ routing: rules({ fallbacks: { '*': ['qwen-plus'] } }) })
    const helix = { fallback_models: ['deepseek-chat'] }
    const decision = await ask(gateway, { model: 'gpt-4o', helix })
    expect(decision.candidates.map(({ target }) => target)).toEqual([gpt4o, 'deepseek/deepseek-chat'])
    const one = await ask(gateway, { model: 'gpt-4o', helix: { provider: 'openai' } })
    expect(one.candidates.map(({ target }) => target)).toEqual([gpt4o])
  })

  it('comes from whom the strategy prefers, and never as another model', async () => {
    const gateway = await start({}, { vendors: ['openai', 'deepseek', 'openrouter'] })
    const helix = { routing: 'cost', fallback_models: ['gpt-4o'] }
    const decision = await ask(gateway, { model: 'deepseek-chat', helix })
    const [one, two, ...others] = decision.candidates
    expect([one?.target, two?.target].toSorted()).toEqual([
      'deepseek/deepseek-chat',
      'openrouter/deepseek/deepseek-chat',
    ])
    expect(one?.cost_nanos).toBeLessThanOrEqual(two?.cost_nanos ?? 0)
    expect(others.map(({ target }) => target)).toEqual([gpt4o, 'openrouter/openai/gpt-4o'])
    const capped = { routing: { max_cost_usd: 0 } }
    expect((await ask(gateway, { model: 'gpt-4o', helix: capped })).status).toBe(400)
  })

  it('is as if its breaker were open while it is marked', async () => {
    const marks = [{ model: 'gpt-4o', reason: 'too dear', untilMs: Date.now() + 60_000 }]
    const gateway = await start({ marks })
    const response = await gateway.chat({ model: 'gpt-4o', messages })
    expect([response.status, Number(response.headers.get('retry-after')) > 50]).toEqual([503, true])
    expect(await decided(gateway, response)).toMatchObject({ excluded: [{ target: gpt4o, reason: 'unavailable' }] })
    expect(await response.json()).toMatchObject({ error: { message: "The model 'gpt-4o' was taken out of use." } })
    const fallback = [{ target: 'qwen/qwen-plus', reason: 'fallback' }]
    const other = await ask(gateway, { model: 'gpt-4o', helix: { fallback_models: ['qwen-plus'] } })
    expect([other.chosen, other.candidates]).toMatchObject(['qwen/qwen-plus', fallback])
  })
})

describe('an experiment', () => {
  const experiment = {
    id: 'exp_1',
    unit: 'request' as const,
    variants: [
      { name: 'cheap', weight: 1, strategy: 'cost' as const },
      { name: 'named', weight: 3, model: 'deepseek-chat' },
    ],
  }

  it('assigns each request by weight, before anything is planned', async () => {
    const gateway = await start({ routing: rules({ experiment }) })
    const seen = new Map<string, number>()
    for (let call = 0; call < 40; call += 1) {
      const decision = await ask(gateway, {})
      const { variant = '' } = decision.experiment ?? {}
      seen.set(variant, (seen.get(variant) ?? 0) + 1)
      expect(decision.experiment).toEqual({ id: 'exp_1', variant, propensity: variant === 'cheap' ? 0.25 : 0.75 })
      if (variant === 'named') expect(decision.chosen).toBe('deepseek/deepseek-chat')
      else expect(decision.strategy).toBe('cost')
    }
    expect(seen.get('cheap')).toBeGreaterThan(0)
    expect(seen.get('named')).toBeGreaterThan(seen.get('cheap') ?? 0)
  })

  it('leaves alone who says by what to choose, and who names a model', async () => {
    const gateway = await start({ routing: rules({ experiment }) })
    expect((await ask(gateway, { model: 'auto:quality' })).experiment).toBeNull()
    expect((await ask(gateway, { model: 'gpt-4o' })).experiment).toBeNull()
  })
})

describe('money for a model that is left to us', () => {
  const budget = (usd: number, more: object = {}) => ({
    id: 'bud_1',
    window: 'total' as const,
    limitNanoUsd: nanoFromUsd(usd),
    ...more,
  })
  const body = { max_tokens: 1000 }

  it('is held for the dearest of the first three, and given back', async () => {
    const gateway = await start({ budgets: [budget(1)] })
    const decision = await ask(gateway, { ...body, model: 'auto:cost' })
    expect(decision.status).toBe(200)
    expect([gateway.ledger.openHolds(), gateway.ledger.heldNanoUsd()]).toEqual([0, 0])
    const held = Math.max(...decision.candidates.map(({ cost_nanos: cost = 0 }) => cost))
    expect(held).toBeLessThan(nanoFromUsd(0.01))
  })

  it('is held for fallbacks, too', async () => {
    const gateway = await start({ budgets: [budget(1)] })
    const helix = { fallback_models: ['openai/gpt-4'] }
    const decision = await ask(gateway, { ...body, model: 'auto:cost', helix })
    expect(decision.candidates[3]).toMatchObject({ target: 'openai/gpt-4', reason: 'fallback' })
    expect(gateway.ledger.calls().extend).toBe(0)
    expect(gateway.ledger.heldNanoUsd()).toBe(0)
  })

  it('is held anew where all that it was held for are out', async () => {
    const gateway = await start({ budgets: [budget(1)] })
    const first = await ask(gateway, { ...body, model: 'auto:cost' })
    const untilMs = String(Date.now() + 60_000)
    for (const { target } of first.candidates) {
      await gateway.redis.pipeline([['HSET', redisKeys.target(target), { u: untilMs, k: '1' }]])
    }
    const fresh = await ask(gateway, { ...body, model: 'auto:cost' })
    expect(fresh.status).toBe(200)
    expect(first.candidates.map(({ target }) => target)).not.toContain(fresh.chosen)
    expect(gateway.ledger.calls().extend).toBe(1)
    expect(again(fresh).ordered[0]?.id).toBe(fresh.chosen)
    expect(gateway.ledger.heldNanoUsd()).toBe(0)
  })

  it('that is not there is said to be missing', async () => {
    const gateway = await start({ budgets: [budget(0.000001)] })
    expect((await gateway.chat({ ...body, model: 'auto:cost', messages })).status).toBe(429)
    expect(gateway.sent).toEqual([])
  })

  it('is held in the budget of a model only where that model may be chosen', async () => {
    const gateway = await start({ budgets: [budget(0, { id: 'bud_2', model: 'gpt-4o' })] })
    const decision = await ask(gateway, { ...body, model: 'auto:cost' })
    expect(decision.status).toBe(200)
    expect(decision.excluded).toContainEqual({ target: gpt4o, reason: 'hold_too_small' })
  })
})

describe('embeddings', () => {
  const vectors = () =>
    Response.json({ object: 'list', data: [{ object: 'embedding', index: 0, embedding: [1] }], model: 'm' })

  it('go the same way, by name and by strategy', async () => {
    const gateway = await start({}, { upstream: vectors, vendors: ['openai', 'mistral'] })
    const embed = async (model: string, helix: object) => {
      const response = await gateway.call('/v1/embeddings', { model, input: 'a', helix })
      expect(response.status).toBe(200)
      return decided(gateway, response)
    }
    expect(await embed('mistral-embed', {})).toMatchObject({
      strategy: 'explicit',
      chosen: 'mistral/mistral-embed',
      task_type: 'embedding_generation',
    })
    const cheapest = await embed('auto', { routing: 'cost' })
    expect(cheapest).toMatchObject({ strategy: 'cost', chosen: again(cheapest).ordered[0]?.id })
    expect(cheapest.candidates).toHaveLength(2)
  })
})
