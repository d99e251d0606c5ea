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
 *
 * Both work in the database of DATABASE_SYSTEM_URL, and without that variable in the `npm run dev` that is running.
 *
 *   --data <folder>        the state folder of that `npm run dev` (default: .data)
 */
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Pool } from '@neondatabase/serverless'
import { secondsOf } from '../src/core/clock.ts'
import { newId } from '../src/core/ids.ts'
import { nanoFromUsd } from '../src/core/money.ts'
import { createKey, parseKey } from '../src/features/keys/format.ts'
import { hashKey } from '../src/features/keys/service.ts'
import { requireVariable, withDatabase } from './database.ts'
import { seedVariables } from './dev/seed-access.ts'
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
export const defaultScopes = [
  'chat:write',
  'models:read',
  'semantic:write',
  'vision:write',
  'audio:write',
  'monitoring:read',
] as const

export async function seed({ systemUrl, proxyUrl, pepper }: Where, options: SeedOptions): Promise<Seeded> {
  return withDatabase({ url: systemUrl, proxyUrl }, (pool) => insert(pool, pepper, options))
}

/** The same over a connection that is already open, for tests that make many organisations. */
export async function insert(pool: Pick<Pool, 'query'>, pepper: string, options: SeedOptions): Promise<Seeded> {
  const nowMs = Date.now()
  const now = secondsOf(nowMs)
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

const numbers = { 'budget-usd': { type: 'string' }, rpm: { type: 'string' }, tpm: { type: 'string' } } as const
const text = { name: { type: 'string' }, mode: { type: 'string' }, data: { type: 'string' } } as const
const parse = (args: readonly string[]) => parseArgs({ args: [...args], options: { ...numbers, ...text } }).values
type Given = ReturnType<typeof parse>

/** The database to work in, with the pepper of its keys. */
type Target = Omit<Where, 'pepper'> & { pepper: string | undefined; origin: string }

/** What the environment names, otherwise the local stack that runs. Ends the process with one sentence. */
async function findTarget(dataFolder: string | undefined): Promise<Target> {
  if (dataFolder === undefined && process.env.DATABASE_SYSTEM_URL) return targetOf(process.env)
  const folder = resolve(dataFolder ?? join(import.meta.dirname, '../.data'))
  const local = await seedVariables(folder)
  if (local.DATABASE_SYSTEM_URL === undefined) {
    return fail(`DATABASE_SYSTEM_URL is not set (see docs/deploy.md), and no npm run dev has its state in ${folder}.`)
  }
  console.log(`In the local stack of ${folder}:\n`)
  return targetOf(local)
}

const targetOf = (variables: Readonly<Record<string, string | undefined>>): Target => ({
  systemUrl: variables.DATABASE_SYSTEM_URL ?? '',
  proxyUrl: variables.NEON_PROXY_URL || undefined,
  pepper: variables.KEY_PEPPER || undefined,
  origin: (variables.JWT_ISSUER || 'https://<your gateway>').replace(/\/+$/, ''),
})

function fail(sentence: string): never {
  console.error(sentence)
  process.exit(1)
}

async function printBootstrapToken({ systemUrl, proxyUrl, origin }: Target): Promise<void> {
  const token = await withDatabase({ url: systemUrl, proxyUrl }, newBootstrapToken)
  if (token === undefined) {
    console.log('There is an operator already: nothing to do. With --name this makes an organisation and a key.')
    return
  }
  console.log(`Bootstrap token  ${token}   (shown once, good for 15 minutes and one use)`)
  console.log(`\nMake the first operator with a password of your choice:\n\n${bootstrapCurlOf(origin, token)}`)
}

async function printKey({ systemUrl, proxyUrl, pepper }: Target, given: Given): Promise<void> {
  const number = (option: keyof typeof numbers): number | undefined => {
    const said = given[option]
    if (said === undefined) return undefined
    return Number(said) > 0 ? Number(said) : fail(`--${option} must be a number above 0`)
  }
  const { name = 'My team', mode = 'live' } = given
  if (mode !== 'live' && mode !== 'test') return fail('--mode must be live or test')
  const seeded = await seed(
    { systemUrl, proxyUrl, pepper: pepper ?? requireVariable('KEY_PEPPER') },
    {
      name,
      mode,
      budgetUsd: number('budget-usd'),
      requestsPerMinute: number('rpm'),
      tokensPerMinute: number('tpm'),
    },
  )
  console.log(`Organisation  ${seeded.orgId}`)
  console.log(`API key       ${seeded.apiKey}   (shown once)`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { data, ...given } = parse(process.argv.slice(2))
  const target = await findTarget(data)
  await (Object.keys(given).length === 0 ? printBootstrapToken(target) : printKey(target, given))
}
