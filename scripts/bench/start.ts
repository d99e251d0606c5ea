import type { Bundles } from './build.ts'
import { gzipBytes } from './build.ts'
import { median } from './load.ts'
import { pathGzipBytes } from './path-size.ts'
import type { Figure } from './report.ts'
import { startWorkerd } from './workerd.ts'

/** Workers by name, as the loading Worker is told of them. */
export type StartEnv = Record<string, { source: string; texts: Record<string, string> }>

const ISOLATES = 25
const EMPTY = 'export default { fetch: () => new Response("ok") }'

/** Stores that are never asked: nothing is sent before the first answer. */
const texts = {
  ENVIRONMENT: 'test',
  DATABASE_URL: 'postgres://helix_app:none@db.example.com/helix',
  UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1',
  UPSTASH_REDIS_REST_TOKEN: 'none',
  KEY_PEPPER: 'pepper-of-the-benchmarks-pepper-of-the-benchmarks',
  PASSWORD_PEPPER: 'password-pepper-of-the-benchmarks-of-helix',
  KEK_CURRENT: Buffer.from('kek-of-the-benchmarks-of-helix-01').subarray(0, 32).toString('base64'),
  OPENAI_API_KEY: 'sk-none',
}

export type StartBaseline = { gatewayGzipBytes: number; jobsGzipBytes: number; leastStartMs: number }

/** From "load this source" to the first answer of an isolate that did not exist before; Workers take turns. */
export async function measureStart(bundles: Bundles, baseline: StartBaseline): Promise<Figure[]> {
  const workers: StartEnv = {
    empty: { source: EMPTY, texts: {} },
    bare: { source: bundles.bare, texts: {} },
    helix: { source: bundles.gateway, texts },
  }
  const times = new Map(Object.keys(workers).map((name) => [name, [] as number[]]))
  const loader = await startWorkerd([{ name: 'loader', source: bundles.loader, loader: 'LOADER' }])
  try {
    await fetch(loader.url, { method: 'PUT', body: JSON.stringify(workers) })
    for (let round = -1; round < ISOLATES; round++) {
      for (const name of times.keys()) {
        const startMs = performance.now()
        const response = await fetch(`${loader.url}/${name}/health`)
        const text = await response.text()
        if (!response.ok) throw new Error(`${name} did not start: ${response.status} ${text}`)
        if (round >= 0) times.get(name)?.push(performance.now() - startMs)
      }
    }
  } finally {
    await loader.close()
  }
  const overBare = (of: (values: readonly number[]) => number) =>
    of(times.get('helix') ?? []) - of(times.get('bare') ?? [])
  // The least of many is what noise moves least, so that is what may not creep.
  const least = overBare((values) => Math.min(...values))
  return [
    ...[...times].map(
      ([name, spread]): Figure => ({ name: `isolate start, ${name}`, value: median(spread), unit: 'ms', spread }),
    ),
    { name: 'isolate start over bare', value: overBare(median), unit: 'ms', most: 40 },
    { name: 'isolate start over bare, the least', value: least, unit: 'ms' },
    { name: 'the least, against its baseline', value: least / baseline.leastStartMs, unit: 'x', most: 1.1 },
  ]
}

export async function measureSize({ gateway, jobs }: Bundles, baseline: StartBaseline): Promise<Figure[]> {
  const [gatewayBytes, jobsBytes] = [gzipBytes(gateway), gzipBytes(jobs)]
  return [
    { name: 'path of a call, minified, gzip', value: (await pathGzipBytes()) / 1000, unit: 'kB', most: 250 },
    { name: 'gateway, minified, gzip', value: gatewayBytes / 1000, unit: 'kB', most: 600 },
    { name: 'gateway, against its baseline', value: gatewayBytes / baseline.gatewayGzipBytes, unit: 'x', most: 1.1 },
    { name: 'jobs, minified, gzip', value: jobsBytes / 1000, unit: 'kB' },
    { name: 'jobs, against its baseline', value: jobsBytes / baseline.jobsGzipBytes, unit: 'x', most: 1.1 },
  ]
}
