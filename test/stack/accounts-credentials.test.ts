import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { redisCommand } from '../support/stores.ts'
import {
  type AccountStack,
  addCredential,
  addProvider,
  badKey,
  goodKey,
  startAccountStack,
  type Team,
  team,
} from './accounts-kit.ts'

let world: AccountStack
beforeAll(async () => {
  world = await startAccountStack()
})
afterAll(() => world?.close())

const Credentials = z.object({
  credentials: z.array(z.looseObject({ id: z.string(), cooldown_until: z.int().nullable() })),
})
const credentialsOf = async (us: Team, id: string) =>
  Credentials.parse((await us.api(`GET /providers/${id}`)).body).credentials

const attempts = (response: Response) => response.headers.get('x-helix-attempts')
const nowSeconds = () => Math.floor(Date.now() / 1000)

/** Once the other isolates could know. */
const told = (us: Team, id: string, forSeconds = 300) =>
  vi.waitFor(
    async () => {
      const [first] = await credentialsOf(us, id)
      const until = first?.cooldown_until ?? 0
      expect(until - nowSeconds()).toBeGreaterThan(forSeconds - 45)
      expect(until - nowSeconds()).toBeLessThanOrEqual(forSeconds)
    },
    { timeout: 10_000, interval: 100 },
  )

describe('a credential that the provider refuses', () => {
  it('is put aside, and another one does its work in the same call', async () => {
    const us = await team(world.stack)
    const keys = [badKey('first'), goodKey('second')]
    const id = await addProvider(us, world.mine, { keys, models: [{ name: 'a-model' }] })
    const first = await us.chat('a-model')
    expect([first.status, attempts(first)]).toEqual([200, '2'])
    const second = await us.chat('a-model', 'Hello again', { stream: true })
    expect([second.status, attempts(second)]).toEqual([200, '1'])
    expect(await second.text()).toContain('[DONE]')
    await told(us, id)
    // The breaker of the model is as closed as before.
    expect(await redisCommand('EXISTS', `tgt:${id}/a-model`)).toBe(0)
  })

  it('that was the only one ends the call with 502, and those after it at once with 503', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.mine, { keys: [badKey('only')], models: [{ name: 'a-model' }] })
    const first = await us.chat('a-model')
    expect(first.status).toBe(502)
    const text = await first.text()
    expect(text).toContain('own does not accept the credential')
    expect(text).not.toContain(badKey('only'))
    await told(us, id)
    const second = await us.chat('a-model')
    expect(second.status).toBe(503)
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(200)
    // A new one is used by the next call.
    await addCredential(us, id, { label: 'new', key: goodKey('new') })
    const third = await us.chat('a-model')
    expect([third.status, attempts(third)]).toEqual([200, '1'])
  })

  it('gives way to another provider of the model', async () => {
    const us = await team(world.stack)
    await addProvider(us, world.mine, { keys: [badKey('gives-way')], vendor: 'openai', kind: 'openai_compatible' })
    const response = await us.chat('gpt-4o')
    expect([response.status, attempts(response)]).toEqual([200, '2'])
    expect(response.headers.get('x-helix-provider')).toBe('openai')
    expect(attempts(await us.chat('gpt-4o'))).toBe('1')
  })

  it('is used again once it works, and so is one that is set to be in use', async () => {
    const us = await team(world.stack)
    const models = [{ name: 'a-model' }]
    const id = await addProvider(us, world.mine, { keys: [badKey('a'), goodKey('b')], models })
    await us.chat('a-model')
    await told(us, id)
    const [bad] = await credentialsOf(us, id)
    // It is tried again, refused again, and put aside again. (Within the same second nothing tells the change apart.)
    await vi.waitFor(
      async () => {
        await us.api(`PATCH /providers/${id}/credentials/${bad?.id}`, { is_active: true })
        expect(attempts(await us.chat('a-model'))).toBe('2')
      },
      { timeout: 10_000, interval: 300 },
    )
    await us.api(`PATCH /providers/${id}/credentials/${bad?.id}`, { is_active: false })
    expect(await us.api(`POST /providers/${id}/verify`, { model: 'a-model' })).toMatchObject({ body: { ok: true } })
  })

  it('of one that is only asked too often is put aside where another can do its work', async () => {
    const us = await team(world.stack)
    const models = [{ name: 'a-model' }]
    const id = await addProvider(us, world.mine, { keys: [goodKey('busy'), goodKey('idle')], models })
    const response = await us.chat('a-model', 'fault:status=429,times=1', { user: us.orgId })
    expect([response.status, attempts(response)]).toEqual([200, '2'])
    expect(world.mine.lastHeaders().authorization).toBe(`Bearer ${goodKey('idle')}`)
    await told(us, id, 60)
    const alone = await addProvider(us, world.mine, { name: 'alone', keys: [goodKey('alone')], models })
    expect((await us.chat('alone/a-model', 'fault:status=429')).status).toBe(429)
    // It cools for a second, as any target does that is asked too often; its only credential stays in use.
    await expect.poll(async () => (await us.chat('alone/a-model')).status, { timeout: 10_000 }).toBe(200)
    expect(await credentialsOf(us, alone)).toMatchObject([{ cooldown_until: null }])
  })
})

