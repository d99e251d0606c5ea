import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '../../')

/** Minified sources of everything that is compared. */
export type Bundles = Record<'bare' | 'floor' | 'floorLedger' | 'loader' | 'password' | 'gateway' | 'jobs', string>

/** Builds the two Workers as a deployment would, into folders of their own, and the Workers they are compared with. */
export async function buildBundles(): Promise<Bundles> {
  const [bare, floor, floorLedger, loader, password, helix] = await Promise.all([
    bundle('bare', []),
    bundle('floor', []),
    bundle('floor-ledger', ['FloorLedger']),
    bundle('loader', []),
    bundle('password', []),
    buildHelix(),
  ])
  return { bare, floor, floorLedger, loader, password, ...helix }
}

/** The two Workers alone. */
export async function buildHelix(): Promise<Pick<Bundles, 'gateway' | 'jobs'>> {
  const [gateway, jobs] = await Promise.all([
    deployable([], 'gateway.js'),
    deployable(['-c', 'workers/jobs/wrangler.toml'], 'index.js'),
  ])
  return { gateway, jobs }
}

export const gzipBytes = (source: string | Buffer): number => gzipSync(source, { level: 9 }).length

async function bundle(name: string, classes: readonly string[]): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: `export { ${['worker as default', ...classes].join(', ')} } from './${name}.ts'`,
      resolveDir: join(import.meta.dirname, 'workers'),
    },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
  })
  return outputFiles[0]?.text ?? ''
}

/** A `wrangler deploy` that stops before it uploads. */
async function deployable(config: readonly string[], file: string): Promise<string> {
  const outdir = `${root}.build/bench/${file.replace('.js', '')}`
  const child = spawn('wrangler', ['deploy', '--dry-run', ...config, '--outdir', outdir], {
    cwd: root,
    env: {
      ...process.env,
      PATH: `${root}node_modules/.bin:${process.env.PATH}`,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text
    })
  }
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('exit', resolve))
  if (code !== 0) throw new Error(`The build failed:\n${output}`)
  return readFile(`${outdir}/${file}`, 'utf8')
}
