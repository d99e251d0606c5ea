import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLimiter } from '../../src/adapters/limiter.ts'
import { createRedis, createUpstash, REDIS_TIMEOUT_MS } from '../../src/adapters/upstash.ts'
import { DependencyError } from '../../src/core/errors.ts'
import { type RedisBackend, startEmbedded } from '../features/admission/backends.ts'

const script = { text: 'return redis.call("GET", KEYS[1])' }

describe('Redis through the Upstash client', () => {
  let backend: RedisBackend
  beforeAll(async () => {
    backend = await startEmbedded()
  })
  afterAll(() => backend?.stop())

  it('sends every command of the port in one request', async () => {
    const before = backend.proxy.requests()
    const replies = await backend.redis.pipeline([
      ['SETPX', 'text', '"12"', 60_000],
      ['GET', 'text'],
      ['INCRBY', 'number', 5],
      ['INCRBY', 'number', -7],
      ['HSET', 'hash', { a: '1', 'b "c"': 'ü' }],
      ['HINCRBY', 'hash', 'a', 2],
      ['HVALS', 'hash'],
      ['HLEN', 'hash'],
      ['HGETALL', 'hash'],
      ['HDEL', 'hash', ['a', 'none']],
      ['EXPIRE', 'hash', 60],
      ['HGETALL', 'nothing'],
      ['GET', 'nothing'],
    ])
    expect(replies).toEqual(['OK', '"12"', 5, -2, 2, 3, ['3', 'ü'], 2, { a: '3', 'b "c"': 'ü' }, 1, 1, null, null])
    expect(backend.proxy.requests() - before).toBe(1)
  })

  it('runs a script by its hash, and by its text once for a Redis that does not know it', async () => {
    const before = backend.proxy.requests()
    expect(await backend.redis.run(script, ['text'], [])).toBe('"12"')
    expect(await backend.redis.run(script, ['text'], [])).toBe('"12"')
    expect(backend.proxy.requests() - before).toBe(3)
  })

  it('is away when the connection breaks, and when no answer comes in time', async () => {
    backend.proxy.mode('refuse')
    await expect(backend.redis.run(script, ['text'], [])).rejects.toThrow(DependencyError)
    backend.proxy.mode('hang')
    const before = performance.now()
    const impatient = createRedis(createUpstash({ url: backend.url, token: backend.token }))
    await expect(impatient.pipeline([['GET', 'text']])).rejects.toThrow(DependencyError)
    expect(performance.now() - before).toBeGreaterThan(REDIS_TIMEOUT_MS - 50)
    expect(performance.now() - before).toBeLessThan(REDIS_TIMEOUT_MS * 10)
    backend.proxy.mode('pass')
    expect(await backend.redis.pipeline([['GET', 'text']])).toEqual(['"12"'])
  })

  it('shows what Redis refuses as it is', async () => {
    await expect(backend.redis.pipeline([['HVALS', 'text']])).rejects.toThrow(/WRONGTYPE/)
    await expect(backend.redis.run({ text: 'return redis.call("HVALS", KEYS[1])' }, ['text'], [])).rejects.not.toThrow(
      DependencyError,
    )
  })

  it('is away for a token that it does not take', async () => {
    const redis = createRedis(createUpstash({ url: backend.url, token: 'another' }))
    await expect(redis.run(script, ['text'], [])).rejects.toThrow(DependencyError)
  })
})

describe('limits by address', () => {
  it('let a minute of look-ups through for each address, and leave it to the caller when Redis is away', async () => {
    const backend = await startEmbedded()
    try {
      const limiter = createLimiter(createUpstash(backend))
      const take = (subject: string) => limiter.take('key_lookups_per_ip', subject)
      for (let at = 0; at < 70; at++) expect((await take('192.0.2.1')).allowed).toBe(true)
      const refused = await take('192.0.2.1')
      expect(refused.allowed).toBe(false)
      expect(refused.retryAfterSeconds).toBeGreaterThanOrEqual(1)
      expect(refused.retryAfterSeconds).toBeLessThanOrEqual(60)
      expect((await take('192.0.2.2')).allowed).toBe(true)
      for (const mode of ['refuse', 'hang'] as const) {
        backend.proxy.mode(mode)
        await expect(take('192.0.2.3')).rejects.toThrow(DependencyError)
      }
    } finally {
      await backend.stop()
    }
  })
})

describe('an Upstash database that has had enough', () => {
  it.each([
    'ERR max daily request limit exceeded. Limit: 10000, Usage: 10000. See https://upstash.com for details',
    'ERR max concurrent connections exceeded',
    'ERR DB capacity quota exceeded. Limit: 268435456 bytes',
    'WRONGPASS invalid or missing auth token',
    'OOM command not allowed when used memory > maxmemory',
    'LOADING Redis is loading the dataset in memory',
  ])('is away: %s', async (error) => {
    const server = createServer((_request, response) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const redis = createRedis(createUpstash({ url: `http://127.0.0.1:${port}`, token: 'any' }))
    await expect(redis.run(script, ['limit exceeded'], [])).rejects.toThrow(DependencyError)
    await new Promise((resolve) => server.close(resolve))
  })
})
