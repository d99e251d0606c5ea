import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { toVarsFile, type Variables } from './variables.ts'

const root = join(import.meta.dirname, '../..')

/** The Workers by the folder that their generated configuration gets; the first is the one that serves HTTP. */
const sources = [
  {
    name: 'gateway',
    source: join(root, 'wrangler.toml'),
    more: '\n[[services]]\nbinding = "JOBS"\nservice = "helix-jobs"\n',
  },
  { name: 'jobs', source: join(root, 'workers/jobs/wrangler.toml'), more: '' },
] as const

/** Settings whose value is a path beside the configuration. */
const PATHS = new Set(['main', 'base_dir', 'tsconfig', 'assets.directory'])

/**
 * Writes, for each Worker, a configuration and a vars file into a folder of its own below `folder`, both readable by
 * the user alone: the user's own files stay as they are. Every Worker gets the same variables, and the jobs' one what
 * is for it alone.
 * @returns the paths of the configurations, in the order that wrangler wants them
 */
export async function writeWorkerConfigs(
  folder: string,
  variables: Variables,
  forJobs: Variables = {},
): Promise<string[]> {
  return Promise.all(
    sources.map(async ({ name, source, more }) => {
      const target = join(folder, name)
      await mkdir(target, { recursive: true, mode: 0o700 })
      const config = join(target, 'wrangler.toml')
      const toml = relocate(await readFile(source, 'utf8'), dirname(source))
      await writeFile(config, withEntry(toml, join(root, `workers/local/${name}.ts`)) + more)
      const varsFile = toVarsFile(name === 'jobs' ? { ...variables, ...forJobs } : variables)
      await writeFile(join(target, '.dev.vars'), varsFile, { mode: 0o600 })
      return config
    }),
  )
}

/**
 * A wrangler.toml that means the same from any folder. `[build]` is left out: what it makes is made before the start,
 * not again after every change.
 */
export function relocate(toml: string, folder: string): string {
  let table = ''
  const lines = toml.split('\n').flatMap((line) => {
    table = /^\s*\[+\s*([^\]]+?)\s*\]+/.exec(line)?.[1] ?? table
    if (table === 'build') return []
    const [, indent = '', key = '', value] = /^(\s*)([\w-]+)\s*=\s*["']([^"']*)["']/.exec(line) ?? []
    const isPath = value !== undefined && PATHS.has(table === '' ? key : `${table}.${key}`)
    return [isPath ? `${indent}${key} = ${JSON.stringify(resolve(folder, value))}` : line]
  })
  return lines.join('\n')
}

/** The same Worker with the clock that `wrangler dev` lacks. */
const withEntry = (toml: string, entry: string): string =>
  toml.replace(/^main = .*$/m, `main = ${JSON.stringify(entry)}`)

/** The folder of the static files must be there when the Workers start. */
export async function copyStaticFiles(): Promise<void> {
  const reference = join(
    dirname(new URL(import.meta.resolve('@scalar/api-reference')).pathname),
    'browser/standalone.js',
  )
  const target = join(root, '.build/assets/docs')
  await mkdir(target, { recursive: true })
  await cp(reference, join(target, 'scalar.js'))
}
