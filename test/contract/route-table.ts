import * as z from 'zod'
import { ANY_CREDENTIAL, isGrantedScope } from '../../src/core/roles.ts'
import type { Area, Dialect, Route } from '../../src/http/route.ts'

/** A parameter of a path, and the pattern it may be limited to: `:model{.+}`. */
const PARAM = /:(\w+)(?:\{([^}]*)\})?/g

export type Entry = { area: string; at: readonly string[]; errors: Dialect; route: Route }

/** Every route of every area, in the order in which they are mounted. */
export async function loadTable(areas: readonly Area[]): Promise<Entry[]> {
  const loaded = await Promise.all(
    areas.map(async ({ name, at, errors, load }) => ({ name, at, errors, ...(await load()) })),
  )
  return loaded.flatMap(({ name, at, errors, routes }) => routes.map((route) => ({ area: name, at, errors, route })))
}

export const nameOf = ({ route }: Entry) => `${route.method.toUpperCase()} ${route.path}`

/** The route as the document names it. */
export const documentedName = ({ route }: Entry) => `${route.method.toUpperCase()} ${route.path.replace(PARAM, '{$1}')}`

/** A path that the route answers, with a word for each parameter. */
export const sampleOf = ({ path }: Route) => path.replace(PARAM, 'x')

/** The same with values of one's own. */
export const pathOf = ({ path }: Pick<Route, 'path'>, params: Readonly<Record<string, string>>) =>
  path.replace(PARAM, (_param, name) => encodeURIComponent(params[name] ?? 'x'))

export const paramNames = ({ path }: Pick<Route, 'path'>) => [...path.matchAll(PARAM)].map(([, name = '']) => name)

/** Whether the route takes that word for each of its parameters. */
export function takesSample(route: Route): boolean {
  const params = Object.fromEntries(paramNames(route).map((name) => [name, 'x']))
  return route.spec.params === undefined || route.spec.params.safeParse(params).success
}

function patternOf({ path }: Route): RegExp {
  const source = path.replace(/[.](?![^{]*})/g, '\\.').replace(PARAM, (_param, _name, pattern = '[^/]+') => pattern)
  return new RegExp(`^${source}$`)
}

const owns = (prefix: string, path: string) => path === prefix || path.startsWith(`${prefix}/`)

/** The area whose longest prefix a path has. */
function ownerOf(path: string, areas: readonly Area[]): string | undefined {
  const prefixes = areas.flatMap(({ name, at }) => at.map((prefix) => ({ name, prefix })))
  const owners = prefixes.filter(({ prefix }) => owns(prefix, path))
  return owners.sort((a, b) => b.prefix.length - a.prefix.length)[0]?.name
}

function shadows(entry: Entry, earlier: readonly Entry[]): string[] {
  const { route } = entry
  return earlier
    .filter((other) => other.area === entry.area && other.route.method === route.method)
    .filter((other) => patternOf(other.route).test(sampleOf(route)))
    .map((other) => `${nameOf(entry)} is never reached: ${nameOf(other)} comes first`)
}

function namesOf(schema: z.ZodType | undefined): string[] {
  if (schema === undefined) return []
  return Object.keys(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).properties ?? {})
}

const isScope = (scope: string): boolean =>
  scope === 'public' ||
  scope === ANY_CREDENTIAL ||
  scope.split('|').every((one) => ['user', 'owner', 'operator'].includes(one) || isAreaScope(one))

const isAreaScope = (scope: string): boolean => isGrantedScope(scope) && !scope.startsWith('*')

function surfaceOf(path: string): Dialect {
  if (owns('/v1/messages', path)) return 'anthropic'
  return path.startsWith('/v1/') ? 'openai' : 'problem'
}

function specFaults(entry: Entry): string[] {
  const { method, spec } = entry.route
  const faults: string[] = []
  if (spec.summary.trim() === '') faults.push('has no summary')
  if (!isScope(spec.scope)) faults.push(`has the scope ${spec.scope}`)
  if (method === 'get' && spec.body) faults.push('reads a body')
  if (String(paramNames(entry.route).sort()) !== String(namesOf(spec.params).sort()))
    faults.push('declares other params than its path has')
  try {
    if (spec.response) z.toJSONSchema(spec.response, { io: 'output' })
  } catch {
    faults.push('has a response schema that is more than a plain object')
  }
  return faults.map((fault) => `${nameOf(entry)} ${fault}`)
}

/** Everything that is wrong with the table as such. */
export function faultsOfTable(table: readonly Entry[], areas: readonly Area[]): string[] {
  const seen = new Set<string>()
  const prefixes = areas.flatMap(({ at }) => at)
  const doubled = prefixes.filter((prefix, index) => prefixes.indexOf(prefix) !== index)
  return [
    ...doubled.map((prefix) => `${prefix} belongs to two areas`),
    ...table.flatMap((entry, index) => {
      const faults = [...specFaults(entry), ...shadows(entry, table.slice(0, index))]
      const name = nameOf(entry)
      if (seen.has(name)) faults.push(`${name} exists twice`)
      seen.add(name)
      const path = sampleOf(entry.route)
      if (ownerOf(path, areas) !== entry.area) faults.push(`${name} is outside the prefixes of ${entry.area}`)
      const surface = surfaceOf(path)
      if (entry.errors !== surface) faults.push(`${name} speaks ${entry.errors} where ${surface} is expected`)
      return faults
    }),
  ]
}
