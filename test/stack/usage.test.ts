import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { newId } from '../../src/core/ids.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { ledgerRow } from '../support/ledger-row.ts'
import { keyOf, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

const Page = z.object({
  data: z.array(z.object({ id: z.string(), request_id: z.string(), model: z.string(), cost_usd: z.string() })),
  has_more: z.boolean(),
})
const Summary = z.object({
  data: z.array(z.object({ group: z.unknown(), calls: z.int(), errors: z.int(), cost_usd: z.string() })),
  total: z.object({ calls: z.int(), prompt_tokens: z.int(), cost_usd: z.string() }),
})

let stack: Stack
let vendor: FakeVendor
let owner: Person

const HOUR = 3600
const NOON = 1_767_268_800
/** Sums that no double holds: each is near the largest whole number that is exact. */
const LARGE = 9_007_199_254_740_991

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url } })
  owner = await person(stack)
  await insertRows(owner.orgId, [
    { model: 'gpt-4o', cost_nanos: 1, created_at: NOON },
    { model: 'gpt-4o', cost_nanos: 2, status: 'error', created_at: NOON + HOUR },
    { model: '=danger', provider: 'vendor,"quoted"', cost_nanos: 30, created_at: NOON + HOUR, user_id: 'usr_1' },
    { model: 'large', cost_nanos: LARGE, created_at: NOON + 24 * HOUR },
    { model: 'large', cost_nanos: LARGE, created_at: NOON + 24 * HOUR },
  ])
  await insertRows((await stack.org()).orgId, [{ model: 'theirs', created_at: NOON }])
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

async function insertRows(orgId: string, rows: readonly Parameters<typeof ledgerRow>[0][]): Promise<void> {
  const made = rows.map((row, at) => ({
    ...ledgerRow(row),
    org_id: orgId,
    id: newId('led', Date.now() + at),
    request_id: newId('req', Date.now() + at),
  }))
  await stack.query(`insert into usage_ledger select * from json_populate_recordset(null::usage_ledger, $1::json)`, [
    JSON.stringify(made),
  ])
}

const read = (path: string, credential = owner.accessToken) => stack.call(credential, `/api/v1/usage${path}`)
const range = `from=${NOON}&to=${NOON + 48 * HOUR}`

describe('usage', () => {
  it('lists calls page by page, by any of their facts, and those of nobody else', async () => {
    const first = Page.parse(await (await read('?limit=2&order=asc')).json())
    expect([first.data.length, first.has_more]).toEqual([2, true])
    const rest = Page.parse(await (await read(`?order=asc&after=${first.data.at(-1)?.id}`)).json())
    expect([...first.data, ...rest.data].map(({ model }) => model)).toEqual([
      'gpt-4o',
      'gpt-4o',
      '=danger',
      'large',
      'large',
    ])
    const filters = [
      'model=large',
      'status=error',
      'user_id=usr_1',
      `to=${NOON + 1}`,
      `from=${NOON + 24 * HOUR}`,
      'key_id=key_2',
    ]
    const counts = await Promise.all(
      filters.map(async (filter) => Page.parse(await (await read(`?${filter}`)).json()).data.length),
    )
    expect(counts).toEqual([2, 1, 1, 1, 2, 0])
  })

  it('sums up exactly, beyond what a number holds', async () => {
    const byModel = Summary.parse(await (await read(`/summary?${range}`)).json())
    expect(byModel.data.map(({ group, calls, errors, cost_usd }) => [group, calls, errors, cost_usd])).toEqual([
      ['large', 2, 0, '18014398.509481982'],
      ['=danger', 1, 0, '0.00000003'],
      ['gpt-4o', 2, 1, '0.000000003'],
    ])
    expect(byModel.total).toEqual({ calls: 5, prompt_tokens: 50, cost_usd: '18014398.509482015' })
    const byHour = Summary.parse(await (await read(`/summary?group_by=hour&${range}`)).json())
    expect(byHour.data.map(({ group, calls }) => [group, calls])).toEqual([
      [NOON, 1],
      [NOON + HOUR, 2],
      [NOON + 24 * HOUR, 2],
    ])
    const byUser = Summary.parse(await (await read(`/summary?group_by=user&${range}`)).json())
    expect(byUser.data.map(({ group, calls }) => [group, calls])).toEqual([
      [null, 4],
      ['usr_1', 1],
    ])
    const nothing = Summary.parse(await (await read('/summary?from=1&to=2&group_by=day')).json())
    expect(nothing).toMatchObject({ data: [], total: { calls: 0, cost_usd: '0' } })
  })

  it('leaves as CSV that no spreadsheet runs, and as JSON', async () => {
    const csv = await read('/export')
    expect(csv.headers.get('content-type')).toMatch(/^text\/csv/)
    const lines = (await csv.text()).trim().split('\r\n')
    expect(lines).toHaveLength(6)
    expect(lines[0]).toContain('cost_usd')
    expect(lines.find((line) => line.includes('danger'))).toContain(`"vendor,""quoted""",'=danger`)
    const json = z.array(z.object({ model: z.string() })).parse(await (await read('/export?format=json')).json())
    expect(json.map(({ model }) => model)).toEqual(['gpt-4o', 'gpt-4o', '=danger', 'large', 'large'])
  })

  it('is exported up to ten thousand rows, and no further', async () => {
    const { orgId, accessToken } = await person(stack)
    const rows = (from: number, to: number) =>
      stack.query(
        `insert into usage_ledger select r.* from generate_series($2::int, $3::int) n, json_populate_record(null::usage_ledger,
           ($1::jsonb || jsonb_build_object('id', 'led_' || $4 || lpad(n::text, 6, '0'), 'request_id', $4 || n))::json) r`,
        [JSON.stringify({ ...ledgerRow(), org_id: orgId }), from, to, orgId],
      )
    await rows(1, 10_000)
    expect((await (await read('/export', accessToken)).text()).trim().split('\r\n')).toHaveLength(10_001)
    await rows(10_001, 10_001)
    expect((await read('/export', accessToken)).status).toBe(422)
  })

  it('has a call of a model, with the person behind its key', async () => {
    const { orgId, userId, accessToken } = await person(stack)
    const { apiKey, keyId } = await keyOf(stack, { orgId, userId })
    const response = await stack.call(apiKey, '/v1/chat/completions', {
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'Hello fault:usage=30/50' }],
    })
    expect(response.status).toBe(200)
    const listed = async () =>
      z.object({ data: z.array(z.unknown()) }).parse(await (await read('', accessToken)).json()).data
    await expect.poll(async () => (await listed()).length, { timeout: 5000 }).toBe(1)
    expect((await listed())[0]).toMatchObject({
      request_id: response.headers.get('x-request-id'),
      key_id: keyId,
      user_id: userId,
      provider: 'openai',
      prompt_tokens: 30,
      completion_tokens: 50,
      cost_usd: '0.000575',
      status: 'ok',
    })
  })
})
