import { expect } from 'vitest'
import { insert } from '../../../scripts/seed.ts'
import type { Policy } from '../../../src/core/admission.ts'
import { hashKey } from '../../../src/features/keys/service.ts'
import { recordKeys } from '../../../src/features/records/service.ts'
import { fakeSettings } from '../../support/fake-deps.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'

type RulesWorld = { gateway: TestGateway; postgres: MigratedPostgres }

let opened: RulesWorld | undefined

/** The gateway in this process over a Postgres of its own: one for all tests of a file, whose beginning opens it. */
export function world(): RulesWorld {
  if (!opened) throw new Error('the world is not open')
  return opened
}

export async function openWorld(options: TestGatewayOptions = {}): Promise<void> {
  const postgres = await startMigratedPostgres()
  // Nobody is held up for showing keys that this isolate has not seen.
  const limiter = {
    allows: async () => true,
    take: async () => ({ allowed: true, retryAfterSeconds: 0 }),
    reset: async () => {},
  }
  const gateway = await startGateway({ ...options, deps: { limiter, ...options.deps, db: postgres.database() } })
  opened = { gateway, postgres }
}

export async function closeWorld(): Promise<void> {
  await opened?.postgres.close()
  opened = undefined
}

export type Team = {
  orgId: string
  keyId: string
  apiKey: string
  /** A call of the team's key under `/api/v1/routing`. */
  send(method: string, path: string, body?: unknown): Promise<Response>
  /** The same, whose answer is read. */
  ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>
  /** What the admission of the next call goes by. */
  policy(): Promise<Policy>
}

const scopes = ['routing:read', 'routing:write', 'chat:write', 'models:read']

/** An organisation with a key that may change its rules. */
export async function teamOf(): Promise<Team> {
  const { gateway, postgres } = world()
  const { orgId, keyId, apiKey } = await insert(postgres.pool, fakeSettings.keyPepper, { name: 'A team', scopes })
  const send: Team['send'] = (method, path, body) =>
    gateway.call(`/api/v1/routing${path}`, body, { method, headers: { authorization: `Bearer ${apiKey}` } })
  return {
    orgId,
    keyId,
    apiKey,
    send,
    ask: async (method, path, body) => {
      const response = await send(method, path, body)
      const text = await response.text()
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
    },
    policy: async () => {
      await (await gateway.call('/v1/models', undefined, { headers: { authorization: `Bearer ${apiKey}` } })).text()
      const record = gateway.redis.fields(recordKeys.key(await hashKey(fakeSettings.keyPepper, apiKey)))
      return JSON.parse(record.get('p') ?? '')
    },
  }
}

export const full = {
  name: 'Everything',
  strategy: 'smart',
  targets: [
    {
      provider: 'openai',
      model: 'gpt-4o',
      priority: 2,
      weight: 0.5,
      max_cost_per_token_usd: 0.000002,
      max_cost_per_request_usd: 0.1,
      timeout_ms: 15_000,
    },
    { provider: 'anthropic' },
  ],
  fallbacks: { 'gpt-4o': ['claude-sonnet-4-5', 'auto'], '*': [] },
  caps: { simple: { max_cost_usd: 0, max_latency_ms: 2000 }, complex: { min_quality: 8.5 } },
  default_model: 'gpt-4o-mini',
  cache: { mode: 'exact', ttl_seconds: 60, scope: 'user' },
  bandit: { epsilon: 0.05 },
  experiment: {
    id: 'shorter',
    unit: 'user',
    variants: [
      { name: 'a', weight: 1 },
      { name: 'b', weight: 2, model: 'gpt-4o', strategy: 'cost' },
    ],
  },
}
export const plain = { name: 'Plain', strategy: 'cost' }

/** A policy of a team. */
export async function made(team: Team, body: object = plain): Promise<{ id: string; version: number }> {
  const { status, body: policy } = await team.ask('POST', '/policies', body)
  expect(policy).toMatchObject({ object: 'routing_policy' })
  expect(status).toBe(201)
  return policy as { id: string; version: number }
}

/** What the audit log says was done, in order. */
export const auditOf = async ({ orgId }: Team) =>
  (await world().postgres.pool.query('select action from audit_log where org_id = $1 order by id', [orgId])).rows.map(
    ({ action }) => action,
  )

/** A key that replaces the team's. */
export async function successorOf({ orgId, keyId }: Team): Promise<string> {
  const { pool } = world().postgres
  const { keyId: id, orgId: elsewhere } = await insert(pool, fakeSettings.keyPepper, { name: 'Successor' })
  await pool.query(
    'update api_keys set org_id = $2, rotated_from = $3, root_id = (select root_id from api_keys where id = $3), created_at = created_at + 1 where id = $1 and org_id = $4',
    [id, orgId, keyId, elsewhere],
  )
  return id
}
