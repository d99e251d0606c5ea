import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { backends, type RedisBackend } from './backends.ts'
import { callerOf, list, listed, requests, START_MS } from './script-caller.ts'

describe.each(backends)('kept answers in the admission script on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  /** A caller with two answers, of which the first was used longest ago. */
  async function cache() {
    const { run, name } = await callerOf(backend, [requests(60, 2)])
    const [index, one, other] = [`${name}:ans`, `${name}:ans:1`, `${name}:ans:2`]
    const entry = { s: 'stamp', v: 'sealed' }
    await backend.redis.pipeline([
      ['HSET', one, entry],
      ['HSET', other, entry],
    ])
    await list(backend.redis, { index, keys: [one, other] })
    const look = async (key: string, held?: string) => {
      const reply = await run(START_MS, { cache: { key, index, held } })
      return reply.kind === 'admitted' ? reply.cached : reply.kind
    }
    return { index, one, other, look }
  }

  it('come with their stamp, and with what is sealed unless that stamp is held', async () => {
    const { one, other, look } = await cache()
    expect(await look(one, 'an older stamp')).toEqual({ stamp: 'stamp', value: 'sealed' })
    expect(await look(other, 'stamp')).toEqual({ stamp: 'stamp', value: undefined })
  })

  it('are used last once they were asked for', async () => {
    const { one, other, index, look } = await cache()
    await look(one, 'stamp')
    expect(await listed(backend.redis, index)).toEqual([other, one])
  })

  it('are none where the list of them does not have them, and come onto no list by being asked for', async () => {
    const { one, other, index, look } = await cache()
    await backend.redis.run({ text: `return redis.call('ZREM', KEYS[1], KEYS[2])` }, [index, one], [])
    expect(await look(one)).toBeUndefined()
    expect(await look(`${one}-never-kept`)).toBeUndefined()
    expect(await listed(backend.redis, index)).toEqual([other])
  })

  it('are not looked at for a caller who is refused', async () => {
    const { one, other, index, look } = await cache()
    await look(other)
    await look(other)
    expect(await look(one)).toBe('refused')
    expect(await listed(backend.redis, index)).toEqual([one, other])
  })
})
