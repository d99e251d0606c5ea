import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count } from '../support/lane.ts'
import { keyOf } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { openCalls } from './truth-books.ts'

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

const Stats = z.strictObject({
  object: z.literal('cache_stats'),
  entries: z.int(),
  since: z.int(),
  hits: z.int(),
  misses: z.int(),
  hit_rate: z.number().nullable(),
  saved_usd: z.number(),
})

/** An organisation with a key for calls, and one that sees to the cache. */
async function org() {
  const made = await stack.org({ budgetUsd: 10, requestsPerMinute: 10_000, burst: 10_000 })
  const admin = await keyOf(stack, { orgId: made.orgId, scopes: ['cache:read', 'cache:write'] })
  return { ...made, admin: admin.apiKey }
}
type Org = Awaited<ReturnType<typeof org>>

let asked = 0
/** A question that nobody has asked before. */
const question = () => `Question ${++asked}`

const call = (apiKey: string, text: string, cache: object = {}, more: object = {}) =>
  stack.call(apiKey, '/v1/chat/completions', {
    model: 'gpt-4o',
    messages: [{ role: 'user', content: text }],
    helix: { cache: { mode: 'exact', ...cache } },
    ...more,
  })

const outcomeOf = async (answering: Promise<Response>): Promise<string | null> => {
  const response = await answering
  expect(response.status).toBe(200)
  await response.text()
  return response.headers.get('x-helix-cache')
}

const stats = async ({ admin }: Org) => Stats.parse(await (await stack.call(admin, '/api/v1/cache/stats')).json())
const remove = ({ admin }: Org, path: string) =>
  stack.call(admin, `/api/v1/cache${path}`, undefined, { method: 'DELETE' })
const purge = async (of: Org, query: string) => {
  const response = await remove(of, query)
  expect(response.status).toBe(200)
  return response.json()
}

/** Answers are written after the reply. */
const kept = (of: Org, entries: number) =>
  expect.poll(async () => (await stats(of)).entries, { timeout: 10_000 }).toBe(entries)

const costs = () => ({ redis: stack.redis.requests(), postgres: stack.postgres.requests(), vendor: vendor.requests() })
const spentSince = (before: ReturnType<typeof costs>) => {
  const now = costs()
  return {
    redis: now.redis - before.redis,
    postgres: now.postgres - before.postgres,
    vendor: now.vendor - before.vendor,
  }
}

describe('an answer that is kept', () => {
  it('costs one Redis request more when it is made, and one request to Redis alone when it is told again', {
    // A store that is slow for once is asked again: noise adds requests, it never takes one away.
    retry: 3,
  }, async () => {
    const of = await org()
    const rows = () =>
      stack.query('select cost_nanos, attempts, status from usage_ledger where org_id = $1 order by created_at, id', [
        of.orgId,
      ])
    const settled = async (count: number) => {
      await expect.poll(rows, { timeout: 10_000 }).toHaveLength(count)
      await expect.poll(() => openCalls(of.orgId), { timeout: 10_000 }).toEqual([])
    }
    const text = question()
    // From here on the caller and the data key are known.
    await outcomeOf(call(of.apiKey, question()))
    await kept(of, 1)
    await settled(1)

    const beforeMiss = costs()
    expect(await outcomeOf(call(of.apiKey, text))).toBe('miss')
    await settled(2)
    // One at admission, one for the answer, and one of the batch of the ledger.
    expect(spentSince(beforeMiss)).toMatchObject({ redis: 3, vendor: 1 })

    const beforeHit = costs()
    expect(await outcomeOf(call(of.apiKey, text))).toBe('exact')
    expect(spentSince(beforeHit)).toEqual({ redis: 1, postgres: 0, vendor: 0 })
    await settled(3)
    const [, paid, free] = await rows()
    expect(Number(paid?.cost_nanos)).toBeGreaterThan(0)
    expect(free).toMatchObject({ status: 'ok', attempts: 0 })
    expect(Number(free?.cost_nanos)).toBe(0)
    const saved = 'select cache, saved_nanos from decisions where org_id = $1 and cache = $2'
    expect(await stack.query(saved, [of.orgId, 'exact'])).toEqual([{ cache: 'exact', saved_nanos: paid?.cost_nanos }])
    expect(await stats(of)).toMatchObject({
      entries: 2,
      hits: 1,
      misses: 2,
      hit_rate: 1 / 3,
      saved_usd: Number(paid?.cost_nanos) / 1e9,
    })
  })

  it('is told by an isolate that has never seen it, from Redis', async () => {
    const of = await org()
    const text = question()
    const first = await (await call(of.apiKey, text)).json()
    await kept(of, 1)
    await stack.restart()
    const before = vendor.requests()
    const streamed = await call(of.apiKey, text, {}, { stream: true })
    expect(streamed.headers.get('x-helix-cache')).toBe('exact')
    expect(await streamed.text()).toMatch(/"finish_reason":"stop".*\n\ndata: \[DONE\]\n\n$/s)
    expect(await (await call(of.apiKey, text)).json()).toEqual({
      ...(typeof first === 'object' ? first : {}),
      helix: { cached: true, cost_usd: 0 },
    })
    expect(vendor.requests()).toBe(before)
  })

  it('is nobody else’s unless it is shared', async () => {
    const [mine, theirs] = [await org(), await org()]
    const scopes = ['chat:write' as const]
    const colleague = await keyOf(stack, { orgId: mine.orgId, scopes })
    const text = question()
    for (const scope of ['key', 'org'] as const) {
      expect(await outcomeOf(call(mine.apiKey, text, { scope }))).toBe('miss')
      await kept(mine, scope === 'key' ? 1 : 2)
      expect(await outcomeOf(call(mine.apiKey, text, { scope }))).toBe('exact')
      expect(await outcomeOf(call(theirs.apiKey, text, { scope }))).toBe('miss')
      const shared = await outcomeOf(call(colleague.apiKey, text, { scope }))
      expect(shared).toBe(scope === 'org' ? 'exact' : 'miss')
      // What the colleague's own call has made.
      if (scope === 'key') await kept(mine, 2).then(() => purge(mine, `?key_id=${colleague.keyId}`))
    }
  })
})

