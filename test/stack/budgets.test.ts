import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

const Budget = z.object({ id: z.string(), limit_usd: z.number(), hard: z.boolean(), name: z.string().nullable() })
const Spend = z.object({
  settled_usd: z.number(),
  held_usd: z.number(),
  remaining_usd: z.number(),
  percent: z.number(),
  window_start: z.int().nullable(),
  forecast_usd: z.number().nullable(),
})

let stack: Stack
let vendor: FakeVendor

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, HOLD_GRACE_MS: '300' } })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

/** An organisation with somebody who governs it and a key that somebody of it made. */
async function world() {
  const owner = await person(stack)
  const { orgId, userId } = owner
  const { apiKey, keyId } = await keyOf(stack, { orgId, userId })
  const send = (method: string, path: string, body?: unknown) =>
    stack.call(owner.accessToken, `/api/v1/budgets${path}`, body, { method })
  const make = async (given: Record<string, unknown>) => {
    const response = await send('POST', '', { subject_kind: 'org', subject_id: orgId, window: 'total', ...given })
    expect(response.status, await response.clone().text()).toBe(201)
    return Budget.parse(await response.json())
  }
  const spendOf = async (id: string) => Spend.parse(await (await send('GET', `/${id}/spend`)).json())
  /** 30 tokens in and 50 out by the vendor's own count: 575,000 nano-USD on gpt-4o. */
  const chat = (given: Record<string, unknown> = {}, credential = apiKey) =>
    stack.call(credential, '/v1/chat/completions', {
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'Hello fault:usage=30/50' }],
      max_tokens: 60,
      ...given,
    })
  return { orgId, userId, keyId, apiKey, owner, send, make, spendOf, chat }
}

const CALL_USD = 0.000575

const codeIn = async (response: Response): Promise<unknown> =>
  z.object({ error: z.object({ code: z.string() }) }).parse(await response.json()).error.code

/** A call that is answered, once its settlement has been counted. */
async function pay({ chat, spendOf }: Awaited<ReturnType<typeof world>>, id: string, given = {}): Promise<void> {
  const before = (await spendOf(id)).settled_usd
  const response = await chat(given)
  expect(response.status, await response.text()).toBe(200)
  await expect.poll(async () => (await spendOf(id)).settled_usd).toBeGreaterThan(before)
}

