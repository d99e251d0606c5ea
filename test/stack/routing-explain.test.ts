import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { strategies } from '../../src/core/routing.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let vendors: FakeVendor[]

beforeAll(async () => {
  vendors = await Promise.all([startFakeVendor(), startFakeVendor(), startFakeVendor()])
  const [openai, deepseek, mistral] = vendors.map(({ url }) => url)
  stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-1',
      OPENAI_BASE_URL: openai ?? '',
      DEEPSEEK_API_KEY: 'sk-fake-2',
      DEEPSEEK_BASE_URL: deepseek ?? '',
      MISTRAL_API_KEY: 'sk-fake-3',
      MISTRAL_BASE_URL: mistral ?? '',
    },
  })
})
afterAll(async () => {
  await stack?.close()
  await Promise.all(vendors.map((vendor) => vendor.close()))
})

const Reasoned = z.object({ target: z.string(), reason: z.string() })
const Inputs = z.looseObject({ random: z.number().optional() })
const Explanation = z.looseObject({ targets: z.array(Reasoned), inputs: Inputs })
const Decision = z.looseObject({ candidates: z.array(Reasoned), inputs: Inputs })
const Policy = z.looseObject({ id: z.string(), version: z.int() })

// One token of output: what was measured of earlier answers changes no estimate.
const body = { model: 'auto', max_tokens: 1, messages: [{ role: 'user', content: 'Plan this step by step.' }] }

async function team() {
  const { orgId, apiKey } = await stack.org({ budgetUsd: 10, requestsPerMinute: 1000, burst: 1000 })
  const { apiKey: manager } = await keyOf(stack, { orgId, scopes: ['routing:read', 'routing:write', 'chat:write'] })
  const send = async (method: string, path: string, sent?: unknown): Promise<unknown> => {
    const init = { method, ...(sent !== undefined && { body: JSON.stringify(sent) }) }
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${manager}` }
    const response = await fetch(`${stack.url}/api/v1/routing${path}`, { ...init, headers })
    const text = await response.text()
    expect(response.status, text).toBeLessThan(300)
    return JSON.parse(text)
  }
  const chat = (sent: object) => stack.call(manager, '/v1/chat/completions', sent)
  return { orgId, apiKey, manager, send, chat }
}

type Team = Awaited<ReturnType<typeof team>>

async function decisionOf({ manager }: Team, id: string | null): Promise<z.output<typeof Decision>> {
  const read = () => stack.call(manager, `/v1/decisions/${id}`)
  await expect.poll(async () => (await read()).status, { timeout: 30_000 }).toBe(200)
  return Decision.parse(await (await read()).json())
}

describe('an explanation', () => {
  it('is what the call then does, by every strategy, and every decision is what its inputs give', async () => {
    const here = await team()
    const made = await here.send('POST', '/policies', { name: 'Ours', attach: { kind: 'org' } })
    let { id, version } = Policy.parse(made)
    const told: { explanation: z.output<typeof Explanation>; decisionId: string | null; version: number }[] = []
    for (const strategy of strategies) {
      const patched = await here.send('PATCH', `/policies/${id}`, { strategy })
      version = Policy.parse(patched).version
      const explanation = Explanation.parse(await here.send('POST', '/explain', body))
      const response = await here.chat(body)
      await response.text()
      expect(response.status).toBe(200)
      told.push({ explanation, version, decisionId: response.headers.get('x-helix-decision-id') })
    }
    for (const [at, { explanation, decisionId, ...one }] of told.entries()) {
      const decision = await decisionOf(here, decisionId)
      const { strategy, complexity, propensity, policy_version, prices_version, excluded } = decision
      expect(explanation).toMatchObject({ strategy, complexity, policy_version, prices_version, excluded })
      expect(strategy).toBe(strategies[at])
      expect(decision).toMatchObject({ routing_policy_id: id, routing_policy_version: one.version })
      expect(explanation).toMatchObject({ routing_policy_id: id, routing_policy_version: one.version })
      const { random } = decision.inputs
      const drawn = random === undefined ? {} : { random }
      expect({ ...explanation.inputs, ...drawn }).toEqual(decision.inputs)
      if (random === undefined) {
        expect(explanation.propensity).toBe(propensity)
        expect(explanation.targets).toEqual(decision.candidates)
      }
    }
    const to = Math.floor(Date.now() / 1000) + 60
    const replayed = await here.send('POST', '/replay', { policy: { strategy: 'cost' }, to })
    const all = strategies.length
    expect(replayed).toMatchObject({ decisions: all, reproduced: all, evaluated: all, not_reproduced: [] })
    const [{ count } = {}] = await stack.query('select count(*)::int as count from usage_ledger where org_id = $1', [
      here.orgId,
    ])
    expect(count).toBe(all)
  })

  it('draws the number that it is given, as the call did', async () => {
    const here = await team()
    await here.send('POST', '/policies', { name: 'By lot', strategy: 'random', attach: { kind: 'org' } })
    const response = await here.chat(body)
    await response.text()
    const { candidates, inputs } = await decisionOf(here, response.headers.get('x-helix-decision-id'))
    const explanation = Explanation.parse(await here.send('POST', '/explain', { ...body, random: inputs.random }))
    expect(explanation.targets).toEqual(candidates)
  })
})

describe('a model that is taken out of use', () => {
  it('is passed over at once by calls and explanations, and is back at once', async () => {
    const here = await team()
    const named = { ...body, model: 'openai/gpt-4o' }
    const ask = async (more: object = {}) => {
      const response = await here.chat({ ...named, ...more })
      await response.text()
      return { status: response.status, model: response.headers.get('x-helix-model'), headers: response.headers }
    }
    const path = `/models/${encodeURIComponent('openai/gpt-4o')}/availability`
    expect(await ask()).toMatchObject({ status: 200, model: 'gpt-4o' })
    const until = Math.floor(Date.now() / 1000) + 600
    await here.send('PUT', path, { available: false, reason: 'a test', until })
    const refused = await ask()
    expect(refused.status).toBe(503)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(500)
    expect(await here.send('POST', '/explain', named)).toMatchObject({
      targets: [],
      excluded: [{ target: 'openai/gpt-4o', reason: 'unavailable' }],
      refusal: { code: 'model_overloaded' },
    })
    const helix = { fallback_models: ['openai/gpt-4o-mini'] }
    expect(await ask({ helix })).toMatchObject({ status: 200, model: 'gpt-4o-mini' })
    await here.send('PUT', path, { available: true })
    expect(await ask()).toMatchObject({ status: 200, model: 'gpt-4o' })
  })
})
