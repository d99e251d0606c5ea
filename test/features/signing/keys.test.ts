import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod'
import type { Ctx, Deps } from '../../../src/core/context.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { newId } from '../../../src/core/ids.ts'
import { SealError } from '../../../src/features/encryption/service.ts'
import { routes } from '../../../src/features/signing/routes.ts'
import {
  type Grant,
  mintAccessToken,
  rotateSigningKeys,
  verifyAccessToken,
} from '../../../src/features/signing/service.ts'
import { fakeAdmission, fakeSettings } from '../../support/fake-deps.ts'
import { type Isolate, isolate as isolateOver, START_MS, startWorld, type World } from '../sessions/world.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

const KeySet = z.strictObject({ keys: z.array(z.record(z.string(), z.unknown())) })

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.close())
beforeEach(() => world.query('delete from signing_keys'))

const isolate = (given: Partial<Deps> = {}) => isolateOver(world.db, given)

const grant: Grant = {
  userId: newId('usr', START_MS),
  orgId: newId('org', START_MS),
  sessionId: newId('ses', START_MS),
  role: 'member',
  scopes: ['chat:write', 'user'],
  audience: 'helix',
}

const mint = async ({ ctx }: Isolate) => (await mintAccessToken(ctx, grant)).token
const isTaken = async ({ ctx }: Isolate, token: string) => (await verifyAccessToken(ctx, token)) !== undefined
const kidOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid

/** Kids by state. */
async function stored() {
  const rows = await world.query('select kid, state from signing_keys order by kid')
  const inState = (state: string) => rows.filter((row) => row.state === state).map(({ kid }) => kid)
  return { active: inState('active'), next: inState('next'), retired: inState('retired') }
}

async function published({ ctx }: Isolate): Promise<Record<string, unknown>[]> {
  const prepared = routes[0]?.prepare({ params: undefined, query: undefined, body: undefined })
  if (!prepared || 'issues' in prepared) throw new Error('the route takes no input')
  const response = await prepared.answer(ctx, new Request('https://helix.test/.well-known/jwks.json'))
  if (!(response instanceof Response)) throw new Error('the route makes its own answer')
  expect(response.headers.get('cache-control')).toBe('public, max-age=300')
  return KeySet.parse(await response.json()).keys
}

/** An operator of a new organisation. */
async function operator(at: Isolate): Promise<Ctx> {
  const { orgId, userId } = await world.person('owner')
  const admission = fakeAdmission({ orgId, userId, kind: 'operator' })
  const { keyId, kind, scopes } = admission.policy
  return { ...at.ctx, caller: { orgId, keyId, kind, userId, role: 'owner', scopes, ip: '192.0.2.7' }, admission }
}

