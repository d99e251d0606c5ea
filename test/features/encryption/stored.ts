import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { rewrap } from '../../../scripts/rewrap.ts'
import { kekIdOf } from '../../../src/features/encryption/keys.ts'
import { open, openForPlatform, type Place, SealError, seal } from '../../../src/features/encryption/service.ts'
import { addKey, placeOf } from '../../../src/features/signing/store.ts'
import { count } from '../../support/lane.ts'
import { anyBit, flipBit } from './tamper.ts'
import { DAY_MS, firstKek, type Isolate, idsOf, secondKek, secretAt, type World } from './world.ts'

/** What the tables hold, moved, damaged and wrapped anew. */
export function storedTests({ isolate, keysOf, newPlace, pool, postgres, store, storeAnswer, stored }: World): void {
  describe('what is stored', () => {
    /** Rows of two organisations under two versions, in two tables. */
    async function mixed(first: Isolate): Promise<(Place & { text: string })[]> {
      const orgs = [(await newPlace()).orgId, (await newPlace()).orgId]
      for (const orgId of orgs) {
        await store(first, orgId, idsOf(orgId, 2))
        await storeAnswer(first, orgId, `${orgId}-1000`)
      }
      first.clock.ms += 30 * DAY_MS
      for (const orgId of orgs) await store(first, orgId, [`${orgId}-3000`, `${orgId}-3001`])
      const { rows } = await pool().query(
        `select org_id, 'secrets' as "table", 'value' as column, id, value as text from secrets where org_id = any($1)
       union all select org_id, 'idempotency_keys', 'body', id, body from idempotency_keys where org_id = any($1)`,
        [orgs],
      )
      return rows.map(({ org_id, table, column, id, text }) => ({ orgId: org_id, table, column, rowId: id, text }))
    }

    const opens = (by: Isolate, place: Place, text: string): Promise<boolean> =>
      open(by.deps, place, text).then(
        () => true,
        (error) => {
          if (error instanceof SealError) return false
          throw error
        },
      )

    it(
      'opens with no bit flipped, and in the place of no other row, column, organisation or version',
      async () => {
        const first = isolate()
        const rows = await mixed(first)
        expect(await Promise.all(rows.map((row) => opens(first, row, row.text)))).not.toContain(false)
        const anyRow = fc.constantFrom(...rows)
        const wrong = fc.oneof(
          fc.record({ row: anyRow, bit: anyBit }).map(({ row, bit }) => ({ row, text: flipBit(row.text, bit) })),
          fc.record({ row: anyRow, other: anyRow }).map(({ row, other }) => ({ row, text: other.text })),
          fc.record({ row: anyRow, version: fc.constantFrom(1, 2, 3) }).map(({ row, version }) => ({
            row,
            text: row.text.replace(/^v1\.\d+/, `v1.${version}`),
          })),
          fc.record({ row: anyRow, other: anyRow }).map(({ row, other }) => ({
            row,
            text: [...row.text.split('.').slice(0, 3), other.text.split('.')[3]].join('.'),
          })),
        )
        await fc.assert(
          fc.asyncProperty(wrong, async ({ row, text }) => {
            fc.pre(text !== row.text)
            expect(await opens(first, row, text)).toBe(false)
          }),
          { numRuns: count(200, 100_000), maxSkipsPerRun: 1000 },
        )
      },
      count(60_000, 900_000),
    )

    it('does not open under a data key that was put in the place of another', async () => {
      const first = isolate()
      const rows = await mixed(first)
      const orgs = [...new Set(rows.map(({ orgId }) => orgId))]
      const swaps = [
        'a.org_id <> b.org_id and a.version = b.version',
        'a.org_id = b.org_id and a.version <> b.version',
        'a.org_id <> b.org_id and a.version <> b.version',
      ]
      for (const condition of swaps) {
        const swap = `update data_keys a set wrapped_dek = b.wrapped_dek, kek_id = b.kek_id from data_keys b
        where a.org_id = any($1) and b.org_id = any($1) and ${condition}`
        await pool().query(swap, [orgs])
        const cold = isolate()
        expect(await Promise.all(rows.map((row) => opens(cold, row, row.text)))).not.toContain(true)
        await pool().query(swap, [orgs])
        expect(await Promise.all(rows.map((row) => opens(isolate(), row, row.text)))).not.toContain(false)
      }
    })
  })

  describe('npm run rewrap', () => {
    const swapped = { kekCurrent: secondKek, kekPrevious: firstKek }
    const back = { kekCurrent: firstKek, kekPrevious: secondKek }

    // Other tests damage theirs.
    beforeAll(() => pool().query('delete from data_keys'))

    /** Secrets under two data keys of each of some organisations. */
    async function organisations(size: number): Promise<string[]> {
      const orgs: string[] = []
      for (let at = 0; at < size; at++) {
        const first = isolate()
        const { orgId } = await newPlace()
        await store(first, orgId, idsOf(orgId, 1))
        first.clock.ms += 30 * DAY_MS
        await store(first, orgId, [`${orgId}-3000`])
        orgs.push(orgId)
      }
      return orgs
    }

    async function expectReadable(orgs: readonly string[], by: Isolate): Promise<void> {
      for (const orgId of orgs) {
        const rows = await stored(orgId)
        expect(rows).toHaveLength(2)
        for (const { id, value } of rows) expect(await open(by.deps, secretAt(orgId, id), value)).toBe(id)
      }
    }

    const keysUnder = async (kek: string): Promise<number> => {
      const { rows } = await pool().query(
        `select ((select count(*) from data_keys where kek_id = $1)
         + (select count(*) from signing_keys where starts_with(private_jwk, 'k1.' || $1)))::int as keys`,
        [await kekIdOf(kek)],
      )
      return rows[0].keys
    }

    it('wraps every data key and signing key anew, so that the key before can be put away', async () => {
      const orgs = await organisations(3)
      const { deps } = isolate()
      const [signing] = await addKey(deps, 'active')
      if (!signing) throw new Error('There is no signing key.')
      const before = await openForPlatform(deps, placeOf(signing.kid), signing.private_jwk)
      const keys = await keysUnder(firstKek)
      expect(keys).toBeGreaterThanOrEqual(7)
      const done = await rewrap(pool(), swapped)
      expect(done).toMatchObject({ dataKeys: { unreadable: 0 }, signingKeys: { unreadable: 0 }, left: 0 })
      expect(done.dataKeys.rewrapped + done.signingKeys.rewrapped).toBe(keys)
      expect(await keysUnder(firstKek)).toBe(0)
      const after = isolate({ kekCurrent: secondKek })
      await expectReadable(orgs, after)
      expect((await keysOf(orgs[0] ?? '')).map(({ state }) => state)).toEqual(['retired', 'active'])
      const { rows } = await pool().query('select private_jwk from signing_keys where kid = $1', [signing.kid])
      expect(await openForPlatform(after.deps, placeOf(signing.kid), rows[0].private_jwk)).toBe(before)
      const nothing = { rewrapped: 0, unreadable: 0 }
      expect(await rewrap(pool(), swapped)).toEqual({ dataKeys: nothing, signingKeys: nothing, left: 0 })
      await rewrap(pool(), back)
      await expectReadable(orgs, isolate())
    })

    it('goes on where it was stopped, and everything is readable in between', async () => {
      const orgs = await organisations(3)
      const query: ReturnType<typeof pool>['query'] = pool().query.bind(pool())
      let left = 3
      const breaking = {
        query: (...given: Parameters<typeof query>) => {
          left--
          if (left < 0) throw new Error('the connection is lost')
          return query(...given)
        },
      }
      await expect(rewrap(breaking as Parameters<typeof rewrap>[0], swapped)).rejects.toThrow('the connection is lost')
      await expectReadable(orgs, isolate(swapped))
      await expectReadable(orgs, isolate(back))
      expect(await rewrap(pool(), swapped)).toMatchObject({ left: 0 })
      await rewrap(pool(), back)
    })

    it('says what it cannot open, wraps the rest, and by its exit code that the key before is needed', async () => {
      const orgs = await organisations(1)
      const { orgId } = await newPlace()
      await seal(isolate({ kekCurrent: randomBytes(32).toString('base64') }).deps, secretAt(orgId, 'sec_1'), 'lost')
      const run = (env: Record<string, string>) =>
        promisify(execFile)(process.execPath, [join(import.meta.dirname, '../../../scripts/rewrap.ts')], {
          env: { ...env, DATABASE_SYSTEM_URL: postgres().urlFor('helix_system'), NEON_PROXY_URL: postgres().proxyUrl },
        })
      const keks = { KEK_CURRENT: secondKek, KEK_PREVIOUS: firstKek }
      const failed: unknown = await run(keks).catch((error) => error)
      expect(failed).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/^Data keys {5}\d+ wrapped anew, 1 that do not open$/m),
        stderr: expect.stringContaining('1 keys are not under KEK_CURRENT'),
      })
      expect(JSON.stringify(failed)).not.toContain(secondKek)
      await expectReadable(orgs, isolate({ kekCurrent: secondKek }))
      await pool().query('delete from data_keys where org_id = $1', [orgId])
      const { stdout } = await run({ KEK_CURRENT: firstKek, KEK_PREVIOUS: secondKek })
      expect(stdout).toContain('KEK_PREVIOUS can be removed')
      expect(await run({ KEK_CURRENT: 'short' }).catch((error) => error)).toMatchObject({ code: 1 })
    })
  })
}
