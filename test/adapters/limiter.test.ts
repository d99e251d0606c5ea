import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLimiter } from '../../src/adapters/limiter.ts'
import { createUpstash } from '../../src/adapters/upstash.ts'
import { DependencyError } from '../../src/core/errors.ts'
import type { Limiter, LimitName } from '../../src/core/limiter.ts'
import { type RedisBackend, startEmbedded } from '../features/admission/backends.ts'

let backend: RedisBackend
let limiter: Limiter
beforeAll(async () => {
  backend = await startEmbedded()
  limiter = createLimiter(createUpstash(backend))
})
afterAll(() => backend?.stop())

async function takeUntilRefused(name: LimitName, subject: string) {
  for (let taken = 0; ; taken++) {
    const { allowed, retryAfterSeconds } = await limiter.take(name, subject)
    if (!allowed) return { taken, retryAfterSeconds }
  }
}

const command = async (...parts: string[]): Promise<unknown> => {
  const response = await fetch(backend.url, {
    method: 'POST',
    headers: { authorization: `Bearer ${backend.token}` },
    body: JSON.stringify(parts),
  })
  return ((await response.json()) as { result: unknown }).result
}

describe('tries to sign in', () => {
  it('are five for a name at an address, and then none for a quarter of an hour', async () => {
    const refused = await takeUntilRefused('logins_per_ip_and_name', '192.0.2.1 ada')
    expect(refused).toEqual({ taken: 5, retryAfterSeconds: 900 })
    const again = await limiter.take('logins_per_ip_and_name', '192.0.2.1 ada')
    expect(again.allowed).toBe(false)
    expect(again.retryAfterSeconds).toBeGreaterThan(890)
    expect((await limiter.take('logins_per_ip_and_name', '192.0.2.2 ada')).allowed).toBe(true)
  })

  it('are as many again once one was right', async () => {
    const subject = '192.0.2.3 ada'
    for (let at = 0; at < 4; at++) await limiter.take('logins_per_ip_and_name', subject)
    await limiter.reset('logins_per_ip_and_name', subject)
    expect((await takeUntilRefused('logins_per_ip_and_name', subject)).taken).toBe(5)
    await limiter.reset('logins_per_ip_and_name', subject)
    expect((await limiter.take('logins_per_ip_and_name', subject)).allowed).toBe(true)
  })

  it('are three at once for an address, and one more every twelve seconds', async () => {
    const { taken, retryAfterSeconds } = await takeUntilRefused('logins_per_ip', '192.0.2.4')
    expect(taken).toBe(3)
    expect(retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect(retryAfterSeconds).toBeLessThanOrEqual(12)
  })
})

describe('whoever is limited', () => {
  it.each(['registrations_per_ip', 'orgs_per_user', 'resets_per_ip', 'bootstraps_per_ip'] as const)(
    'has five %s an hour',
    async (name) => {
      const { taken, retryAfterSeconds } = await takeUntilRefused(name, '192.0.2.5')
      expect(taken).toBe(5)
      expect(retryAfterSeconds).toBeGreaterThan(3500)
      expect(retryAfterSeconds).toBeLessThanOrEqual(3600)
    },
  )

  it('is not named in Redis', async () => {
    await takeUntilRefused('logins_per_ip_and_name', '192.0.2.6 grace.hopper')
    const keys = String(await command('KEYS', '*'))
    expect(keys).toContain('limit:logins_per_ip_and_name:block:')
    expect(keys).not.toMatch(/grace|192\.0/)
  })

  it('is told by an error, not by an answer, when Redis is away', async () => {
    backend.proxy.mode('refuse')
    try {
      for (const call of ['take', 'allows', 'reset'] as const) {
        await expect(limiter[call]('logins_per_ip_and_name', 'ada')).rejects.toThrow(DependencyError)
      }
    } finally {
      backend.proxy.mode('pass')
    }
  })
})
