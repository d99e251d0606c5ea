/**
 * `npm run seed` prints a token that makes the first operator, once and for fifteen minutes, while there is none.
 *
 * `npm run seed -- --name "My team"`, or with any other option, creates an organisation and an API key instead, and
 * prints the key once.
 *
 *   --name <text>          name of the organisation (default: My team)
 *   --budget-usd <number>  a hard budget for the organisation, in total
 *   --rpm <number>         requests a minute that the key may make (default: unlimited)
 *   --tpm <number>         tokens a minute that the key may use (default: unlimited)
 *   --mode live|test       a test key reaches the team's own nodes only (default: live)
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Pool } from '@neondatabase/serverless'
import { newId } from '../src/core/ids.ts'
import { nanoFromUsd } from '../src/core/money.ts'
import { createKey, parseKey } from '../src/features/keys/format.ts'
import { hashKey } from '../src/features/keys/service.ts'
import { requireVariable, withDatabase } from './database.ts'
import { bootstrapCurlOf, newBootstrapToken } from './first-operator.ts'

export type SeedOptions = {
  name: string
  mode?: 'live' | 'test' | undefined
  scopes?: readonly string[] | undefined
  allowedModels?: readonly string[] | undefined
  /** Unix seconds. */
  expiresAt?: number | undefined
  budgetUsd?: number | undefined
  requestsPerMinute?: number | undefined
  burst?: number | undefined
  tokensPerMinute?: number | undefined
}

export type Seeded = { orgId: string; keyId: string; apiKey: string; budgetId: string | undefined }

type Where = { systemUrl: string; proxyUrl: string | undefined; pepper: string }

/** Everything that a key of a working team may do. */
export const defaultScopes = ['chat:write', 'models:read', 'semantic:write', 'monitoring:read'] as const

export async function seed({ systemUrl, proxyUrl, pepper }: Where, options: SeedOptions): Promise<Seeded> {
  return withDatabase({ url: systemUrl, proxyUrl }, (pool) => insert(pool, pepper, options))
}

/** The same over a connection that is already open, for tests that make many organisations. */
export async function insert(pool: Pick<Pool, 'query'>, pepper: string, options: SeedOptions): Promise<Seeded> {
  const nowMs = Date.now()
  const now = Math.floor(nowMs / 1000)
  const orgId = newId('org', nowMs)
  const keyId = newId('key', nowMs)
  const mode = options.mode ?? 'live'
  const apiKey = createKey(mode)
  await pool.query(
    'insert into orgs (id, name, slug, status, created_at, updated_at) values ($1, $2, $3, $4, $5, $5)',
    [orgId, options.name, orgId.replace('_', '-'), 'active', now],
  )
  await pool.query(
    `insert into api_keys (id, org_id, name, mode, public_id, secret_hash, last4, scopes, allowed_models, expires_at, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)`,
    [
      keyId,
      orgId,
      'First key',
      mode,
      parseKey(apiKey)?.publicId,
      await hashKey(pepper, apiKey),
      apiKey.slice(-4),
      options.scopes ?? defaultScopes,
      options.allowedModels ?? null,
      options.expiresAt ?? null,
      now,
    ],
  )
  await insertLimits(pool, { orgId, keyId, now }, options)
  const budgetId = await insertBudget(pool, { orgId, now }, options.budgetUsd)
  return { orgId, keyId, apiKey, budgetId }
}

async function insertLimits(
  pool: Pick<Pool, 'query'>,
  { orgId, keyId, now }: { orgId: string; keyId: string; now: number },
  { requestsPerMinute, burst, tokensPerMinute }: SeedOptions,
): Promise<void> {
  const limits = [
    ...(requestsPerMinute ? [['requests', 'token_bucket', requestsPerMinute, burst ?? null]] : []),
    ...(tokensPerMinute ? [['tokens', 'sliding_window', tokensPerMinute, null]] : []),
  ]
  for (const limit of limits) {
    await pool.query(
      `insert into limits (id, org_id, subject_kind, subject_id, metric, algorithm, window_seconds, amount, burst, created_at, updated_at)
       values ($1, $2, 'key', $3, $5, $6, 60, $7, $8, $4, $4)`,
      [newId('lim', Date.now()), orgId, keyId, now, ...limit],
    )
  }
}

async function insertBudget(
  pool: Pick<Pool, 'query'>,
  { orgId, now }: { orgId: string; now: number },
  budgetUsd: number | undefined,
): Promise<string | undefined> {
  if (budgetUsd === undefined) return undefined
  const id = newId('bud', Date.now())
  await pool.query(
    `insert into budgets (id, org_id, subject_kind, subject_id, "window", limit_nanos, hard, created_at, updated_at)
     values ($1, $2, 'org', $2, 'total', $3, true, $4, $4)`,
    [id, orgId, nanoFromUsd(budgetUsd), now],
  )
  return id
}

async function printBootstrapToken(): Promise<void> {
  const where = { url: requireVariable('DATABASE_SYSTEM_URL'), proxyUrl: process.env.NEON_PROXY_URL || undefined }
  const token = await withDatabase(where, newBootstrapToken)
  if (token === undefined) {
    console.log('There is an operator already: nothing to do. With --name this makes an organisation and a key.')
    return
  }
  const origin = (process.env.JWT_ISSUER || 'https://<your gateway>').replace(/\/+$/, '')
  console.log(`Bootstrap token  ${token}   (shown once, good for 15 minutes and one use)`)
  console.log(`\nMake the first operator with a password of your choice:\n\n${bootstrapCurlOf(origin, token)}`)
}

async function printKey(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      name: { type: 'string', default: 'My team' },
      'budget-usd': { type: 'string' },
      rpm: { type: 'string' },
      tpm: { type: 'string' },
      mode: { type: 'string', default: 'live' },
    },
  })
  const number = (text: string | undefined, option: string): number | undefined => {
    if (text === undefined) return undefined
    if (Number(text) > 0) return Number(text)
    console.error(`--${option} must be a number above 0`)
    process.exit(1)
  }
  if (values.mode !== 'live' && values.mode !== 'test') {
    console.error('--mode must be live or test')
    process.exit(1)
  }
  const seeded = await seed(
    {
      systemUrl: requireVariable('DATABASE_SYSTEM_URL'),
      proxyUrl: process.env.NEON_PROXY_URL || undefined,
      pepper: requireVariable('KEY_PEPPER'),
    },
    {
      name: values.name,
      mode: values.mode,
      budgetUsd: number(values['budget-usd'], 'budget-usd'),
      requestsPerMinute: number(values.rpm, 'rpm'),
      tokensPerMinute: number(values.tpm, 'tpm'),
    },
  )
  console.log(`Organisation  ${seeded.orgId}`)
  console.log(`API key       ${seeded.apiKey}   (shown once)`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  await (args.length === 0 ? printBootstrapToken() : printKey(args))
}
