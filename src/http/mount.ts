import { type Context, Hono } from 'hono'
import type { Admission, Admit, Ask, Policy, Strangers } from '../core/admission.ts'
import type { Caller, Deps } from '../core/context.ts'
import { AppError } from '../core/errors.ts'
import type { Once } from '../core/once.ts'
import { decisionHeader, type Note, watchArrival } from './arrival.ts'
import { byName, isBodyless, MAX_BODY_BYTES, MAX_PUBLIC_BODY_BYTES, readForm, readJson } from './body.ts'
import { addressOf, credentialOf } from './credential.ts'
import { errorResponse, failureCodeOf } from './errors.ts'
import { commonHeaders, type Exchange, finishResponse } from './exchange.ts'
import { inputError } from './input-errors.ts'
import { readMultipart } from './multipart-body.ts'
import {
  heedsIdempotencyKey,
  MAX_IDEMPOTENCY_KEY,
  mayLackBody,
  type Prepared,
  type RawInput,
  type Rejected,
  type Route,
} from './route.ts'
import { findUnstorable } from './storable.ts'
import { wholeResponse } from './whole.ts'

/** A request's exchange travels as Hono's bindings: whatever the Worker is bound to is already in `Deps`. */
type MountEnv = { Bindings: Exchange }
export type MountedApp = Hono<MountEnv>

/** What features do around every route: who may come in, what runs once only, and what is noted of a request. */
export type Hooks = {
  admit: Admit
  /** The providers that callers of a policy reach; without it, those of the installation. */
  reach?: ((deps: Deps, policy: Policy) => Deps['providers']) | undefined
  strangers?: Strangers | undefined
  once?: Once | undefined
  note?: Note | undefined
}
type Services = Hooks & { deps: Deps }

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

const NOTHING: Ask = { tokens: 0, candidates: [] }
const askNothing = (): Ask => NOTHING

/** The query by name. */
export function queryOf(url: string): Record<string, string | string[]> {
  const start = url.indexOf('?')
  return byName(start === -1 ? '' : url.slice(start))
}

async function readBody(request: Request, spec: Route['spec'], maxBytes: number): Promise<unknown> {
  if (spec.form) return readForm(request, maxBytes)
  if (isBodyless(request) && mayLackBody(spec)) return {}
  if (spec.multipart) return readMultipart(request, spec.scope === 'public' ? maxBytes : spec.multipart.maxBytes)
  return readJson(request, maxBytes)
}

