import { randomUUID } from 'node:crypto'
import type { Redis } from '@upstash/redis'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { anyCharacter } from '../../support/any-character.ts'
import { count } from '../../support/lane.ts'
import { type Backend, clientOf, post, send } from './backend.ts'

/** What the real client stores and reads back, the same on every engine. */
export function dataContract(backend: () => Backend): void {
  const redis = (): Redis => clientOf(backend().server)
  const key = (): string => `data:${randomUUID()}`

  it('keeps strings, unicode, JSON and numbers', async () => {
    const name = key()
    for (const value of [
      'plain',
      'naïve 日本語 🙂 \u0000 \r\n "quoted"',
      { a: [1, 'two', null] },
      [1, 2],
      12.5,
      true,
    ]) {
      await redis().set(name, value)
      expect(await redis().get(name)).toEqual(value)
    }
  })

  it('keeps a number a number', async () => {
    const name = key()
    expect(await redis().incrby(name, 41)).toBe(41)
    expect(await redis().incr(name)).toBe(42)
    expect(await redis().get(name)).toBe(42)
    expect(await redis().incrbyfloat(name, 0.5)).toBe(42.5)
    expect((await post(backend().server, '/', ['STRLEN', name])).body).toEqual({ result: 4 })
  })

  it('answers null for a missing key, field and member', async () => {
    const name = key()
    expect(await redis().get(name)).toBeNull()
    expect(await redis().hget(name, 'f')).toBeNull()
    expect(await redis().hgetall(name)).toBeNull()
    expect(await redis().zscore(name, 'm')).toBeNull()
    expect(await redis().mget(name, name)).toEqual([null, null])
  })

  it('obeys the options of SET', async () => {
    const name = key()
    expect(await redis().set(name, 'one', { nx: true, ex: 100 })).toBe('OK')
    expect(await redis().set(name, 'two', { nx: true })).toBeNull()
    expect(await redis().ttl(name)).toBeGreaterThan(90)
    expect(await redis().set(name, 'two', { xx: true, keepTtl: true })).toBe('OK')
    expect(await redis().ttl(name)).toBeGreaterThan(90)
    expect(await redis().set(name, 'three', { get: true })).toBe('two')
    expect(await redis().ttl(name)).toBe(-1)
    await redis().set(name, 'four', { px: 1 })
    await expect.poll(() => redis().get(name)).toBeNull()
  })

  it('works on hashes, and HGETALL is an object of fields', async () => {
    const name = key()
    expect(await redis().hset(name, { text: 'x', count: 3, nested: { deep: true } })).toBe(3)
    expect(await redis().hgetall(name)).toEqual({ text: 'x', count: 3, nested: { deep: true } })
    expect(await redis().hincrby(name, 'count', 2)).toBe(5)
    expect(await redis().hmget(name, 'text', 'absent')).toEqual({ text: 'x', absent: null })
    const raw = await post(backend().server, '/', ['HGETALL', name])
    expect(raw.body).toEqual({ result: ['text', 'x', 'count', '5', 'nested', '{"deep":true}'] })
  })

  it('works on lists, sets and sorted sets', async () => {
    const [list, set, ranking] = [key(), key(), key()]
    await redis().rpush(list, 'a', 'b', 'c')
    expect(await redis().lpop(list)).toBe('a')
    expect(await redis().lrange(list, 0, -1)).toEqual(['b', 'c'])
    await redis().sadd(set, 'x', 'y', 'x')
    expect((await redis().smembers(set)).sort()).toEqual(['x', 'y'])
    expect(await redis().smismember(set, ['x', 'z'])).toEqual([1, 0])
    await redis().zadd(ranking, { score: 2.5, member: 'two' }, { score: 1, member: 'one' })
    expect(await redis().zrange(ranking, 0, -1, { withScores: true })).toEqual(['one', 1, 'two', 2.5])
    expect(await redis().zscore(ranking, 'two')).toBe(2.5)
  })

  it('finds every key of a scan once', async () => {
    const prefix = key()
    const names = Array.from({ length: 120 }, (_value, index) => `${prefix}:${index}`)
    await redis().mset(Object.fromEntries(names.map((name) => [name, 'x'])))
    const found: string[] = []
    let cursor = '0'
    do {
      const [next, page] = await redis().scan(cursor, { match: `${prefix}:*`, count: 50 })
      found.push(...page)
      cursor = next
    } while (cursor !== '0')
    expect(new Set(found)).toEqual(new Set(names))
  })

  it('keeps values of 1 MB', async () => {
    const name = key()
    const value = 'ü🙂x'.repeat(150_000)
    await redis().set(name, value)
    expect(await redis().get(name)).toBe(value)
  })

  it('takes a command with more arguments than a function call can have', async () => {
    const name = key()
    const members = Array.from({ length: 150_000 }, (_value, index) => String(index))
    expect((await post(backend().server, '/', ['SADD', name, ...members])).body).toEqual({ result: 150_000 })
    await redis().del(name)
  })

  it('gives back any string from SET and GET', async () => {
    const client = clientOf(backend().server, { automaticDeserialization: false })
    const name = key()
    const property = fc.asyncProperty(anyText, async (value) => {
      await client.set(name, value)
      expect(await client.get(name)).toBe(value)
      expect(await client.mget(name)).toEqual([value])
    })
    await fc.assert(property, { numRuns: count(25, 60), examples: [['OK'], ['PONG'], [''], ['T0s=']] })
  })

  it('gives back any string from HSET and HGETALL', async () => {
    // Without deserialization the client leaves HGETALL the flat list that Redis sends.
    const client = clientOf(backend().server, { automaticDeserialization: false })
    const name = key()
    const fields = fc.dictionary(anyText, anyText, { minKeys: 1, maxKeys: 8, noNullPrototype: true })
    const property = fc.asyncProperty(fields, async (expected) => {
      await client.del(name)
      await client.hset(name, expected)
      const flat = Object.entries(expected).flat()
      expect(await client.hgetall(name)).toHaveLength(flat.length)
      for (const [field, value] of Object.entries(expected)) expect(await client.hget(name, field)).toBe(value)
    })
    await fc.assert(property, { numRuns: count(12, 25), examples: [[{ OK: 'OK', PONG: 'PONG' }]] })
  })

  it('gives back any JSON object from HSET and HGETALL', async () => {
    const name = key()
    const value = fc.oneof(fc.integer(), fc.boolean(), fc.array(fc.integer()), fc.record({ deep: fc.constant('x y') }))
    // The client builds a plain object, on which `__proto__` is not a field.
    const field = anyText.filter((text) => text !== '__proto__')
    const fields = fc.dictionary(field, value, { minKeys: 1, maxKeys: 8, noNullPrototype: true })
    const property = fc.asyncProperty(fields, async (expected) => {
      await redis().del(name)
      await redis().hset(name, expected)
      expect(await redis().hgetall(name)).toEqual(expected)
    })
    await fc.assert(property, { numRuns: count(12, 25), examples: [[{ OK: 1, PONG: [2] }]] })
  })

  it('gives back any bytes in base64, with any bytes as the key', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 })
    const property = fc.asyncProperty(bytes, bytes, async (name, value) => {
      const path = `/${encodeURIComponent('data:')}${percentEncode(name)}`
      expect((await post(backend().server, `/set${path}`, value)).body).toEqual({ result: 'OK' })
      const answer = await send(backend().server, `/getrange${path}/0/-1`, {
        headers: { 'upstash-encoding': 'base64' },
      })
      const text = Buffer.from(value).toString()
      expect(answer.body).toEqual({ result: text === 'OK' ? 'OK' : Buffer.from(value).toString('base64') })
    })
    await fc.assert(property, {
      numRuns: count(25, 60),
      examples: [[Buffer.from('..'), Buffer.from([0xff, 0x00, 0xc3])]],
    })
  })
}

/** Any text that has a UTF-8 form: lone surrogates have none. */
const anyText = fc.oneof(
  fc.string({ unit: anyCharacter }),
  fc.constantFrom('OK', 'PONG', '', '0', 'null', '[1]', '1e3'),
)

function percentEncode(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
}
