import OpenAI from 'openai'
import { createMemory } from '../../../src/core/memory.ts'
import { importDataKey, newDataKeyBytes } from '../../../src/features/encryption/seal.ts'
import { hashKey } from '../../../src/features/keys/service.ts'
import { recordKeys } from '../../../src/features/records/service.ts'
import { fakeSettings } from '../../support/fake-deps.ts'
import { type FakeAnthropic, startFakeAnthropic } from '../../support/fake-vendor/anthropic.ts'
import { type FakeGemini, startFakeGemini } from '../../support/fake-vendor/gemini.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'
import { type MemoryRedis, memoryRedis } from '../../support/gateway-redis.ts'

export type Isolate = TestGateway & { client: OpenAI; memory: ReturnType<typeof createMemory> }

export type World = {
  claude: FakeAnthropic
  gemini: FakeGemini
  redis: MemoryRedis
  /** Another isolate over the same Redis, with a key of its own. */
  isolate(options?: TestGatewayOptions): Promise<Isolate>
  /** What happens when a request reaches a vendor, from now on. */
  whenSent(happens: () => void): void
  close(): Promise<void>
}

/** Vendors that verify what they have signed, and isolates of the gateway before them. */
export async function startWorld(): Promise<World> {
  const [claude, gemini] = await Promise.all([startFakeAnthropic(), startFakeGemini()])
  const redis = memoryRedis(Date.now)
  const dataKeys = new Map<string, CryptoKey>()

  let whenSent = () => {}

  const upstream: TestGatewayOptions['upstream'] = ({ to, path, body, signal, headers }) => {
    whenSent()
    const isClaude = to === 'anthropic'
    const url = isClaude ? `${claude.url}${path}` : `${gemini.url}${path.replace('/v1/', '/v1beta/')}`
    const key = isClaude
      ? { 'x-api-key': 'sk-ant-fake', 'anthropic-version': headers.get('anthropic-version') ?? '' }
      : { 'x-goog-api-key': 'AIza-fake' }
    return fetch(url, { method: 'POST', headers: key, body: JSON.stringify(body), signal })
  }

  /** What an isolate knows that has sealed for this organisation before. */
  async function memoryOf(orgId: string) {
    const key = dataKeys.get(orgId) ?? (await importDataKey(newDataKeyBytes()))
    dataKeys.set(orgId, key)
    const known = { key, version: 1, createdAt: Date.now() / 1000, readMs: Date.now() }
    const memory = createMemory()
    for (const version of ['newest', '1']) memory.dataKeys.set(`${orgId}:${version}`, known)
    return memory
  }

  return {
    claude,
    gemini,
    redis,
    async isolate(given = {}) {
      const memory = await memoryOf(given.policy?.orgId ?? 'org_1')
      const deps = { redis, memory, ...given.deps }
      const gateway = await startGateway({ vendors: ['anthropic', 'gemini'], upstream, ...given, deps })
      const record = recordKeys.key(await hashKey(fakeSettings.keyPepper, gateway.apiKey))
      await redis.pipeline([['HSET', record, Object.fromEntries(gateway.redis.fields(record))]])
      const client = new OpenAI({
        apiKey: gateway.apiKey,
        baseURL: 'https://gateway.test/v1',
        maxRetries: 0,
        fetch: (input, init) => gateway.gateway(new Request(input, init), undefined, { waitUntil: () => undefined }),
      })
      return { ...gateway, redis, client, memory }
    },
    whenSent: (happens) => {
      whenSent = happens
    },
    close: async () => {
      await Promise.all([claude.close(), gemini.close()])
    },
  }
}
