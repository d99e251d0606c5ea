import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { keyOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

const names = ['openai', 'groq', 'deepseek'] as const
const members = ['openai/gpt-4o', 'groq/llama-3.3-70b-versatile', 'deepseek/deepseek-chat']

let stack: Stack
let vendors: Readonly<Record<(typeof names)[number], FakeVendor>>

beforeAll(async () => {
  const [openai, groq, deepseek] = await Promise.all([startFakeVendor(), startFakeVendor(), startFakeVendor()])
  vendors = { openai, groq, deepseek }
  const vars = names.flatMap((name) => [
    [`${name.toUpperCase()}_API_KEY`, `sk-fake-${name}`],
    [`${name.toUpperCase()}_BASE_URL`, vendors[name].url],
  ])
  stack = await startStack({ vars: Object.fromEntries(vars) })
})
afterAll(async () => {
  await stack?.close()
  await Promise.all(names.map((name) => vendors?.[name].close()))
})

const org = () => stack.org({ budgetUsd: 10, requestsPerMinute: 1000, burst: 1000 })
const messages = [{ role: 'user', content: 'What is six times seven?' }]
const ask = (apiKey: string, config: object, more: object = {}) =>
  stack.call(apiKey, '/v1/ensemble/completions', {
    messages,
    max_tokens: 60,
    ensemble_config: { members, ...config },
    ...more,
  })

/** What was booked for a call, its own row last, once that is written. */
async function rowsOf(response: Response) {
  const id = response.headers.get('x-request-id')
  const read = () =>
    stack.query(
      `select *, cost_nanos::int as cost, prompt_tokens::int as prompt, completion_tokens::int as completion
       from usage_ledger where request_id = $1 or parent_request_id = $1 order by parent_request_id nulls last, provider`,
      [id],
    )
  await expect.poll(async () => (await read()).at(-1)?.request_id, { timeout: 15_000 }).toBe(id)
  return read()
}

describe('an ensemble', () => {
  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
  ])('(%s) is booked call by call as its vendors bill it, and holds nothing any more', async (_form, more) => {
    for (const name of names) vendors[name].reset()
    const { apiKey, orgId } = await org()
    const response = await ask(apiKey, { strategy: 'majority' }, more)
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(text).toContain('"voting_method"')
    const rows = await rowsOf(response)
    const own = rows.at(-1)
    expect(own).toMatchObject({ provider: 'helix', model: 'ensemble', status: 'ok', cost: 0, prompt: 0, completion: 0 })
    expect(rows.map(({ provider }) => provider)).toEqual(['deepseek', 'groq', 'openai', 'helix'])
    for (const row of rows.slice(0, -1)) {
      const billed = names.filter((name) => name === row.provider).map((name) => vendors[name].totals())
      expect(billed).toEqual([{ prompt: row.prompt, completion: row.completion, calls: 1 }])
      expect(row).toMatchObject({ status: 'ok', estimated: false, parent_request_id: own?.request_id })
    }
    const owner = await person(stack, { orgId })
    const view = await stack.call(owner.accessToken, '/api/v1/budgets')
    expect(view.status).toBe(200)
    const paid = rows.reduce((sum, { cost }) => sum + Number(cost), 0)
    const [budget] = (await stack.query('select id from budgets where org_id = $1', [orgId])).map(({ id }) =>
      String(id),
    )
    const spend = async () => (await stack.call(owner.accessToken, `/api/v1/budgets/${budget}/spend`)).json()
    expect(await spend()).toMatchObject({ settled_usd: paid / 1e9, held_usd: 0 })

    const request = await stack.call(owner.accessToken, `/api/v1/requests/${own?.request_id}`)
    expect(await request.json()).toMatchObject({
      cost_usd: String(paid / 1e9),
      calls: [{ provider: 'helix' }, {}, {}, {}],
    })
    const decision = await stack.call(owner.accessToken, `/v1/decisions/${response.headers.get('x-helix-decision-id')}`)
    expect(await decision.json()).toMatchObject({
      strategy: 'ensemble:majority',
      outcome: 'ok',
      ensemble: { strategy: 'majority', members: [{ target: members[0], outcome: 'ok' }, {}, {}] },
    })
  })

  it('goes by what its organisation has set, from the next call on', async () => {
    const { apiKey, orgId } = await org()
    const { apiKey: admin } = await keyOf(stack, { orgId, scopes: ['routing:read', 'routing:write'] })
    const path = '/api/v1/ensemble/config'
    expect(await (await stack.call(admin, path)).json()).toMatchObject({ config: {}, updated_at: null })
    const plain = async () =>
      (await stack.call(apiKey, '/v1/ensemble/completions', { messages, max_tokens: 60 })).json()
    expect(await plain()).toMatchObject({ ensemble: { voting_method: 'confidence_weighted' } })

    const config = { strategy: 'quality_weighted', members: members.slice(0, 2) }
    const saved = await stack.call(admin, path, config, { method: 'PUT' })
    expect(await saved.json()).toMatchObject({ object: 'ensemble_config', config })
    expect(await plain()).toMatchObject({
      ensemble: { voting_method: 'quality_weighted', metadata: { members_asked: 2 } },
    })
    const configured = await stack.call(admin, '/v1/ensemble/configure', { strategy: 'majority' })
    expect(await configured.json()).toMatchObject({ config: { strategy: 'majority' } })
    expect(await (await stack.call(admin, path)).json()).toMatchObject({ config: { strategy: 'majority' } })
    const log = await stack.query('select action from audit_log where org_id = $1 order by id', [orgId])
    expect(log.map(({ action }) => action)).toEqual(['ensemble_config.update', 'ensemble_config.update'])

    for (const body of [{ strategy: 'best' }, { members: ['one'] }, { confidence_threshold: 2 }, { unknown: 1 }]) {
      expect((await stack.call(admin, path, body, { method: 'PUT' })).status).toBe(422)
    }
    const unknown = await stack.call(admin, path, { members: [members[0], 'no-such-model'] }, { method: 'PUT' })
    expect([unknown.status, await unknown.json()]).toMatchObject([422, { errors: [{ pointer: '/members/1' }] }])
    expect((await stack.call(admin, '/v1/ensemble/configure', {})).status).toBe(400)
    expect(await (await stack.call(admin, path)).json()).toMatchObject({ config: { strategy: 'majority' } })
    expect((await stack.call(apiKey, path, config, { method: 'PUT' })).status).toBe(403)
  })

  it('shows operators what all of them came to', async () => {
    const { apiKey } = await org()
    const response = await ask(apiKey, { strategy: 'majority' })
    await response.text()
    await rowsOf(response)
    const operator = await person(stack, { isOperator: true, audience: 'helix-admin' })
    const answer = await stack.call(operator.accessToken, '/api/v1/admin/ensemble/status')
    const status = (await answer.json()) as { cost_usd: number; cost_multiple: number; members: { cost_usd: number }[] }
    expect(status).toMatchObject({
      object: 'ensemble_status',
      calls: expect.any(Number),
      agreement: expect.any(Number),
      members: expect.arrayContaining([expect.objectContaining({ target: members[0], quality: null })]),
    })
    const ofMembers = status.members.reduce((sum, { cost_usd: cost }) => sum + cost, 0)
    expect(ofMembers).toBeGreaterThan(0)
    expect(status.cost_usd).toBeGreaterThan(ofMembers - 1e-9)
    expect(status.cost_multiple).toBeGreaterThanOrEqual(1)
  })
})
