import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '../..')
const ENTRY = 'workers/gateway.ts'

/** What answers calls of models, lists them, and tells how the gateway is; with the client of Redis, which all need. */
const path = [
  'src/features/completions/routes.ts',
  'src/features/embeddings/routes.ts',
  'src/features/models/routes.ts',
  'src/features/health/routes.ts',
  'src/features/monitoring/routes.ts',
  'node_modules/@upstash/redis/cloudflare.mjs',
]

/**
 * Compressed bytes of the modules that an isolate evaluates to serve the path of a call: of those that are loaded by
 * `import()` only the ones that the path asks for. A deployment is one file with all of them.
 */
export async function pathGzipBytes(): Promise<number> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: [ENTRY],
    bundle: true,
    splitting: true,
    minify: true,
    metafile: true,
    write: false,
    outdir: '.build/path',
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
  })
  const chunkOf = (module: string): string => {
    const found = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === module)
    if (!found) throw new Error(`No chunk of the gateway begins with ${module}.`)
    return found[0]
  }
  const loaded = new Set<string>()
  const load = (chunk: string): void => {
    if (loaded.has(chunk)) return
    loaded.add(chunk)
    for (const { path: next, kind } of metafile.outputs[chunk]?.imports ?? []) {
      if (kind === 'import-statement' && metafile.outputs[next]) load(next)
    }
  }
  for (const module of [ENTRY, ...path]) load(chunkOf(module))
  const files = outputFiles.filter(({ path: file }) => loaded.has(file.slice(root.length + 1)))
  if (files.length !== loaded.size) throw new Error('A chunk of the gateway was not built.')
  return gzipSync(Buffer.concat(files.map(({ contents }) => contents)), { level: 9 }).length
}
