import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { insert } from '../../../scripts/seed.ts'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { findKey, hashKey } from '../../../src/features/keys/service.ts'
import { createBook } from '../../../src/features/ledger/book.ts'
import { bookedAmong, writeRows } from '../../../src/features/ledger/flush.ts'
import { openBudgets } from '../../../src/features/ledger/opening.ts'
import { readRuns } from '../../../src/features/ledger/runs.ts'
import { compilePolicy } from '../../../src/features/policies/service.ts'
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { budgetOf, rowOf } from '../ledger/calls.ts'

const PEPPER = 'pepper-of-the-policy-tests'

let migrated: MigratedPostgres
let proxy: FaultProxy
let pool: MigratedPostgres['pool']
let db: Database

beforeAll(async () => {
  migrated = await startMigratedPostgres()
  proxy = await startFaultProxy(migrated.server.proxyUrl)
  pool = migrated.pool
  db = migrated.database(proxy.url)
})
afterAll(async () => {
  await proxy?.close()
  await migrated?.close()
})

async function policyOf(apiKey: string) {
  const key = await findKey({ db }, await hashKey(PEPPER, apiKey))
  return key && compilePolicy({ db, now: Date.now }, key)
}

describe('a policy', () => {
  it('is compiled from the rules and hard budgets of a key and its organisation, and of nobody else', async () => {
    const limits = { requestsPerMinute: 60, burst: 5, tokensPerMinute: 1000, budgetUsd: 2.5 }
    const { apiKey, orgId, keyId, budgetId } = await insert(pool, PEPPER, { name: 'One', ...limits })
    await insert(pool, PEPPER, { name: 'Another', requestsPerMinute: 1, budgetUsd: 1 })
    const budgets = `insert into budgets (id, org_id, subject_kind, subject_id, "window", limit_nanos, hard, created_at, updated_at)`
    await pool.query(`${budgets} values ('bud_soft', $1, 'org', $1, 'day', 5, false, 0, 0)`, [orgId])
    await pool.query(`${budgets} values ('bud_other', $1, 'key', 'key_other', 'day', 5, true, 0, 0)`, [orgId])
    await pool.query(`${budgets} values ('bud_zzkey', $1, 'key', $2, 'month', 7, true, 0, 0)`, [orgId, keyId])
    const policy = await policyOf(apiKey)
    expect(policy).toMatchObject({ orgId, keyId, kind: 'api_key', mode: 'live', allowedModels: undefined })
    expect(policy?.limits.map(({ subject, metric, amount, burst }) => [subject, metric, amount, burst])).toEqual([
      ['key', 'requests', 60, 5],
      ['key', 'tokens', 1000, undefined],
    ])
    expect(policy?.budgets).toMatchObject([
      { id: budgetId, window: 'total', limitNanoUsd: 2_500_000_000, softPercent: [50, 80, 95] },
      { id: 'bud_zzkey', window: 'month', limitNanoUsd: 7, softPercent: [50, 80, 95] },
    ])
  })

  it('of a key that was replaced, or that replaces another, has the rules of the whole line', async () => {
    const { orgId, keyId, apiKey, budgetId } = await insert(pool, PEPPER, {
      name: 'One',
      requestsPerMinute: 60,
      budgetUsd: 1,
    })
    await pool.query(`update budgets set subject_kind = 'key', subject_id = $2 where id = $1`, [budgetId, keyId])
    const successor = await replace(orgId, keyId)
    const third = await replace(orgId, successor.id)
    for (const key of [apiKey, successor.apiKey, third.apiKey]) {
      const policy = await policyOf(key)
      expect(policy?.budgets.map(({ id }) => id)).toEqual([budgetId])
      expect(policy?.limits).toHaveLength(1)
    }
  })

  it('of an agent’s key has the budgets of that agent, and its name', async () => {
    const { orgId, keyId, apiKey } = await insert(pool, PEPPER, { name: 'One' })
    const another = await insert(pool, PEPPER, { name: 'Another' })
    await pool.query(
      `insert into budgets (id, org_id, subject_kind, subject_id, "window", limit_nanos, hard, created_at, updated_at)
       values ($1 || '1', $1, 'agent', 'nightly', 'day', 5, true, 0, 0),
         ($1 || '2', $1, 'agent', 'daily', 'day', 5, true, 0, 0),
         ($1 || '3', $1, 'run', 'nightly', 'total', 5, true, 0, 0),
         ($2 || '4', $2, 'agent', 'nightly', 'day', 5, true, 0, 0)`,
      [orgId, another.orgId],
    )
    expect(await policyOf(apiKey)).toMatchObject({ agentId: undefined, budgets: [] })
    await pool.query(`update api_keys set agent_id = 'nightly' where id = $1`, [keyId])
    expect(await policyOf(apiKey)).toMatchObject({ agentId: 'nightly', budgets: [{ id: `${orgId}1` }] })
  })

  it('has the same version as long as its contents are the same', async () => {
    const { apiKey, keyId } = await insert(pool, PEPPER, { name: 'One', requestsPerMinute: 60 })
    const first = await policyOf(apiKey)
    expect((await policyOf(apiKey))?.version).toBe(first?.version)
    await pool.query("update api_keys set scopes = '{models:read}' where id = $1", [keyId])
    expect((await policyOf(apiKey))?.version).not.toBe(first?.version)
  })

  it('notes that its key is in use, at most every five minutes, and changes nothing else by it', async () => {
    const { apiKey, keyId } = await insert(pool, PEPPER, { name: 'One' })
    const { apiKey: unused, keyId: unusedId } = await insert(pool, PEPPER, { name: 'Another' })
    const lastUse = async (id: string) => {
      const { rows } = await pool.query('select last_used_at from api_keys where id = $1', [id])
      return rows[0]?.last_used_at === null ? undefined : Number(rows[0]?.last_used_at)
    }
    const startSeconds = Math.floor(Date.now() / 1000)
    const first = await policyOf(apiKey)
    expect(await lastUse(keyId)).toBeGreaterThanOrEqual(startSeconds)
    expect(await lastUse(unusedId)).toBeUndefined()
    const used = async (secondsAgo: number): Promise<boolean> => {
      const at = Math.floor(Date.now() / 1000) - secondsAgo
      await pool.query('update api_keys set last_used_at = $2 where id = $1', [keyId, at])
      expect((await policyOf(apiKey))?.version).toBe(first?.version)
      return (await lastUse(keyId)) !== at
    }
    expect(await used(200)).toBe(false)
    expect(await used(400)).toBe(true)
    expect((await policyOf(unused))?.keyId).toBe(unusedId)
  })

  it('of a session is its organisation’s, with the scopes and the marker of its role', async () => {
    const { orgId, budgetId } = await insert(pool, PEPPER, { name: 'One', requestsPerMinute: 60, budgetUsd: 1 })
    await pool.query(
      `insert into limits (id, org_id, subject_kind, subject_id, metric, algorithm, window_seconds, amount, created_at, updated_at)
       values ($1 || '1', $1, 'org', $1, 'requests', 'token_bucket', 60, 7, 0, 0),
         ($1 || '2', $1, 'user', 'usr_1', 'tokens', 'sliding_window', 60, 8, 0, 0),
         ($1 || '3', $1, 'user', 'usr_2', 'tokens', 'sliding_window', 60, 9, 0, 0)`,
      [orgId],
    )
    const session = {
      id: 'ses_1',
      orgId,
      userId: 'usr_1',
      audience: 'helix',
      role: 'owner',
      method: 'password',
      expiresAt: 2_000_000_000,
    } as const
    const policy = await compilePolicy({ db, now: Date.now }, session)
    expect(policy).toMatchObject({ orgId, keyId: 'ses_1', kind: 'user', userId: 'usr_1', role: 'owner', mode: 'live' })
    expect(policy.expiresAt).toBe(2_000_000_000)
    expect(policy.scopes).toEqual(['*:*', 'user', 'owner'])
    expect(policy.limits.map(({ subject, amount }) => [subject, amount])).toEqual([
      ['org', 7],
      ['user', 8],
    ])
    expect(policy.budgets.map(({ id }) => id)).toEqual([budgetId])
    const staff = await compilePolicy({ db, now: Date.now }, { ...session, audience: 'helix-admin' })
    expect(staff).toMatchObject({ kind: 'operator', scopes: ['user', 'operator'] })
    expect(staff.version).not.toBe(policy.version)
  })

  it('carries the accounts of its organisation that are in use, with what opens their credentials', async () => {
    const [{ apiKey, orgId }, other] = await Promise.all([
      insert(pool, PEPPER, { name: 'One' }),
      insert(pool, PEPPER, { name: 'Another' }),
    ])
    expect(await policyOf(apiKey)).not.toHaveProperty('accounts')
    const provider = (
      id: string,
      given: { orgId?: string; kind?: string; priority?: number; enabled?: boolean } = {},
    ) =>
      pool.query(
        `insert into providers (id, org_id, name, kind, base_url, priority, enabled, created_at, updated_at)
         values ($1, $2, $1, $3, 'https://models.example.com', $4, $5, 0, 0)`,
        [`${orgId}${id}`, given.orgId ?? orgId, given.kind ?? 'gemini', given.priority ?? 50, given.enabled ?? true],
      )
    await provider('late', { priority: 60 })
    await provider('first', { priority: 40 })
    await provider('node', { kind: 'ollama' })
    await provider('off', { enabled: false })
    await provider('gone')
    await provider('other', { orgId: other.orgId })
    await pool.query(`update providers set deleted_at = 1 where id = $1`, [`${orgId}gone`])
    for (const [id, of, active] of [
      ['b', 'first', true],
      ['a', 'first', true],
      ['c', 'first', false],
      ['d', 'gone', true],
    ] as const) {
      await pool.query(
        `insert into provider_credentials (id, org_id, provider_id, label, secret, dek_version, last4, is_active, created_at, updated_at)
         values ($1, $2, $3, $1, 'sealed', 2, '', $4, 0, 0)`,
        [`${orgId}${id}`, orgId, `${orgId}${of}`, active],
      )
    }
    for (const version of [1, 2, 3]) {
      await pool.query(
        `insert into data_keys (org_id, version, wrapped_dek, kek_id, state, created_at) values ($1, $2, $3, '', 'retired', 0)`,
        [orgId, version, `wrapped ${version}`],
      )
    }
    const policy = await policyOf(apiKey)
    expect(policy?.accounts).toMatchObject({ orgId, dataKeys: [{ version: 2, wrapped: 'wrapped 2' }] })
    expect(policy?.accounts?.providers.map(({ id, credentials }) => [id, credentials.map((one) => one.id)])).toEqual([
      [`${orgId}first`, [`${orgId}a`, `${orgId}b`]],
      [`${orgId}node`, []],
      [`${orgId}late`, []],
    ])
    expect((await policyOf(apiKey))?.version).toBe(policy?.version)
    await pool.query(`update api_keys set mode = 'test' where org_id = $1`, [orgId])
    expect((await policyOf(apiKey))?.accounts?.providers.map(({ id }) => id)).toEqual([`${orgId}node`])
  })

  it('carries what judges of its organisation thought in the last thirty days, and nobody else’s marks', async () => {
    const [{ apiKey, orgId }, other] = await Promise.all([
      insert(pool, PEPPER, { name: 'One' }),
      insert(pool, PEPPER, { name: 'Another' }),
    ])
    const nowSeconds = Math.floor(Date.now() / 1000)
    const hour = (daysAgo: number, model: string, marks: { mean: number | null; count: number; task?: string }) =>
      pool.query(
        `insert into model_stats (org_id, hour, provider, model, task_type, calls, ok, errors, prompt_tokens,
           completion_tokens, cost_nanos, quality_mean, quality_count)
         values ($1, $2, 'openai', $3, $6, 9, 9, '{}', 0, 0, 0, $4, $5)`,
        [orgId, nowSeconds - daysAgo * 86_400, model, marks.mean, marks.count, marks.task ?? 'unknown'],
      )
    const before = [await policyOf(apiKey), await policyOf(other.apiKey)]
    for (const policy of before) expect(policy).not.toHaveProperty('marked')
    await hour(1, 'gpt-4o', { mean: 9, count: 1 })
    await hour(1, 'gpt-4o', { mean: 5, count: 2, task: 'code_generation' })
    await hour(29, 'gpt-4o', { mean: 3, count: 3 })
    await hour(31, 'gpt-4o', { mean: 0, count: 99 })
    await hour(2, 'gpt-4', { mean: 10, count: 2 })
    await hour(2, 'gpt-4o-mini', { mean: null, count: 0 })
    const policy = await policyOf(apiKey)
    expect(policy?.marked).toEqual({ 'openai/gpt-4o': [4.667, 6], 'openai/gpt-4': [10, 2] })
    expect(policy?.version).not.toBe(before[0]?.version)
    expect((await policyOf(apiKey))?.version).toBe(policy?.version)
    expect(await policyOf(other.apiKey)).toEqual(before[1])
  })

  it('is of nobody for a hash that no key has', async () => {
    expect(await findKey({ db }, await hashKey(PEPPER, 'hx_live_nobody'))).toBeUndefined()
  })
})

