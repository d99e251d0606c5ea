import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTHeaderParameters, SignJWT } from 'jose'
import Provider, { type Configuration } from 'oidc-provider'
import * as z from 'zod'
import { createMemory } from './issuer-memory.ts'

export const CLIENT = { id: 'helix-web', secret: 'secret-of-the-client-of-the-tests' }
/** A client that acts for nobody, as a job of a CI does. */
export const WORKLOAD = { id: 'nightly-job', secret: 'secret-of-the-workload-of-the-tests' }
export const API = 'https://helix.test/api'
const REDIRECT = 'https://app.test/callback'

type Account = Record<string, unknown>
export type Algorithm = 'RS256' | 'ES256'

/** A real OpenID provider on loopback, with accounts and keys that a test changes. */
export type Issuer = {
  url: string
  /** Claims by account, beside `sub`. */
  accounts: Map<string, Account>
  /** Claims of every token that a workload gets. */
  workload: Account
  /** Signs somebody in by the authorisation code flow and gives the ID token. */
  idToken(account: string, signedWith?: Algorithm): Promise<string>
  /** An access token in JWT form (RFC 9068) by the client credentials flow. */
  accessToken(): Promise<string>
  /** Signs what the provider itself never would. */
  sign(claims: Record<string, unknown>, header?: Partial<JWTHeaderParameters>): Promise<string>
  /** The keys that are published, their private halves included. */
  keys(): readonly JWK[]
  /** From now on there are new keys; the old ones are no longer published. */
  rotate(): Promise<void>
  /** While true, connections break. */
  away(isAway: boolean): void
  /** How often the published keys were asked for. */
  fetches(): number
  close(): Promise<void>
}

type Running = { handle: (request: IncomingMessage, response: ServerResponse) => unknown; keys: readonly JWK[] }

export async function startIssuer(): Promise<Issuer> {
  let running: Running | undefined
  let isAway = false
  let fetches = 0
  const server = createServer((request, response) => {
    if (request.url === '/jwks') fetches += 1
    if (isAway || !running) return void request.socket.destroy()
    running.handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const accounts = new Map<string, Account>()
  const workload: Account = {}
  const start = async (): Promise<void> => {
    const keys = await newKeys()
    running = { keys, handle: handlerOf(url, { keys, accounts, workload }) }
  }
  await start()
  const keys = () => running?.keys ?? []
  return {
    url,
    accounts,
    workload,
    idToken: (account, signedWith = 'RS256') => signIn(url, account, signedWith),
    accessToken: () => clientCredentials(url),
    sign: (claims, header) => sign(url, keys(), { claims, header }),
    keys,
    rotate: start,
    away: (wanted) => {
      isAway = wanted
    },
    fetches: () => fetches,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

async function newKeys(): Promise<JWK[]> {
  return Promise.all(
    (['RS256', 'ES256'] as const).map(async (alg) => {
      const { privateKey } = await generateKeyPair(alg, { extractable: true })
      return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: crypto.randomUUID() }
    }),
  )
}

type World = { keys: readonly JWK[]; accounts: ReadonlyMap<string, Account>; workload: Account }

function configurationOf({ keys, accounts, workload }: World): Configuration {
  const web = (alg: Algorithm) => ({
    client_id: `${CLIENT.id}-${alg}`,
    client_secret: CLIENT.secret,
    redirect_uris: [REDIRECT],
    id_token_signed_response_alg: alg,
  })
  return {
    adapter: createMemory(),
    jwks: { keys: keys.map((key) => ({ ...key })) },
    clients: [
      web('RS256'),
      web('ES256'),
      {
        client_id: WORKLOAD.id,
        client_secret: WORKLOAD.secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    cookies: { keys: ['a key of the cookies of the tests'] },
    pkce: { required: () => false },
    claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts.get(id) }) }),
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({
        ...(oidc.client && { clientId: oidc.client.clientId }),
        ...(oidc.session?.accountId !== undefined && { accountId: oidc.session.accountId }),
      })
      grant.addOIDCScope('openid email profile')
      await grant.save()
      return grant
    },
    extraTokenClaims: () => workload,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'call',
          audience: API,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    ttl: { AccessToken: 600, Interaction: 60, Session: 60, Grant: 60, IdToken: 600, ClientCredentials: 600 },
  }
}

function handlerOf(url: string, world: World): Running['handle'] {
  const provider = new Provider(url, configurationOf(world))
  const handle = provider.callback()
  return async (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return handle(request, response)
    const { params } = await provider.interactionDetails(request, response)
    await provider.interactionFinished(request, response, { login: { accountId: String(params.login_hint) } })
  }
}

/** A browser without a screen: follows redirects, keeps cookies, and stops where the client is to take over. */
async function signIn(issuer: string, account: string, signedWith: Algorithm): Promise<string> {
  const clientId = `${CLIENT.id}-${signedWith}`
  const cookies = new Map<string, string>()
  const query = new URLSearchParams({
    client_id: clientId,
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: 'openid email profile',
    login_hint: account,
  })
  let next = `${issuer}/auth?${query}`
  while (!next.startsWith(REDIRECT)) {
    const response = await fetch(next, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const split = pair.indexOf('=')
      cookies.set(pair.slice(0, split), pair.slice(split + 1))
    }
    const location = response.headers.get('location')
    if (location === null) throw new Error(`The provider answered ${response.status}: ${await response.text()}`)
    next = new URL(location, next).href
  }
  const code = new URL(next).searchParams.get('code') ?? ''
  const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT }
  return z.object({ id_token: z.string() }).parse(await token(issuer, { id: clientId, secret: CLIENT.secret }, form))
    .id_token
}

async function clientCredentials(issuer: string): Promise<string> {
  const answer = await token(issuer, WORKLOAD, { grant_type: 'client_credentials', resource: API, scope: 'call' })
  return z.object({ access_token: z.string() }).parse(answer).access_token
}

async function token(
  issuer: string,
  { id, secret }: { id: string; secret: string },
  form: Record<string, string>,
): Promise<unknown> {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
    body: new URLSearchParams(form),
  })
  if (!response.ok) throw new Error(`The provider answered ${response.status}: ${await response.text()}`)
  return response.json()
}

type Signing = { claims: Record<string, unknown>; header: Partial<JWTHeaderParameters> | undefined }

async function sign(issuer: string, keys: readonly JWK[], { claims, header = {} }: Signing): Promise<string> {
  const { alg = 'RS256' } = header
  const key = keys.find((one) => one.alg === alg)
  if (!key) throw new Error(`This provider has no key for ${alg}.`)
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({
    iss: issuer,
    aud: `${CLIENT.id}-RS256`,
    sub: 'alice',
    iat: now,
    exp: now + 600,
    ...claims,
  })
    .setProtectedHeader({ alg, ...(key.kid !== undefined && { kid: key.kid }), ...header })
    .sign(await importJWK(key, alg))
}
