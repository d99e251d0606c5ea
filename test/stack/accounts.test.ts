import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import type { Ctx } from '../../src/core/context.ts'
import { patchProvider } from '../../src/features/accounts/changes.ts'
import { addCredential } from '../../src/features/accounts/credentials.ts'
import { fakeAdmission } from '../support/fake-deps.ts'
import { actionsOf, depsOver, person } from '../support/people.ts'
import {
  type AccountStack,
  addCredential as addKey,
  addProvider,
  goodKey,
  ledgerRowOf,
  startAccountStack,
  team,
} from './accounts-kit.ts'
import { callApi, rowsOf } from './members-kit.ts'

let world: AccountStack
beforeAll(async () => {
  world = await startAccountStack()
})
afterAll(() => world?.close())

/** What an owner's request uses, where something happens right after the first that it reads. */
function afterFirstRead(orgId: string, happens: () => Promise<unknown>): Ctx {
  const deps = depsOver(world.stack)
  let reads = 0
  const atomically: Ctx['db']['atomically'] = async (org, build) => {
    const found = await deps.db.atomically(org, build)
    reads += 1
    if (reads === 1) await happens()
    return found
  }
  const admission = fakeAdmission({ orgId })
  return {
    ...deps,
    db: { ...deps.db, atomically },
    admission,
    caller: { ...admission.policy, ip: '192.0.2.1' },
    requestId: deps.newId('req'),
    signal: AbortSignal.timeout(60_000),
    startedMs: deps.now(),
    defer: () => undefined,
  }
}

const Provider = z.looseObject({ id: z.string(), credentials: z.array(z.looseObject({ id: z.string() })) })

