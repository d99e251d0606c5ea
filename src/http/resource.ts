import type * as z from 'zod'
import type { Ctx } from '../core/context.ts'
import type { ScopeArea } from '../core/roles.ts'
import { pageOf, toPage } from './page.ts'
import { del, get, patch, post, put, type Route } from './route.ts'

type Told = { summary: string; description?: string }
type Changing<Row, Body> = Told & { body: z.ZodType<Body>; run: (ctx: Ctx, id: string, body: Body) => Promise<Row> }

type Resource<Row, View> = {
  /** Whole, from the root: `/api/v1/budgets`. */
  at: string
  /** What is asked for: `<area>:write` where a row changes, else `<area>:read`. */
  area: ScopeArea
  params: z.ZodType<{ id: string }>
  view: z.ZodType<unknown, View>
  viewOf: (row: Row) => View
}

/**
 * The routes that collections of rows have in common, each a value to be put where it belongs in its area's list: paths
 * that are fixed stand before `/:id`. What needs more than its row is written by hand beside them.
 */
export function resource<Row, View extends { id: string }>({ at, area, params, view, viewOf }: Resource<Row, View>) {
  const [read, write] = [`${area}:read`, `${area}:write`] as const
  const one = `${at}/:id`
  const page = pageOf(view)
  return {
    /** A page of rows; `run` gives one more than asked for where there are more. */
    list: <Query extends { limit: number }>({
      run,
      ...spec
    }: Told & { query: z.ZodType<Query>; run: (ctx: Ctx, query: Query) => Promise<readonly Row[]> }): Route =>
      get(at, { ...spec, scope: read, response: page }, async (ctx, { query }) =>
        toPage((await run(ctx, query)).map(viewOf), query.limit),
      ),

    create: <Body>({
      run,
      ...spec
    }: Told & { body: z.ZodType<Body>; run: (ctx: Ctx, body: Body) => Promise<Row> }): Route =>
      post(at, { ...spec, scope: write, response: view, status: 201 }, async (ctx, { body }) =>
        viewOf(await run(ctx, body)),
      ),

    read: ({ run, ...spec }: Told & { run: (ctx: Ctx, id: string) => Promise<Row> }): Route =>
      get(one, { ...spec, scope: read, params, response: view }, async (ctx, { params: { id } }) =>
        viewOf(await run(ctx, id)),
      ),

    /** What is left out gets its default. */
    replace: <Body>({ run, ...spec }: Changing<Row, Body>): Route =>
      put(one, { ...spec, scope: write, params, response: view }, async (ctx, { params: { id }, body }) =>
        viewOf(await run(ctx, id, body)),
      ),

    /** What is left out stays. */
    change: <Body>({ run, ...spec }: Changing<Row, Body>): Route =>
      patch(one, { ...spec, scope: write, params, response: view }, async (ctx, { params: { id }, body }) =>
        viewOf(await run(ctx, id, body)),
      ),

    remove: ({ run, ...spec }: Told & { run: (ctx: Ctx, id: string) => Promise<unknown> }): Route =>
      del(one, { ...spec, scope: write, params }, async (ctx, { params: { id } }) => {
        await run(ctx, id)
        return undefined
      }),
  }
}
