import type { Deps, Log } from './core/context.ts'
import { AppError } from './core/errors.ts'
import { newId } from './core/ids.ts'
import { errorResponse } from './http/errors.ts'
import { type Exchange, type Execution, openExchange } from './http/exchange.ts'
import { type Hooks, type MountedApp, mount, unknownPath } from './http/mount.ts'
import type { Area, Dialect } from './http/route.ts'

/** The whole program as one function; bindings are already in its dependencies. Never rejects. */
export type Gateway = (request: Request, env?: unknown, execution?: Execution) => Promise<Response>

/** Prefixes of areas are one to four segments: `/health`, `/v1/chat`, `/api/v1/keys`, `/api/v1/routing/policies`. */
const MAX_SEGMENTS = 4

/** The path of an absolute URL as it was sent; undefined when its percent-encoding is not UTF-8 text. */
export function pathOf(url: string): string | undefined {
  const start = url.indexOf('/', url.indexOf(':') + 3)
  if (start === -1) return '/'
  const length = url.slice(start).search(/[?#]/)
  const path = length === -1 ? url.slice(start) : url.slice(start, start + length)
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path).includes('\0') ? undefined : path
  } catch {
    return undefined
  }
}

function dialectOf(path: string): Dialect {
  if (path === '/v1/messages' || path.startsWith('/v1/messages/')) return 'anthropic'
  return path === '/v1' || path.startsWith('/v1/') ? 'openai' : 'problem'
}

/** The area with the longest prefix of a path. */
function areaFinder(areas: readonly Area[]): (path: string) => Area | undefined {
  const byPrefix = new Map(areas.flatMap((area) => area.at.map((prefix) => [prefix, area] as const)))
  return (path) => {
    let found: Area | undefined
    let end = 0
    for (let segments = 0; segments < MAX_SEGMENTS && end !== -1; segments++) {
      end = path.indexOf('/', end + 1)
      found = byPrefix.get(end === -1 ? path : path.slice(0, end)) ?? found
    }
    return found
  }
}

/**
 * Areas and dependencies as one fetch. An area's module, with its schemas and tables, is evaluated by the first
 * request that needs it, so a cold isolate pays only for what it serves.
 */
export function createGateway(areas: readonly Area[], deps: Deps, hooks: Hooks): Gateway {
  const areaOf = areaFinder(areas)
  // Apps are kept, never promises of them: on Workers a promise belongs to the request that made it.
  const apps = new Map<string, MountedApp>()

  const build = async (area: Area): Promise<MountedApp> => {
    const app = mount((await area.load()).routes, { deps, ...hooks })
    apps.set(area.name, app)
    return app
  }

  const answer = async (area: Area | undefined, exchange: Exchange): Promise<Response> => {
    try {
      if (area === undefined) throw unknownPath(exchange)
      const app = apps.get(area.name) ?? (await build(area))
      return await app.fetch(exchange.request, exchange)
    } catch (error) {
      return errorResponse(error, exchange)
    }
  }

  return (request, _env, execution) => {
    const path = pathOf(request.url)
    const area = path === undefined ? undefined : areaOf(path)
    const shown = path ?? new URL(request.url).pathname
    const dialect = area?.errors ?? dialectOf(shown)
    const answered = answer(area, openExchange(deps, { request, path: shown, dialect, execution }))
    // A caller who leaves ends their request, but not what has to be released, booked or written down for it.
    execution?.waitUntil(answered)
    return answered
  }
}

const quiet = () => {}
const lastResort: Log = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (event, facts) => console.error(JSON.stringify({ level: 'error', event, ...facts })),
}

/**
 * What stands in for a gateway that cannot be built: 503 `configuration_error` to everyone, and what is wrong, which
 * names variables and never their values, in the log.
 */
export function createMisconfigured(problems: readonly string[]): Gateway {
  lastResort.error('configuration_error', { problems })
  const now = () => Date.now()
  const tools = { now, log: lastResort, newId: (prefix: string) => newId(prefix, now()) }
  return async (request, _env, execution) => {
    const path = pathOf(request.url) ?? '/'
    const exchange = openExchange(tools, { request, path, dialect: dialectOf(path), execution })
    const error = new AppError(
      'configuration_error',
      'This gateway is not set up completely. Its log says what is missing.',
    )
    return errorResponse(error, exchange)
  }
}