describe('signing keys', () => {
  it('begin with the first token: two isolates at once agree on one', async () => {
    const isolates = Array.from({ length: 6 }, () => isolate())
    const tokens = await Promise.all(isolates.map(mint))
    expect(new Set(tokens.map(kidOf)).size).toBe(1)
    expect(await stored()).toEqual({ active: [kidOf(tokens[0] ?? '')], next: [], retired: [] })
    for (const token of tokens) expect(await isTaken(isolate(), token)).toBe(true)
  })

  it('are sealed, and only public parts are published', async () => {
    const here = isolate()
    const kid = kidOf(await mint(here))
    const [row] = await world.query('select private_jwk, public_jwk from signing_keys')
    expect(row?.private_jwk).toMatch(/^k1\.[0-9a-f]{8}\./)
    expect(Object.keys(Object(row?.public_jwk)).sort()).toEqual(['crv', 'kty', 'x', 'y'])
    const text = expect.stringMatching(/^[\w-]{43}$/)
    expect(await published(here)).toStrictEqual([
      { kty: 'EC', crv: 'P-256', x: text, y: text, kid, alg: 'ES256', use: 'sig' },
    ])
  })

  it('follow each other: published a day before they sign, kept until their last token has ended', async () => {
    const here = isolate()
    const other = isolate()
    const first = kidOf(await mint(here))

    here.clock.ms = START_MS + 29 * DAY_MS - SECOND_MS
    await mint(here)
    expect(await stored()).toEqual({ active: [first], next: [], retired: [] })

    here.clock.ms = START_MS + 29 * DAY_MS
    expect(kidOf(await mint(here))).toBe(first)
    const [next] = (await stored()).next
    expect((await published(here)).map(({ kid }) => kid).sort()).toEqual([first, next].sort())

    here.clock.ms += DAY_MS - SECOND_MS
    const last = await mint(here)
    expect(kidOf(last)).toBe(first)

    here.clock.ms += SECOND_MS
    const tokens = await Promise.all([mint(here), mint(here), mint(here)])
    expect(tokens.map(kidOf)).toEqual([next, next, next])
    expect(await stored()).toEqual({ active: [next], next: [], retired: [first] })

    other.clock.ms = here.clock.ms + 29 * MINUTE_MS
    expect(await Promise.all([last, ...tokens].map((token) => isTaken(other, token)))).toEqual([true, true, true, true])
    other.clock.ms = here.clock.ms + 32 * MINUTE_MS
    expect((await published(other)).map(({ kid }) => kid)).toEqual([next])
  })

  it('wait a whole day when nobody signed in for long', async () => {
    const here = isolate()
    const first = kidOf(await mint(here))
    here.clock.ms = START_MS + 100 * DAY_MS
    expect(kidOf(await mint(here))).toBe(first)
    here.clock.ms += DAY_MS
    expect(kidOf(await mint(here))).not.toBe(first)
  })

  it('are sealed anew once the key-encryption key was replaced', async () => {
    const { kekCurrent } = fakeSettings
    const later = { ...fakeSettings, kekCurrent: Buffer.alloc(32, 9).toString('base64') }
    const token = await mint(isolate())
    expect(kidOf(await mint(isolate({ settings: { ...later, kekPrevious: kekCurrent } })))).toBe(kidOf(token))
    expect(kidOf(await mint(isolate({ settings: later })))).toBe(kidOf(token))
    await expect(mint(isolate())).rejects.toThrow(SealError)
  })
})

describe('a rotation by an operator', () => {
  it('publishes the next key at once and lets it sign a day later', async () => {
    const here = isolate()
    const first = kidOf(await mint(here))
    const ctx = await operator(here)
    const state = await rotateSigningKeys(ctx, { revoke: false })
    const { next } = await stored()
    expect(state).toEqual({ active: first, next: next[0], next_signs_at: START_MS / 1000 + 86_400 })
    expect(await rotateSigningKeys(ctx, { revoke: false })).toEqual(state)
    expect(kidOf(await mint(here))).toBe(first)
    here.clock.ms += DAY_MS
    expect(kidOf(await mint(here))).toBe(next[0])
    expect(await auditOf(ctx)).toEqual([
      ['signing_key.rotate', ctx.caller.userId, next[0]],
      ['signing_key.rotate', ctx.caller.userId, next[0]],
    ])
  })

  it('that revokes ends every key and token at once, and within a minute everywhere', async () => {
    const [here, other] = [isolate(), isolate()]
    const ctx = await operator(here)
    await mint(here)
    await rotateSigningKeys(ctx, { revoke: false })
    here.clock.ms += DAY_MS
    other.clock.ms = here.clock.ms
    const stolen = await mint(here)
    await rotateSigningKeys(ctx, { revoke: false })
    expect(await isTaken(other, stolen)).toBe(true)

    const state = await rotateSigningKeys(ctx, { revoke: true })
    expect(await stored()).toMatchObject({ active: [state.active], next: [], retired: { length: 3 } })
    expect(state).toMatchObject({ next: null, next_signs_at: null })
    expect(await isTaken(here, stolen)).toBe(false)
    expect(await isTaken(isolateAt(here.clock.ms), stolen)).toBe(false)
    const fresh = await mint(here)
    expect(kidOf(fresh)).toBe(state.active)
    expect(await isTaken(other, fresh)).toBe(true)
    other.clock.ms += 55 * SECOND_MS
    expect(await isTaken(other, stolen)).toBe(false)
    expect((await published(here)).map(({ kid }) => kid)).toEqual([state.active])
    expect(await auditOf(ctx)).toContainEqual(['signing_key.revoke', ctx.caller.userId, state.active])
  })

  const isolateAt = (ms: number) => {
    const made = isolate()
    made.clock.ms = ms
    return made
  }

  const auditOf = async ({ caller }: Ctx) =>
    (await world.query('select action, actor_id, target_id from audit_log where org_id = $1', [caller.orgId])).map(
      ({ action, actor_id: actor, target_id: target }) => [action, actor, target],
    )
})

