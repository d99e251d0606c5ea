import type * as z from 'zod'
import type { Ask, Policy } from '../core/admission.ts'
import type { Ctx, Deps } from '../core/context.ts'
import type { ANY_CREDENTIAL, AreaScope, Marker } from '../core/roles.ts'

type Schema = z.ZodType | undefined
type Out<S> = S extends z.ZodType ? z.output<S> : undefined

/**
 * What a caller must hold: a scope of an area, or to be someone (`user` signed in, `owner`, `operator`); `a|b` is either.
 * `credential`: any that is valid, for what is about nobody else. `public`: no credential is looked at.
 */
export type Scope = AreaScope | Marker | `${AreaScope}|${Marker}` | typeof ANY_CREDENTIAL | 'public'

/** A public route has no caller and was not admitted. */
export type PublicCtx = Omit<Ctx, 'caller' | 'admission'>
type CtxOf<S> = S extends 'public' ? PublicCtx : Ctx

export type Input<P, Q, B> = { params: Out<P>; query: Out<Q>; body: Out<B> }

/** What a handler gives back: the response schema's input, nothing (204), or a `Response` of its own making. */
type Reply<R> = (R extends z.ZodType ? z.input<R> : undefined) | Response

type Described<P, Q, B, R, S> = {
  summary: string
  description?: string
  scope: S
  /** Strings from the path. A value that does not fit is an unknown path: 404. */
  params?: P
  /** Strings from the query; a name given twice is an array. */
  query?: Q
  /** A JSON body. A route without it never reads one. */
  body?: B
  /** The handler reads the bytes of the body itself, of whatever type they are; there is no `body`. */
  rawBody?: true
  /** The body comes as `application/x-www-form-urlencoded`: strings by name. */
  form?: true
  /**
   * The body may come as `multipart/form-data` too: strings and files by name, a name given twice as an array, checked
   * by the same `body` schema. `maxBytes` is the most that the files have together; it bounds JSON with files as base64.
   */
  multipart?: { maxBytes: number }
  /** A plain object without transforms. It is also the projection: what it does not declare does not leave. */
  response?: R
  /** 200 with a response schema and 204 without, unless said here. */
  status?: 200 | 201 | 202
  /** A probe is answered however often it is asked. */
  isProbe?: true
  /** False where no answer may be kept: it runs at every call, and an `Idempotency-Key` changes nothing. */
  isKept?: false
  /** Media types of the answers that the handler makes itself: a stream, a page. */
  raw?: readonly string[]
}

type Spec<P, Q, B, R, S> = Described<P, Q, B, R, S> & {
  /** What admission should reserve for this request; without it a request costs a request and nothing else. */
  ask?: (deps: Deps, policy: Policy, body: Out<B>) => Ask | Promise<Ask>
}

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'

/** What came with a request, unchecked. */
export type RawInput = { params: unknown; query: unknown; body: unknown }

/** The first part of the input that broke its schema, with every rule it broke. */
export type Rejected = { place: 'params' | 'query' | 'body'; issues: readonly z.core.$ZodIssue[] }

/** A request whose input fits its route. */
export type Prepared = {
  ask: ((deps: Deps, policy: Policy) => Ask | Promise<Ask>) | undefined
  answer: (ctx: PublicCtx | Ctx, request: Request) => unknown
  body: unknown
}

/** An endpoint as a value: where it is, what it accepts, what it gives back, and what it does. */
export type Route = {
  method: Method
  /** Whole, from the root: `/v1/models/:model`. */
  path: string
  spec: Described<Schema, Schema, Schema, Schema, Scope>
  /** Whether admission wants to know the input. */
  asks: boolean
  prepare: (raw: RawInput) => Prepared | Rejected
}

/** A body that may lack every field may be missing altogether. */
export const mayLackBody = ({ body, form }: Route['spec']): boolean => !form && body?.safeParse({}).success === true

/** Whether a call with an `Idempotency-Key` runs once; reads, public routes and those whose answers are kept nowhere have no use for it. */
export const heedsIdempotencyKey = ({ method, spec }: Pick<Route, 'method' | 'spec'>): boolean =>
  method === 'post' && spec.scope !== 'public' && spec.isKept !== false

export const MAX_IDEMPOTENCY_KEY = 255

type Parsed<S> = { success: true; data: Out<S> } | { success: false; error: { issues: readonly z.core.$ZodIssue[] } }

// The compiler cannot follow "schema or nothing" through a generic; this is the one place that says so.
const parse = <S extends Schema>(schema: S | undefined, value: unknown): Parsed<S> =>
  (schema === undefined ? { success: true, data: undefined } : faultsOrData(schema, value)) as Parsed<S>

/** Where more is wrong than zod can put together on its stack, all of it is wrong. */
function faultsOrData(schema: NonNullable<Schema>, value: unknown): Parsed<Schema> {
  try {
    return schema.safeParse(value)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const issue: z.core.$ZodIssue = { code: 'custom', path: [], message: 'too much of it is wrong', input: undefined }
    return { success: false, error: { issues: [issue] } }
  }
}

const on =
  (method: Method) =>
  <
    S extends Scope,
    P extends Schema = undefined,
    Q extends Schema = undefined,
    B extends Schema = undefined,
    R extends Schema = undefined,
  >(
    path: string,
    spec: Spec<P, Q, B, R, S>,
    handler: (ctx: CtxOf<S>, input: Input<P, Q, B>, request: Request) => Reply<R> | Promise<Reply<R>>,
  ): Route => ({
    method,
    path,
    spec,
    asks: spec.ask !== undefined,
    prepare: (raw) => {
      const params = parse<P>(spec.params, raw.params)
      if (!params.success) return { place: 'params', issues: params.error.issues }
      const query = parse<Q>(spec.query, raw.query)
      if (!query.success) return { place: 'query', issues: query.error.issues }
      const body = parse<B>(spec.body, raw.body)
      if (!body.success) return { place: 'body', issues: body.error.issues }
      const input = { params: params.data, query: query.data, body: body.data }
      const { ask } = spec
      return {
        ask: ask && ((deps, policy) => ask(deps, policy, input.body)),
        answer: (ctx, request) => handler(ctx as CtxOf<S>, input, request),
        body: input.body,
      }
    },
  })

export const get = on('get')
export const post = on('post')
export const put = on('put')
export const patch = on('patch')
export const del = on('delete')

/** How errors look: OpenAI's body, Anthropic's, or RFC 9457's `application/problem+json`. */
export type Dialect = 'openai' | 'anthropic' | 'problem'

/** A feature folder's place in the API. Its module is loaded by the first request that needs it. */
export type Area = {
  /** The folder under features/, or a name of its own where a folder speaks a second dialect. */
  name: string
  /** Where the reference has its routes: under its name unless said. */
  tag?: string
  /** Path prefixes that belong to it, whole segments: `/v1/chat`, `/health`. */
  at: readonly string[]
  errors: Dialect
  load: () => Promise<{ routes: readonly Route[] }>
}
