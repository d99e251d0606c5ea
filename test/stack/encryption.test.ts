import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { kekIdOf } from '../../src/features/encryption/keys.ts'
import { count } from '../support/lane.ts'
import { actionsOf, keyOf, person } from '../support/people.ts'
import { forEach } from '../support/route-calls.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { callApi } from './members-kit.ts'

// The key that all stack tests share, and what replaces it here. Only keys of this file's organisations are wrapped
// under it: an access token would have the installation's signing key wrapped anew, so all calls are made with API keys.
const nextKek = randomBytes(32).toString('base64')

let before: Stack
let after: Stack
let kek = ''

beforeAll(async () => {
  before = await startStack({ vars: { KEK_PREVIOUS: nextKek } })
  kek = before.vars.KEK_CURRENT ?? ''
  after = await startStack({ vars: { KEK_CURRENT: nextKek, KEK_PREVIOUS: kek } })
})
afterAll(() => Promise.all([before?.close(), after?.close()]))

/** An organisation's key, and how often it has called. */
type Team = { orgId: string; apiKey: string; calls: number }

const teamsOf = (size: number): Promise<Team[]> =>
  Promise.all(
    Array.from({ length: size }, async () => {
      const { orgId } = await before.org()
      return { orgId, apiKey: (await keyOf(before, { orgId })).apiKey, calls: 0 }
    }),
  )

/**
 * Two calls with one Idempotency-Key: what one gateway has sealed, the other opens. What they answered, unless it is
 * what it should be.
 */
async function faultOf(team: Team, first: Stack, second: Stack): Promise<string | undefined> {
  team.calls += 1
  const init = { headers: { 'idempotency-key': `call ${team.calls}` } }
  const answers: string[] = []
  for (const { call } of [first, second]) {
    const response = await call(team.apiKey, '/api/v1/keys/verify', { key: 'hx_live_nothing' }, init)
    const isRepeated = response.headers.get('idempotent-replayed') === 'true'
    answers.push(`${response.status} ${isRepeated} ${await response.text()}`)
  }
  const isFine = answers[0] === '200 false {"valid":false}' && answers[1] === '200 true {"valid":false}'
  return isFine ? undefined : answers.join(' then ')
}

/** A call that seals nothing, as most do. */
async function plainFaultOf({ apiKey }: Team, { call }: Stack): Promise<string | undefined> {
  const response = await call(apiKey, '/v1/models')
  const text = await response.text()
  return response.status === 200 ? undefined : `${response.status} ${text}`
}

const TIMEOUT_MS = count(60_000, 600_000)
const AT_ONCE = 16
const ROUNDS_PER_SECOND = 25

/**
 * So many rounds on two gateways in turn, each of a pair that seals and opens and of two calls that do neither: a
 * hundred calls a second, or as many as the machine answers.
 */
async function traffic(teams: readonly Team[], rounds: number, [one, other]: readonly [Stack, Stack]) {
  const startMs = performance.now()
  const faults = await forEach([...Array(rounds).keys()], AT_ONCE, async (at) => {
    const dueMs = startMs + (at * 1000) / ROUNDS_PER_SECOND
    await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()))
    const team = teams[at % teams.length]
    if (!team) return []
    const pair = at % 2 === 0 ? faultOf(team, one, other) : faultOf(team, other, one)
    return Promise.all([pair, plainFaultOf(team, one), plainFaultOf(team, other)])
  })
  const perSecond = Math.round((4 * rounds) / ((performance.now() - startMs) / 1000))
  console.log(`${rounds} rounds of four calls: ${perSecond} calls a second`)
  return faults.flat().filter((fault) => fault !== undefined)
}

describe('a key-encryption key', () => {
  it('is replaced under traffic without a failure, and then needed no more', { timeout: TIMEOUT_MS }, async () => {
    const teams = await teamsOf(count(10, 50))
    const rounds = count(20, 500)
    // Every isolate knows the next key before any seals with it.
    expect(await traffic(teams, rounds, [before, before])).toEqual([])
    expect(await traffic(teams, rounds, [before, after])).toEqual([])
    expect(await traffic(teams, rounds, [after, after])).toEqual([])
    // Whoever read a key under the new configuration has wrapped it anew.
    const wrapped = await after.query('select distinct kek_id from data_keys where org_id = any($1)', [
      teams.map(({ orgId }) => orgId),
    ])
    expect(wrapped).toEqual([{ kek_id: await kekIdOf(nextKek) }])
    const alone = await startStack({ vars: { KEK_CURRENT: nextKek } })
    try {
      expect(await traffic(teams, teams.length, [alone, alone])).toEqual([])
    } finally {
      await alone.close()
    }
  })
})

