import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let vendor: FakeVendor
let broken: FakeVendor

beforeAll(async () => {
  vendor = await startFakeVendor()
  broken = await startFakeVendor()
  broken.always('status=500')
  const vars = { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url }
  stack = await startStack({ vars: { ...vars, GROQ_API_KEY: 'sk-fake-2', GROQ_BASE_URL: broken.url } })
})
afterAll(async () => {
  await stack?.close()
  await Promise.all([vendor?.close(), broken?.close()])
})

const Decision = z.looseObject({ id: z.string(), outcome: z.string(), chosen: z.string().nullable() })
const Listed = z.object({ data: z.array(Decision), has_more: z.boolean(), last_id: z.string().nullable() })

const hello = (model: string, more: object = {}) => ({ model, messages: [{ role: 'user', content: 'Hello' }], ...more })
const groq = 'groq/llama-3.3-70b-versatile'

const org = () => stack.org({ budgetUsd: 10, requestsPerMinute: 1000, burst: 1000 })
const reader = async (orgId: string) => (await keyOf(stack, { orgId, scopes: ['routing:read'] })).apiKey

/** The decision that an answer names, once it can be read. */
async function decisionOf(token: string, response: Response): Promise<z.output<typeof Decision>> {
  await response.text()
  const id = response.headers.get('x-helix-decision-id')
  const read = () => stack.call(token, `/v1/decisions/${id}`)
  await expect.poll(async () => (await read()).status, { timeout: 15_000 }).toBe(200)
  return Decision.parse(await (await read()).json())
}

describe('the decision of a call', () => {
  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
  ])('(%s) is written with its ledger row, and read by the id in its answer', async (_form, more) => {
    const { apiKey, orgId, keyId } = await org()
    const fallback_models = ['openai/gpt-4o']
    const response = await stack.call(
      apiKey,
      '/v1/chat/completions',
      hello(groq, { ...more, helix: { fallback_models } }),
    )
    expect(response.status).toBe(200)
    expect(await decisionOf(await reader(orgId), response)).toMatchObject({
      id: response.headers.get('x-helix-decision-id'),
      object: 'decision',
      request_id: response.headers.get('x-request-id'),
      key_id: keyId,
      user_id: null,
      asked_model: groq,
      strategy: 'explicit',
      candidates: [
        { target: groq, reason: 'explicit_choice' },
        { target: 'openai/gpt-4o', reason: 'fallback' },
      ],
      excluded: [],
      attempts: [
        { target: groq, outcome: 'status_500', duration_ms: expect.any(Number) },
        { target: 'openai/gpt-4o', outcome: 'ok', duration_ms: expect.any(Number) },
      ],
      chosen: 'openai/gpt-4o',
      outcome: 'ok',
      cache: 'off',
      is_stream: 'stream' in more,
      policy_version: expect.any(String),
      prices_version: expect.any(String),
      created_at: expect.any(Number),
    })
    const rows = 'select l.id from usage_ledger l join decisions d using (request_id) where l.org_id = $1'
    expect(await stack.query(rows, [orgId])).toHaveLength(1)
  })

  it('that was refused is kept too, whatever was asked for', async () => {
    const { apiKey, orgId } = await org()
    const response = await stack.call(apiKey, '/v1/chat/completions', hello('a\0b\ud800'))
    expect(response.status).toBe(404)
    const decision = await decisionOf(await reader(orgId), response)
    expect(decision).toMatchObject({ outcome: 'refused', chosen: null, asked_model: 'a\ufffdb\ufffd' })
  })

  it('is nobody else’s to read', async () => {
    const [mine, theirs] = [await org(), await org()]
    const response = await stack.call(mine.apiKey, '/v1/chat/completions', hello('gpt-4o'))
    const { id } = await decisionOf(await reader(mine.orgId), response)
    expect((await stack.call(await reader(theirs.orgId), `/v1/decisions/${id}`)).status).toBe(404)
    expect((await stack.call(mine.apiKey, `/v1/decisions/${id}`)).status).toBe(403)
  })
})

describe('the list of decisions', () => {
  it('is read by model, provider, outcome and time, page by page', async () => {
    const { apiKey, orgId } = await org()
    const token = await reader(orgId)
    const made = await Promise.all(
      ['gpt-4o', 'openai/gpt-4o-mini', groq, 'nobody-has-this'].map(async (model) =>
        decisionOf(token, await stack.call(apiKey, '/v1/chat/completions', hello(model))),
      ),
    )
    const ids = made.map(({ id }) => id)
    const list = async (query: string) => {
      const { data } = Listed.parse(await (await stack.call(token, `/api/v1/decisions?${query}`)).json())
      return data.map(({ id }) => ids.indexOf(id)).sort()
    }
    expect(await list('')).toEqual([0, 1, 2, 3])
    expect(await list('model=gpt-4o')).toEqual([0])
    expect(await list('model=gpt-4o-mini')).toEqual([1])
    expect(await list('provider=openai')).toEqual([0, 1])
    expect(await list('provider=groq')).toEqual([])
    expect(await list('outcome=error')).toEqual([2])
    expect(await list('outcome=refused')).toEqual([3])
    expect(await list('to=1')).toEqual([])
    expect(await list('from=1')).toEqual([0, 1, 2, 3])
    const first = Listed.parse(await (await stack.call(token, '/api/v1/decisions?limit=3&order=asc')).json())
    expect(first.has_more).toBe(true)
    expect(await list(`order=asc&after=${first.last_id}`)).toHaveLength(1)
  })
})

describe('decisions of long ago', () => {
  it('are removed by night once they are thirty days old', async () => {
    const { orgId } = await org()
    const dueMs = Date.UTC(2019, 5, 16, 5, 30)
    const ages = { old: 30 * 86_400 + 1, young: 30 * 86_400 }
    for (const [name, ageSeconds] of Object.entries(ages)) {
      await stack.query(`insert into decisions select r.* from json_populate_record(null::decisions, $1::json) r`, [
        JSON.stringify({ ...decisionRowOf(orgId), id: `dec_${name}_${orgId}`, created_at: dueMs / 1000 - ageSeconds }),
      ])
    }
    await stack.tick(dueMs)
    const left = await stack.query('select id from decisions where org_id = $1', [orgId])
    expect(left).toEqual([{ id: `dec_young_${orgId}` }])
  })
})

const decisionRowOf = (org_id: string) => ({
  org_id,
  request_id: 'req_1',
  key_id: 'key_1',
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
})