/** A key that takes over from another, whose secret is its id. */
async function replace(orgId: string, keyId: string): Promise<{ id: string; apiKey: string }> {
  const [id, apiKey] = [`${keyId}x`, `hx_live_${keyId}x`]
  await pool.query(
    `insert into api_keys (id, org_id, name, mode, public_id, secret_hash, last4, scopes, rotated_from, created_at, updated_at)
     values ($1, $2, 'Next', 'live', $1, $3, 'last', '{chat:write}', $4, 0, 0)`,
    [id, orgId, await hashKey(PEPPER, apiKey), keyId],
  )
  return { id, apiKey }
}

describe('what was spent before a ledger knew of a budget', () => {
  const NOW_SECONDS = Math.floor(Date.now() / 1000)

  /** An organisation with a run and what that started, an agent, and a key that replaces another. */
  async function world() {
    const { orgId, keyId } = await insert(pool, PEPPER, { name: 'One' })
    const next = await replace(orgId, keyId)
    const row = (requestId: string, costNanoUsd: number, given: object) => ({
      requestId: `${orgId}${requestId}`,
      rowText: JSON.stringify({
        ...rowOf(`${orgId}${requestId}`, costNanoUsd),
        ...{ id: `${orgId}${requestId}`, org_id: orgId, created_at: NOW_SECONDS },
        ...given,
      }),
      corrections: [],
      counters: [],
      held: true,
    })
    await writeRows({ db, redis: { run: async () => null, pipeline: async () => [] } }, orgId, [
      row('1', 1, { key_id: keyId, agent_id: 'nightly' }),
      row('2', 20, { key_id: next.id, run_id: 'top' }),
      row('3', 300, { key_id: 'key_other', run_id: 'leaf', agent_id: 'nightly' }),
      row('4', 4000, { key_id: 'key_other', run_id: 'apart' }),
    ])
    await pool.query(
      `insert into budgets (id, org_id, subject_kind, subject_id, parent_id, "window", limit_nanos, hard, deleted_at, created_at, updated_at)
       values ($1 || 'top', $1, 'run', 'top', null, 'total', 1000, true, null, $2, 0),
         ($1 || 'child', $1, 'run', 'child', 'top', 'total', 100, true, null, $2, 0),
         ($1 || 'leaf', $1, 'run', 'leaf', 'child', 'total', 10, true, 5, $2, 0),
         ($1 || 'apart', $1, 'run', 'apart', null, 'total', 10, true, null, $2, 0),
         ($1 || 'agent', $1, 'agent', 'nightly', null, 'total', 10, true, null, $2, 0),
         ($1 || 'key', $1, 'key', $3, null, 'total', 10, true, null, $2, 0)`,
      [orgId, NOW_SECONDS + 60, next.id],
    )
    const settledOf = async (...names: string[]) => {
      const refs = names.map((name) => budgetOf(10, 'total', orgId + name))
      const book = createBook(sqliteStorage(), { graceMs: 0 })
      await openBudgets({ orgId, book, deps: { db, now: Date.now } }, refs)
      return refs.map((ref) => book.totals(ref, Date.now()).settled)
    }
    return { orgId, settledOf }
  }

  it('is what a line of keys, an agent and a run with all below it have in the permanent record', async () => {
    const { settledOf } = await world()
    expect(await settledOf('top', 'child', 'leaf', 'apart', 'agent', 'key')).toEqual([320, 300, 300, 4000, 301, 21])
  })

  it('is of nobody else, and a run is read with those above it, also when it is over', async () => {
    const { orgId } = await world()
    const another = await world()
    const read = readRuns({ db }, orgId)
    expect([...(await read('leaf'))]).toEqual([
      ['leaf', { budget: refOf(`${orgId}leaf`, 10), parentId: 'child', isOver: true }],
      ['child', { budget: refOf(`${orgId}child`, 100), parentId: 'top', isOver: false }],
      ['top', { budget: refOf(`${orgId}top`, 1000), parentId: undefined, isOver: false }],
    ])
    expect((await read('nowhere')).size).toBe(0)
    expect(await another.settledOf('top')).toEqual([320])
  })

  const refOf = (id: string, limitNanoUsd: number) => ({
    id,
    window: 'total',
    limitNanoUsd,
    softPercent: [50, 80, 95],
  })
})