const Made = z.object({ id: z.string() })

describe('a rotation of data keys', () => {
  it('is for administrators, is written down, and leaves every secret readable', async () => {
    const owner = await person(before)
    const api = (credential: string, route: string, body?: unknown) => callApi(before, credential, { route, body })
    const secrets: string[] = []
    for (const name of ['ONE', 'TWO']) {
      const { body } = await api(owner.accessToken, 'POST /secrets', { name, value: name })
      secrets.push(Made.parse(body).id)
    }
    const rotated = await api(owner.accessToken, 'POST /encryption/rotate')
    expect(rotated).toMatchObject({
      status: 202,
      body: { id: 'rot_2', object: 'job', kind: 'encryption.rotate', status: 'completed', version: 2 },
    })
    expect(await api(owner.accessToken, 'GET /encryption/status')).toMatchObject({
      status: 200,
      body: {
        active: { version: 2 },
        columns: expect.arrayContaining([{ table: 'secrets', column: 'value', rows: [{ version: 2, rows: 2 }] }]),
        rotation: { status: 'completed', progress: { done: 2, total: 2 } },
      },
    })
    const values = await Promise.all(
      secrets.map((id) => api(owner.accessToken, `POST /secrets/${id}/reveal`, { reason: 'a test' })),
    )
    expect(values.map(({ body }) => body.value)).toEqual(['ONE', 'TWO'])
    expect(await actionsOf(before, owner.orgId)).toContain('encryption.rotate')
    const member = await person(before, { orgId: owner.orgId, role: 'member' })
    for (const route of ['POST /encryption/rotate', 'GET /encryption/status']) {
      expect((await api(member.accessToken, route)).status).toBe(403)
    }
  })

  it('is gone on with by a reveal, which seals again what it has read', async () => {
    const owner = await person(before)
    const api = (route: string, body?: unknown, on = before) => callApi(on, owner.accessToken, { route, body })
    const { body } = await api('POST /secrets', { name: 'ONE', value: 'one' })
    const { id } = Made.parse(body)
    const { orgId } = owner
    // A key of this age is replaced when a value is sealed, by an isolate that has not known it in its youth.
    await before.query('update data_keys set created_at = 0 where org_id = $1', [orgId])
    const reveal = (on: Stack) => api(`POST /secrets/${id}/reveal`, { reason: 'a test' }, on)
    expect(await reveal(after)).toMatchObject({ body: { value: 'one' } })
    const version = async () =>
      (await before.query('select dek_version from secrets where id = $1', [id]))[0]?.dek_version
    await expect.poll(version, { timeout: 15_000 }).toBe(2)
    expect(await reveal(before)).toMatchObject({ body: { value: 'one' } })
  })

  it('is made every night for keys of thirty days, by nobody', async () => {
    const owner = await person(before)
    const api = (route: string, body?: unknown) => callApi(before, owner.accessToken, { route, body })
    const { id } = Made.parse((await api('POST /secrets', { name: 'ONE', value: 'one' })).body)
    const young = await person(before)
    await callApi(before, young.accessToken, { route: 'POST /secrets', body: { name: 'ONE', value: 'one' } })
    const thirtyDays = 'update data_keys set created_at = created_at - 30 * 86400 where org_id = $1'
    await before.query(thirtyDays, [owner.orgId])
    await before.tick(Date.UTC(2026, 0, 31, 4, 30))
    expect(await api('GET /encryption/status')).toMatchObject({ body: { active: { version: 1 } } })
    await before.tick(Date.UTC(2026, 0, 31, 3, 30))
    expect(await api('GET /encryption/status')).toMatchObject({
      body: { active: { version: 2 }, rotation: { status: 'completed', progress: { done: 1, total: 1 } } },
    })
    // An isolate that has known the older key for less than five minutes reads what is sealed under the new one.
    const revealed = await api(`POST /secrets/${id}/reveal`, { reason: 'a test' })
    expect(revealed).toMatchObject({ status: 200, body: { value: 'one' } })
    const acts = await before.query(
      `select actor_kind, actor_id from audit_log where org_id = $1 and action = 'encryption.rotate'`,
      [owner.orgId],
    )
    expect(acts).toEqual([{ actor_kind: 'system', actor_id: null }])
    expect(await actionsOf(before, young.orgId)).not.toContain('encryption.rotate')
  })
})
