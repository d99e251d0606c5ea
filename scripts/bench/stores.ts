/**
 * Postgres and Redis of a benchmark, as a process of their own so that their work is not counted as the gateway's.
 * Forked, never run by hand: it sends one `ready` message, and answers every message with the requests served so far.
 * Started with `real-redis` it serves a Redis of the machine, which needs much less of it; the embedded one without any.
 */
import { startRealRedis } from '../../test/support/real-redis.ts'
import { startPostgres } from '../local/postgres/server.ts'
import { startRedis } from '../local/redis/server.ts'
import { migrate } from '../migrate.ts'
import { seed } from '../seed.ts'

export type StoresReady = {
  databaseUrl: string
  proxyUrl: string
  redisUrl: string
  redisToken: string
  pepper: string
  apiKey: string
}
export type StoreCounts = { redis: number; postgres: number }

const pepper = 'pepper-of-the-benchmarks-pepper-of-the-benchmarks'
const users = {
  postgres: 'admin-of-the-benchmarks',
  helix_owner: 'owner-of-the-benchmarks',
  helix_app: 'app-of-the-benchmarks',
  helix_system: 'system-of-the-benchmarks',
}

const real = process.argv.includes('real-redis') ? await startRealRedis() : undefined
const [postgres, redis] = await Promise.all([
  startPostgres({ users }),
  startRedis({ token: 'token-of-the-benchmarks', ...(real && { upstream: real.url }) }),
])
const [databaseUrl, systemUrl, proxyUrl] = [
  postgres.urlFor('helix_app'),
  postgres.urlFor('helix_system'),
  postgres.proxyUrl,
]
await migrate({
  adminUrl: postgres.urlFor('postgres'),
  ownerUrl: postgres.urlFor('helix_owner'),
  appUrl: databaseUrl,
  systemUrl,
  proxyUrl,
})
// Limits and a budget that are checked on every call and never reached.
const { apiKey } = await seed(
  { systemUrl, proxyUrl, pepper },
  { name: 'Benchmark', budgetUsd: 1_000_000, requestsPerMinute: 100_000_000, tokensPerMinute: 1_000_000_000 },
)

const ready: StoresReady = { databaseUrl, proxyUrl, redisUrl: redis.url, redisToken: redis.token, pepper, apiKey }
process.on('message', () => {
  const counts: StoreCounts = { redis: redis.requests().http, postgres: postgres.requests().http }
  process.send?.(counts)
})
// With whatever it has started itself.
process.once('SIGTERM', () => process.exit())
process.once('disconnect', () => process.exit())
process.send?.(ready)
