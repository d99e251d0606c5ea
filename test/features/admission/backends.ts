import { startRedis } from '../../../scripts/local/redis/server.ts'
import { createRedis, createUpstash } from '../../../src/adapters/upstash.ts'
import type { Redis } from '../../../src/core/redis.ts'
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts'
import { findRedisServer, startRealRedis } from '../../support/real-redis.ts'

const TOKEN = 'token-of-the-admission-tests'
/** A busy machine is no Redis that is away: what these tests want away, they say. */
const PATIENT_MS = 20_000

/** Redis as a Worker reaches it, with a proxy in between that counts requests and can play dead. */
export type RedisBackend = { redis: Redis; proxy: FaultProxy; url: string; token: string; stop(): Promise<void> }

async function start(upstream?: string): Promise<RedisBackend> {
  const server = await startRedis({ token: TOKEN, ...(upstream === undefined ? {} : { upstream }) })
  const proxy = await startFaultProxy(server.url)
  return {
    redis: createRedis(createUpstash({ url: proxy.url, token: TOKEN, timeoutMs: PATIENT_MS })),
    proxy,
    url: proxy.url,
    token: TOKEN,
    async stop() {
      await proxy.close()
      await server.close()
    },
  }
}

export const startEmbedded = () => start()

async function startReal(): Promise<RedisBackend> {
  const real = await startRealRedis()
  if (!real) throw new Error('there is no Redis server on this machine')
  const backend = await start(real.url)
  return {
    ...backend,
    async stop() {
      await backend.stop()
      await real.stop()
    },
  }
}

/** The embedded engine, and a real server where there is one. */
export const backends = [
  { name: 'the embedded engine', start: startEmbedded },
  ...(findRedisServer() === undefined ? [] : [{ name: 'a real Redis', start: startReal }]),
]
