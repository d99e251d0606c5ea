import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { BreakerView, Stats } from '../../src/features/routing/schema.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { ledgerRow } from '../support/ledger-row.ts'
import { keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

/** The hour before this one. */
const HOUR = Math.floor(Date.now() / 3_600_000) * 3600 - 3600
const soon = { timeout: 20_000, interval: 100 }

let stack: Stack
let vendor: FakeVendor

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url } })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

async function caller() {
  const { orgId, apiKey } = await stack.org()
  const { apiKey: manager } = await keyOf(stack, { orgId, scopes: ['routing:read', 'routing:write'] })
  const statsOf = async (query = '') => {
    const answer = await stack.call(manager, `/api/v1/routing/stats${query}`)
    return Stats.parse(await answer.json()).data
  }
  const breakersOf = async (query = '') => {
    const answer = await stack.call(manager, `/api/v1/routing/breakers${query}`)
    return z.object({ data: z.array(BreakerView) }).parse(await answer.json()).data
  }
  return { orgId, apiKey, manager, statsOf, breakersOf }
}

const ask = (apiKey: string, content: string, model = 'openai/gpt-4o') =>
  stack.call(apiKey, '/v1/chat/completions', { model, messages: [{ role: 'user', content }] })

describe('how models did', () => {
  it('is summed up by the hour, of one organisation alone', async () => {
    const { orgId, statsOf } = await caller()
    const [other] = [await caller()]
    const rows = [100, 200, 300, 400].map((latency_ms, at) =>
      ledgerRow({
        org_id: orgId,
        id: `led_${orgId}${at}`,
        request_id: `req_${orgId}${at}`,
        status: at === 3 ? 'error' : 'ok',
        error_code: at === 3 ? 'provider_error' : null,
        latency_ms,
        completion_tokens: 10 * (at + 1),
        cost_nanos: 1_000_000,
        created_at: HOUR + at,
      }),
    )
    await stack.query('insert into usage_ledger select * from json_populate_recordset(null::usage_ledger, $1::json)', [
      JSON.stringify(rows.map((row) => ({ ...row, cache_write_1h_tokens: 0 }))),
    ])
    const wanted = {
      provider: 'openai',
      model: 'gpt-4o',
      task_type: 'unknown',
      calls: 4,
      ok: 3,
      errors: { provider_error: 1 },
      latency_p50_ms: 200,
      prompt_tokens: 40,
      completion_tokens: 100,
      cost_usd: '0.004',
      quality_mean: null,
      quality_count: 0,
    }
    // Run twice, it says the same.
    for (let run = 0; run < 2; run++) {
      await stack.tick(Date.now())
      expect(await statsOf()).toEqual([expect.objectContaining(wanted)])
    }
    expect(await statsOf('?model=gpt-4o&provider=openai&task_type=unknown&window_hours=720')).toHaveLength(1)
    expect(await statsOf('?model=o1')).toEqual([])
    expect(await other?.statsOf()).toEqual([])
  })

  it('goes by what a call was for that was made inside a request', async () => {
    const { orgId, statsOf } = await caller()
    const about = { org_id: orgId, request_id: `req_${orgId}`, created_at: HOUR }
    const row = ledgerRow({ ...about, id: `led_${orgId}`, parent_request_id: `req_outer_${orgId}` })
    const decision = {
      ...about,
      id: `dec_${orgId}`,
      key_id: row.key_id,
      asked_model: 'gpt-4o',
      strategy: 'explicit',
      candidates: [],
      excluded: [],
      attempts: [],
      outcome: 'ok',
      cache: 'off',
      is_stream: false,
      policy_version: '1',
      prices_version: '1',
      task_type: 'image_analysis',
    }
    await stack.query('insert into usage_ledger select * from json_populate_record(null::usage_ledger, $1::json)', [
      JSON.stringify({ ...row, cache_write_1h_tokens: 0 }),
    ])
    await stack.query('insert into decisions select * from json_populate_record(null::decisions, $1::json)', [
      JSON.stringify(decision),
    ])
    await stack.tick(Date.now())
    expect(await statsOf()).toMatchObject([{ task_type: 'image_analysis', calls: 1 }])
  })

  it('tells what routing goes by now', async () => {
    const { orgId, apiKey, statsOf } = await caller()
    await stack.query(
      `insert into model_stats (org_id, hour, provider, model, task_type, calls, ok, errors, prompt_tokens,
         completion_tokens, cost_nanos, quality_count)
       values ($1, $2, 'openai', 'gpt-4.1-mini', 'text_generation', 1, 1, '{}', 1, 1, 1, 0)`,
      [orgId, HOUR],
    )
    const answer = await ask(apiKey, 'Hello', 'openai/gpt-4.1-mini')
    expect(answer.status).toBe(200)
    await answer.text()
    const liveCalls = async () => (await statsOf())[0]?.live?.calls ?? 0
    await expect.poll(liveCalls, soon).toBeGreaterThan(0.9)
    const [{ live } = { live: null }] = await statsOf()
    // Others call the installation's targets, too, and some of them fail.
    expect(live).toMatchObject({ state: expect.any(String), latency_p50_ms: expect.any(Number) })
    expect(live?.error_rate).toBeLessThan(1)
  })
})

describe('a breaker', () => {
  it('is listed when it has opened, and closed by hand', async () => {
    const { apiKey, manager, breakersOf } = await caller()
    const model = 'openai/gpt-4.1-nano'
    for (let call = 0; call < 5; call++) await (await ask(apiKey, 'fault:status=500', model)).text()
    await expect.poll(() => breakersOf(), soon).toEqual([expect.objectContaining({ target: model, state: 'open' })])
    expect((await ask(apiKey, 'Hello', model)).status).toBe(503)
    const reset = await stack.call(manager, `/api/v1/routing/breakers/${encodeURIComponent(model)}/reset`, {})
    expect([reset.status, await reset.json()]).toMatchObject([200, { target: model, state: 'closed' }])
    expect(await breakersOf()).toEqual([])
    expect(await breakersOf('?all=true')).toEqual([expect.objectContaining({ target: model, state: 'closed' })])
    expect((await ask(apiKey, 'Hello', model)).status).toBe(200)
  })

  it('of a provider that is out of reach is not found', async () => {
    const { manager } = await caller()
    for (const target of ['nobody/gpt-4o', 'gpt-4o', 'openai/']) {
      const answer = await stack.call(manager, `/api/v1/routing/breakers/${encodeURIComponent(target)}/reset`, {})
      expect([target, answer.status]).toEqual([target, 404])
    }
  })
})
