import { describe, expect, it } from 'vitest'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { kekIdOf } from '../../../src/features/encryption/keys.ts'
import { open, SealError, seal } from '../../../src/features/encryption/service.ts'
import { DAY_MS, firstKek, START_MS, secondKek, type World } from './world.ts'

/** Sealing and opening, with keys in a Postgres. */
export function valueTests({ db, isolate, keysOf, newPlace, pool, proxy }: World): void {
  /** Lets nobody go on before `count` have come. */
  function barrier(count: number): () => Promise<void> {
    let waiting = 0
    const { promise, resolve } = Promise.withResolvers<void>()
    return () => {
      waiting++
      if (waiting >= count) resolve()
      return promise
    }
  }

  describe('a value of an organisation', () => {
    it('opens in another isolate, under a key that is stored only wrapped', async () => {
      const [place, first, second] = [await newPlace(), isolate(), isolate()]
      const sealed = await seal(first.deps, place, 'a client secret')
      expect(sealed).toMatch(/^v1\.1\.[\w-]{16}\.[\w-]+$/)
      expect(await open(second.deps, place, sealed)).toBe('a client secret')
      expect(await keysOf(place.orgId)).toEqual([
        { version: 1, kek_id: await kekIdOf(firstKek), state: 'active', created_at: START_MS / 1000 },
      ])
    })

    it('costs two transactions the first time and none while the isolate remembers', async () => {
      const [place, { deps, clock }] = [await newPlace(), isolate()]
      const sealed = await seal(deps, place, 'one')
      expect(clock.transactions).toBe(2)
      await seal(deps, place, 'two')
      expect(await open(deps, place, sealed)).toBe('one')
      expect(clock.transactions).toBe(2)
    })

    it('gets the same key from isolates that seal their first value at the same moment', async () => {
      const place = await newPlace()
      const together = barrier(4)
      // Each has seen that there is no key before any makes one.
      const slow = (): Database => {
        let calls = 0
        return {
          query: db().query,
          atomically: async (orgId, build) => {
            const result = await db().atomically(orgId, build)
            calls++
            if (calls === 1) await together()
            return result
          },
        }
      }
      const isolates = Array.from({ length: 4 }, () => isolate({}, slow()))
      const sealed = await Promise.all(isolates.map(({ deps }, index) => seal(deps, place, `value ${index}`)))
      expect(await keysOf(place.orgId)).toHaveLength(1)
      const fresh = isolate()
      const opened = await Promise.all(sealed.map((text) => open(fresh.deps, place, text)))
      expect(opened).toEqual(['value 0', 'value 1', 'value 2', 'value 3'])
    })

    it('does not open for another organisation, which has keys of its own', async () => {
      const [place, other, { deps }] = [await newPlace(), await newPlace(), isolate()]
      const sealed = await seal(deps, place, 'mine')
      await expect(open(deps, { ...place, orgId: other.orgId }, sealed)).rejects.toThrow(SealError)
      await seal(deps, other, 'theirs')
      await expect(open(deps, { ...place, orgId: other.orgId }, sealed)).rejects.toThrow(SealError)
    })

    it('is sealed with a new key after 30 days, while what the old one sealed still opens', async () => {
      const [place, { deps, clock }] = [await newPlace(), isolate()]
      const old = await seal(deps, place, 'old')
      clock.ms += 30 * DAY_MS - 1000
      expect(await seal(deps, place, 'last day')).toMatch(/^v1\.1\./)
      clock.ms += 1000
      const renewed = await seal(deps, place, 'new')
      expect(renewed).toMatch(/^v1\.2\./)
      expect((await keysOf(place.orgId)).map(({ state }) => state)).toEqual(['retired', 'active'])
      const fresh = isolate()
      fresh.clock.ms = clock.ms
      expect(await open(fresh.deps, place, old)).toBe('old')
      expect(await open(fresh.deps, place, renewed)).toBe('new')
      expect(await seal(fresh.deps, place, 'newer')).toMatch(/^v1\.2\./)
    })

    it('does not open under another version of the key of its organisation', async () => {
      const [place, { deps, clock }] = [await newPlace(), isolate()]
      const old = await seal(deps, place, 'old')
      clock.ms += 30 * DAY_MS
      await seal(deps, place, 'new')
      await expect(open(deps, place, old.replace('v1.1.', 'v1.2.'))).rejects.toThrow(SealError)
      await expect(open(deps, place, old.replace('v1.1.', 'v1.3.'))).rejects.toThrow(SealError)
    })

    it('is sealed with a new key soon after the newest was retired by hand', async () => {
      const [place, { deps, clock }] = [await newPlace(), isolate()]
      await seal(deps, place, 'before')
      await pool().query(`update data_keys set state = 'retired' where org_id = $1`, [place.orgId])
      clock.ms += 5 * 60_000
      expect(await seal(deps, place, 'after')).toMatch(/^v1\.2\./)
    })

    it('is lost soon after its keys are destroyed', async () => {
      const [place, { deps, clock }] = [await newPlace(), isolate()]
      const sealed = await seal(deps, place, 'gone')
      await pool().query('delete from data_keys where org_id = $1', [place.orgId])
      clock.ms += 5 * 60_000
      await expect(open(deps, place, sealed)).rejects.toThrow(SealError)
    })

    it('does not open when the row of its key was changed or is another organisation’s', async () => {
      const [place, other, { deps }] = [await newPlace(), await newPlace(), isolate()]
      const sealed = await seal(deps, place, 'mine')
      await seal(deps, other, 'theirs')
      await pool().query(
        `update data_keys set wrapped_dek = (select wrapped_dek from data_keys where org_id = $2) where org_id = $1`,
        [place.orgId, other.orgId],
      )
      await expect(open(isolate().deps, place, sealed)).rejects.toThrow(SealError)
      await expect(seal(isolate().deps, place, 'mine')).rejects.toThrow(SealError)
    })
  })

  describe('a new key-encryption key', () => {
    it('opens what there is, wraps a data key anew when it is used, and then needs its predecessor no more', async () => {
      const [place, before] = [await newPlace(), isolate()]
      const sealed = await seal(before.deps, place, 'kept')
      const during = isolate({ kekCurrent: secondKek, kekPrevious: firstKek })
      expect(await open(during.deps, place, sealed)).toBe('kept')
      expect(await keysOf(place.orgId)).toMatchObject([
        { version: 1, kek_id: await kekIdOf(secondKek), state: 'active' },
      ])
      const after = isolate({ kekCurrent: secondKek })
      expect(await open(after.deps, place, sealed)).toBe('kept')
      expect(after.clock.transactions).toBe(1)
      expect(await seal(after.deps, place, 'more')).toMatch(/^v1\.1\./)
    })

    it('without its predecessor opens nothing, and makes no new data key in silence', async () => {
      const [place, before, after] = [await newPlace(), isolate(), isolate({ kekCurrent: secondKek })]
      const sealed = await seal(before.deps, place, 'lost')
      await expect(open(after.deps, place, sealed)).rejects.toThrow(SealError)
      await expect(seal(after.deps, place, 'more')).rejects.toThrow(SealError)
      expect(await keysOf(place.orgId)).toHaveLength(1)
    })
  })

  describe('with Postgres away', () => {
    it('what an isolate remembers opens, and everything else is the failure of a dependency', async () => {
      const [place, { deps }, cold] = [await newPlace(), isolate(), isolate()]
      const sealed = await seal(deps, place, 'kept')
      proxy().mode('refuse')
      try {
        expect(await open(deps, place, sealed)).toBe('kept')
        await expect(open(cold.deps, place, sealed)).rejects.toThrow(DependencyError)
        await expect(seal(cold.deps, place, 'more')).rejects.toMatchObject({ dependency: 'postgres' })
        await expect(open(cold.deps, place, 'no sealed text')).rejects.toThrow(SealError)
      } finally {
        proxy().mode('pass')
      }
    })
  })

  describe('the memory of an isolate', () => {
    it('holds a thousand keys and forgets the one it read first', async () => {
      const [place, { deps }] = [await newPlace(), isolate()]
      const sealed = await seal(deps, place, 'first')
      const [key] = deps.memory.dataKeys.values()
      if (!key) throw new Error('Nothing was remembered.')
      for (let index = 0; index < 998; index++) deps.memory.dataKeys.set(`org_${index}:1`, key)
      expect(deps.memory.dataKeys.size).toBe(1000)
      const another = await newPlace()
      await seal(deps, another, 'second')
      expect(deps.memory.dataKeys.size).toBe(1000)
      expect(deps.memory.dataKeys.has(`${place.orgId}:newest`)).toBe(false)
      expect(deps.memory.dataKeys.has(`${another.orgId}:1`)).toBe(true)
      expect(await open(deps, place, sealed)).toBe('first')
    })
  })
}
