import * as z from 'zod'

/** The fields of a list's query, to be spread beside an area's own filters. */
export const pageFields = {
  limit: z.coerce.number().int().min(1).max(100).default(20).describe('How many to return.'),
  after: z.string().min(1).max(64).optional().describe('Continue after this id.'),
  order: z.enum(['asc', 'desc']).default('desc').describe('By time of creation.'),
}

export const PageQuery = z.strictObject(pageFields)
export type PageQuery = z.output<typeof PageQuery>

/** The response of a list whose rows look like `row`. */
export const pageOf = <Row extends z.ZodType>(row: Row) =>
  z.object({
    object: z.literal('list'),
    data: z.array(row),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })

export type Page<Row> = {
  object: 'list'
  data: Row[]
  first_id: string | null
  last_id: string | null
  has_more: boolean
}

/** A page of at most `limit` rows from rows that were asked for with one more than that. */
export function toPage<Row extends { id: string }>(rows: readonly Row[], limit: number): Page<Row> {
  const data = rows.slice(0, limit)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: rows.length > limit,
  }
}
