import { nowSeconds } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import type { DataKey, Memory } from '../../core/memory.ts'
import { type KekSettings, kekIdIn, kekIdOf, unwrap, wrap } from './keys.ts'
import { importDataKey, newDataKeyBytes, SealError } from './seal.ts'
import type { dataKeys as DataKeys } from './table.ts'

export type KeyDeps = Pick<Deps, 'db' | 'memory' | 'now'> & { settings: KekSettings }

export type DataKeyRow = typeof DataKeys.$inferSelect

/** No new value is sealed with an older key. */
export const MAX_AGE_SECONDS = 30 * 24 * 3600
/** How long an isolate may be wrong about a key that was retired or destroyed. */
const REMEMBERED_MS = 5 * 60_000
const MAX_REMEMBERED = 1000

/**
 * The key that new values of an organisation are sealed with: made on first use, and again when the newest is retired
 * or too old. Throws `DependencyError('postgres')`, and `SealError` when the newest cannot be unwrapped.
 */
export async function keyForSealing(deps: KeyDeps, orgId: string): Promise<DataKey> {
  const known = recall(deps, `${orgId}:newest`)
  if (known && isYoung(deps, known.createdAt)) return known
  const newest = await readNewest(deps, orgId)
  return adopt(
    deps,
    newest && sealsOn(deps, newest) ? newest : await makeNext(deps, orgId, { version: (newest?.version ?? 0) + 1 }),
  )
}

/**
 * A new key for an organisation, whatever the age of its newest: from now on this isolate seals with it, and every
 * other within five minutes. `also` is inserted in the transaction that makes it. Throws as `keyForSealing` does.
 */
export async function makeKey(deps: KeyDeps, orgId: string, wanted: NextKey): Promise<DataKey> {
  return adopt(deps, await makeNext(deps, orgId, wanted))
}

async function adopt(deps: KeyDeps, row: DataKeyRow): Promise<DataKey> {
  const key = await unwrapRow(deps, row)
  remember(deps.memory, `${row.org_id}:newest`, key)
  remember(deps.memory, `${row.org_id}:${key.version}`, key)
  return key
}

/** The key of one version. Throws `DependencyError('postgres')`, and `SealError` when there is none or it is unreadable. */
export async function keyForOpening(deps: KeyDeps, orgId: string, version: number): Promise<DataKey> {
  const known = recall(deps, `${orgId}:${version}`)
  if (known) return known
  const [{ and, eq }, { dataKeys }] = await load()
  const [[row]] = await deps.db.atomically(orgId, (query) => [
    query
      .select()
      .from(dataKeys)
      .where(and(eq(dataKeys.org_id, orgId), eq(dataKeys.version, version))),
  ])
  if (!row) throw new SealError()
  const key = await unwrapRow(deps, row)
  remember(deps.memory, `${orgId}:${version}`, key)
  return key
}

// Loaded by the first look-up: most isolates seal and open nothing.
const load = () => Promise.all([import('drizzle-orm/sql'), import('./table.ts')])

const isYoung = ({ now }: Pick<KeyDeps, 'now'>, createdAt: number): boolean =>
  now() / 1000 - createdAt < MAX_AGE_SECONDS

/** Whether the newest key of an organisation goes on to seal: it is neither retired nor too old. */
export const sealsOn = (deps: Pick<KeyDeps, 'now'>, { state, created_at }: DataKeyRow): boolean =>
  state === 'active' && isYoung(deps, created_at)

/** Of all keys of an organisation, retired ones included. Throws `DependencyError('postgres')`. */
export async function readNewest({ db }: KeyDeps, orgId: string): Promise<DataKeyRow | undefined> {
  const [{ desc, eq }, { dataKeys }] = await load()
  const [[row]] = await db.atomically(orgId, (query) => [
    query.select().from(dataKeys).where(eq(dataKeys.org_id, orgId)).orderBy(desc(dataKeys.version)).limit(1),
  ])
  return row
}

export type NextKey = {
  version: number
  /** Inserted in the same transaction. */
  also?: (query: QueryBuilder) => ReturnType<ReturnType<QueryBuilder['insert']>['values']>
}

