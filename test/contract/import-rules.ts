import { posix } from 'node:path'

/** What a file imports: the specifiers, and whether it calls the network by itself. */
export type SourceFile = { path: string; text: string }

/** Which part of the program may import from which; it reads downwards. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  core: ['core'],
  env: ['core'],
  adapters: ['core', 'adapters'],
  http: ['core', 'http'],
  features: ['core', 'http', 'features'],
  deps: ['core', 'adapters'],
  app: ['core', 'http', 'features'],
  jobs: ['core', 'features'],
  workers: ['core', 'env', 'adapters', 'http', 'features', 'deps', 'app', 'jobs', 'workers'],
}

/** Packages that belong to some parts only. */
const packages: readonly { pattern: RegExp; parts: readonly string[] }[] = [
  { pattern: /^(hono|@hono\/.+)(\/|$)/, parts: ['http', 'app'] },
  { pattern: /^(@upstash|@neondatabase)\//, parts: ['adapters'] },
  { pattern: /^cloudflare:/, parts: ['workers'] },
]

/** The guarded way out, and the place that hands it the platform's `fetch`. */
const mayFetch = /^src\/(adapters\/outbound(-[a-z]+)*|deps)\.ts$/

/** Files of a feature that the features below it may use. */
const shared = /^(service|table|events)\.ts$/

const INDEX = 'src/features/index.ts'
const JOBS = 'src/features/jobs.ts'
const WORK = 'src/features/work.ts'
const LISTS = [INDEX, JOBS, WORK]

const partOf = (path: string) => {
  const [root = '', second = ''] = path.split('/')
  return root === 'src' ? second.replace(/\.ts$/, '') : root
}

const featureOf = (path: string) =>
  partOf(path) === 'features' && !LISTS.includes(path) ? path.split('/')[2] : undefined

/** The text without comments, so that an example in one is not taken for code. */
const codeOf = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')

export function importsOf(text: string): string[] {
  const statements = codeOf(text).matchAll(/(?:^|[\s;}])(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)
  return [...statements].map(([, specifier = '']) => specifier)
}

const callsFetch = (text: string) =>
  /(?<![.\w$'"`])fetch\((?!\w+\??:)|\b(?:globalThis|self)\s*\.\s*fetch\b/.test(
    codeOf(text).replace(/\basync fetch\(/g, ''),
  )

function featureRule(from: string, to: string, rank: readonly string[]): string | undefined {
  const [mine, theirs] = [featureOf(from), featureOf(to)]
  if (from === INDEX) return to.endsWith('/routes.ts') ? undefined : 'the list of features names only their routes'
  if (from === WORK) {
    const isOfIt = to.endsWith('/work.ts') || to === 'src/features/job-queue/service.ts'
    return isOfIt ? undefined : 'the list of work names only that of features'
  }
  if (from === JOBS) return to.endsWith('/jobs.ts') ? undefined : 'the list of jobs names only those of features'
  if (mine === undefined) return undefined
  if (!rank.includes(mine)) return `${mine} is not in ${INDEX}`
  if (to === INDEX) return mine === rank.at(-1) ? undefined : 'only the last feature may see the list of all'
  if (theirs === undefined || theirs === mine) return undefined
  if (rank.indexOf(theirs) === -1) return `${theirs} is not in ${INDEX}`
  if (rank.indexOf(theirs) > rank.indexOf(mine)) return `${theirs} ranks below ${mine}`
  return shared.test(posix.basename(to)) ? undefined : `only service, table and events of ${theirs} are shared`
}

function importRule(from: string, specifier: string, rank: readonly string[]): string | undefined {
  const part = partOf(from)
  if (!specifier.startsWith('.')) {
    const rule = packages.find(({ pattern }) => pattern.test(specifier))
    return rule && !rule.parts.includes(part) ? `only ${rule.parts.join(' and ')} may use ${specifier}` : undefined
  }
  const to = posix.normalize(posix.join(posix.dirname(from), specifier))
  if (!allowed[part]?.includes(partOf(to))) return `${part} may not import ${partOf(to)}`
  return partOf(to) === 'features' ? featureRule(from, to, rank) : undefined
}

/** Every broken rule as `file: import: rule`. `rank` holds the names of the features, most basic first. */
export function brokenRules(files: readonly SourceFile[], rank: readonly string[]): string[] {
  return files.flatMap(({ path, text }) => {
    const feature = featureOf(path)
    const unlisted = feature !== undefined && !rank.includes(feature) ? [`${path}: ${feature} is not in ${INDEX}`] : []
    const imports = importsOf(text).flatMap((specifier) => {
      const rule = importRule(path, specifier, rank)
      return rule === undefined ? [] : [`${path}: ${specifier}: ${rule}`]
    })
    const fetches =
      callsFetch(text) && !mayFetch.test(path) ? [`${path}: fetch: only the outbound adapter may call it`] : []
    return [...unlisted, ...imports, ...fetches]
  })
}
