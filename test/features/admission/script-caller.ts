import type { Ask, Limit, Policy } from '../../../src/core/admission.ts'
import type { HoldRequest } from '../../../src/core/ledger.ts'
import type { Redis } from '../../../src/core/redis.ts'
import { admissionScript } from '../../../src/features/admission/script.ts'
import { readReply, scriptInput } from '../../../src/features/admission/script-call.ts'
import { fakePolicy } from '../../support/fake-deps.ts'
import type { RedisBackend } from './backends.ts'

/** Requests expire from Redis by its own clock: limits this slow outlive every test. */
export const START_MS = 1_800_000_000_000
/** Read from Postgres just now, and not to be confirmed by anybody. */
export const fresh = { at: String(START_MS), due: String(START_MS + 1_000_000_000) }
export const MINUTE_MS = 60_000

export const requests = (amount: number, burst: number): Limit => ({
  id: 'requests',
  subject: 'key',
  metric: 'requests',
  algorithm: 'token_bucket',
  window: 60,
  amount,
  burst,
  mode: 'enforce',
})
export const tokens = (amount: number): Limit => ({
  id: 'tokens',
  subject: 'key',
  metric: 'tokens',
  algorithm: 'sliding_window',
  window: 60,
  amount,
  mode: 'enforce',
})

let made = 0

/** A caller of its own, whose record Redis has. */
export async function callerOf(backend: RedisBackend, limits: Limit[], given: Partial<Policy> = {}) {
  made += 1
  const record = `key:hash-${made}`
  const policy = fakePolicy({ orgId: `org_${made}`, version: 'v1', limits, ...given })
  await backend.redis.pipeline([['HSET', record, { v: 'v1', p: JSON.stringify(policy), ...fresh }]])
  const run = async (nowMs: number, ask: Partial<Ask> = {}, hold?: HoldRequest) => {
    const asked = { tokens: 0, candidates: [], ...ask }
    const { keys, args } = scriptInput({ record, policy, ask: asked, hold, nowMs })
    return readReply(await backend.redis.run(admissionScript, keys, args), policy, asked)
  }
  return { record, policy, run, name: String(made) }
}

/** Puts kept answers on the list of those that are there, the first one as the one that was used longest ago. */
export const list = (redis: Redis, { index, keys }: { index: string; keys: readonly string[] }): Promise<unknown> =>
  redis.run({ text: `for i = 2, #KEYS do redis.call('ZADD', KEYS[1], i, KEYS[i]) end return 1` }, [index, ...keys], [])

/** The same list, in that order. */
export const listed = (redis: Redis, index: string): Promise<unknown> =>
  redis.run({ text: `return redis.call('ZRANGE', KEYS[1], 0, -1)` }, [index], [])
