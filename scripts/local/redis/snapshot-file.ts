import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Redis } from 'ioredis'
import * as z from 'zod'
import { isBytes } from './reply.ts'

const PAGE_KEYS = 500
const CHUNK_VALUES = 1_000
const FORMAT = 'helix-redis-snapshot'

const headerShape = z.object({ format: z.literal(FORMAT), version: z.literal(1) })
const footerShape = z.object({ keys: z.number() })
const entryShape = z.object({
  type: z.enum(['string', 'hash', 'list', 'set', 'zset']),
  key: z.base64(),
  /** Flat, as Redis replies: field and value, or member and score, one after the other. */
  values: z.array(z.base64()),
  expiresAtMs: z.number().optional(),
  fieldExpiries: z.array(z.object({ field: z.base64(), atMs: z.number() })).optional(),
})
type Entry = z.infer<typeof entryShape>

const READ_ALL: Record<Entry['type'], [string, ...string[]]> = {
  string: ['GET'],
  hash: ['HGETALL'],
  list: ['LRANGE', '0', '-1'],
  set: ['SMEMBERS'],
  zset: ['ZRANGE', '0', '-1', 'WITHSCORES'],
}
const WRITE = { string: 'SET', hash: 'HSET', list: 'RPUSH', set: 'SADD', zset: 'ZADD' } as const

/**
 * Writes every key through the engine's own commands (it has no DUMP) as one JSON line per key, and puts the file in
 * place in one step. Keys that change meanwhile are saved as they are before or after the change.
 * @returns the number of keys saved, and of keys left out because their type (stream) has no form here
 */
export async function saveSnapshot(client: Redis, file: string): Promise<{ saved: number; skipped: number }> {
  const temporary = `${file}.saving`
  const handle = await open(temporary, 'w', 0o600)
  const seen = new Set<string>()
  let skipped = 0
  let saved = 0
  try {
    await handle.write(`${JSON.stringify({ format: FORMAT, version: 1 })}\n`)
    let cursor = '0'
    do {
      const [next, found] = await client.scanBuffer(cursor, 'COUNT', PAGE_KEYS)
      const keys = found.filter((key) => !seen.has(key.toString('base64')))
      for (const key of keys) seen.add(key.toString('base64'))
      const page = await readPage(client, keys)
      saved += page.entries.length
      skipped += page.skipped
      await handle.write(page.entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
      cursor = next.toString()
    } while (cursor !== '0')
    await handle.write(`${JSON.stringify({ keys: saved })}\n`)
    await handle.sync()
    await handle.close()
    await rename(temporary, file)
  } catch (error) {
    await handle.close().catch(() => undefined)
    await rm(temporary, { force: true })
    throw error
  }
  return { saved, skipped }
}

/**
 * Puts the keys of a snapshot back; keys whose time has passed are left out.
 * @returns the number of keys restored, 0 when there is no file
 * @throws Error when the file is not a whole snapshot; nothing was restored then
 */
export async function loadSnapshot(client: Redis, file: string): Promise<number> {
  const entries = await readEntries(file)
  const nowMs = Date.now()
  const live = entries.filter((entry) => entry.expiresAtMs === undefined || entry.expiresAtMs > nowMs)
  for (let start = 0; start < live.length; start += PAGE_KEYS) {
    const commands = live.slice(start, start + PAGE_KEYS).flatMap(restoreCommands)
    const replies = await runAll(client, commands)
    for (const [error] of replies) if (error) throw error
  }
  return live.length
}

async function readPage(client: Redis, keys: readonly Buffer[]): Promise<{ entries: Entry[]; skipped: number }> {
  const metadata = await runAll(
    client,
    keys.flatMap((key) => [
      ['TYPE', key],
      ['PEXPIRETIME', key],
    ]),
  )
  const known = keys.flatMap((key, index) => {
    const type = entryShape.shape.type.safeParse(String(metadata[2 * index]?.[1]))
    return type.success ? [{ key, type: type.data, expiresAtMs: Number(metadata[2 * index + 1]?.[1]) }] : []
  })
  const contents = await runAll(
    client,
    known.map(({ key, type }) => [READ_ALL[type][0], key, ...READ_ALL[type].slice(1)]),
  )
  const entries: Entry[] = []
  for (const [index, { key, type, expiresAtMs }] of known.entries()) {
    // A key that expired or changed its type since TYPE was asked has no reply of the expected form.
    const values = bytesOf(contents[index]?.[1])
    if (values.length === 0) continue
    const entry: Entry = { type, key: key.toString('base64'), values: values.map((value) => value.toString('base64')) }
    if (expiresAtMs > 0) entry.expiresAtMs = expiresAtMs
    const fieldExpiries = type === 'hash' ? await readFieldExpiries(client, key, values) : []
    if (fieldExpiries.length > 0) entry.fieldExpiries = fieldExpiries
    entries.push(entry)
  }
  return { entries, skipped: keys.length - known.length }
}

function bytesOf(reply: unknown): Buffer[] {
  const items: unknown[] = Array.isArray(reply) ? reply : [reply]
  return items.filter(isBytes)
}

async function readFieldExpiries(client: Redis, key: Buffer, flat: readonly Buffer[]) {
  const fields = flat.filter((_value, index) => index % 2 === 0)
  const [answer] = await runAll(client, [['HPTTL', key, 'FIELDS', String(fields.length), ...fields]])
  const remaining: unknown[] = Array.isArray(answer?.[1]) ? answer[1] : []
  const nowMs = Date.now()
  return fields.flatMap((field, index) => {
    const remainingMs = Number(remaining[index])
    return remainingMs > 0 ? [{ field: field.toString('base64'), atMs: nowMs + remainingMs }] : []
  })
}

async function readEntries(file: string): Promise<Entry[]> {
  const lines: string[] = []
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) lines.push(line)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
  headerShape.parse(JSON.parse(lines.shift() ?? ''))
  const footer = footerShape.parse(JSON.parse(lines.pop() ?? ''))
  if (footer.keys !== lines.length) throw new Error(`${footer.keys} keys announced, ${lines.length} found`)
  return lines.map((line) => entryShape.parse(JSON.parse(line)))
}

function restoreCommands(entry: Entry): (string | Buffer)[][] {
  const key = bytes(entry.key)
  const values = entry.values.map(bytes)
  const ordered = entry.type === 'zset' ? values.map((_value, index) => values[index ^ 1] ?? '') : values
  const commands: (string | Buffer)[][] = []
  for (let start = 0; start < ordered.length; start += CHUNK_VALUES) {
    commands.push([WRITE[entry.type], key, ...ordered.slice(start, start + CHUNK_VALUES)])
  }
  for (const { field, atMs } of entry.fieldExpiries ?? []) {
    commands.push(['HPEXPIREAT', key, String(atMs), 'FIELDS', '1', bytes(field)])
  }
  if (entry.expiresAtMs !== undefined) commands.push(['PEXPIREAT', key, String(entry.expiresAtMs)])
  return commands
}

async function runAll(client: Redis, commands: readonly (readonly (string | Buffer)[])[]) {
  const pipeline = client.pipeline()
  for (const [name, ...args] of commands) pipeline.callBuffer(String(name), args)
  return (await pipeline.exec()) ?? []
}

function bytes(base64: string): Buffer {
  return Buffer.from(base64, 'base64')
}