describe('two organisations', () => {
  it('with a provider of one name share neither its breaker nor its credentials', async () => {
    const [us, others] = await Promise.all([team(world.stack), team(world.stack)])
    const models = [{ name: 'same-model' }]
    const ours = await addProvider(us, world.mine, { keys: [goodKey('ours')], models })
    await addProvider(others, world.theirs, { keys: [goodKey('theirs')], models })
    await vi.waitFor(
      async () => {
        await us.chat('same-model', 'fault:status=500')
        expect(await redisCommand('HEXISTS', `tgt:${ours}/same-model`, 'u')).toBe(1)
      },
      { timeout: 15_000, interval: 1 },
    )
    expect((await us.chat('same-model')).status).toBe(503)
    expect((await others.chat('same-model')).status).toBe(200)
    expect(world.theirs.lastHeaders().authorization).toBe(`Bearer ${goodKey('theirs')}`)
  })

  it('cannot name each other’s credentials', async () => {
    const [us, others] = await Promise.all([team(world.stack), team(world.stack)])
    const ours = await addProvider(us, world.mine, { keys: [goodKey('ours')] })
    const theirs = await addProvider(others, world.theirs, { keys: [goodKey('theirs')] })
    const [credential] = await credentialsOf(others, theirs)
    for (const provider of [ours, theirs]) {
      const path = `/providers/${provider}/credentials/${credential?.id}`
      expect(await us.api(`PATCH ${path}`, { is_active: false })).toMatchObject({ status: 404 })
      expect(await us.api(`DELETE ${path}`)).toMatchObject({ status: 404 })
    }
    expect(await credentialsOf(others, theirs)).toMatchObject([{ is_active: true }])
  })
})

describe('trying a provider', () => {
  it('says of each credential whether it works, and books nothing', async () => {
    const us = await team(world.stack)
    const id = await addProvider(us, world.mine, { keys: [goodKey('works'), badKey('does-not')], vendor: 'openai' })
    const tried = await us.api(`POST /providers/${id}/verify`)
    expect(tried).toMatchObject({
      status: 200,
      body: {
        ok: false,
        models_found: 5,
        model: 'gpt-4o',
        error: expect.stringContaining('status 401'),
        credentials: [
          { label: 'key 0', ok: true, error: null },
          { label: 'key 1', ok: false },
        ],
      },
    })
    expect(JSON.stringify(tried.body)).not.toContain(badKey('does-not'))
    expect(world.mine.lastBody()).toMatchObject({ model: 'gpt-4o', max_completion_tokens: 1 })
    expect(await world.stack.query('select 1 from usage_ledger where org_id = $1', [us.orgId])).toEqual([])
  })

  it('says what keeps it from being tried', async () => {
    const us = await team(world.stack)
    const without = await addProvider(us, world.mine)
    expect(await us.api(`POST /providers/${without}/verify`)).toMatchObject({
      body: { ok: false, error: 'It has no credential that is in use.' },
    })
    expect(await us.api('POST /providers/discover', { provider_id: without })).toMatchObject({ status: 409 })
  })
})

/** Longer than the ledger keeps a batch. */
const STILL_MS = 1500

/** What earlier calls leave to be written has been written: the stores have not been asked for a while. */
async function untilStill(): Promise<void> {
  let [asked, sinceMs] = [-1, 0]
  const stillMs = (): number => {
    const now = world.stack.redis.requests() + world.stack.postgres.requests()
    if (now !== asked) [asked, sinceMs] = [now, Date.now()]
    return Date.now() - sinceMs
  }
  await expect.poll(stillMs, { timeout: 20_000 }).toBeGreaterThan(STILL_MS)
}

describe('a warm call over an account', () => {
  it('costs one Redis request and nothing of Postgres', { retry: 3 }, async () => {
    const us = await team(world.stack)
    await addProvider(us, world.mine, { keys: [goodKey('warm')], models: [{ name: 'a-model' }] })
    await (await us.chat('a-model')).text()
    const booked = () => world.stack.query('select 1 from usage_ledger where org_id = $1', [us.orgId])
    await expect.poll(booked, { timeout: 10_000 }).toHaveLength(1)
    await untilStill()
    const before = { redis: world.stack.redis.requests(), postgres: world.stack.postgres.requests() }
    const asked = world.mine.requests()
    const answering = us.chat('a-model', 'fault:delay=1000')
    await expect.poll(() => world.mine.requests(), { timeout: 5000, interval: 5 }).toBe(asked + 1)
    expect(world.stack.redis.requests() - before.redis).toBe(1)
    expect(world.stack.postgres.requests() - before.postgres).toBe(0)
    expect((await answering).status).toBe(200)
  })
})
