import { describe, expect, it } from 'vitest'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { sealedColumns } from '../../../src/features/encryption/columns.ts'
import { kekIdOf } from '../../../src/features/encryption/keys.ts'
import { rotate } from '../../../src/features/encryption/rotation.ts'
import { keyVersionOf, open, renew, seal } from '../../../src/features/encryption/service.ts'
import { encryptionStatus } from '../../../src/features/encryption/status.ts'
import { keptLog } from '../../support/fake-deps.ts'
import { count } from '../../support/lane.ts'
import {
  answerAt,
  ctxOf,
  DAY_MS,
  firstKek,
  type Isolate,
  idsOf,
  START_MS,
  secondKek,
  secretAt,
  type World,
} from './world.ts'

/** New data keys for an organisation, and what older ones have sealed. */
export function rotationTests({
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
  /** The versions that secrets are sealed under; each opens in an isolate that remembers nothing, and says which it is. */
  async function versionsIn(orgId: string, by: Isolate = isolate()): Promise<number[]> {
    const rows = await stored(orgId)
    for (const { id, value, dek_version } of rows) {
      expect(await open(by.deps, secretAt(orgId, id), value)).toBe(id)
      expect(dek_version).toBe(keyVersionOf(value))
    }
    return [...new Set(rows.map(({ value }) => keyVersionOf(value)))].sort()
  }

  const audited = async (orgId: string) => {
    const { rows } = await pool().query('select action, details from audit_log where org_id = $1 order by id', [orgId])
    return rows
  }

  describe('a rotation', () => {
    it('makes a new key, retires the old one and seals every row again', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 60))
      await storeAnswer(first, orgId, 'an-answer')
      expect(await rotate(ctxOf(first, orgId))).toEqual({
        id: 'rot_2',
        object: 'job',
        kind: 'encryption.rotate',
        status: 'completed',
        version: 2,
        progress: { done: 61, total: 61 },
        created_at: START_MS / 1000,
        due_at: START_MS / 1000 + 7 * 24 * 3600,
        run: { rows: 61, unreadable_rows: 0, keys: 0, unreadable_keys: 0 },
      })
      expect((await keysOf(orgId)).map(({ state }) => state)).toEqual(['retired', 'active'])
      expect(await versionsIn(orgId)).toEqual([2])
      const { rows } = await pool().query('select body from idempotency_keys where org_id = $1', [orgId])
      expect(await open(isolate().deps, answerAt(orgId, 'an-answer'), rows[0].body)).toBe('an-answer')
      expect(await seal(first.deps, secretAt(orgId, 'x'), 'new')).toMatch(/^v1\.2\./)
      expect(await audited(orgId)).toEqual([{ action: 'encryption.rotate', details: { version: 2, continues: false } }])
    })

    it('of more than 500 rows goes on with the same key at each call, and makes another one after that', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 530))
      const calls = [await rotate(ctxOf(first, orgId))]
      expect(await versionsIn(orgId)).toEqual([1, 2])
      // Whoever goes on need not be the isolate that began.
      calls.push(await rotate(ctxOf(isolate(), orgId)))
      expect(await versionsIn(orgId)).toEqual([2])
      calls.push(await rotate(ctxOf(first, orgId)))
      expect(calls).toMatchObject([
        { id: 'rot_2', status: 'running', progress: { done: 500, total: 530 }, run: { rows: 500 } },
        { id: 'rot_2', status: 'completed', progress: { done: 530, total: 530 }, run: { rows: 30 } },
        { id: 'rot_3', status: 'running', run: { rows: 500 } },
      ])
    })

    it('of an organisation that has sealed nothing makes its first key', async () => {
      const { orgId } = await newPlace()
      expect(await rotate(ctxOf(isolate(), orgId))).toMatchObject({ id: 'rot_1', status: 'completed' })
      expect(await keysOf(orgId)).toHaveLength(1)
    })

    it('that was begun more than a day ago is not gone on with: a new key is made', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 3))
      const later = isolate()
      later.clock.ms += DAY_MS
      await pool().query(
        `insert into data_keys select org_id, 2, 'x', kek_id, 'active', created_at from data_keys
      where org_id = $1`,
        [orgId],
      )
      expect(await rotate(ctxOf(later, orgId))).toMatchObject({ id: 'rot_3', status: 'completed' })
      expect(await versionsIn(orgId)).toEqual([3])
    })

    it('that breaks off leaves every row readable, and the next call goes on', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, count(60, 120)))
      const breaking = breaksOff(orgId)
      await expect(rotate(ctxOf(isolate({}, breaking), orgId))).rejects.toThrow(DependencyError)
      expect(await versionsIn(orgId)).toEqual([1, 2])
      expect(await rotate(ctxOf(isolate(), orgId))).toMatchObject({ id: 'rot_2', status: 'completed' })
      expect(await versionsIn(orgId)).toEqual([2])
    })

    it('of two at the same time loses nothing', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 60))
      await Promise.all([rotate(ctxOf(isolate(), orgId)), rotate(ctxOf(isolate(), orgId))])
      const newest = (await keysOf(orgId)).length
      expect(await versionsIn(orgId)).toHaveLength(1)
      expect([2, 3]).toContain(newest)
    })

    it('does not bring back a value that was replaced meanwhile', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      const [id = ''] = idsOf(orgId, 1)
      await store(first, orgId, [id])
      const replaced = await seal(first.deps, secretAt(orgId, id), 'a newer value')
      let reads = 0
      const racing: Database = {
        query: db().query,
        atomically: async (org, build) => {
          const result = await db().atomically(org, build)
          reads++
          // After every statement, so also between the reading of the rows and their writing.
          if (reads > 1) await pool().query('update secrets set value = $2 where id = $1', [id, replaced])
          return result
        },
      }
      await rotate(ctxOf(isolate({}, racing), orgId))
      const [row] = await stored(orgId)
      expect(await open(isolate().deps, secretAt(orgId, id), row?.value ?? '')).toBe('a newer value')
    })

    it('leaves what does not open as it is, says so, and does not stop for it', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      const [broken = '', ...others] = idsOf(orgId, 4)
      await store(first, orgId, [broken, ...others])
      const [row] = await stored(orgId)
      const damaged = `${row?.value.slice(0, -4)}AAAA`
      await pool().query('update secrets set value = $2 where id = $1', [broken, damaged])
      const job = { status: 'failed', progress: { done: 3, total: 4 }, run: { rows: 3, unreadable_rows: 1 } }
      expect(await rotate(ctxOf(first, orgId))).toMatchObject({ id: 'rot_2', ...job })
      expect(await rotate(ctxOf(first, orgId))).toMatchObject({ id: 'rot_3', ...job })
      expect((await stored(orgId))[0]?.value).toBe(damaged)
    })

    it('goes around a newest key that does not open', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 2))
      const broken = `insert into data_keys
        select org_id, 2, replace(wrapped_dek, 'k1.', 'k9.'), kek_id, 'active', created_at from data_keys where org_id = $1`
      await pool().query(broken, [orgId])
      expect(await rotate(ctxOf(isolate(), orgId))).toMatchObject({ id: 'rot_3', status: 'completed' })
      expect(await versionsIn(orgId)).toEqual([3])
    })

    it('leaves the rows of deleted secrets and of other organisations alone', async () => {
      const [{ orgId }, other, first] = [await newPlace(), await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 2))
      await store(first, other.orgId, idsOf(other.orgId, 2))
      await pool().query(`update secrets set value = '' where id = $1`, [idsOf(orgId, 1)[0]])
      const before = await stored(other.orgId)
      expect(await rotate(ctxOf(first, orgId))).toMatchObject({ status: 'completed', progress: { done: 1, total: 1 } })
      expect(await stored(other.orgId)).toEqual(before)
    })

    it('wraps all data keys under the current key-encryption key', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      await store(first, orgId, idsOf(orgId, 2))
      await rotate(ctxOf(first, orgId))
      await rotate(ctxOf(first, orgId))
      const after = isolate({ kekCurrent: secondKek, kekPrevious: firstKek })
      expect(await rotate(ctxOf(after, orgId))).toMatchObject({ run: { keys: 3, unreadable_keys: 0 } })
      expect(new Set((await keysOf(orgId)).map(({ kek_id }) => kek_id))).toEqual(new Set([await kekIdOf(secondKek)]))
      expect(await versionsIn(orgId, isolate({ kekCurrent: secondKek }))).toEqual([4])
    })
  })

  describe('the status', () => {
    it('tells keys, their age, and rows by version and column', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      expect(await encryptionStatus(ctxOf(first, orgId))).toMatchObject({ active: null, keys: [], rotation: null })
      await store(first, orgId, idsOf(orgId, 2))
      await storeAnswer(first, orgId, 'an-answer')
      first.clock.ms += 30 * DAY_MS
      await store(first, orgId, [`${orgId}-3000`])
      first.clock.ms += 60_000
      const [kek_id, created_at] = [await kekIdOf(firstKek), START_MS / 1000]
      const made = created_at + (30 * DAY_MS) / 1000
      expect(await encryptionStatus(ctxOf(first, orgId))).toEqual({
        object: 'encryption_status',
        active: { version: 2, created_at: made, age_seconds: 60, replaced_at: made + (30 * DAY_MS) / 1000 },
        keys: [
          { version: 2, state: 'active', created_at: made, kek_id, is_current: true },
          { version: 1, state: 'retired', created_at, kek_id, is_current: true },
        ],
        kek_ids: [kek_id],
        columns: [
          {
            table: 'secrets',
            column: 'value',
            rows: [
              { version: 1, rows: 2 },
              { version: 2, rows: 1 },
            ],
          },
          { table: 'idempotency_keys', column: 'body', rows: [{ version: 1, rows: 1 }] },
          { table: 'provider_credentials', column: 'secret', rows: [] },
          { table: 'nodes', column: 'credential', rows: [] },
          { table: 'responses', column: 'input', rows: [] },
          { table: 'responses', column: 'output', rows: [] },
        ],
        rotation: expect.objectContaining({ id: 'rot_2', status: 'running', progress: { done: 1, total: 4 } }),
      })
    })

    it('knows every table that names the version of a data key', async () => {
      const { rows } = await pool().query<{ table: string }>(
        `select table_name as table from information_schema.columns where column_name = 'dek_version' order by 1`,
      )
      const known = sealedColumns.flatMap(({ table, version }) => (version === 'dek_version' ? [table] : []))
      expect(rows.map(({ table }) => table)).toEqual(known.sort())
    })

    it('knows columns that there are', async () => {
      for (const { table, column, id, version = id } of sealedColumns) {
        const { rows } = await pool().query(
          'select column_name as name from information_schema.columns where table_name = $1 and column_name = any($2)',
          [table, ['org_id', column, id, version]],
        )
        expect(rows).toHaveLength(new Set(['org_id', column, id, version]).size)
      }
    })
  })

  describe('a value that was read under an older key', () => {
    it('is sealed again, unless it is no longer there', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      const [id = '', gone = ''] = idsOf(orgId, 2)
      await store(first, orgId, [id])
      const [row] = await stored(orgId)
      const read = { sealed: row?.value ?? '', plaintext: id }
      await renew(first.deps, secretAt(orgId, id), read)
      expect(await stored(orgId)).toEqual([row])
      first.clock.ms += 30 * DAY_MS
      await renew(first.deps, secretAt(orgId, id), read)
      await renew(first.deps, secretAt(orgId, gone), read)
      expect(await versionsIn(orgId)).toEqual([2])
    })

    it('stays as it is when that cannot be done, and the log says so without the value', async () => {
      const [{ orgId }, first] = [await newPlace(), isolate()]
      const [id = ''] = idsOf(orgId, 1)
      await store(first, orgId, [id])
      const { log, lines } = keptLog()
      const away = { query: db().query, atomically: () => Promise.reject(new DependencyError('postgres', undefined)) }
      const cold = isolate({}, away)
      const [row] = await stored(orgId)
      await renew({ ...cold.deps, log }, secretAt(orgId, id), { sealed: row?.value ?? '', plaintext: 'the value' })
      expect(lines).toMatchObject([{ level: 'warn', event: 'value_not_sealed_again' }])
      expect(JSON.stringify(lines)).not.toContain('the value')
      expect(await versionsIn(orgId)).toEqual([1])
    })
  })
}