/** Two isolates may make the same version at the same time: the first one's is kept, and both go on with what is there. */
async function makeNext(deps: KeyDeps, orgId: string, { version, also }: NextKey): Promise<DataKeyRow> {
  const [{ and, desc, eq, lt }, { dataKeys }] = await load()
  const wrapped = await wrap(deps.settings, wrapContextOf(orgId, version), newDataKeyBytes())
  const [, , [row]] = await deps.db.atomically(orgId, (query) => [
    query
      .insert(dataKeys)
      .values({
        org_id: orgId,
        version,
        wrapped_dek: wrapped,
        kek_id: kekIdIn(wrapped),
        state: 'active',
        created_at: nowSeconds(deps),
      })
      .onConflictDoNothing(),
    query
      .update(dataKeys)
      .set({ state: 'retired' })
      .where(and(eq(dataKeys.org_id, orgId), lt(dataKeys.version, version), eq(dataKeys.state, 'active'))),
    query.select().from(dataKeys).where(eq(dataKeys.org_id, orgId)).orderBy(desc(dataKeys.version)).limit(1),
    ...(also ? [also(query)] : []),
  ])
  if (!row) throw new Error('A data key was written and is not there.')
  return row
}

/** What a data key is wrapped for. */
export const wrapContextOf = (orgId: string, version: number) => ({
  purpose: 'data-key' as const,
  bound: [orgId, version],
})

async function unwrapRow(deps: KeyDeps, row: DataKeyRow): Promise<DataKey> {
  const bytes = await unwrap(deps.settings, wrapContextOf(row.org_id, row.version), row.wrapped_dek)
  if (row.kek_id !== (await kekIdOf(deps.settings.kekCurrent))) await rewrap(deps, row, bytes)
  return {
    key: await importDataKey(bytes),
    version: row.version,
    createdAt: row.created_at,
    readMs: deps.now(),
  }
}

/**
 * Wraps every data key of an organisation under the current key-encryption key. How many it wrapped, and how many do not
 * open. Throws `DependencyError('postgres')`.
 */
export async function rewrapAll(deps: KeyDeps, orgId: string): Promise<{ rewrapped: number; unreadable: number }> {
  const [[{ and, eq, ne }, { dataKeys }], current] = await Promise.all([load(), kekIdOf(deps.settings.kekCurrent)])
  const [rows] = await deps.db.atomically(orgId, (query) => [
    query
      .select()
      .from(dataKeys)
      .where(and(eq(dataKeys.org_id, orgId), ne(dataKeys.kek_id, current))),
  ])
  let unreadable = 0
  for (const row of rows) {
    try {
      await unwrapRow(deps, row)
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      unreadable += 1
    }
  }
  return { rewrapped: rows.length - unreadable, unreadable }
}

/** The same key under the current key-encryption key. Whoever comes second changes nothing. */
async function rewrap({ settings, db }: KeyDeps, row: DataKeyRow, bytes: Uint8Array): Promise<void> {
  const { org_id: orgId, version } = row
  const [{ and, eq }, { dataKeys }] = await load()
  const wrapped = await wrap(settings, wrapContextOf(orgId, version), bytes)
  await db.atomically(orgId, (query) => [
    query
      .update(dataKeys)
      .set({ wrapped_dek: wrapped, kek_id: kekIdIn(wrapped) })
      .where(and(eq(dataKeys.org_id, orgId), eq(dataKeys.version, version), eq(dataKeys.kek_id, row.kek_id))),
  ])
}

function recall({ memory, now }: KeyDeps, name: string): DataKey | undefined {
  const known = memory.dataKeys.get(name)
  return known && now() - known.readMs < REMEMBERED_MS ? known : undefined
}

/** A map keeps the order in which it was filled, so what was read first goes first. */
function remember({ dataKeys }: Memory, name: string, key: DataKey): void {
  dataKeys.delete(name)
  dataKeys.set(name, key)
  for (const [oldest] of dataKeys) {
    if (dataKeys.size <= MAX_REMEMBERED) break
    dataKeys.delete(oldest)
  }
}