describe('budgets', () => {
  it('are made, listed, changed and deleted, and every change is audited', async () => {
    const { orgId, keyId, make, send } = await world()
    const first = await make({ name: 'All', limit_usd: 0.123456789 })
    const second = await make({ subject_kind: 'key', subject_id: keyId, window: 'month', limit_usd: 5, hard: false })
    expect(first).toMatchObject({ name: 'All', limit_usd: 0.123456789, hard: true })
    const listed = await send('GET', `?subject_kind=key&subject_id=${keyId}`)
    expect(await listed.json()).toMatchObject({
      data: [{ id: second.id, soft_percent: [50, 80, 95] }],
      has_more: false,
    })
    const patched = await send('PATCH', `/${first.id}`, { limit_usd: 7, soft_percent: [90, 10, 90] })
    expect(await patched.json()).toMatchObject({ name: 'All', limit_usd: 7, soft_percent: [10, 90] })
    const replaced = await send('PUT', `/${first.id}`, { limit_usd: 8 })
    expect(await replaced.json()).toMatchObject({ name: null, limit_usd: 8, soft_percent: [50, 80, 95] })
    expect((await send('DELETE', `/${first.id}`)).status).toBe(204)
    expect((await send('GET', `/${first.id}`)).status).toBe(404)
    expect((await send('DELETE', `/${first.id}`)).status).toBe(404)
    const log = await stack.query('select action from audit_log where org_id = $1 and target_id = $2 order by id', [
      orgId,
      first.id,
    ])
    expect(log.map(({ action }) => action)).toEqual([
      'budget.create',
      'budget.update',
      'budget.update',
      'budget.delete',
    ])
  })

  it.each([
    ['a tenth decimal', { limit_usd: 0.0000000001 }],
    ['less than nothing', { limit_usd: -1 }],
    ['more than can be kept exactly', { limit_usd: 8_000_001 }],
    ['an unknown window', { window: 'week' }],
    ['a subject of somebody else', { subject_kind: 'org', subject_id: 'org_other' }],
    ['nobody', { subject_kind: 'user', subject_id: 'usr_nobody' }],
    ['a person who is not named', { subject_kind: 'user', subject_id: undefined }],
    ['no key', { subject_kind: 'key', subject_id: 'key_none' }],
    ['a model that has no price', { subject_kind: 'model', subject_id: 'no-such-model' }],
    ['agents, which are not there yet', { subject_kind: 'agent', subject_id: 'agt_1' }],
    ['a share beyond the whole', { soft_percent: [101] }],
    ['a field that it does not have', { resets_at: 1 }],
  ])('are refused for %s', async (_what, given) => {
    const { orgId, send } = await world()
    const body = { subject_kind: 'org', subject_id: orgId, window: 'total', limit_usd: 1, ...given }
    expect((await send('POST', '', body)).status).toBe(422)
  })

  it('are for the caller’s organisation when nobody is named', async () => {
    const { orgId, send } = await world()
    const made = await send('POST', '', { subject_kind: 'org', window: 'total', limit_usd: 1 })
    expect(await made.json()).toMatchObject({ subject_kind: 'org', subject_id: orgId })
  })

  it('of a key are handed on to its successor, except those that were deleted', async () => {
    const { keyId, owner, make, send } = await world()
    const key = { subject_kind: 'key', subject_id: keyId, window: 'day' }
    await make({ ...key, name: 'Kept', limit_usd: 3, soft_percent: [33] })
    await send('DELETE', `/${(await make({ ...key, limit_usd: 4 })).id}`)
    const rotated = await stack.call(owner.accessToken, `/api/v1/keys/${keyId}/rotate`, {})
    const next = z.object({ id: z.string() }).parse(await rotated.json())
    const listed = await send('GET', `?subject_id=${next.id}`)
    expect(await listed.json()).toMatchObject({
      data: [{ name: 'Kept', limit_usd: 3, soft_percent: [33], hard: true }],
    })
  })

  it('are fifty at the most', async () => {
    const { orgId, make, send } = await world()
    await stack.query(
      `insert into budgets (id, org_id, subject_kind, subject_id, "window", limit_nanos, hard, created_at, updated_at)
       select 'bud_' || $1 || n, $1, 'org', $1, 'total', 1, false, 0, 0 from generate_series(1, 49) n`,
      [orgId],
    )
    await make({ limit_usd: 1 })
    const body = { subject_kind: 'org', subject_id: orgId, window: 'total', limit_usd: 1 }
    expect((await send('POST', '', body)).status).toBe(409)
  })
})

