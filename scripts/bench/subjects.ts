import { createHash } from 'node:crypto'
import type { Bundles } from './build.ts'
import type { Stores, Vendor } from './processes.ts'
import { startWorkerd, type Worker } from './workerd.ts'

/** One of the Workers that are compared, in a workerd of its own. */
export type Subject = { name: string; url: string; pid: number; apiKey: string; close(): Promise<void> }

/** Costs Redis no more than a look at its keys, and answers in the shape of admission's own script. */
const floorScript = `redis.call('HGET', KEYS[1], 'v')
return {3, 99999999, 1, 999999872, 60000, redis.call('GET', KEYS[5]), false}`

async function startSubject(name: string, apiKey: string, workers: readonly Worker[]): Promise<Subject> {
  const { url, pid, close } = await startWorkerd(workers)
  return { name, url, pid, apiKey, close }
}

export const startBare = ({ bare }: Bundles, vendor: Vendor): Promise<Subject> =>
  startSubject('bare', 'none', [
    { name: 'bare', source: bare, texts: { VENDOR_URL: vendor.url, VENDOR_KEY: 'sk-fake-bare' } },
  ])

export async function startFloor(bundles: Bundles, vendor: Vendor, stores: Stores): Promise<Subject> {
  await loadScript(stores, floorScript)
  const texts = {
    VENDOR_URL: vendor.url,
    VENDOR_KEY: 'sk-fake-floor',
    DATABASE_URL: stores.databaseUrl,
    NEON_PROXY_URL: stores.proxyUrl,
    UPSTASH_REDIS_REST_URL: stores.redisUrl,
    UPSTASH_REDIS_REST_TOKEN: stores.redisToken,
    SCRIPT_SHA: createHash('sha1').update(floorScript).digest('hex'),
  }
  const ledger = { className: 'FloorLedger', workerName: 'floor-jobs' }
  return startSubject('floor', 'none', [
    { name: 'floor', source: bundles.floor, texts, ledger },
    { name: 'floor-jobs', source: bundles.floorLedger, texts, ledger },
  ])
}

async function loadScript({ redisUrl, redisToken }: Stores, script: string): Promise<void> {
  const response = await fetch(redisUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${redisToken}` },
    body: JSON.stringify(['SCRIPT', 'LOAD', script]),
  })
  if (!response.ok) throw new Error(`Redis did not take the script: ${await response.text()}`)
}

/** The gateway's variables, as a deployment to these stores and this vendor would set them. */
export const gatewayVariables = (vendor: Pick<Vendor, 'url'>, stores: Stores): Record<string, string> => ({
  ENVIRONMENT: 'test',
  LOG_LEVEL: 'error',
  DATABASE_URL: stores.databaseUrl,
  NEON_PROXY_URL: stores.proxyUrl,
  UPSTASH_REDIS_REST_URL: stores.redisUrl,
  UPSTASH_REDIS_REST_TOKEN: stores.redisToken,
  KEY_PEPPER: stores.pepper,
  PASSWORD_PEPPER: 'password-pepper-of-the-benchmarks-of-helix',
  KEK_CURRENT: Buffer.from('kek-of-the-benchmarks-of-helix-01').subarray(0, 32).toString('base64'),
  REGISTRATION: 'open',
  OPENAI_API_KEY: 'sk-fake-helix',
  OPENAI_BASE_URL: vendor.url,
})

/** `more` are variables beside those that a deployment to one vendor sets. */
export function startHelix(
  bundles: Pick<Bundles, 'gateway' | 'jobs'>,
  vendor: Pick<Vendor, 'url'>,
  stores: Stores,
  more: Readonly<Record<string, string>> = {},
): Promise<Subject> {
  const texts = { ...gatewayVariables(vendor, stores), ...more }
  const ledger = { className: 'OrgLedger', workerName: 'helix-jobs' }
  return startSubject('helix', stores.apiKey, [
    { name: 'helix', source: bundles.gateway, texts, ledger },
    { name: 'helix-jobs', source: bundles.jobs, texts, ledger },
  ])
}
