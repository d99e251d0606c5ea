import { createHash } from 'node:crypto'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { Bundles } from './build.ts'
import { type Stores, type Vendor, workerdPids } from './processes.ts'

const compatibilityDate = '2026-08-01'
const compatibilityFlags = ['nodejs_compat', 'enable_request_signal', 'global_fetch_strictly_public']

/** Costs Redis no more than a look at its keys, and answers in the shape of admission's own script. */
const floorScript = `redis.call('HGET', KEYS[1], 'v')
return {3, 99999999, 1, 999999872, 60000, redis.call('GET', KEYS[5]), false}`

/** One Worker in a workerd of its own, reached without any proxy before it. */
export type Subject = { name: string; url: string; pid: number; apiKey: string; close(): Promise<void> }

type Worker = {
  name: string
  source: string
  bindings?: Record<string, string>
  ledger?: { className: string; scriptName?: string }
}

/** The first Worker serves; the others are bound to it. */
export async function startSubject(name: string, apiKey: string, workers: readonly Worker[]): Promise<Subject> {
  const before = new Set(workerdPids())
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port: 0,
      workers: workers.map((worker, position) => ({
        name: worker.name,
        modules: [{ type: 'ESModule' as const, path: `${worker.name}.js`, contents: worker.source }],
        compatibilityDate,
        compatibilityFlags,
        bindings: worker.bindings ?? {},
        ...(worker.ledger ? { durableObjects: { LEDGER: { ...worker.ledger, useSQLite: true } } } : {}),
        // Miniflare's own front costs more than a bare Worker: it is passed by.
        ...(position === 0 ? { unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }] } : {}),
      })),
    }),
  )
  await miniflare.ready
  const url = (await miniflare.unsafeGetDirectURL(workers[0]?.name)).href.replace(/\/$/, '')
  const pid = workerdPids().find((candidate) => !before.has(candidate))
  if (pid === undefined) throw new Error('workerd was started and cannot be found.')
  return { name, url, pid, apiKey, close: () => miniflare.dispose() }
}

export function startBare({ bare }: Bundles, vendor: Vendor): Promise<Subject> {
  return startSubject('bare', 'none', [
    { name: 'bare', source: bare, bindings: { VENDOR_URL: vendor.url, VENDOR_KEY: 'sk-fake-bare' } },
  ])
}

export async function startFloor(bundles: Bundles, vendor: Vendor, stores: Stores): Promise<Subject> {
  await loadScript(stores, floorScript)
  const bindings = {
    VENDOR_URL: vendor.url,
    VENDOR_KEY: 'sk-fake-floor',
    DATABASE_URL: stores.databaseUrl,
    NEON_PROXY_URL: stores.proxyUrl,
    UPSTASH_REDIS_REST_URL: stores.redisUrl,
    UPSTASH_REDIS_REST_TOKEN: stores.redisToken,
    SCRIPT_SHA: createHash('sha1').update(floorScript).digest('hex'),
  }
  return startSubject('floor', 'none', [
    { name: 'floor', source: bundles.floor, bindings, ledger: { className: 'FloorLedger', scriptName: 'floor-jobs' } },
    { name: 'floor-jobs', source: bundles.floorLedger, bindings, ledger: { className: 'FloorLedger' } },
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
export const gatewayVariables = (vendor: Pick<Vendor, 'url'>, stores: Omit<Stores, 'counts' | 'close'>) => ({
  ENVIRONMENT: 'test',
  LOG_LEVEL: 'error',
  DATABASE_URL: stores.databaseUrl,
  NEON_PROXY_URL: stores.proxyUrl,
  UPSTASH_REDIS_REST_URL: stores.redisUrl,
  UPSTASH_REDIS_REST_TOKEN: stores.redisToken,
  KEY_PEPPER: stores.pepper,
  OPENAI_API_KEY: 'sk-fake-helix',
  OPENAI_BASE_URL: vendor.url,
})

export function startHelix(bundles: Bundles, vendor: Vendor, stores: Stores): Promise<Subject> {
  const bindings = gatewayVariables(vendor, stores)
  return startSubject('helix', stores.apiKey, [
    { name: 'helix', source: bundles.gateway, bindings, ledger: { className: 'OrgLedger', scriptName: 'helix-jobs' } },
    { name: 'helix-jobs', source: bundles.jobs, bindings, ledger: { className: 'OrgLedger' } },
  ])
}
