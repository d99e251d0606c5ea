import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openEmbedded } from '../../../scripts/local/redis/engine.ts'
import { startRedis } from '../../../scripts/local/redis/server.ts'
import { startSnapshots } from '../../../scripts/local/redis/snapshot.ts'
import { loadSnapshot, saveSnapshot } from '../../../scripts/local/redis/snapshot-file.ts'
import { clientOf, post, TOKEN } from './backend.ts'

let directory: string
let file: string
const messages: string[] = []
const log = (message: string) => void messages.push(message)

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'helix-snapshot-'))
  file = join(directory, 'data', 'redis.ndjson')
  messages.length = 0
})
afterEach(() => rm(directory, { recursive: true, force: true }))

it('gives every key back after a restart, with its type and expiry', async () => {
  const first = await startRedis({ token: TOKEN, snapshotFile: file, log })
  const redis = clientOf(first)
  await redis.set('text', 'ü')
  await redis.set('soon', 'x', { ex: 1_000 })
  await redis.hset('hash', { a: 1, b: 2 })
  await post(first, '/', ['HPEXPIRE', 'hash', '900000', 'FIELDS', '1', 'a'])
  await redis.rpush('list', 'z', 'a', 'z')
  await redis.sadd('set', 'x', 'y')
  await post(first, '/', ['ZADD', 'ranking', '1.5', 'low', '-inf', 'lowest', 'inf', 'highest'])
  await redis.rpush('long list', ...Array.from({ length: 2_500 }, (_value, index) => index))
  await first.close()

  const second = clientOf(await restarted())
  expect(await second.get('text')).toBe('ü')
  expect(await second.ttl('soon')).toBeGreaterThan(900)
  expect(await second.ttl('text')).toBe(-1)
  expect(await second.hgetall('hash')).toEqual({ a: 1, b: 2 })
  const [a = 0, b = 0] = await second.hpttl('hash', ['a', 'b'])
  expect([a > 800_000, b]).toEqual([true, -1])
  expect(await second.lrange('list', 0, -1)).toEqual(['z', 'a', 'z'])
  expect((await second.smembers('set')).sort()).toEqual(['x', 'y'])
  expect(await second.zrange('ranking', 0, -1)).toEqual(['lowest', 'low', 'highest'])
  expect(await second.zscore('ranking', 'low')).toBe(1.5)
  expect(await second.lrange('long list', 0, -1)).toEqual(Array.from({ length: 2_500 }, (_value, index) => index))
})

it('gives back any bytes as key, value and member', async () => {
  const engine = await openEmbedded(log)
  const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array))
  const target = join(directory, 'bytes.ndjson')
  const property = fc.asyncProperty(bytes, bytes, fc.double({ noNaN: true }), async (name, value, score) => {
    const [text, ranking] = [Buffer.concat([Buffer.from('s'), name]), Buffer.concat([Buffer.from('z'), name])]
    await engine.client.flushall()
    await engine.client.set(text, value)
    await engine.client.zadd(ranking, String(score).replace('Infinity', 'inf'), value)
    const before = await engine.client.zrangeBuffer(ranking, 0, -1, 'WITHSCORES')
    await saveSnapshot(engine.client, target)
    await engine.client.flushall()
    expect(await loadSnapshot(engine.client, target)).toBe(2)
    expect(await engine.client.getBuffer(text)).toEqual(value)
    expect(await engine.client.zrangeBuffer(ranking, 0, -1, 'WITHSCORES')).toEqual(before)
  })
  await fc.assert(property, { numRuns: 40 })
  await engine.close()
})

it('saves by itself after a change, and not without one', async () => {
  const engine = await openEmbedded(log)
  const snapshots = await startSnapshots({ client: engine.client, file, intervalMs: 5, log })
  await engine.client.set('k', 'first')
  snapshots.touch()
  await expect.poll(() => readFile(file, 'utf8')).toContain(Buffer.from('first').toString('base64'))
  await engine.client.set('k', 'second')
  await snapshots.close()
  expect(await readFile(file, 'utf8')).toContain(Buffer.from('first').toString('base64'))
  expect(await readdir(join(directory, 'data'))).toEqual(['redis.ndjson'])
  await engine.close()
})

it('does not write for reads alone', async () => {
  const server = await startRedis({ token: TOKEN, snapshotFile: file, log })
  await post(server, '/', ['GET', 'k'])
  await server.close()
  expect(await readdir(join(directory, 'data'))).toEqual([])
})

it('leaves keys out whose time passed while nothing ran', async () => {
  const engine = await openEmbedded(log)
  await engine.client.set('gone', 'x', 'PX', 100_000)
  await engine.client.set('stays', 'x')
  await saveSnapshot(engine.client, join(directory, 'old.ndjson'))
  const text = await readFile(join(directory, 'old.ndjson'), 'utf8')
  await writeFile(join(directory, 'old.ndjson'), text.replace(/"expiresAtMs":\d+/, '"expiresAtMs":1000'))
  await engine.client.flushall()
  expect(await loadSnapshot(engine.client, join(directory, 'old.ndjson'))).toBe(1)
  expect(await engine.client.keys('*')).toEqual(['stays'])
  await engine.close()
})

it('says when it leaves streams out', async () => {
  const server = await startRedis({ token: TOKEN, snapshotFile: file, log })
  await post(server, '/', ['XADD', 'events', '*', 'field', 'value'])
  await post(server, '/', ['SET', 'k', 'v'])
  await server.close()
  expect(messages).toContainEqual(expect.stringContaining('1 keys are streams'))
  expect(await clientOf(await restarted()).keys('*')).toEqual(['k'])
})

it.each([
  ['is cut off', (text: string) => text.slice(0, -20)],
  ['misses a key', (text: string) => text.replace(/\n\{"type".*\n/, '\n')],
  ['is something else', () => 'hello'],
  ['is empty', () => ''],
])('moves a file aside that %s, and starts empty', async (_name, damage) => {
  const first = await startRedis({ token: TOKEN, snapshotFile: file, log })
  await clientOf(first).mset({ a: 1, b: 2 })
  await first.close()
  await writeFile(file, damage(await readFile(file, 'utf8')))
  expect(await clientOf(await restarted()).dbsize()).toBe(0)
  expect(messages).toContainEqual(expect.stringContaining('could not be read'))
  expect(await readdir(join(directory, 'data'))).toEqual([expect.stringMatching(/^redis\.ndjson\.unreadable-/)])
})

it('keeps the old file and says so when a save fails', async () => {
  const engine = await openEmbedded(log)
  const snapshots = await startSnapshots({ client: engine.client, file, intervalMs: 60_000, log })
  await rm(join(directory, 'data'), { recursive: true })
  snapshots.touch()
  await snapshots.close()
  expect(messages).toContainEqual(expect.stringContaining('could not save'))
  await engine.close()
})

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const server of open.splice(0)) await server.close()
})

async function restarted() {
  const server = await startRedis({ token: TOKEN, snapshotFile: file, log })
  open.push(server)
  return server
}