describe('a provider of an organisation', () => {
  it('is made, listed, shown, replaced, changed and deleted, and no answer holds a key', async () => {
    const us = await team(world.stack)
    const key = goodKey('of-the-first-test')
    const id = await addProvider(us, world.mine, { keys: [key], models: [{ name: 'a-model', input_usd: 1 }] })
    const shown = await us.api(`GET /providers/${id}`)
    expect(shown).toMatchObject({
      status: 200,
      body: {
        id,
        object: 'provider',
        name: 'own',
        kind: 'openai_compatible',
        base_url: world.mine.url,
        vendor: null,
        models: [{ name: 'a-model', kind: 'chat', input_usd: 1 }],
        enabled: true,
        priority: 50,
        timeout_ms: 60_000,
        max_retries: 2,
        credentials: [{ label: 'key 0', last4: '6789', is_active: true, cooldown_until: null }],
      },
    })
    expect(Object.keys(Provider.parse(shown.body).credentials[0] ?? {}).sort()).toEqual(
      ['id', 'label', 'last4', 'is_active', 'cooldown_until'].sort(),
    )
    expect(rowsOf(await us.api('GET /providers'))).toEqual([shown.body])
    const patched = await us.api(`PATCH /providers/${id}`, { priority: 7, region: 'eu' })
    expect(patched).toMatchObject({
      status: 200,
      body: { priority: 7, region: 'eu', models: [{ name: 'a-model' }], credentials: [{ label: 'key 0' }] },
    })
    const body = { name: 'renamed', kind: 'openai_compatible', base_url: world.mine.url }
    const put = await us.api(`PUT /providers/${id}`, body)
    expect(put).toMatchObject({ status: 200, body: { name: 'renamed', priority: 50, region: null, models: [] } })
    expect(await us.api(`DELETE /providers/${id}`)).toMatchObject({ status: 204 })
    expect(await us.api(`GET /providers/${id}`)).toMatchObject({ status: 404 })
    expect(await actionsOf(world.stack, us.orgId)).toEqual([
      'provider.create',
      'provider.credential_add',
      'provider.update',
      'provider.update',
      'provider.delete',
    ])
    expect(JSON.stringify([shown, patched, put])).not.toContain(key)
    const audit = await world.stack.query('select details from audit_log where org_id = $1', [us.orgId])
    expect(JSON.stringify(audit)).not.toContain(key)
    expect(await world.stack.query('select 1 from provider_credentials where provider_id = $1', [id])).toEqual([])
  })

  it('loses its credentials when it moves to another host, and keeps them when it does not', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.mine, { keys: [goodKey('stays')] })
    const near = await us.api(`PATCH /providers/${id}`, { base_url: `${world.mine.url}/` })
    expect(Provider.parse(near.body).credentials).toHaveLength(1)
    const away = await us.api(`PATCH /providers/${id}`, { base_url: world.theirs.url })
    expect(Provider.parse(away.body).credentials).toEqual([])
    expect(await world.stack.query('select 1 from provider_credentials where provider_id = $1', [id])).toEqual([])
  })

  it('loses them on another path of its host, too, which may be somebody else’s', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.mine, { keys: [goodKey('shared-host')] })
    const away = await us.api(`PATCH /providers/${id}`, { base_url: `${world.mine.url}/another-tenant` })
    expect(Provider.parse(away.body).credentials).toEqual([])
  })

  it('stays where it was moved, and gets no key that was meant for where it was', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.theirs)
    const moveTo = (base_url: string) => us.api(`PATCH /providers/${id}`, { base_url })
    const conflict = { status: 409, message: expect.stringContaining('moved') }
    const patched = patchProvider(
      afterFirstRead(us.orgId, () => moveTo(world.mine.url)),
      id,
      { weight: 2 },
    )
    await expect(patched).rejects.toMatchObject(conflict)
    const key = { label: 'a key', key: goodKey('meant-for-mine') }
    const added = addCredential(
      afterFirstRead(us.orgId, () => moveTo(world.theirs.url)),
      id,
      key,
    )
    await expect(added).rejects.toMatchObject(conflict)
    const { body } = await us.api(`GET /providers/${id}`)
    expect(body).toMatchObject({ base_url: world.theirs.url, weight: 1, credentials: [] })
  })

  it('says no more than every policy can carry, together with all others', async () => {
    const us = await team(world.stack)
    const models = (from: string) =>
      Array.from({ length: 100 }, (_, at) => ({
        name: `${from}-${at}-${'x'.repeat(150)}`,
        input_usd: 1,
        output_usd: 2,
      }))
    const id = await addProvider(us, world.mine, { models: models('first') })
    const second = { name: 'second', kind: 'openai_compatible', base_url: world.mine.url, models: models('second') }
    const refused = { status: 422, body: { errors: [{ pointer: '/models' }] } }
    expect(await us.api('POST /providers', second)).toMatchObject(refused)
    const brief = await addProvider(us, world.mine, { name: 'brief' })
    expect(await us.api(`PATCH /providers/${brief}`, { models: second.models })).toMatchObject(refused)
    expect(await us.api(`PATCH /providers/${id}`, { models: [] })).toMatchObject({ status: 200 })
    expect(await us.api(`PATCH /providers/${brief}`, { models: second.models })).toMatchObject({ status: 200 })
  })

  it.each([
    ['http://models.example.com/v1', 'openai_compatible'],
    ['https://127.0.0.1/v1', 'openai_compatible'],
    ['https://[::1]/v1', 'anthropic'],
    ['https://10.0.0.7', 'gemini'],
    ['http://192.168.0.7:11434', 'ollama'],
    ['https://gpu.internal', 'ollama'],
    ['https://localhost/v1', 'openai_compatible'],
    ['https://models.example.com:8443/v1', 'openai_compatible'],
    ['https://user:word@models.example.com/v1', 'openai_compatible'],
    ['https://models.example.com/v1?key=1', 'openai_compatible'],
    ['https://models.example.com/v1?', 'openai_compatible'],
    ['https://models.example.com/v1#', 'openai_compatible'],
    ['not a url', 'openai_compatible'],
  ])('may not be at %s (%s)', async (base_url, kind) => {
    const us = await team(world.stack)
    const refused = await us.api('POST /providers', { name: 'own', kind, base_url })
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/base_url' }] } })
  })

  it('has a name of its own, and there are at most twenty with five credentials each', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.mine, { name: 'p0' })
    const body = { kind: 'openai_compatible', base_url: world.mine.url }
    expect(await us.api('POST /providers', { ...body, name: 'p0' })).toMatchObject({ status: 409 })
    await Promise.all(Array.from({ length: 19 }, async (_, at) => addProvider(us, world.mine, { name: `p${at + 1}` })))
    expect(await us.api('POST /providers', { ...body, name: 'p20' })).toMatchObject({ status: 409 })
    for (let at = 0; at < 5; at++) await addKey(us, id, { label: `key ${at}`, key: goodKey(`no-${at}`) })
    const sixth = await us.api(`POST /providers/${id}/credentials`, { label: 'key 5', key: goodKey('no-5') })
    expect(sixth).toMatchObject({ status: 409 })
  })

  it('is nobody else’s: not to be seen, changed or called, under whatever name', async () => {
    const [us, others] = await Promise.all([team(world.stack), team(world.stack)])
    const id = await addProvider(us, world.mine, { keys: [goodKey('ours')], models: [{ name: 'secret-model' }] })
    for (const route of ['GET', 'DELETE', 'PATCH', 'POST']) {
      const answer = await others.api(`${route} /providers/${id}${route === 'POST' ? '/verify' : ''}`, bodyFor(route))
      expect(answer).toMatchObject({ status: 404 })
    }
    expect(rowsOf(await others.api('GET /providers'))).toEqual([])
    const before = world.mine.requests()
    for (const model of ['own/gpt-4o', 'own/secret-model', 'secret-model']) {
      expect((await others.chat(model)).status).toBe(404)
    }
    expect(world.mine.requests()).toBe(before)
    expect((await us.chat('own/secret-model')).status).toBe(200)
  })

  it('is for administrators, and reading it takes its scope', async () => {
    const us = await team(world.stack)
    const member = await person(world.stack, { orgId: us.orgId, role: 'member' })
    expect(await callApi(world.stack, member.accessToken, { route: 'GET /providers' })).toMatchObject({ status: 403 })
  })
})