describe('an isolate', () => {
  it('reads the keys once, and again after a minute', async () => {
    const [here, other] = [isolate(), isolate()]
    const token = await mint(here)
    for (let at = 0; at < 5; at++) expect(await isTaken(other, token)).toBe(true)
    expect(other.asked()).toBe(1)
    other.clock.ms += MINUTE_MS
    expect(await isTaken(other, token)).toBe(true)
    expect(other.asked()).toBe(2)
  })

  it('looks for a key that it does not know at most every thirty seconds', async () => {
    const [here, other] = [isolate(), isolate()]
    const unknown = await mint(isolate())
    await world.query('delete from signing_keys')
    expect(await isTaken(other, await mint(here))).toBe(true)
    for (let at = 0; at < 5; at++) {
      other.clock.ms += 5 * SECOND_MS
      expect(await isTaken(other, unknown)).toBe(false)
    }
    expect(other.asked()).toBe(2)
    other.clock.ms += 30 * SECOND_MS
    expect(await isTaken(other, unknown)).toBe(false)
    expect(other.asked()).toBe(3)
  })

  it('of a new installation learns of the first key within a second', async () => {
    const [here, other] = [isolate(), isolate()]
    const { token } = await mintAccessToken(isolate().ctx, grant)
    await world.query('delete from signing_keys')
    for (let at = 0; at < 5; at++) expect(await isTaken(other, token)).toBe(false)
    expect(other.asked()).toBe(2)
    const first = await mint(here)
    other.clock.ms += SECOND_MS
    expect(await isTaken(other, first)).toBe(true)
  })

  it('goes on with what it knows while Postgres is away, and asks no more often than every five seconds', async () => {
    const here = isolate()
    const token = await mint(here)
    const before = here.asked()
    here.away.postgres = true
    here.clock.ms += 20 * MINUTE_MS
    for (let at = 0; at < 5; at++) expect(await isTaken(here, token)).toBe(true)
    expect(here.asked()).toBe(before + 1)
    here.clock.ms += 5 * SECOND_MS
    expect(await isTaken(here, token)).toBe(true)
    expect(here.asked()).toBe(before + 2)
    expect(here.lines.map(({ event }) => event)).toContain('signing_keys_not_read')
  })

  it('never says that a token is bad when it could not find out', async () => {
    const [here, other] = [isolate(), isolate()]
    const first = await mint(here)
    other.away.postgres = true
    await expect(verifyAccessToken(other.ctx, first)).rejects.toThrow(DependencyError)
    other.away.postgres = false
    expect(await isTaken(other, first)).toBe(true)
    await rotateSigningKeys(await operator(here), { revoke: true })
    const second = await mint(here)
    other.away.postgres = true
    for (let at = 0; at < 3; at++) await expect(verifyAccessToken(other.ctx, second)).rejects.toThrow(DependencyError)
    await expect(mint(other)).rejects.toThrow(DependencyError)
    expect(await verifyAccessToken(other.ctx, `${second.slice(0, -1)}=`)).toBeUndefined()
  })
})
