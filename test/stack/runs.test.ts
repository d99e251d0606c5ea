import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
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

const Key = z.object({ id: z.string(), secret: z.string() })
const Usage = z.object({ data: z.array(z.record(z.string(), z.unknown())) })

/** With a way to make runs, and to read what was used. */
async function world() {
  const made = await budgetWorld(stack)
  const run = (name: string, limitUsd: number, parent?: string) =>
    made.make({ subject_kind: 'run', subject_id: name, limit_usd: limitUsd, soft_percent: [], parent_run_id: parent })
  const tryRun = (given: Record<string, unknown>) =>
    made.send('POST', '', { subject_kind: 'run', window: 'total', limit_usd: 1, ...given })
  const within = (runId: string, given: Record<string, unknown> = {}) =>
    made.chat({ helix: { run_id: runId }, ...given })
  const usage = async (query: string) => {
    const response = await stack.call(made.owner.accessToken, `/api/v1/usage${query}`, undefined, { method: 'GET' })
    return Usage.parse(await response.json()).data
  }
  return { ...made, run, tryRun, within, usage }
}

describe('a budget of a key', () => {
  it('goes on with what was spent when the key is replaced, and is shared while both work', async () => {
    const here = await world()
    const { keyId, owner, make, send, spendOf, chat } = here
    const key = { subject_kind: 'key', subject_id: keyId, window: 'day' }
    const { id } = await make({ ...key, name: 'Kept', limit_usd: 1, soft_percent: [] })
    await send('DELETE', `/${(await make({ ...key, limit_usd: 4 })).id}`)
    await pay(here, id)
    // Nine tenths of it are spent.
    await send('PATCH', `/${id}`, { limit_usd: 0.000639 })
    const rotated = await stack.call(owner.accessToken, `/api/v1/keys/${keyId}/rotate`, { overlap_seconds: 3600 })
    const next = Key.parse(await rotated.json())
    for (const one of [keyId, next.id]) {
      const listed = await send('GET', `?subject_id=${one}`)
      expect(await listed.json()).toMatchObject({ data: [{ id, subject_id: next.id, name: 'Kept' }], has_more: false })
    }
    expect(await spendOf(id)).toMatchObject({ settled_usd: CALL_USD, remaining_usd: 0.000064 })
    expect((await chat({}, next.secret)).status).toBe(429)
    expect((await chat()).status).toBe(429)
    // Room for one of them, and whoever pays first leaves too little for the other.
    await send('PATCH', `/${id}`, { limit_usd: 0.0016 })
    await pay(here, id)
    expect((await chat({}, next.secret)).status).toBe(429)
    await send('PATCH', `/${id}`, { limit_usd: 1 })
    expect((await chat({}, next.secret)).status).toBe(200)
    await expect.poll(async () => (await spendOf(id)).settled_usd).toBe(3 * CALL_USD)
  })
})

describe('a budget of an agent', () => {
  it('binds all of its keys, and no other', async () => {
    const here = await world()
    const { keyId, owner, make, spendOf, chat, usage } = here
    const { id } = await make({ subject_kind: 'agent', subject_id: 'nightly', limit_usd: 0.0012 })
    expect((await chat()).status).toBe(200)
    const patch = { agent_id: 'nightly' }
    const named = await stack.call(owner.accessToken, `/api/v1/keys/${keyId}`, patch, { method: 'PATCH' })
    expect(await named.json()).toMatchObject({ id: keyId, agent_id: 'nightly' })
    await pay(here, id)
    expect(await spendOf(id)).toMatchObject({ settled_usd: CALL_USD })
    const another = { name: 'Another', scopes: ['chat:write', 'keys:write'], agent_id: 'nightly' }
    const { secret } = Key.parse(await (await stack.call(owner.accessToken, '/api/v1/keys', another)).json())
    expect((await chat({}, secret)).status).toBe(429)
    const made = await stack.call(secret, '/api/v1/keys', { name: 'Its own', scopes: ['chat:write'] })
    expect(await made.json()).toMatchObject({ agent_id: 'nightly' })
    const free = { name: 'Free', scopes: ['chat:write'], agent_id: 'another' }
    expect((await stack.call(secret, '/api/v1/keys', free)).status).toBe(403)
    // Nor does it take over the keys of others, whose own budgets would then bind them no more.
    const others = Key.parse(await (await stack.call(owner.accessToken, '/api/v1/keys', free)).json())
    const taken = await stack.call(secret, `/api/v1/keys/${others.id}`, patch, { method: 'PATCH' })
    expect(taken.status).toBe(403)
    await expect
      .poll(() => usage('?agent_id=nightly'), { timeout: 5000 })
      .toMatchObject([{ agent_id: 'nightly', key_id: keyId, run_id: null }])
    await expect
      .poll(() => usage('/summary?group_by=agent'), { timeout: 5000 })
      .toMatchObject([
        { group: 'nightly', calls: 1 },
        { group: null, calls: 1 },
      ])
  })
})