const bodyFor = (method: string): unknown => (method === 'PATCH' ? { priority: 1 } : method === 'POST' ? {} : undefined)

describe('calls', () => {
  it('go to the account that is named as a vendor in its place, and from the next call on after a change', async () => {
    const [us, others] = await Promise.all([team(world.stack), team(world.stack)])
    expect((await us.chat('gpt-4o')).headers.get('x-helix-provider')).toBe('openai')
    const id = await addProvider(us, world.mine, { name: 'openai', keys: [goodKey('in-its-place')] })
    const [atMine, atShared] = [world.mine.requests(), world.shared.requests()]
    const response = await us.chat('gpt-4o')
    expect(await response.json()).toMatchObject({ model: 'gpt-4o' })
    expect(response.headers.get('x-helix-attempts')).toBe('1')
    expect([world.mine.requests(), world.shared.requests()]).toEqual([atMine + 1, atShared])
    expect(world.mine.lastHeaders().authorization).toBe(`Bearer ${goodKey('in-its-place')}`)
    expect(await ledgerRowOf(world.stack, response)).toMatchObject({
      provider: 'openai',
      model: 'gpt-4o',
      price_id: expect.stringMatching(/^openai\/gpt-4o@/),
    })
    expect((await others.chat('gpt-4o')).status).toBe(200)
    expect([world.mine.requests(), world.shared.requests()]).toEqual([atMine + 1, atShared + 1])
    // Without a credential it keeps its place: nobody else pays for what was meant for it.
    const { credentials } = Provider.parse((await us.api(`GET /providers/${id}`)).body)
    await us.api(`DELETE /providers/${id}/credentials/${credentials[0]?.id}`)
    expect((await us.chat('gpt-4o')).status).toBe(503)
    await us.api(`PATCH /providers/${id}`, { enabled: false })
    expect((await us.chat('gpt-4o')).status).toBe(200)
    await us.api(`DELETE /providers/${id}`)
    expect((await us.chat('gpt-4o')).status).toBe(200)
    expect([world.mine.requests(), world.shared.requests()]).toEqual([atMine + 1, atShared + 3])
  })

  it('end with the deletion of the provider', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.mine, { keys: [goodKey('to-be-deleted')], models: [{ name: 'mine-only' }] })
    expect((await us.chat('mine-only')).status).toBe(200)
    await us.api(`DELETE /providers/${id}`)
    const before = world.mine.requests()
    expect((await us.chat('mine-only')).status).toBe(404)
    expect((await us.chat('own/mine-only')).status).toBe(404)
    expect(world.mine.requests()).toBe(before)
  })

  it('of test keys reach no account that somebody pays for', async () => {
    const { orgId, apiKey } = await world.stack.org({ mode: 'test' })
    const owner = await person(world.stack, { orgId })
    const api = (route: string, body?: unknown) => callApi(world.stack, owner.accessToken, { route, body })
    const us = { ...(await team(world.stack)), api }
    const id = await addProvider(us, world.mine, { keys: [goodKey('live-only')], models: [{ name: 'live-only' }] })
    const before = world.mine.requests()
    expect((await world.stack.call(apiKey, `/api/v1/providers/${id}/verify`, {})).status).toBe(403)
    for (const model of ['live-only', 'own/live-only']) {
      const messages = [{ role: 'user', content: 'Hello' }]
      const response = await world.stack.call(apiKey, '/v1/chat/completions', { model, messages })
      expect(response.status).toBe(404)
    }
    expect(world.mine.requests()).toBe(before)
  })

  it('go on while data keys are rotated, and what is stored is sealed again', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.mine, { keys: [goodKey('rotated')], models: [{ name: 'a-model' }] })
    const stored = async () =>
      (await world.stack.query('select secret, dek_version from provider_credentials where provider_id = $1', [id]))[0]
    const before = await stored()
    expect((await us.chat('a-model')).status).toBe(200)
    expect(await us.api('POST /encryption/rotate')).toMatchObject({ status: 202, body: { status: 'completed' } })
    const after = await stored()
    expect(after).toMatchObject({ dek_version: Number(before?.dek_version) + 1 })
    expect(after?.secret).not.toBe(before?.secret)
    expect((await us.chat('a-model')).status).toBe(200)
    // The next policy carries the text under the new key.
    await us.api(`PATCH /providers/${id}`, { priority: 3 })
    expect((await us.chat('a-model')).status).toBe(200)
    expect(JSON.stringify([before, after])).not.toContain(goodKey('rotated'))
  })
})

