import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'

const root = `${join(import.meta.dirname, '../..')}/`
const compatibilityDate = '2026-08-01'

const staticFiles = {
  directory: `${root}.build/assets`,
  binding: 'ASSETS',
  routerConfig: { has_user_worker: true, invoke_user_worker_ahead_of_assets: true },
}

export type WorkersOptions = {
  vars: Readonly<Record<string, string>>
  /** What the jobs Worker gets beside them. */
  jobsVars?: Readonly<Record<string, string>> | undefined
  /** Folder of the Durable Objects' storage; without it they forget. */
  persistTo?: string | undefined
  /** Source of a stand-in for the jobs Worker. */
  jobsScript?: string | undefined
  port?: number | undefined
  /** Also serves the static files of the release, as the root configuration does. */
  assets?: boolean | undefined
}

/** The built Workers in workerd, bound to each other as their configurations say. */
export async function startWorkers({
  vars,
  jobsVars,
  persistTo,
  jobsScript,
  port = 0,
  assets,
}: WorkersOptions): Promise<Miniflare> {
  const [gateway, jobs] = await Promise.all([
    readFile(`${root}.build/gateway/gateway.js`, 'utf8'),
    jobsScript ?? readFile(`${root}.build/jobs/index.js`, 'utf8'),
  ])
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: '127.0.0.1',
      port,
      ...(persistTo === undefined ? {} : { resourcePersistencePath: persistTo }),
      workers: [
        {
          name: 'helix',
          modules: [{ type: 'ESModule', path: 'gateway.js', contents: gateway }],
          compatibilityDate,
          compatibilityFlags: [
            'nodejs_compat',
            'no_nodejs_global_timers',
            'enable_request_signal',
            'global_fetch_strictly_public',
          ],
          bindings: vars,
          ...(assets ? { assets: staticFiles } : {}),
          queueProducers: { WORK: { queueName: 'helix-work' } },
          r2Buckets: { FILES: 'helix-files' },
          durableObjects: {
            LEDGER: { className: 'OrgLedger', scriptName: 'helix-jobs', useSQLite: true },
            HEALTH: { className: 'ProviderHealth', scriptName: 'helix-jobs', useSQLite: true },
            GATES: { className: 'NodeGate', scriptName: 'helix-jobs', useSQLite: true },
          },
        },
        {
          name: 'helix-jobs',
          modules: [{ type: 'ESModule', path: 'index.js', contents: jobs }],
          compatibilityDate,
          compatibilityFlags: ['nodejs_compat', 'no_nodejs_global_timers', 'global_fetch_strictly_public'],
          bindings: { ...vars, ...jobsVars },
          queueProducers: { WORK: { queueName: 'helix-work' } },
          queueConsumers: { 'helix-work': { maxBatchSize: 1, maxBatchTimeout: 0, maxRetries: 10, retryDelay: 1 } },
          r2Buckets: { FILES: 'helix-files' },
          durableObjects: {
            LEDGER: { className: 'OrgLedger', useSQLite: true },
            HEALTH: { className: 'ProviderHealth', useSQLite: true },
            GATES: { className: 'NodeGate', useSQLite: true },
          },
        },
      ],
    }),
  )
  await miniflare.ready
  return miniflare
}
