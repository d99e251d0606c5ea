import * as z from 'zod'
import type { Deps } from '../../src/core/context.ts'
import { newId } from '../../src/core/ids.ts'
import type { Role } from '../../src/core/roles.ts'
import { createDeps } from '../../src/deps.ts'
import { parseEnv } from '../../src/env.ts'
import { createKey, parseKey } from '../../src/features/keys/format.ts'
import { hashKey } from '../../src/features/keys/service.ts'
import { openSession } from '../../src/features/sessions/service.ts'
import { foldName } from '../../src/features/users/service.ts'
import type { Stack } from './stack.ts'

export type PersonOptions = {
  /** Default: an organisation of their own. */
  orgId?: string
  role?: Role
  audience?: 'helix' | 'helix-admin'
  isOperator?: boolean
  /** Text in every field of theirs that holds any. Default: the id. */
  mark?: string
}

export type Person = {
  userId: string
  orgId: string
  username: string
  email: string
  sessionId: string
  accessToken: string
  refreshToken: string
}

const Claims = z.object({ sid: z.string() })

const depsOf = new WeakMap<Stack, Deps>()

/** What the gateway itself can use, in this process and over the same stores; no money. */
export function depsOver(stack: Stack): Deps {
  const getByName = () => {
    throw new Error('there is no ledger here')
  }
  const deps = depsOf.get(stack) ?? createDeps(parseEnv(stack.vars), { LEDGER: { getByName } })
  depsOf.set(stack, deps)
  return deps
}

/** A person with a membership, without a password, signed in: no hash and no limit of signing in stands in between. */
export async function person(stack: Stack, options: PersonOptions = {}): Promise<Person> {
  const { role = 'owner', audience = 'helix', isOperator = false } = options
  const orgId = options.orgId ?? (await stack.org()).orgId
  const userId = newId('usr', Date.now())
  const mark = options.mark ?? userId
  const [username, email, now] = [mark, `${mark}@example.com`, Math.floor(Date.now() / 1000)]
  await stack.query(
    `insert into users (
       id, username, username_key, email, email_key, display_name, is_operator, email_verified_at, created_at, updated_at
     ) values ($1, $2, $3, $4, $5, $2, $6, $7, $7, $7)`,
    [userId, username, foldName(username), email, foldName(email), isOperator, now],
  )
  await stack.query(
    'insert into memberships (org_id, user_id, role, created_at, updated_at) values ($1, $2, $3, $4, $4)',
    [orgId, userId, role, now],
  )
  const deps = depsOver(stack)
  const opened = await openSession(
    {
      ...deps,
      requestId: deps.newId('req'),
      signal: AbortSignal.timeout(60_000),
      startedMs: deps.now(),
      defer: () => {},
    },
    { userId, orgId, role, audience, method: 'password', ip: '192.0.2.1', userAgent: 'a test' },
  )
  const { sid } = Claims.parse(claimsOf(opened.access_token))
  return {
    userId,
    orgId,
    username,
    email,
    sessionId: sid,
    accessToken: opened.access_token,
    refreshToken: opened.refresh_token,
  }
}

/** What a token says, unverified. */
export function claimsOf(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

/** A key of an organisation, made by a person or by nobody. */
export async function keyOf(
  stack: Stack,
  { orgId, userId = null, scopes = ['*:*'] }: { orgId: string; userId?: string | null; scopes?: readonly string[] },
): Promise<{ keyId: string; apiKey: string }> {
  const keyId = newId('key', Date.now())
  const apiKey = createKey('live')
  const now = Math.floor(Date.now() / 1000)
  await stack.query(
    `insert into api_keys (
       id, org_id, user_id, name, mode, public_id, secret_hash, last4, scopes, created_at, updated_at
     ) values ($1, $2, $3, 'A key', 'live', $4, $5, $6, $7, $8, $8)`,
    [
      keyId,
      orgId,
      userId,
      parseKey(apiKey)?.publicId,
      await hashKey(depsOver(stack).settings.keyPepper, apiKey),
      apiKey.slice(-4),
      scopes,
      now,
    ],
  )
  return { keyId, apiKey }
}

/** What an organisation's audit log says was done, in order. */
export const actionsOf = async (stack: Pick<Stack, 'query'>, orgId: string): Promise<unknown[]> =>
  (await stack.query('select action from audit_log where org_id = $1 order by created_at, id', [orgId])).map(
    ({ action }) => action,
  )