describe('limits and budgets', () => {
  it('bind accounts and their models by the names that they have', async () => {
    const us = await team(world.stack)
    const models = [
      { name: 'house-model', input_usd: 2, output_usd: 10 },
      { name: 'unpriced', input_usd: 2 },
    ]
    await addProvider(us, world.mine, { keys: [goodKey('limited')], models })
    const budget = { subject_kind: 'model', subject_id: 'own/house-model', window: 'total', limit_usd: 0.004 }
    expect(await us.api('POST /budgets', budget)).toMatchObject({ status: 201 })
    const first = await us.chat('house-model', 'fault:usage=1000/100', { max_tokens: 100 })
    expect([first.status, first.headers.get('x-helix-cost-usd')]).toEqual([200, '0.003'])
    await ledgerRowOf(world.stack, first)
    const second = await us.chat('house-model', 'fault:usage=1000/100', { max_tokens: 100 })
    expect(second.status).toBe(429)
    const unpriced = await us.chat('own/unpriced')
    expect(unpriced.status).toBe(200)
    const whole = { subject_kind: 'org', window: 'total', limit_usd: 1 }
    expect(await us.api('POST /budgets', whole)).toMatchObject({ status: 201 })
    expect((await us.chat('own/unpriced')).status).toBe(400)
    const limit = { subject_kind: 'provider', subject_id: 'own', metric: 'requests', window: 3600, amount: 1, burst: 1 }
    expect(await us.api('POST /limits', limit)).toMatchObject({ status: 201 })
    expect(await us.api('POST /limits', { ...limit, subject_id: 'nobodys' })).toMatchObject({ status: 422 })
    await us.chat('house-model')
    expect((await us.chat('house-model')).status).toBe(429)
  })
})

describe('what is known of models', () => {
  it('lists those of accounts with the others', async () => {
    const us = await team(world.stack)
    const figures = { input_usd: 1, output_usd: 2, context_window: 4096 }
    await addProvider(us, world.mine, { keys: [goodKey('listed')], models: [{ name: 'house-model', ...figures }] })
    const model = await world.stack.call(us.apiKey, '/v1/models/house-model?details=true')
    expect(await model.json()).toMatchObject({
      id: 'own/house-model',
      owned_by: 'own',
      helix: { context_window: 4096, prices: { input_usd: 1, output_usd: 2 } },
    })
    const list = z.object({ data: z.array(z.looseObject({ id: z.string() })) })
    const all = list.parse(await (await world.stack.call(us.apiKey, '/v1/models')).json())
    expect(all.data.map(({ id }) => id)).toEqual(expect.arrayContaining(['own/house-model', 'openai/gpt-4o']))
  })

  it('is asked of a provider, and compared with what is known', async () => {
    const us = await team(world.stack)
    const models = [{ name: 'gpt-4.1' }, { name: 'house-model', upstream_name: 'not-there' }]
    const id = await addProvider(us, world.mine, { keys: [goodKey('asked')], vendor: 'openai', models })
    expect(await us.api('POST /providers/discover', { provider_id: id })).toMatchObject({
      status: 200,
      body: {
        models: expect.arrayContaining([
          { name: 'gpt-4o', context_window: null, known: 'catalog' },
          { name: 'gpt-4.1', context_window: null, known: 'own' },
        ]),
        unknown: [],
        missing: ['not-there'],
      },
    })
  })

  it('says where a call goes that leaves the choice to the gateway', async () => {
    const us = await team(world.stack)
    expect(await us.api('GET /providers/best')).toMatchObject({
      status: 200,
      body: { provider: 'openai', model: 'gpt-4o', is_own: false },
    })
    await addProvider(us, world.mine, { keys: [goodKey('best')], vendor: 'openai' })
    expect(await us.api('GET /providers/best?capability=embedding')).toMatchObject({
      status: 200,
      body: { provider: 'own', model: 'text-embedding-3-small', is_own: true },
    })
    expect(await us.api('GET /providers/best?capability=flying')).toMatchObject({ status: 422 })
  })
})
