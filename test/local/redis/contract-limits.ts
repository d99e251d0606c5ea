import { randomUUID } from 'node:crypto'
import { Ratelimit } from '@upstash/ratelimit'
import { expect, it } from 'vitest'
import { type Backend, clientOf } from './backend.ts'

/** The limiters of `@upstash/ratelimit`, whose scripts carry a first line that plain Redis refuses. */
export function limitContract(backend: () => Backend): void {
  const limiters = {
    'fixed window': Ratelimit.fixedWindow(3, '30 d'),
    'sliding window': Ratelimit.slidingWindow(3, '30 d'),
    'token bucket': Ratelimit.tokenBucket(3, '30 d', 3),
  }
  const limit = (limiter: ReturnType<typeof Ratelimit.fixedWindow>) =>
    new Ratelimit({
      redis: clientOf(backend().server),
      limiter,
      prefix: `limit:${randomUUID()}`,
      ephemeralCache: false,
      timeout: 0,
    })

  it.each(Object.entries(limiters))('counts a %s down and refuses what is beyond', async (_name, limiter) => {
    const ratelimit = limit(limiter)
    const answers = []
    for (let attempt = 0; attempt < 5; attempt += 1) answers.push(await ratelimit.limit('someone'))
    expect(answers.map((answer) => answer.success)).toEqual([true, true, true, false, false])
    expect(answers.map((answer) => answer.remaining)).toEqual([2, 1, 0, 0, 0])
    expect((await ratelimit.limit('someone else')).success).toBe(true)
  })

  it('says how much is left and starts again after a reset', async () => {
    const ratelimit = limit(Ratelimit.fixedWindow(3, '30 d'))
    await ratelimit.limit('someone')
    expect((await ratelimit.getRemaining('someone')).remaining).toBe(2)
    await ratelimit.resetUsedTokens('someone')
    expect((await ratelimit.getRemaining('someone')).remaining).toBe(3)
  })

  it('refills a token bucket with time', async () => {
    const ratelimit = limit(Ratelimit.tokenBucket(1, '100 ms', 1))
    expect((await ratelimit.limit('someone')).success).toBe(true)
    await expect.poll(async () => (await ratelimit.limit('someone')).success, { interval: 20 }).toBe(true)
  })

  it.each([
    ['fixed window', Ratelimit.fixedWindow(20, '30 d')],
    ['sliding window', Ratelimit.slidingWindow(20, '30 d')],
    ['token bucket', Ratelimit.tokenBucket(20, '30 d', 20)],
  ])('lets exactly 20 of 60 concurrent calls through a %s of 20', async (_name, limiter) => {
    const ratelimit = limit(limiter)
    const answers = await Promise.all(Array.from({ length: 60 }, () => ratelimit.limit('crowd')))
    expect(answers.filter((answer) => answer.success)).toHaveLength(20)
  })
}
