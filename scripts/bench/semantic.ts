import type { Ctx } from '../../src/core/context.ts'
import { newId } from '../../src/core/ids.ts'
import { findHits, type SearchMode } from '../../src/features/semantic/hits.ts'
import { nearest, type Space, spaceFor } from '../../src/features/spaces/service.ts'
import { openHttpDatabase, openPool } from '../database.ts'
import { startPostgres } from '../local/postgres/server.ts'
import { migrate } from '../migrate.ts'
import { insert } from '../seed.ts'

/**
 * How long searches take, and how much of what is nearest the index finds: `node scripts/bench/semantic.ts [chunks]`, on
 * the embedded Postgres or on the server of BENCH_POSTGRES_URL (its superuser's, with the password in it).
 */

const DIMENSIONS = 384
const SUBJECTS = 400
const QUERIES = 200
const ROWS_AT_ONCE = 500
const chunkCount = Number(process.argv[2] ?? 10_000)

const passwords = { helix_owner: 'owner', helix_app: 'app', helix_system: 'system' }
const upstream = process.env.BENCH_POSTGRES_URL
const password = upstream === undefined ? 'admin' : decodeURIComponent(new URL(upstream).password)
/** Building an index of so many vectors is one statement. */
const statementTimeoutMs = 3_600_000
const server = await startPostgres({
  statementTimeoutMs,
  users: { postgres: password, ...passwords },
  ...(upstream && { upstream }),
})
const { urlFor, proxyUrl } = server
await migrate({
  adminUrl: urlFor('postgres'),
  ownerUrl: urlFor('helix_owner'),
  appUrl: urlFor('helix_app'),
  systemUrl: urlFor('helix_system'),
  proxyUrl,
})
const owner = openPool({ url: urlFor('helix_owner'), proxyUrl })
const pool = openPool({ url: urlFor('helix_system'), proxyUrl })
const { orgId, keyId } = await insert(pool, 'pepper', { name: 'Bench' })
const world: Pick<Ctx, 'db' | 'caller' | 'now' | 'newId'> = {
  db: openHttpDatabase({ url: urlFor('helix_app'), proxyUrl }),
  caller: { orgId, keyId, kind: 'api_key', scopes: [], ip: '127.0.0.1' },
  now: Date.now,
  newId: (prefix) => newId(prefix, Date.now()),
}

let state = 7
const next = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}
const centres = Array.from({ length: SUBJECTS }, () => Array.from({ length: DIMENSIONS }, () => next() - 0.5))
function vectorNear(subject: number): number[] {
  const vector = (centres[subject] ?? []).map((value) => value + (next() - 0.5) * 1.2)
  const length = Math.hypot(...vector)
  return vector.map((value) => Math.round((value / length) * 1e6) / 1e6)
}
/** As words are in texts: a few of them often, most of them seldom. */
const word = () => `word${Math.floor(20_000 * next() ** 3)}`
const words = (many: number) => Array.from({ length: many }, word).join(' ')

async function fill(space: Space): Promise<void> {
  await owner.query(`drop index embeddings_hnsw_${DIMENSIONS}`)
  for (let from = 0; from < chunkCount; from += ROWS_AT_ONCE) {
    const rows = Array.from({ length: Math.min(ROWS_AT_ONCE, chunkCount - from) }, (_, at) => ({
      id: `chk_${from + at}`,
      content: words(120),
      vector: JSON.stringify(vectorNear(Math.floor(next() * SUBJECTS))),
    }))
    const values = [
      orgId,
      rows.map(({ id }) => id),
      rows.map(({ content }) => content),
      rows.map(({ vector }) => vector),
    ]
    await pool.query(
      `insert into chunks (id, org_id, source_id, generation, is_current, chunk_index, content, start_offset, end_offset,
         token_count, content_sha256, simhash, language, created_at, updated_at)
       select id, $1, 'source', 'gen', true, 0, content, 0, 0, 0, '', '', 'english', 0, 0
       from unnest($2::text[], $3::text[]) t(id, content)`,
      values.slice(0, 3),
    )
    await pool.query(
      `insert into embeddings (org_id, space_id, owner_kind, owner_id, source_id, dimensions, embedding, created_at)
       select $1, $4, 'chunk', id, 'source', ${DIMENSIONS}, vector::vector, 0 from unnest($2::text[], $3::text[]) t(id, vector)`,
      [orgId, values[1], values[3], space.id],
    )
  }
  await owner.query(
    `create index embeddings_hnsw_${DIMENSIONS} on embeddings using hnsw ((embedding::vector(${DIMENSIONS})) vector_cosine_ops)
     where dimensions = ${DIMENSIONS}`,
  )
  await owner.query('analyze chunks, embeddings')
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

const quantile = (times: readonly number[], share: number) =>
  (times.toSorted((one, other) => one - other)[Math.floor(times.length * share)] ?? 0).toFixed(1)

const space = await spaceFor(world, { model: 'bench/model', dimensions: DIMENSIONS, modality: 'text' })
console.log(
  `${chunkCount} chunks x ${DIMENSIONS} dimensions, filled in ${((await timed(() => fill(space))) / 1000).toFixed(0)} s`,
)

let found = 0
for (let query = 0; query < QUERIES; query++) {
  const wish = { space, ownerKind: 'chunk', vector: vectorNear(query % SUBJECTS), limit: 10 } as const
  const exact = new Set((await nearest(world, { ...wish, isExact: true })).map(({ ownerId }) => ownerId))
  found += (await nearest(world, wish)).filter(({ ownerId }) => exact.has(ownerId)).length
}
console.log(`recall@10 ${(found / QUERIES / 10).toFixed(4)}`)

for (const mode of ['semantic', 'keyword', 'hybrid'] satisfies SearchMode[]) {
  const times: number[] = []
  for (let query = 0; query < QUERIES; query++) {
    const standpoint = { space, vector: vectorNear(query % SUBJECTS) }
    const wanted = { query: words(3), mode, standpoint, topK: 10, threshold: 0, sourceIds: undefined }
    times.push(await timed(() => findHits(world, wanted)))
  }
  console.log(`${mode.padEnd(9)} p50 ${quantile(times, 0.5)} ms, p95 ${quantile(times, 0.95)} ms`)
}
await Promise.all([owner.end(), pool.end()])
await server.close()
