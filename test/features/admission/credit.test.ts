import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DependencyError } from '../../../src/core/errors.ts'
import type { HoldAnswer, HoldRequest } from '../../../src/core/ledger.ts'
import type { Redis } from '../../../src/core/redis.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { hashKey } from '../../../src/features/keys/service.ts'
import { recordKeys } from '../../../src/features/records/service.ts'
import { type RedisBackend, startEmbedded } from './backends.ts'
import { admissionWorld } from './world.ts'

let backend: RedisBackend

beforeAll(async () => {
  backend = await startEmbedded()
})
afterAll(() => backend?.stop())

const budget = { id: 'bud_1', window: 'total' as const, limit_nanos: 1000 }

/** A caller whose isolate has all the credit that it can use; who holds by credit asks the ledger nothing to hold. */
async function lent() {
  const world = admissionWorld(backend, { budgets: [budget] })
  const announcing: { answer: () => Promise<HoldAnswer> } = { answer: async () => ({ ok: true }) }
  const asked: string[] = []
  const held: HoldRequest[] = []
  const books = world.deps.ledgerOf(world.orgId)
  const ledger = {
    ...books,
    draw: (request: HoldRequest) => ({ ...request, creditId: 'crd_1' }),
    hold: (request: HoldRequest): Promise<HoldAnswer> => {
      held.push(request)
      return request.creditId === undefined ? books.hold(request) : Promise.resolve({ ok: true })
    },
    announce: (id: string) => {
      asked.push(`announce ${id}`)
      return announcing.answer()
    },
    release: (id: string, isLast?: boolean) => {
      asked.push(`release ${id}${isLast ? ' for good' : ''}`)
      return books.release(id, isLast)
    },
  }
  Object.assign(world.deps, { ledgerOf: () => ledger })
  const listed = async (): Promise<string[]> => {
    const [open] = await backend.redis.pipeline([['HGETALL', redisKeys.open(world.orgId)]])
    return Object.keys(open ?? {})
  }
  // It is known from here on.
  const first = await world.admit()
  asked.length = held.length = world.ledgerCalls.length = 0
  return { ...world, asked, held, announcing, listed, first }
}

/** While this runs Redis behaves otherwise; the ledger's world goes on. */
async function withRedis(deps: { redis: Redis }, run: Redis['run'], work: () => Promise<unknown>): Promise<void> {
  const { redis } = deps
  Object.assign(deps, { redis: { ...redis, run } })
  try {
    await work()
  } finally {
    Object.assign(deps, { redis })
  }
}

const away = () => Promise.reject(new DependencyError('redis', new Error('away')))
const failure = (code: string) => expect.objectContaining({ code })

describe('a call that draws on credit', () => {
  it('asks the ledger nothing, and is on the list of open calls with the name of its credit', async () => {
    const { admit, asked, ledgerCalls, listed, orgId } = await lent()
    expect(await admit()).toMatchObject({ held: true, heldNanoUsd: 100 })
    expect([asked, ledgerCalls]).toEqual([[], []])
    expect(await listed()).toEqual(['req_1', 'req_2'])
    const [open] = await backend.redis.pipeline([['HGETALL', redisKeys.open(orgId)]])
    expect(JSON.parse(Object(open).req_2)).toMatchObject({ creditId: 'crd_1', amountNanoUsd: 100 })
  })

  it('draws once: under a policy that has changed meanwhile it holds by itself', async () => {
    const { admit, apiKey, pepper, first, held, asked } = await lent()
    const newer = { ...first.policy, version: 'newer' }
    const key = recordKeys.key(await hashKey(pepper, apiKey))
    await backend.redis.pipeline([['HSET', key, { v: newer.version, p: JSON.stringify(newer) }]])
    await admit()
    expect(held.map(({ creditId }) => creditId)).toEqual(['crd_1', undefined])
    expect(asked).toEqual(['release req_2'])
  })

  it('is announced while Redis is away, and not made where the ledger is away, too', async () => {
    const { admit, asked, announcing, deps, settled } = await lent()
    await withRedis(deps, away, () => admit())
    expect(asked).toEqual(['announce req_2'])
    announcing.answer = () => Promise.reject(new DependencyError('ledger', new Error('away')))
    const world = deps.ledgerOf('')
    Object.assign(deps, { ledgerOf: () => ({ ...world, hold: announcing.answer }) })
    await withRedis(deps, away, () => expect(admit()).rejects.toThrow(failure('budget_unavailable')))
    await settled()
    expect(asked.slice(1)).toContain('release req_3 for good')
  })

  it('is refused where its credit is over and the budget used up', async () => {
    const { admit, announcing, deps, asked, settled } = await lent()
    announcing.answer = async () => ({ ok: false, budgetId: 'bud_1', remainingNanoUsd: 0 })
    await withRedis(deps, away, () => expect(admit()).rejects.toThrow(failure('insufficient_quota')))
    await settled()
    expect(asked).toEqual(['announce req_2', 'release req_2 for good'])
  })

  it('is announced when it may have been listed too late, and is taken off the list where that fails', async () => {
    const { admit, announcing, asked, deps, state, listed, settled } = await lent()
    const { redis } = deps
    const stalled: Redis['run'] = async (...given) => {
      state.nowMs += 4000
      return redis.run(...given)
    }
    await withRedis(deps, stalled, () => admit())
    expect(asked).toEqual(['announce req_2'])
    announcing.answer = () => Promise.reject(new DependencyError('ledger', new Error('away')))
    await withRedis(deps, stalled, () => expect(admit()).rejects.toThrow(failure('budget_unavailable')))
    await settled()
    expect(asked.slice(1)).toEqual(['announce req_3', 'release req_3 for good'])
    expect(await listed()).toEqual(['req_1', 'req_2'])
  })
})
