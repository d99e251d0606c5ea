import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../../src/core/ids.ts'
import { CHANGED, markChanged, recordKeys, remember, type Seen } from '../../../src/features/records/service.ts'
import { fakePolicy, keptLog } from '../../support/fake-deps.ts'
import { backends, type RedisBackend } from '../admission/backends.ts'

const NOW_MS = 1_800_000_000_000

describe.each(backends)('records on $name', ({ start }) => {
  let backend: RedisBackend
  let made = 0

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  function fresh() {
    made += 1
    const record = recordKeys.session(`ses_${made}`)
    const { log, lines } = keptLog()
    const deps = { redis: backend.redis, log, newId: (prefix: string) => newId(prefix, NOW_MS) }
    const read = async (): Promise<Record<string, string> | null> => {
      const [fields] = await backend.redis.pipeline([['HGETALL', record]])
      return fields as Record<string, string> | null
    }
    return {
      record,
      lines,
      read,
      /** What a loader sees before it asks Postgres. */
      see: async (): Promise<Seen> => {
        const fields = await read()
        return fields?.v === undefined ? undefined : { version: fields.v, atMs: fields.at ?? '' }
      },
      write: (seen: Seen, version: string | undefined, askedMs = NOW_MS) =>
        remember(deps, { record, seen, policy: version === undefined ? undefined : fakePolicy({ version }), askedMs }),
      change: () => markChanged(deps, [record]),
      lifetimeSeconds: async () => Number(await command(['TTL', record])),
    }
  }

  async function command(words: readonly string[]): Promise<unknown> {
    const headers = { authorization: `Bearer ${backend.token}` }
    const response = await fetch(backend.url, { method: 'POST', headers, body: JSON.stringify(words) })
    return ((await response.json()) as { result?: unknown }).result
  }

  it('hold what Postgres said, when it was asked, and when it must be asked again', async () => {
    const { write, read, lifetimeSeconds } = fresh()
    await write(undefined, 'v1')
    expect(await read()).toEqual({
      v: 'v1',
      p: JSON.stringify(fakePolicy({ version: 'v1' })),
      at: String(NOW_MS),
      due: String(NOW_MS + 50_000),
    })
    expect(await lifetimeSeconds()).toBeGreaterThan(290)
  })

  it('remember for half a minute that a credential is not valid', async () => {
    const { write, read, lifetimeSeconds } = fresh()
    await write(undefined, undefined)
    expect(await read()).toMatchObject({ v: 'refused', p: '' })
    expect(await lifetimeSeconds()).toBeLessThanOrEqual(30)
  })

  it('are not written by one who read Postgres before a change and comes after its mark', async () => {
    const { see, write, change, read } = fresh()
    const seen = await see()
    await change()
    await write(seen, 'v1')
    expect((await read())?.v).toMatch(new RegExp(`^${CHANGED}chg_`))
    await write(seen, undefined)
    expect((await read())?.v).toMatch(new RegExp(`^${CHANGED}chg_`))
  })

  it('are written over the mark by one who saw it, and by nobody who saw an earlier one', async () => {
    const { see, write, change, read } = fresh()
    await change()
    const first = await see()
    await change()
    const second = await see()
    await write(first, 'old')
    expect((await read())?.v).toMatch(/^changed:/)
    await write(second, 'new')
    expect((await read())?.v).toBe('new')
    await write(first, 'old')
    await write(second, 'other')
    expect((await read())?.v).toBe('new')
  })

  it('are not written by one whose look-up took so long that another has written the same version since', async () => {
    const { see, write, read } = fresh()
    await write(undefined, 'v1')
    const slow = await see()
    await write(slow, 'v2', NOW_MS + 1)
    await write(await see(), 'v1', NOW_MS + 2)
    await write(slow, 'stale', NOW_MS)
    expect((await read())?.v).toBe('v1')
  })

  it('of an earlier release, which have no times, can be written over', async () => {
    const { record, see, write, read } = fresh()
    await backend.redis.pipeline([['HSET', record, { v: 'v0', p: '{}' }]])
    await write(await see(), 'v1')
    expect((await read())?.v).toBe('v1')
  })

  it('can be marked many at a time, and a mark outlives every look-up under way', async () => {
    const { record, change, lifetimeSeconds, read } = fresh()
    await backend.redis.pipeline([['HSET', record, { v: 'v1', p: '{}', at: '1', due: '2' }]])
    await change()
    expect(await read()).toMatchObject({ p: '', at: '0' })
    expect(await lifetimeSeconds()).toBeGreaterThan(50)
  })

  it('lose nothing while Redis is away: both say so in the log', async () => {
    const { write, change, lines } = fresh()
    backend.proxy.mode('refuse')
    try {
      await write(undefined, 'v1')
      await change()
    } finally {
      backend.proxy.mode('pass')
    }
    expect(lines.map(({ event }) => event)).toEqual(['record_not_written', 'records_not_marked'])
  })
})
