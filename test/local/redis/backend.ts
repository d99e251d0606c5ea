import { Redis } from '@upstash/redis'
import { type LocalRedis, type LocalRedisOptions, startRedis } from '../../../scripts/local/redis/server.ts'
import { startRealRedis } from '../../support/real-redis.ts'

export const TOKEN = 'a-token-for-tests'

/** A running bridge and how to get another one on the same Redis with other options. */
export type Backend = {
  server: LocalRedis
  restart(options: Partial<LocalRedisOptions>): Promise<LocalRedis>
  stop(): Promise<void>
}

export async function startEmbeddedBackend(): Promise<Backend> {
  const server = await startRedis({ token: TOKEN })
  return { server, restart: (options) => startRedis({ token: TOKEN, ...options }), stop: () => server.close() }
}

export async function startRealBackend(): Promise<Backend> {
  const real = await startRealRedis()
  if (!real) throw new Error('there is no Redis server on this machine')
  const server = await startRedis({ token: TOKEN, upstream: real.url })
  return {
    server,
    restart: (options) => startRedis({ token: TOKEN, upstream: real.url, ...options }),
    async stop() {
      await server.close()
      await real.stop()
    },
  }
}

export type ClientOptions = { automaticDeserialization?: boolean; enableAutoPipelining?: boolean; base64?: boolean }

/** The real client, without retries so that a failure shows at once. */
export function clientOf(server: LocalRedis, options: ClientOptions = {}): Redis {
  const { base64 = true, ...others } = options
  return new Redis({
    url: server.url,
    token: server.token,
    retry: false,
    enableTelemetry: false,
    responseEncoding: base64 ? 'base64' : false,
    ...others,
  })
}

export type RawAnswer = { status: number; headers: Headers; body: unknown }

/** A request made by hand, with the token unless `headers` names another. */
export async function send(server: LocalRedis, path: string, init: RequestInit = {}): Promise<RawAnswer> {
  const headers = { authorization: `Bearer ${server.token}`, ...init.headers }
  const response = await fetch(server.url + path, { ...init, headers })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

export function post(server: LocalRedis, path: string, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  return send(server, path, { method: 'POST', body: text, headers })
}