describe('a run', () => {
  it('pays for the calls that name it, of every kind, up to its limit', async () => {
    const here = await world()
    const { apiKey, run, within, spendOf, usage } = here
    const { id } = await run('job:1', 0.0031)
    const prompt = { model: 'gpt-4o', prompt: 'Hello fault:usage=30/50', max_tokens: 60 }
    const options = { helix: { run_id: 'job:1' } }
    expect((await within('job:1')).status).toBe(200)
    expect((await stack.call(apiKey, '/v1/completions', { ...prompt, ...options })).status).toBe(200)
    const streamed = await within('job:1', { stream: true })
    expect(await streamed.text()).toContain('[DONE]')
    await expect.poll(async () => (await spendOf(id)).settled_usd).toBe(3 * CALL_USD)
    const embedding = { model: 'text-embedding-3-small', input: 'Hello', ...options }
    expect((await stack.call(apiKey, '/v1/embeddings', embedding)).status).toBe(200)
    const refused = await within('job:1', { max_tokens: 200 })
    expect([refused.status, await codeIn(refused)]).toEqual([429, 'insufficient_quota'])
    // Whoever names no run is not bound by it.
    expect((await here.chat({ max_tokens: 2000 })).status).toBe(200)
    const named = () => usage('?run_id=job:1')
    await expect.poll(async () => (await named()).length, { timeout: 5000 }).toBe(4)
    // The call that named no run is written last.
    await expect
      .poll(() => usage('/summary?group_by=run'), { timeout: 5000 })
      .toMatchObject([{ group: 'job:1', calls: 4 }, { group: null }])
  })

  it('counts in those that started it, and leaves them what it does not use', async () => {
    const here = await world()
    const { run, within, spendOf } = here
    const top = await run('top', 0.0019)
    const child = await run('child', 0.0014, 'top')
    const leaf = await run('leaf', 1, 'child')
    expect(leaf).toMatchObject({ subject_id: 'leaf', parent_run_id: 'child' })
    await pay({ ...here, chat: (given) => within('leaf', given) }, leaf.id)
    for (const { id } of [top, child, leaf]) expect((await spendOf(id)).settled_usd).toBe(CALL_USD)
    expect(await refuserOf(await within('leaf'))).toBe(child.id)
    expect((await spendOf(top.id)).held_usd).toBe(0)
    // What the child leaves is there for the run that started it.
    await pay({ ...here, chat: (given) => within('top', given) }, top.id)
    expect(await refuserOf(await within('top'))).toBe(top.id)
    expect((await spendOf(child.id)).settled_usd).toBe(CALL_USD)
  })

  it('follows its edits from the next call on, and is over without its budget', async () => {
    const here = await world()
    const { run, tryRun, within, send } = here
    const unknown = await within('later')
    expect(unknown.status).toBe(400)
    expect(await unknown.json()).toMatchObject({ error: { code: 'invalid_request', param: 'helix.run_id' } })
    const { id } = await run('later', 0)
    const child = await run('part', 1, 'later')
    expect((await within('later')).status).toBe(429)
    expect((await within('part')).status).toBe(429)
    expect((await send('PATCH', `/${id}`, { limit_usd: 1 })).status).toBe(200)
    expect((await within('part')).status).toBe(200)
    expect((await send('DELETE', `/${id}`)).status).toBe(409)
    expect((await send('DELETE', `/${child.id}`)).status).toBe(204)
    expect((await within('part')).status).toBe(400)
    expect((await within('later')).status).toBe(200)
    expect((await send('DELETE', `/${id}`)).status).toBe(204)
    expect((await within('later')).status).toBe(400)
    expect((await tryRun({ subject_id: 'later' })).status).toBe(409)
    expect((await tryRun({ subject_id: 'another', parent_run_id: 'later' })).status).toBe(422)
  })

  it.each([
    ['no name', { subject_id: undefined }],
    ['a name with a blank', { subject_id: 'job 1' }],
    ['a window', { window: 'day' }],
    ['a soft budget', { hard: false }],
    ['a parent that is not there', { parent_run_id: 'nowhere' }],
    ['itself as its parent', { parent_run_id: 'job' }],
  ])('is refused with %s', async (_what, given) => {
    const { tryRun } = await world()
    expect((await tryRun({ subject_id: 'job', ...given })).status).toBe(422)
  })

  it('is no parent of another organisation’s, stays hard, and stands at most eight deep', async () => {
    const here = await world()
    const another = await world()
    const { id } = await here.run('run1', 1)
    expect((await another.tryRun({ subject_id: 'child', parent_run_id: 'run1' })).status).toBe(422)
    expect((await another.within('run1')).status).toBe(400)
    expect((await here.send('PATCH', `/${id}`, { hard: false })).status).toBe(422)
    for (let depth = 2; depth <= 8; depth++) await here.run(`run${depth}`, 1, `run${depth - 1}`)
    expect((await here.tryRun({ subject_id: 'run9', parent_run_id: 'run8' })).status).toBe(422)
    const deep = { max_tokens: 60 }
    expect((await here.within('run8', deep)).status).toBe(200)
    await expect.poll(async () => (await here.spendOf(id)).settled_usd).toBe(CALL_USD)
  })

  it('is one of ten thousand at the most, which leave room for other budgets', async () => {
    const { orgId, run, tryRun, make } = await world()
    await stack.query(
      `insert into budgets (id, org_id, subject_kind, subject_id, "window", limit_nanos, hard, created_at, updated_at)
       select 'bud_' || $1 || n, $1, 'run', 'run' || n, 'total', 1, true, 0, 0 from generate_series(1, 9999) n`,
      [orgId],
    )
    await run('last', 1)
    expect((await tryRun({ subject_id: 'beyond' })).status).toBe(409)
    await make({ limit_usd: 1 })
  })

  it('is not spent twice by an object that was lost, and waits for Postgres where that cannot tell', async () => {
    const { run, within, orgId, spendOf } = await world()
    const top = await run('top', 0.0018)
    await run('child', 1, 'top')
    expect((await within('child')).status).toBe(200)
    const rows = () => stack.query('select run_id from usage_ledger where org_id = $1', [orgId])
    await expect.poll(rows, { timeout: 5000 }).toEqual([{ run_id: 'child' }])
    stack.kill()
    await stack.restart()
    stack.postgres.mode('refuse')
    const away = await within('top')
    expect([away.status, await codeIn(away)]).toEqual([503, 'budget_unavailable'])
    stack.postgres.mode('pass')
    expect((await within('top')).status).toBe(200)
    await expect.poll(async () => (await spendOf(top.id)).settled_usd).toBe(2 * CALL_USD)
    expect((await within('child')).status).toBe(429)
  })
})

const refuserOf = async (response: Response): Promise<string> => {
  expect(response.status).toBe(429)
  return z.object({ error: z.object({ budget_id: z.string() }) }).parse(await response.json()).error.budget_id
}
