import * as z from 'zod'
import { CLIENT, type Issuer } from '../features/oidc/issuer.ts'
import { claimsOf, type Person, person } from '../support/people.ts'
import type { Stack } from '../support/stack.ts'
import { newAddress } from './auth-kit.ts'

const Pair = z.object({ access_token: z.string(), token_type: z.literal('bearer'), refresh_token: z.string() })
const Claims = z.object({ sub: z.string(), org: z.string(), sid: z.string(), role: z.string(), aud: z.string() })

/** What came of an exchange. */
export type Exchanged = { status: number; body: unknown; pair: z.infer<typeof Pair> | undefined }

export async function exchange(stack: Stack, token: string, orgId?: string): Promise<Exchanged> {
  const response = await fetch(`${stack.url}/api/v1/auth/exchange`, {
    method: 'POST',
    headers: { 'cf-connecting-ip': newAddress(), 'user-agent': 'a test' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: token,
      ...(orgId !== undefined && { org_id: orgId }),
    }),
  })
  const body: unknown = await response.json()
  return { status: response.status, body, pair: Pair.safeParse(body).data }
}

/** The same where it has to work: who the session is of, and as what. */
export async function exchanged(stack: Stack, token: string, orgId?: string) {
  const { status, body, pair } = await exchange(stack, token, orgId)
  if (!pair) throw new Error(`The exchange was answered with ${status}: ${JSON.stringify(body)}`)
  return {
    ...Claims.parse(claimsOf(pair.access_token)),
    accessToken: pair.access_token,
    refreshToken: pair.refresh_token,
  }
}

export type ProviderChange = Record<string, unknown>

/** A call of the providers' routes. */
export async function providers(
  stack: Stack,
  token: string,
  { method = 'GET', path = '', body }: { method?: string; path?: string; body?: unknown } = {},
) {
  const response = await fetch(`${stack.url}/api/v1/oidc-providers${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const parsed: unknown = text === '' ? undefined : JSON.parse(text)
  return { status: response.status, body: parsed }
}

/** A provider for the ID tokens of an issuer's client, that takes in whoever comes. */
export const bodyFor = (issuer: Pick<Issuer, 'url'>, change: ProviderChange = {}) => ({
  name: 'The company',
  issuer: issuer.url,
  client_id: `${CLIENT.id}-RS256`,
  auto_create: true,
  ...change,
})

/** A fresh organisation that trusts an issuer. */
export async function trusting(
  stack: Stack,
  issuer: Pick<Issuer, 'url'>,
  change: ProviderChange = {},
): Promise<{ owner: Person; orgId: string; id: string }> {
  const owner = await person(stack)
  const made = await providers(stack, owner.accessToken, { method: 'POST', body: bodyFor(issuer, change) })
  if (made.status !== 201) throw new Error(`No provider was made: ${JSON.stringify(made.body)}`)
  return { owner, orgId: owner.orgId, id: z.object({ id: z.string() }).parse(made.body).id }
}

/** Everybody but the owner. */
export const membersOf = (stack: Stack, orgId: string) =>
  stack.query(
    `select u.username, u.email, u.email_verified_at is not null as verified, u.password_hash, m.role
     from memberships m join users u on u.id = m.user_id where m.org_id = $1 and m.role <> 'owner'`,
    [orgId],
  )

export const me = (stack: Stack, token: string): Promise<Response> =>
  fetch(`${stack.url}/api/v1/auth/me`, { headers: { authorization: `Bearer ${token}` } })
