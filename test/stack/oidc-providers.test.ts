import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, startIssuer } from '../features/oidc/issuer.ts'
import { actionsOf, keyOf, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { bodyFor, providers, trusting } from './oidc-kit.ts'

let stack: Stack
let issuer: Issuer

beforeAll(async () => {
  issuer = await startIssuer()
  stack = await startStack({ vars: { OUTBOUND_TEST_ORIGINS: issuer.url } })
})
afterAll(() => Promise.all([stack?.close(), issuer?.close()]))

describe('providers', () => {
  it('are made, listed, shown, replaced and deleted, each with a line in the audit log', async () => {
    const { owner, orgId, id } = await trusting(stack, issuer, {
      role_map: { staff: 'member' },
      claim_map: { role: 'groups' },
    })
    const { accessToken } = owner
    const shown = await providers(stack, accessToken, { path: `/${id}` })
    expect(shown).toEqual({
      status: 200,
      body: {
        ...bodyFor(issuer),
        id,
        audiences: ['helix-web-RS256'],
        jwks_uri: null,
        allowed_algs: ['RS256', 'ES256'],
        claim_map: { role: 'groups' },
        required_claims: {},
        role_map: { staff: 'member' },
        default_role: 'readonly',
        max_role: 'owner',
        created_at: expect.any(Number),
        updated_at: expect.any(Number),
      },
    })
    expect(await providers(stack, accessToken)).toMatchObject({ body: { data: [shown.body], has_more: false } })
    const put = { method: 'PUT', path: `/${id}`, body: bodyFor(issuer, { name: 'New', default_role: 'member' }) }
    expect(await providers(stack, accessToken, put)).toMatchObject({
      status: 200,
      body: { name: 'New', default_role: 'member', role_map: {}, claim_map: {} },
    })
    expect(await providers(stack, accessToken, { method: 'DELETE', path: `/${id}` })).toMatchObject({ status: 204 })
    for (const call of [
      { path: `/${id}` },
      put,
      { method: 'DELETE', path: `/${id}` },
      { method: 'POST', path: `/${id}/test` },
    ]) {
      expect(await providers(stack, accessToken, call)).toMatchObject({ status: 404 })
    }
    expect(await actionsOf(stack, orgId)).toEqual([
      'session.open',
      'oidc_provider.create',
      'oidc_provider.update',
      'oidc_provider.delete',
    ])
  })

  it('are those of admins and of nobody else, and of one organisation', async () => {
    const { orgId, id } = await trusting(stack, issuer)
    const [admin, member, reader, stranger] = await Promise.all([
      person(stack, { orgId, role: 'admin' }),
      person(stack, { orgId, role: 'member' }),
      person(stack, { orgId, role: 'readonly' }),
      person(stack),
    ])
    for (const { accessToken } of [member, reader]) {
      expect(await providers(stack, accessToken)).toMatchObject({ status: 403 })
      expect(await providers(stack, accessToken, { method: 'POST', body: bodyFor(issuer) })).toMatchObject({
        status: 403,
      })
    }
    expect(await providers(stack, stranger.accessToken)).toMatchObject({ body: { data: [] } })
    for (const call of [
      { path: `/${id}` },
      { method: 'PUT', path: `/${id}`, body: bodyFor(issuer) },
      { method: 'DELETE', path: `/${id}` },
      { method: 'POST', path: `/${id}/test` },
    ]) {
      expect(await providers(stack, stranger.accessToken, call)).toMatchObject({ status: 404 })
    }
    const owning = {
      method: 'POST',
      body: bodyFor(issuer, { claim_map: { role: 'groups' }, role_map: { board: 'owner' } }),
    }
    expect(await providers(stack, admin.accessToken, owning)).toMatchObject({ status: 403 })
    const { apiKey } = await keyOf(stack, { orgId, scopes: ['org:write'] })
    expect(await providers(stack, apiKey, { method: 'POST', body: bodyFor(issuer) })).toMatchObject({ status: 403 })
    const put = { method: 'PUT', path: `/${id}`, body: bodyFor(issuer) }
    expect(await providers(stack, admin.accessToken, put)).toMatchObject({ status: 200, body: { max_role: 'admin' } })
  })

  it('are ten at most, also when they come at the same time', async () => {
    const { owner } = await trusting(stack, issuer)
    const create = () => providers(stack, owner.accessToken, { method: 'POST', body: bodyFor(issuer) })
    const answers = await Promise.all(Array.from({ length: 12 }, create))
    expect(answers.map(({ status }) => status).sort()).toEqual([...new Array(9).fill(201), 409, 409, 409])
    expect(await providers(stack, owner.accessToken, { path: '?limit=100' })).toMatchObject({
      body: { data: { length: 10 } },
    })
  })

  it('can be tried out, and a failure is told without an address', async () => {
    const { owner, id } = await trusting(stack, issuer)
    const test = () => providers(stack, owner.accessToken, { method: 'POST', path: `/${id}/test` })
    expect(await test()).toEqual({
      status: 200,
      body: {
        ok: true,
        detail: 'The keys of the issuer can be used.',
        jwks_uri: `${issuer.url}/jwks`,
        key_count: 2,
        usable_key_count: 2,
        algorithms: ['RS256', 'ES256'],
      },
    })
    issuer.away(true)
    const broken = await test()
    issuer.away(false)
    expect(broken).toMatchObject({
      status: 200,
      body: { ok: false, detail: 'No connection could be made.', key_count: null },
    })
    for (const inside of ['http://127.0.0.1:9/jwks', 'https://10.0.0.1/jwks', 'https://localhost/jwks']) {
      await stack.query('update oidc_providers set jwks_uri = $1 where id = $2', [inside, id])
      const { body } = await test()
      expect(body).toMatchObject({ ok: false })
      expect(JSON.stringify(body)).not.toMatch(/127\.0|10\.0|localhost/)
    }
  })
})