describe('a hard budget', () => {
  it.each(['org', 'user', 'key', 'model'])(
    'of a %s refuses what it cannot pay, and says what it has paid',
    async (kind) => {
      const here = await world()
      const ids: Record<string, string> = { org: here.orgId, user: here.userId, key: here.keyId, model: 'gpt-4o' }
      const { id } = await here.make({ subject_kind: kind, subject_id: ids[kind], window: 'day', limit_usd: 0.0014 })
      await pay(here, id)
      const spend = await here.spendOf(id)
      expect(spend).toMatchObject({ settled_usd: CALL_USD, held_usd: 0, remaining_usd: 0.000825, percent: 41.07 })
      expect(spend.forecast_usd).toBeGreaterThanOrEqual(CALL_USD)
      const refused = await here.chat({ max_tokens: 2000 })
      expect([refused.status, await codeIn(refused)]).toEqual([429, 'insufficient_quota'])
      expect((await here.spendOf(id)).held_usd).toBe(0)
    },
  )

  it('of somebody or something else does not mind', async () => {
    const here = await world()
    const { orgId } = here
    const other = await person(stack, { orgId, role: 'member' })
    const otherKey = await keyOf(stack, { orgId, userId: other.userId })
    await here.make({ subject_kind: 'user', subject_id: other.userId, limit_usd: 0 })
    await here.make({ subject_kind: 'key', subject_id: otherKey.keyId, limit_usd: 0 })
    await here.make({ subject_kind: 'model', subject_id: 'gpt-4o-mini', limit_usd: 0 })
    expect((await here.chat()).status).toBe(200)
    expect((await here.chat({}, otherKey.apiKey)).status).toBe(429)
  })

  it('of a model covers it as a fallback and by its dated names, and is charged when it answers', async () => {
    const here = await world()
    const { id } = await here.make({ subject_kind: 'model', subject_id: 'gpt-4o', limit_usd: 0 })
    const mini = { model: 'gpt-4o-mini' }
    expect((await here.chat(mini)).status).toBe(200)
    expect((await here.chat({ ...mini, helix: { fallback_models: ['gpt-4o'] } })).status).toBe(429)
    expect((await here.chat({ model: 'gpt-4o-2024-08-06' })).status).toBe(429)
    await here.send('PATCH', `/${id}`, { limit_usd: 1 })
    expect((await here.chat({ ...mini, helix: { fallback_models: ['gpt-4o'] } })).status).toBe(200)
    await pay(here, id)
    expect(await here.spendOf(id)).toMatchObject({ settled_usd: CALL_USD, held_usd: 0 })
  })

  it('follows its edits from the next call on', async () => {
    const here = await world()
    const { id } = await here.make({ limit_usd: 1 })
    await pay(here, id)
    const running = here.chat({ messages: [{ role: 'user', content: 'Wait fault:delay=400,usage=30/50' }] })
    await expect.poll(async () => (await here.spendOf(id)).held_usd).toBeGreaterThan(0)
    expect((await here.send('PATCH', `/${id}`, { limit_usd: 0.0001 })).status).toBe(200)
    expect((await here.chat()).status).toBe(429)
    expect((await running).status).toBe(200)
    await here.send('PATCH', `/${id}`, { limit_usd: 1 })
    expect((await here.chat()).status).toBe(200)
    await here.send('PATCH', `/${id}`, { limit_usd: 0 })
    expect((await here.chat()).status).toBe(429)
    await here.send('PATCH', `/${id}`, { hard: false })
    expect((await here.chat()).status).toBe(200)
    await here.send('PATCH', `/${id}`, { hard: true })
    expect((await here.chat()).status).toBe(429)
    await here.send('DELETE', `/${id}`)
    expect((await here.chat()).status).toBe(200)
  })

  it('counts what was spent in its window before it was made', async () => {
    const here = await world()
    const { id } = await here.make({ limit_usd: 1 })
    await pay(here, id)
    await pay(here, id)
    const later = await here.make({ subject_kind: 'user', subject_id: here.userId, window: 'month', limit_usd: 0.0012 })
    expect((await here.chat()).status).toBe(429)
    expect(await here.spendOf(later.id)).toMatchObject({ settled_usd: 2 * CALL_USD })
  })
})

describe('a soft budget', () => {
  it('refuses nothing, counts everything, and tells of its thresholds once each', async () => {
    const here = await world()
    const { id } = await here.make({ limit_usd: 0.001, hard: false, soft_percent: [10, 50, 100] })
    await here.chat()
    await here.chat()
    await expect.poll(async () => (await here.spendOf(id)).settled_usd).toBe(2 * CALL_USD)
    await here.chat()
    const told = () =>
      stack.query(`select details from audit_log where target_id = $1 and action = 'budget.threshold'`, [id])
    await expect.poll(async () => (await told()).length, { timeout: 5000 }).toBe(3)
    await expect.poll(async () => (await here.spendOf(id)).settled_usd).toBe(3 * CALL_USD)
    const percents = (await told()).map(({ details }) => z.object({ percent: z.int() }).parse(details).percent)
    expect(percents.sort((left, right) => left - right)).toEqual([10, 50, 100])
    expect(await here.spendOf(id)).toMatchObject({ remaining_usd: 0, percent: 172.5 })
  })
})

describe('a ledger object that was lost', () => {
  it('knows from Postgres what was spent, and refuses until it can ask', async () => {
    const here = await world()
    const { id } = await here.make({ limit_usd: 0.0018 })
    await pay(here, id)
    const rows = () => stack.query('select id from usage_ledger where org_id = $1', [here.orgId])
    await expect.poll(async () => (await rows()).length, { timeout: 5000 }).toBe(1)
    // Without a folder to keep them in, objects are gone with their process.
    stack.kill()
    await stack.restart()
    expect((await here.chat()).status).toBe(200)
    await expect.poll(async () => (await here.spendOf(id)).settled_usd).toBe(2 * CALL_USD)
    expect((await here.chat()).status).toBe(429)
    await expect.poll(async () => (await rows()).length, { timeout: 5000 }).toBe(2)
    stack.kill()
    await stack.restart()
    stack.postgres.mode('refuse')
    const refused = await here.chat()
    expect([refused.status, await codeIn(refused)]).toEqual([503, 'budget_unavailable'])
    stack.postgres.mode('pass')
    expect((await here.chat()).status).toBe(429)
  })
})
