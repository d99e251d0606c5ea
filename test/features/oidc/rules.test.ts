import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Caller } from '../../../src/core/context.ts'
import { AppError } from '../../../src/core/errors.ts'
import { type Role, reachOf, scopesOfRole } from '../../../src/core/roles.ts'
import { checkProvider } from '../../../src/features/oidc/rules.ts'
import { ProviderBody } from '../../../src/features/oidc/schema.ts'
import { fakeSettings } from '../../support/fake-deps.ts'

const callerOf = (given: Partial<Caller> = {}): Caller => ({
  orgId: 'org_1',
  keyId: 'ses_1',
  kind: 'user',
  userId: 'usr_1',
  role: 'owner',
  scopes: ['*:*', 'user'],
  ip: '192.0.2.1',
  ...given,
})

const body = { name: 'Corp', issuer: 'https://login.corp.net', client_id: 'helix' }

const check = (given: Record<string, unknown>, caller: Partial<Caller> = {}) =>
  checkProvider(
    { caller: callerOf(caller), settings: { ...fakeSettings, outboundTestOrigins: ['http://127.0.0.1:4000'] } },
    ProviderBody.parse({ ...body, ...given }),
  )

/** Status and field of a refusal. */
const refusal = (given: Record<string, unknown>, caller: Partial<Caller> = {}): unknown => {
  try {
    check(given, caller)
    return undefined
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return [error.status, error.param]
  }
}

describe('a provider', () => {
  it('has safe defaults', () => {
    expect(check({})).toEqual({
      ...body,
      audiences: ['helix'],
      jwks_uri: null,
      allowed_algs: ['RS256', 'ES256'],
      claim_map: {},
      required_claims: {},
      role_map: {},
      default_role: 'readonly',
      auto_create: false,
      max_role: 'owner',
    })
  })

  it.each([
    'http://login.corp.net',
    'ftp://login.corp.net',
    'login.corp.net',
    'https://user:secret@login.corp.net',
    'https://login.corp.net:8443',
    'https://login.corp.net?tenant=1',
    'https://login.corp.net#x',
    'https://10.0.0.1',
    'https://[::1]',
    'https://localhost',
    'https://metadata.internal',
    'http://127.0.0.1:4001',
    'https://helix.test/realm',
    ' https://login.corp.net',
  ])('cannot have the issuer %s', (issuer) => {
    expect(refusal({ issuer })).toEqual([422, 'issuer'])
    if (!issuer.includes('?') && !issuer.includes('#') && !issuer.startsWith(' ') && !issuer.includes('helix.test')) {
      expect(refusal({ jwks_uri: issuer })).toEqual([422, 'jwks_uri'])
    }
  })

  it('may have an issuer that the environment names for tests', () => {
    expect(refusal({ issuer: 'http://127.0.0.1:4000' })).toBeUndefined()
  })

  it('is for somebody', () => {
    expect(refusal({ client_id: null })).toEqual([422, 'audiences'])
    expect(check({ client_id: null, audiences: ['a', 'b', 'a'] }).audiences).toEqual(['a', 'b'])
  })

  it.each([
    { allowed_algs: ['none'] },
    { allowed_algs: ['HS256'] },
    { allowed_algs: [] },
    { audiences: [] },
    { audiences: new Array(21).fill('a') },
    { claim_map: { groups: 'x' } },
    { role_map: { x: 'operator' } },
    { role_map: { x: 'root' } },
    { default_role: 'none' },
    { required_claims: { repository: 'a*b' } },
    { required_claims: { repository: 5 } },
    { max_role: 'owner' },
    { org_id: 'org_2' },
    { name: ' ' },
    { issuer: `https://login.corp.net/${'x'.repeat(512)}` },
  ])('cannot be %j', (given) => {
    expect(ProviderBody.safeParse({ ...body, ...given }).success).toBe(false)
  })
})

describe('an issuer that signs for everybody', () => {
  const github = { issuer: 'https://token.actions.githubusercontent.com', client_id: null, audiences: ['helix'] }
  const withRequired = (required_claims: Record<string, string>) =>
    refusal({ ...github, auto_create: true, required_claims })

  it('needs a condition that leaves one owner', () => {
    expect(withRequired({ repository: 'acme/app' })).toBeUndefined()
    expect(withRequired({ repository: 'acme/*' })).toBeUndefined()
    expect(withRequired({ repository_owner: 'acme' })).toBeUndefined()
    expect(withRequired({ sub: 'repo:acme/app:*' })).toBeUndefined()
    expect(withRequired({ sub: 'repo:acme/*', ref: 'refs/heads/main' })).toBeUndefined()
  })

  it('is refused with none, or with one that others can meet', () => {
    for (const required of [
      {},
      { ref: 'refs/heads/main' },
      { repository_visibility: 'private' },
      { repository: '*' },
      { repository_owner: 'acme*' },
      { sub: 'repo:*' },
      { sub: 'repo:acme*' },
      { iss: 'https://token.actions.githubusercontent.com' },
    ]) {
      expect(withRequired(required), JSON.stringify(required)).toEqual([422, 'required_claims'])
    }
    for (const issuer of [
      'https://gitlab.com',
      'https://accounts.google.com',
      'https://login.microsoftonline.com/t/v2.0',
    ]) {
      expect(refusal({ issuer, auto_create: true }), issuer).toEqual([422, 'required_claims'])
    }
  })

  it('needs none while nobody new comes in', () => {
    expect(refusal({ ...github, auto_create: false })).toBeUndefined()
  })
})

describe('a role', () => {
  it('is not given by somebody below it', () => {
    for (const given of [{ default_role: 'owner' }, { role_map: { board: 'owner' } }]) {
      expect(refusal(given, { role: 'admin' })).toEqual([403, undefined])
      expect(refusal(given, { role: 'owner' })).toBeUndefined()
    }
    expect(check({ role_map: { leads: 'admin' } }, { role: 'admin' }).max_role).toBe('admin')
  })

  it('is not given by a key that could do less itself, and a key makes no owner', () => {
    const reach = (scopes: readonly string[], role?: Role) => reachOf({ kind: 'api_key', scopes, role })
    expect(reach(['*:*'], 'owner')).toBe('admin')
    expect(reach(['*:*'])).toBe('admin')
    expect(reach(scopesOfRole.member, 'owner')).toBe('member')
    expect(reach(['*:read'], 'owner')).toBe('readonly')
    expect(reach(['org:write'], 'owner')).toBeUndefined()
    expect(refusal({}, { kind: 'api_key', scopes: ['org:write'], role: 'owner' })).toEqual([403, undefined])
  })
})

describe('the recipes', () => {
  it.each(['ci-workload-tokens', 'sign-in-with-your-issuer'])('of %s show providers that can be stored', (name) => {
    const text = readFileSync(join(import.meta.dirname, '../../../docs/recipes', `${name}.md`), 'utf8')
    const shown = [...text.matchAll(/^\{\n[\s\S]*?^\}$/gm)].map(([json]) => json)
    expect(shown).toHaveLength(2)
    for (const json of shown) expect(refusal({ client_id: undefined, ...JSON.parse(json) }), json).toBeUndefined()
  })
})