/** By what they are removed, and how many of three. */
const ways: readonly [name: string, query: (of: Org) => string, removed: number][] = [
  ['a tag', () => '?tag=news', 1],
  ['nothing that is said', () => '', 3],
  ['a model', () => '?model=gpt-4o-mini', 1],
  ['the key that asked', (of) => `?key_id=${of.keyId}`, 3],
  ['a scope', () => '?scope=org', 1],
  ['a time', () => `?before=${Math.floor(Date.now() / 1000) + 3600}`, 3],
  ['a time before all of them', () => '?before=1', 0],
]

describe('kept answers that are removed', () => {
  it.each(ways.slice(0, count(2, ways.length)))(
    'by %s are none from the reply on, whatever an isolate remembers',
    async (_by, query, removed) => {
      const [of, others] = [await org(), await org()]
      const text = question()
      const all = (apiKey: string) => [
        () => call(apiKey, text, { tags: ['news', 'docs'] }),
        () => call(apiKey, text, {}, { model: 'gpt-4o-mini' }),
        () => call(apiKey, text, { scope: 'org' }),
      ]
      for (const one of [...all(of.apiKey), ...all(others.apiKey)]) expect(await outcomeOf(one())).toBe('miss')
      await kept(of, 3)
      await kept(others, 3)
      expect(await purge(of, query(of))).toEqual({ object: 'cache_purge', removed })
      expect((await stats(of)).entries).toBe(3 - removed)
      const again = await Promise.all(all(of.apiKey).map((one) => outcomeOf(one())))
      expect(again.filter((outcome) => outcome === 'miss')).toHaveLength(removed)
      expect((await stats(others)).entries).toBe(3)
      const notes = await stack.query(`select action from audit_log where org_id = $1 and action like 'cache.%'`, [
        of.orgId,
      ])
      expect(notes).toEqual([{ action: 'cache.purge' }])
    },
  )

  it('by their key are gone, and only for those whose they are', async () => {
    const [of, others] = [await org(), await org()]
    const text = question()
    const response = await call(of.apiKey, text)
    const key = response.headers.get('x-helix-cache-key')
    await response.text()
    await kept(of, 1)
    expect((await remove(others, `/${key}`)).status).toBe(404)
    expect((await stats(of)).entries).toBe(1)
    expect((await remove(of, `/${key}`)).status).toBe(204)
    expect((await remove(of, `/${key}`)).status).toBe(404)
    expect(await outcomeOf(call(of.apiKey, text))).toBe('miss')
    const notes = await stack.query(
      `select action, target_id from audit_log where org_id = $1 and action like 'cache.%'`,
      [of.orgId],
    )
    expect(notes).toEqual([{ action: 'cache.remove', target_id: key }])
  })

  it('are the business of those who may write to the cache', async () => {
    const of = await org()
    expect((await stack.call(of.apiKey, '/api/v1/cache/stats')).status).toBe(403)
    const reader = await keyOf(stack, { orgId: of.orgId, scopes: ['cache:read'] })
    expect((await remove({ ...of, admin: reader.apiKey }, '')).status).toBe(403)
    expect((await remove(of, '?tags=news')).status).toBe(422)
  })
})