/** The checked input, or the error that its caller will see if nothing that ranks higher is wrong. */
async function readInput(route: Route, c: Context<MountEnv>): Promise<Prepared | AppError> {
  const { params, query, body, scope } = route.spec
  const { request, dialect } = c.env
  try {
    idempotencyKeyOf(route, request)
    const maxBytes = scope === 'public' ? MAX_PUBLIC_BODY_BYTES : MAX_BODY_BYTES
    const raw = {
      params: params && c.req.param(),
      query: query && queryOf(request.url),
      body: body && (await readBody(request, route.spec, maxBytes)),
    }
    // What is said to a model is passed on and not stored: there any text will do.
    const prepared = (dialect === 'problem' && unstorableIn(raw)) || route.prepare(raw)
    return 'issues' in prepared ? inputError(prepared, dialect) : prepared
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
}

/** What neither a query nor a body may hold, since it could not be kept as it was sent. */
function unstorableIn(raw: RawInput): Rejected | undefined {
  for (const place of ['query', 'body'] as const) {
    const path = findUnstorable(raw[place])
    const message = 'holds a NUL character or half a surrogate pair'
    if (path) return { place, issues: [{ code: 'custom', path: [...path], message, input: undefined }] }
  }
  return undefined
}

function callerOf({ orgId, keyId, kind, userId, role, scopes }: Policy, ip: string): Caller {
  return { orgId, keyId, kind, userId, role, scopes, ip }
}

/** What a caller of a policy can use. */
function depsFor({ deps, reach }: Services, policy: Policy): Deps {
  const providers = reach?.(deps, policy) ?? deps.providers
  return providers === deps.providers ? deps : { ...deps, providers }
}

type Around = { exchange: Exchange; admission?: Admission; headers?: Readonly<Record<string, string>> }

async function toResponse(route: Route, reply: unknown, { exchange, admission, headers: own }: Around) {
  if (reply instanceof Response) return finishResponse(reply, exchange, { admission, headers: own })
  const headers = { ...commonHeaders(exchange, admission), ...own }
  headers['cache-control'] = 'no-store'
  const { response, status } = route.spec
  if (response === undefined) return new Response(null, { status: status ?? 204, headers })
  headers['content-type'] = 'application/json'
  return wholeResponse(JSON.stringify(response.parse(reply)), { status: status ?? 200, headers })
}

async function servePublic(route: Route, c: Context<MountEnv>, { deps, strangers }: Services): Promise<Response> {
  const exchange = c.env
  try {
    if (!route.spec.isProbe) await strangers?.(deps, { ip: addressOf(exchange.request), door: 'public' })
    const input = await readInput(route, c)
    if (input instanceof AppError) throw input
    const { request, requestId, startedMs, defer } = exchange
    const ctx = { ...deps, requestId, signal: request.signal, startedMs, defer }
    return await toResponse(route, await input.answer(ctx, request), { exchange })
  } catch (error) {
    return errorResponse(error, exchange)
  }
}

/**
 * One request of a route that needs a caller. Where admission wants to know what the input costs it is read and checked
 * before; what is wrong with it is said only to those who may come in. Everywhere else nobody's input is worth reading
 * who may not.
 */
async function serve(route: Route, c: Context<MountEnv>, services: Services): Promise<Response> {
  const { deps, admit, once, note } = services
  const exchange = c.env
  const { request, requestId, startedMs, defer } = exchange
  const { arrival, known, answered, close } = watchArrival(deps, note, { route, exchange })
  let admission: Admission | undefined
  let isRefused = true
  try {
    const credential = credentialOf(request.headers)
    const isWorthReading = route.asks && (admit.mayBeKnown?.(deps, credential) ?? true)
    let input = isWorthReading ? await readInput(route, c) : undefined
    const ask = input instanceof AppError ? undefined : input?.ask
    const { ip } = arrival
    admission = await admit(
      deps,
      {
        requestId,
        credential,
        ip,
        path: route.path,
        scope: route.spec.scope,
        defer,
        signal: request.signal,
        onRefused: known,
      },
      ask ? (policy) => ask(depsFor(services, policy), policy) : askNothing,
    )
    known(admission.policy)
    input ??= await readInput(route, c)
    if (input instanceof AppError) throw input
    const caller = callerOf(admission.policy, ip)
    const own = depsFor(services, admission.policy)
    const ctx = { ...own, caller, admission, requestId, signal: request.signal, startedMs, arrival, defer }
    isRefused = false
    const around = { exchange, admission }
    const run = async () => {
      const reply = await input.answer(ctx, request)
      const response = await toResponse(route, reply, { ...around, headers: decisionHeader(arrival) })
      answered(response)
      return response
    }
    const key = idempotencyKeyOf(route, request)
    if (key === undefined || !once) return close(await run())
    const answer = await once(ctx, { key, route: `POST ${exchange.path}`, body: input.body }, run)
    return close(finishResponse(answer, exchange, { admission }))
  } catch (thrown) {
    const error = isRefused ? await unlessTooMany(thrown, request, services) : thrown
    if (isRefused && error instanceof AppError) tally(deps, error)
    const headers = decisionHeader(arrival)
    return close(errorResponse(error, exchange, { admission, headers }), failureCodeOf(error))
  }
}

/**
 * Who shows nothing that could be a credential is told so a few times only. Looked at here, where a call is refused
 * already, it costs those who have one nothing.
 */
async function unlessTooMany(thrown: unknown, request: Request, { deps, admit, strangers }: Services) {
  if (!strangers || !(thrown instanceof AppError) || thrown.status !== 401) return thrown
  try {
    if (admit.mayBeKnown?.(deps, readCredential(request)) === false) {
      await strangers(deps, { ip: addressOf(request), door: 'private' })
    }
    return thrown
  } catch (error) {
    return error
  }
}

/** Undefined where there is none, or not exactly one. */
function readCredential({ headers }: Request): string | undefined {
  try {
    return credentialOf(headers)
  } catch {
    return undefined
  }
}

/** Under what a call is to run once. Throws 400 for a key that is empty or too long. */
function idempotencyKeyOf(route: Route, request: Request): string | undefined {
  if (!heedsIdempotencyKey(route)) return undefined
  const key = request.headers.get('idempotency-key')
  if (key === null) return undefined
  if (key.length >= 1 && key.length <= MAX_IDEMPOTENCY_KEY) return key
  throw new AppError('invalid_request', `Idempotency-Key must have 1 to ${MAX_IDEMPOTENCY_KEY} characters.`, {
    param: 'Idempotency-Key',
  })
}

/** Refusals are counted in memory: the next settlement of this isolate carries them to the metrics. */
function tally({ memory }: Deps, { code }: AppError): void {
  const labels = `code="${code}"`
  memory.tallies.set(labels, (memory.tallies.get(labels) ?? 0) + 1)
}

/** No route took the request: the path is unknown, or known with other methods. */
function serveUnknown(app: MountedApp, exchange: Exchange): Response {
  const { path, request } = exchange
  const methods = METHODS.filter((method) => app.router.match(method, path)[0].length > 0)
  if (methods.length === 0) return errorResponse(unknownPath(exchange), exchange)
  if (methods.includes('GET')) methods.push('HEAD')
  const allow = [...methods, 'OPTIONS'].join(', ')
  if (request.method === 'OPTIONS') {
    return new Response(null, { status: 204, headers: { ...commonHeaders(exchange), allow } })
  }
  const error = new AppError('method_not_allowed', `${request.method} is not possible here. Allowed: ${allow}.`)
  return errorResponse(error, exchange, { headers: { allow } })
}

export const unknownPath = ({ request, path }: Exchange) =>
  new AppError('not_found', `Nothing answers ${request.method} ${path}.`)

/** An area's routes as one Hono app. It answers every request itself, failures included. */
export function mount(routes: readonly Route[], services: Services): MountedApp {
  const app: MountedApp = new Hono<MountEnv>({ getPath: (_request, options) => options?.env?.path ?? '/' })
  for (const route of routes) {
    const answer = route.spec.scope === 'public' ? servePublic : serve
    app.on(route.method.toUpperCase(), route.path, (c) => answer(route, c, services))
  }
  app.notFound((c) => serveUnknown(app, c.env))
  return app
}
