import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { markChanged } from '../../../src/features/records/service.ts'
import { type RedisBackend, startEmbedded } from './backends.ts'
import { admissionWorld } from './world.ts'

let backend: RedisBackend

beforeAll(async () => {
  backend = await startEmbedded()
})
afterAll(() => backend?.stop())

const world = () => admissionWorld(backend)
const failure = (code: string) => expect.objectContaining({ code })

/** Redis requests that this work costs. */
async function redisCost(work: () => Promise<unknown>): Promise<number> {
  const before = backend.proxy.requests()
  await work()
  return backend.proxy.requests() - before
}

/** Holds every answer of Postgres back until it is let go. */
function closeGate(state: ReturnType<typeof world>['state']): () => void {
  let open = () => {}
  state.postgresGate = new Promise((resolve) => {
    open = resolve
  })
  return () => open()
}

describe('a record that has come of age', () => {
  it('is compared with Postgres by one call, and by no other for the next fifty seconds', async () => {
    const { admit, state } = world()
    await admit()
    const { lookups } = state
    state.nowMs += 49_999
    expect(await redisCost(() => admit())).toBe(1)
    expect(state.lookups).toBe(lookups)
    state.nowMs += 1
    expect(await redisCost(() => admit())).toBe(3)
    expect(state.lookups).toBe(lookups + 2)
    state.nowMs += 49_999
    expect(await redisCost(() => admit())).toBe(1)
    expect(state.lookups).toBe(lookups + 2)
  })

  it('gives away a change that nobody marked', async () => {
    const { admit, state } = world()
    await admit()
    if (state.row) state.row.is_live = false
    state.nowMs += 49_999
    await admit()
    state.nowMs += 1
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
  })

  it('keeps nobody else waiting while one of all isolates compares it', async () => {
    const { admit, state, forget } = world()
    await admit()
    state.nowMs += 50_000
    const open = closeGate(state)
    const { lookups } = state
    const first = admit()
    await expect.poll(() => state.lookups, { interval: 2 }).toBe(lookups + 1)
    await admit()
    forget()
    await admit()
    await admit()
    expect(state.lookups).toBe(lookups + 1)
    open()
    await first
  })

  it('is another one’s to compare when the first has not come back within five seconds', async () => {
    const { admit, state, forget } = world()
    await admit()
    state.nowMs += 50_000
    const open = closeGate(state)
    const { lookups } = state
    const first = admit()
    await expect.poll(() => state.lookups, { interval: 2 }).toBe(lookups + 1)
    forget()
    state.nowMs += 4999
    await admit()
    expect(state.lookups).toBe(lookups + 1)
    state.nowMs += 1
    const second = admit()
    await expect.poll(() => state.lookups, { interval: 2 }).toBe(lookups + 2)
    open()
    await Promise.all([first, second])
  })

  it('does as it is when Postgres is away, and when it does not answer in time', async () => {
    const { admit, state, settled, record, deps } = world()
    await admit()
    state.postgresAway = true
    state.nowMs += 50_000
    await admit()
    state.nowMs += 100_000
    await admit()
    state.postgresAway = false

    const open = closeGate(state)
    state.nowMs += 50_000
    if (state.row) state.row.scopes = ['chat:write', 'models:read']
    const { policy } = await admit()
    expect(policy.scopes).toEqual(['chat:write'])
    // The late answer reaches the record all the same.
    open()
    await settled()
    const [fields] = await deps.redis.pipeline([['HGETALL', await record()]])
    expect(fields).toMatchObject({ at: String(state.nowMs), p: expect.stringContaining('models:read') })
    expect((await admit()).policy.scopes).toEqual(['chat:write', 'models:read'])
  })

  it('is trusted without Redis for no longer than a minute after Postgres was asked', async () => {
    const { admit, state } = world()
    await admit()
    state.nowMs += 45_000
    await admit()
    backend.proxy.mode('refuse')
    try {
      if (state.row) state.row.is_live = false
      state.nowMs += 15_000
      await admit()
      state.nowMs += 1
      await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
    } finally {
      backend.proxy.mode('pass')
    }
  })
})

describe('a change that is marked', () => {
  it('holds on the next call, in every isolate', async () => {
    const { admit, state, forget, deps, record } = world()
    await admit()
    if (state.row) Object.assign(state.row, { user_id: 'usr_1', role: 'readonly' })
    await markChanged(deps, [await record()])
    await expect(admit()).rejects.toThrow(failure('permission_denied'))
    forget()
    await expect(admit()).rejects.toThrow(failure('permission_denied'))
    expect((await admit({ scope: 'chat:read' })).policy.scopes).toEqual(['chat:read'])
    if (state.row) state.row.is_live = false
    await markChanged(deps, [await record()])
    await expect(admit({ scope: 'chat:read' })).rejects.toThrow(failure('invalid_api_key'))
  })

  it('is not lost to a caller who had read Postgres before it and writes after it', async () => {
    const { admit, state, deps, record } = world()
    const open = closeGate(state)
    const early = admit()
    await expect.poll(() => state.lookups, { interval: 2 }).toBe(1)
    // The early caller has its answer from Postgres, which has not arrived yet.
    if (state.row) state.row.is_live = false
    await markChanged(deps, [await record()])
    open()
    await expect(early).rejects.toThrow(failure('invalid_api_key'))
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
  })

  it('is not lost to a caller who compares a record of age at that moment', async () => {
    const { admit, state, deps, record, forget } = world()
    await admit()
    state.nowMs += 50_000
    const open = closeGate(state)
    const { lookups } = state
    const early = admit()
    await expect.poll(() => state.lookups, { interval: 2 }).toBe(lookups + 1)
    if (state.row) state.row.is_live = false
    await markChanged(deps, [await record()])
    open()
    await expect(early).rejects.toThrow(failure('invalid_api_key'))
    forget()
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
  })

  it('is read again when Postgres answers again, and is 503 and no 401 until then', async () => {
    const { admit, state, deps, record } = world()
    await admit()
    await markChanged(deps, [await record()])
    state.postgresAway = true
    await expect(admit()).rejects.toMatchObject({ dependency: 'postgres' })
    state.postgresAway = false
    state.nowMs += 1000
    await admit()
  })
})
