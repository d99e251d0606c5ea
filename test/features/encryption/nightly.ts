import { describe, expect, it } from 'vitest'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { encryptionJob } from '../../../src/features/encryption/jobs.ts'
import { rotate } from '../../../src/features/encryption/rotation.ts'
import { keyVersionOf, open, SealError, seal } from '../../../src/features/encryption/service.ts'
import { encryptionStatus } from '../../../src/features/encryption/status.ts'
import { fakeJobDeps, keptLog } from '../../support/fake-deps.ts'
import { count } from '../../support/lane.ts'
import { ctxOf, DAY_MS, type Isolate, idsOf, START_MS, secondKek, secretAt, type World } from './world.ts'

/** The nightly run over data keys and what they have sealed. */
export function nightlyTests({
  breaksOff,
  db,
  isolate,
  keysOf,
  newPlace,
  pool,
  store,
  storeAnswer,
  stored,
}: World): void {
  /** A night in an isolate of its own, so many days after the start: what it logged and which organisations failed. */
  async function night(orgIds: readonly string[], days: number, given: { by?: Isolate; deadlineMs?: number } = {}) {
    const { by = isolate(), deadlineMs = Number.POSITIVE_INFINITY } = given
    by.clock.ms = START_MS + days * DAY_MS
    const { log, lines } = keptLog()
    const { memory, settings, now } = by.deps
    const failures: unknown[] = []
    await encryptionJob.run(fakeJobDeps({ db: by.deps.db, memory, settings, now, log }), {
      dueMs: now(),
      deadlineMs,
      async eachOrg(work) {
        for (const orgId of orgIds) await work(orgId).catch((error: unknown) => failures.push(error))
        return { done: orgIds.length - failures.length, failed: failures.length }
      },
    })
    return { failures, events: lines.map(({ event, facts }) => ({ event, ...facts })) }
  }

  /** The versions that the secrets of an organisation are sealed under, each of which opens. */
  async function versionsIn(orgId: string): Promise<number[]> {
    const [rows, fresh] = [await stored(orgId), isolate()]
    for (const { id, value, dek_version } of rows) {
      expect(await open(fresh.deps, secretAt(orgId, id), value)).toBe(id)
      expect(dek_version).toBe(keyVersionOf(value))
    }
    return [...new Set(rows.map(({ value }) => keyVersionOf(value)))].sort()
  }

  const statesOf = async (orgId: string) => (await keysOf(orgId)).map(({ state }) => state)

  /** A rotation that is broken off after its first batch. */
  const halfRotate = (orgId: string) =>
    expect(rotate(ctxOf(isolate({}, breaksOff(orgId)), orgId))).rejects.toThrow(DependencyError)

  describe('a night', () => {
    it('leaves a key of less than 30 days as it is, and replaces one of 30 with all that it has sealed', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 60))
      await storeAnswer(first, orgId, 'an-answer')
      expect(await night([orgId], 29.9)).toEqual({ failures: [], events: [] })
      expect(await statesOf(orgId)).toEqual(['active'])
      expect(await night([orgId], 30)).toEqual({
        failures: [],
        events: [{ event: 'values_sealed_again', org_id: orgId, rows: 61, version: 2 }],
      })
      expect(await statesOf(orgId)).toEqual(['retired', 'active'])
      expect(await versionsIn(orgId)).toEqual([2])
      const { rows } = await pool().query(
        'select actor_kind, actor_id, action, target_id, request_id from audit_log where org_id = $1',
        [orgId],
      )
      const act = { actor_kind: 'system', actor_id: null, action: 'encryption.rotate', target_id: '2' }
      expect(rows).toEqual([{ ...act, request_id: null }])
      expect(await night([orgId], 31)).toEqual({ failures: [], events: [] })
      expect(await statesOf(orgId)).toHaveLength(2)
    })

    it('goes on with what a rotation or a night before it has left', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 60))
      await halfRotate(orgId)
      expect(await encryptionStatus(ctxOf(first, orgId))).toMatchObject({
        rotation: { status: 'running', progress: { done: 50, total: 60 }, due_at: START_MS / 1000 + 7 * 24 * 3600 },
      })
      expect(await night([orgId], 1)).toMatchObject({ events: [{ rows: 10, version: 2 }] })
      expect(await encryptionStatus(ctxOf(first, orgId))).toMatchObject({
        keys: [{ version: 2 }, { version: 1 }],
        rotation: { status: 'completed', progress: { done: 60, total: 60 } },
      })
    })

    it('without time leaves the rest to the next, and says so once seven days have not been enough', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 60))
      await halfRotate(orgId)
      const shortNight = (days: number) => night([orgId], days, { deadlineMs: START_MS + days * DAY_MS })
      expect((await shortNight(6)).events).toEqual([])
      expect((await shortNight(8)).events).toEqual([{ event: 'values_under_old_keys', org_id: orgId, version: 2 }])
      expect(await versionsIn(orgId)).toEqual([1, 2])
      expect((await night([orgId], 9)).events).toMatchObject([{ event: 'values_sealed_again', rows: 10 }])
    })

    it('that breaks off leaves every row readable, and the next one goes on with the same key', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 60))
      const breaking = breaksOff(orgId)
      const { failures } = await night([orgId], 30, { by: isolate({}, breaking) })
      expect(failures).toEqual([expect.any(DependencyError)])
      expect(await versionsIn(orgId)).toEqual([1, 2])
      expect((await night([orgId], 31)).failures).toEqual([])
      expect(await versionsIn(orgId)).toEqual([2])
      expect(await statesOf(orgId)).toHaveLength(2)
    })

    it('runs twice at the same time and loses nothing', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 60))
      await Promise.all([night([orgId], 30), night([orgId], 30)])
      expect(await versionsIn(orgId)).toHaveLength(1)
      expect((await statesOf(orgId)).filter((state) => state === 'active')).toHaveLength(1)
    })

    it('keeps what is written beside it', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      const ids = idsOf(orgId, count(60, 120))
      await store(first, orgId, ids)
      let written = 0
      const racing: Database = {
        query: db().query,
        // Between any two statements of the night another row gets a new value.
        atomically: async (org, build) => {
          const result = await db().atomically(org, build)
          const id = ids[(written++ * 7) % ids.length] ?? ''
          const value = await seal(first.deps, secretAt(orgId, id), `${id} anew`)
          await pool().query('update secrets set value = $2, dek_version = $3 where id = $1', [
            id,
            value,
            keyVersionOf(value),
          ])
          return result
        },
      }
      await night([orgId], 30, { by: isolate({}, racing) })
      const changed = new Set(Array.from({ length: written }, (_, at) => ids[(at * 7) % ids.length]))
      for (const { id, value } of await stored(orgId)) {
        const text = await open(isolate().deps, secretAt(orgId, id), value)
        expect(text).toBe(changed.has(id) ? `${id} anew` : id)
      }
    })

    it('fails for an organisation with values that do not open, after all that do', async () => {
      const [{ orgId }, other, first] = [await newPlace(), await newPlace(), isolate()]
      const [broken = '', ...whole] = idsOf(orgId, 4)
      await store(first, orgId, [broken, ...whole])
      await store(first, other.orgId, idsOf(other.orgId, 1))
      await pool().query(`update secrets set value = left(value, -4) || 'AAAA' where id = $1`, [broken])
      const { failures } = await night([orgId, other.orgId], 30)
      expect(failures).toMatchObject([{ message: '1 stored values do not open.' }])
      expect((await stored(orgId)).map(({ dek_version }) => dek_version)).toEqual([1, 2, 2, 2])
      expect(await versionsIn(other.orgId)).toEqual([2])
    })

    it('makes no key where the newest does not open: another key-encryption key is configured', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 2))
      const { failures } = await night([orgId], 30, { by: isolate({ kekCurrent: secondKek }) })
      expect(failures).toEqual([expect.any(SealError)])
      expect(await statesOf(orgId)).toEqual(['active'])
      expect(await versionsIn(orgId)).toEqual([1])
    })
  })

  describe('an organisation whose data keys were destroyed', () => {
    it('gets none from a night, and nothing of it opens, though it seals new values under the same versions', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      const ids = idsOf(orgId, 3)
      await store(first, orgId, ids.slice(0, 2))
      await rotate(ctxOf(first, orgId))
      await store(first, orgId, ids.slice(2))
      await pool().query('delete from data_keys where org_id = $1', [orgId])
      expect(await night([orgId], 30)).toEqual({ failures: [], events: [] })
      expect(await keysOf(orgId)).toEqual([])
      const fresh = isolate()
      expect(await seal(fresh.deps, secretAt(orgId, 'new'), 'new')).toMatch(/^v1[.]1[.]/)
      await rotate(ctxOf(fresh, orgId))
      for (const { id, value } of await stored(orgId)) {
        await expect(open(fresh.deps, secretAt(orgId, id), value)).rejects.toThrow(SealError)
      }
    })
  })
}
