import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RedisArgument } from '../../../src/core/redis.ts'
import { cacheKeys } from '../../../src/features/cache/key.ts'
import { countScript, findScript, keepScript, removeScript } from '../../../src/features/cache/scripts.ts'
import { backends, type RedisBackend } from '../admission/backends.ts'

const START_MS = 1_800_000_000_000
const HOUR_MS = 3_600_000

/** As many entries at once as a test could not write one by one. */
const fillScript = {
  text: `for i = 1, tonumber(ARGV[2]) do
  redis.call('HSET', ARGV[1] .. i, 'sc', 'key', 'k', 'key_1', 'm', 'm', 't', 'a/m', 'g', ' ', 'at', '1')
  redis.call('ZADD', KEYS[1], i, ARGV[1] .. i)
  redis.call('ZADD', KEYS[2], i, ARGV[1] .. i)
end
return 1`,
}

let made = 0

describe.each(backends)('the scripts of kept answers on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  /** An organisation of its own. */
  function cache() {
    made += 1
    const orgId = `org_${made}`
    const lists = [cacheKeys.index(orgId), cacheKeys.due(orgId)]
    const entry = (name: string) => cacheKeys.entry(orgId, name)
    const fieldsOf = (given: Readonly<Record<string, string>>) =>
      Object.entries({ s: 'stamp', v: 'value', at: '100', sc: 'key', k: 'key_1', m: 'gpt-4o', ...given }).flat()
    return {
      entry,
      lists,
      keep: (name: string, given: { nowMs?: number; ttlMs?: number; most?: number; fields?: object } = {}) => {
        const { nowMs = START_MS, ttlMs = HOUR_MS, most = 100, fields = {} } = given
        const about = fieldsOf({ t: 'openai/gpt-4o', g: ' ', ...fields })
        return backend.redis.run(keepScript, [entry(name), ...lists], [nowMs, ttlMs, most, ...about])
      },
      remove: (...names: string[]) => backend.redis.run(removeScript, [...lists, ...names.map(entry)], []),
      count: (nowMs = START_MS) => backend.redis.run(countScript, lists.slice(1), [nowMs]),
      async find(given: Partial<Record<'scope' | 'key' | 'model' | 'tag' | 'before', RedisArgument>> = {}) {
        const { scope = '', key = '', model = '', tag = '', before = '' } = given
        const found = new Set<string>()
        let [cursor, steps] = ['0', 0]
        do {
          const reply = await backend.redis.run(findScript, lists.slice(0, 1), [cursor, scope, key, model, tag, before])
          if (!Array.isArray(reply)) throw new Error('no list')
          cursor = String(reply[0])
          for (const key of reply.slice(1)) found.add(String(key).slice(entry('').length))
          steps += 1
        } while (cursor !== '0')
        return { found: [...found].sort(), steps }
      },
      async names(among: readonly string[]) {
        const stamps = await backend.redis.pipeline(among.map((name) => ['HGETALL', entry(name)] as const))
        return among.filter((_, at) => stamps[at] !== null)
      },
    }
  }

  it('writes an entry as a whole over the one before', async () => {
    const { keep, count, entry } = cache()
    await keep('a', { fields: { old: 'field' } })
    expect(await keep('a', { fields: { s: 'another' } })).toBe(1)
    const [kept] = await backend.redis.pipeline([['HGETALL', entry('a')]])
    expect(kept).toMatchObject({ s: 'another', v: 'value' })
    expect(kept).not.toHaveProperty('old')
    expect(await count()).toBe(1)
  })

  it('lets those go that were used longest ago once there are too many', async () => {
    const { keep, names, count } = cache()
    for (const [at, name] of ['a', 'b', 'c'].entries()) await keep(name, { nowMs: START_MS + at, most: 3 })
    // Used again: now the second is the oldest.
    await keep('a', { nowMs: START_MS + 10, most: 3 })
    expect(await keep('d', { nowMs: START_MS + 11, most: 3 })).toBe(3)
    expect(await names(['a', 'b', 'c', 'd'])).toEqual(['a', 'c', 'd'])
    expect(await count(START_MS)).toBe(3)
    expect(await keep('e', { nowMs: START_MS + 12, most: 1 })).toBe(1)
    expect(await names(['a', 'b', 'c', 'd', 'e'])).toEqual(['e'])
  })

  it('counts no entry that has expired, and makes room by it before anything else', async () => {
    const { keep, count, names } = cache()
    await keep('short', { ttlMs: 60_000 })
    await keep('long', { nowMs: START_MS - 10 })
    expect(await count(START_MS + 59_999)).toBe(2)
    expect(await count(START_MS + 60_000)).toBe(1)
    expect(await keep('new', { nowMs: START_MS + 60_001, most: 2 })).toBe(2)
    expect(await names(['long', 'new'])).toEqual(['long', 'new'])
  })

  it('removes those that are named', async () => {
    const { keep, remove, names, count } = cache()
    for (const name of ['a', 'b', 'c']) await keep(name)
    expect(await remove('a', 'c', 'none')).toBe(2)
    expect(await remove('a')).toBe(0)
    expect(await names(['a', 'b', 'c'])).toEqual(['b'])
    expect(await count()).toBe(1)
  })

  it('finds entries by what is said of them', async () => {
    const { keep, find } = cache()
    await keep('a', { fields: { g: ' news docs ', at: '99' } })
    await keep('b', { fields: { k: 'key_2' } })
    await keep('c', { fields: { m: 'auto', t: 'groq/llama/3.1' } })
    await keep('d', { fields: { sc: 'org', k: 'key_3' } })
    const by = async (given: Parameters<typeof find>[0]) => (await find(given)).found
    expect(await by({})).toEqual(['a', 'b', 'c', 'd'])
    expect(await by({ scope: 'org' })).toEqual(['d'])
    expect(await by({ key: 'key_2' })).toEqual(['b'])
    for (const model of ['auto', 'llama/3.1', 'groq/llama/3.1']) expect(await by({ model })).toEqual(['c'])
    expect(await by({ model: '3.1' })).toEqual([])
    expect(await by({ tag: 'docs' })).toEqual(['a'])
    expect(await by({ tag: 'doc' })).toEqual([])
    expect(await by({ before: 100 })).toEqual(['a'])
    expect(await by({ tag: 'docs', key: 'key_2' })).toEqual([])
  })

  it('finds what has expired whatever is said, so that it is taken out of the lists', async () => {
    const { keep, find, remove, entry } = cache()
    await keep('a')
    await backend.redis.run({ text: `return redis.call('DEL', KEYS[1])` }, [entry('a')], [])
    expect((await find({ tag: 'docs' })).found).toEqual(['a'])
    expect(await remove('a')).toBe(0)
    expect((await find()).found).toEqual([])
  })

  it('finds many in bounded steps, and none of another organisation', async () => {
    const [mine, theirs] = [cache(), cache()]
    await theirs.keep('a')
    await backend.redis.run(fillScript, mine.lists, [mine.entry(''), 520])
    const { found, steps } = await mine.find({ key: 'key_1' })
    expect(found).toHaveLength(520)
    expect(steps).toBeGreaterThan(1)
  })
})
