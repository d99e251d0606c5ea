import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { budgetWorld, CALL_USD, codeIn, pay } from './budgets-kit.ts'

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

const world = () => budgetWorld(stack)

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
    ['an agent without a name', { subject_kind: 'agent', subject_id: undefined }],
    ['a name of an agent that is none', { subject_kind: 'agent', subject_id: 'two words' }],
    ['a parent that is not of a run', { parent_run_id: 'run-1' }],
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

  it('of a dated name is one of the model, whatever it is called', async () => {
    const here = await world()
    const made = await here.send('POST', '', {
      subject_kind: 'model',
      subject_id: 'gpt-4o-2024-08-06',
      window: 'day',
      limit_usd: 0,
    })
    expect(await made.json()).toMatchObject({ subject_id: 'gpt-4o' })
    for (const model of ['gpt-4o', 'gpt-4o-2024-08-06', 'openai/gpt-4o-2024-11-20']) {
      expect((await here.chat({ model })).status, model).toBe(429)
    }
    // A model of its own, with a price of its own.
    expect((await here.chat({ model: 'gpt-4o-2024-05-13' })).status).toBe(200)
    for (const [given, kept] of [
      ['openai/gpt-4o-2024-08-06', 'openai/gpt-4o'],
      ['gpt-4o-2024-05-13', 'gpt-4o-2024-05-13'],
    ]) {
      expect(await here.make({ subject_kind: 'model', subject_id: given, limit_usd: 1 })).toMatchObject({
        subject_id: kept,
      })
    }
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
