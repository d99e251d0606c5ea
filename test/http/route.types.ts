// Compiled, never run: each expectation fails the type check when the mistake below it stops being an error.
import * as z from 'zod'
import { get, post } from '../../src/http/route.ts'

const open = { summary: '', scope: 'public' } as const
const closed = { summary: '', scope: 'tools:read' } as const
const Id = z.object({ id: z.string() })

// @ts-expect-error the reply does not fit the response schema
get('/a', { ...open, response: Id }, () => ({ id: 1 }))

// @ts-expect-error a declared response cannot be left out
get('/a', { ...open, response: Id }, () => undefined)

// @ts-expect-error an undeclared response cannot be given
get('/a', open, () => ({ id: 'a' }))

// @ts-expect-error no params were declared
get('/a/:id', open, (_ctx, { params }) => void params.id)

// @ts-expect-error the query has no such field
get('/a', { ...open, query: Id }, (_ctx, { query }) => void query.name)

// @ts-expect-error the body's field is not a number
post('/a', { ...open, body: Id }, (_ctx, { body }) => void body.id.toFixed())

// @ts-expect-error a public route has no caller
get('/a', open, ({ caller }) => void caller.orgId)

// @ts-expect-error a scope ends in read or write
get('/a', { summary: '', scope: 'thing:manage' }, () => undefined)

// @ts-expect-error every route says what it does
get('/a', { scope: 'public' }, () => undefined)

post(
  '/a',
  {
    ...closed,
    body: Id,
    // @ts-expect-error the body's field is not a number
    ask: (_deps, _policy, body) => ({ tokens: body.id, candidates: [] }),
  },
  () => undefined,
)

// What must compile: everything declared is there, and a handler may make its own response.
get('/a/:id', { ...closed, params: Id, query: Id, response: Id }, async ({ caller }, { params, query }) => ({
  id: caller.orgId + params.id + query.id,
}))
post('/a', { ...closed, body: Id, response: Id }, (_ctx, { body }) => (body.id === '' ? new Response() : body))
get('/a', { ...open, response: z.object({ at: z.string().default('now') }) }, () => ({}))