describe('the permanent record', () => {
  it('takes a row once, whatever its text, and knows which calls it has', async () => {
    const { orgId } = await insert(pool, PEPPER, { name: 'One' })
    const entryOf = (requestId: string, costNanoUsd: number) => ({
      requestId,
      rowText: JSON.stringify({ ...rowOf(requestId, costNanoUsd), org_id: orgId, model: `it's "ü" 🙂\n$1` }),
      corrections: [],
      counters: [],
      held: true,
    })
    const sink = { db, redis: { run: async () => null, pipeline: async () => [] } }
    await writeRows(sink, orgId, [entryOf('r1', 5), entryOf('r2', 9_000_000_000_000_000)])
    await writeRows(sink, orgId, [entryOf('r2', 7), entryOf('r3', 7)])
    const { rows } = await pool.query('select request_id, cost_nanos, model from usage_ledger where org_id = $1', [
      orgId,
    ])
    expect(rows.map((row) => [row.request_id, Number(row.cost_nanos), row.model]).sort()).toEqual([
      ['r1', 5, `it's "ü" 🙂\n$1`],
      ['r2', 9_000_000_000_000_000, `it's "ü" 🙂\n$1`],
      ['r3', 7, `it's "ü" 🙂\n$1`],
    ])
    expect(await bookedAmong(sink, orgId, ['r1', 'r3', 'r4'])).toEqual(new Set(['r1', 'r3']))
    expect(await bookedAmong(sink, 'org_other', ['r1'])).toEqual(new Set())
  })
})

describe('Postgres through the Neon driver', () => {
  it('is away when the connection breaks, and there again when it is back', async () => {
    proxy.mode('refuse')
    await expect(db.query(sql`select 1 as one`)).rejects.toThrow(DependencyError)
    await expect(db.atomically('org_1', (query) => [query.execute(sql`select 1`)])).rejects.toThrow(DependencyError)
    proxy.mode('pass')
    expect(await db.query(sql`select 1 as one`)).toEqual([{ one: 1 }])
  })

  it('shows what Postgres refuses as it is', async () => {
    const refused = db.query(sql`select * from no_such_table`)
    await expect(refused).rejects.toThrow()
    await expect(refused).rejects.not.toThrow(DependencyError)
  })

  it('names the organisation in the same transaction, and forgets it after', async () => {
    const named = sql`select current_setting('app.org', true) as org`
    const [inside] = await db.atomically('org_42', (query) => [query.execute(named)])
    expect(inside.rows).toEqual([{ org: 'org_42' }])
    expect((await db.query(named))[0]?.org ?? '').toBe('')
  })
})
