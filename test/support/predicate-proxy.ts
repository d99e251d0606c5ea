import * as z from 'zod'

/** One statement as Neon's HTTP driver sends it, alone or in a batch. */
const Statement = z.looseObject({ query: z.string(), params: z.array(z.unknown()).optional() })
const Body = z.union([z.looseObject({ queries: z.array(Statement) }), Statement])

export type Statement = { query: string; params: readonly unknown[] }

/**
 * `"api_keys"."org_id" = $1`, `k.org_id = $2`, `org_id = $3`, the same for the table of organisations itself, whose rows
 * are named by their id, and what joins the rows of one organisation: `"orgs"."id" = "api_keys"."org_id"`.
 */
const PREDICATE =
  /(?:(?:(?:"\w+"|\b\w+)\.)?(?:"org_id"|\borg_id\b)|"?\borgs"?\."?id\b"?)\s*=\s*(?:\$\d+|"\w+"\."org_id")/g

/** The statement without what keeps it to one organisation, and how many conditions that were. */
export function withoutPredicates(query: string): { query: string; dropped: number } {
  let dropped = 0
  const open = query.replace(PREDICATE, (condition) => {
    dropped += 1
    return `(${condition} or true)`
  })
  return { query: open, dropped }
}

export type Predicates = {
  /** For the proxy before Postgres. */
  rewrite(body: string): string
  /** From now on, statements go on without their condition on the organisation. */
  drop(): void
  /** How many conditions were taken out. */
  dropped(): number
  /** What was sent, as the gateway wrote it. */
  sent(): readonly Statement[]
  /** What was sent and lost a condition, as it went on. */
  opened(): readonly Statement[]
}

/** Takes the condition on the organisation out of every statement on its way to Postgres. */
export function watchPredicates(): Predicates {
  const sent: Statement[] = []
  const opened: Statement[] = []
  let isDropping = false
  let dropped = 0

  const pass = (statement: z.output<typeof Statement>): z.output<typeof Statement> => {
    const { query, params = [] } = statement
    sent.push({ query, params })
    if (!isDropping) return statement
    const open = withoutPredicates(query)
    if (open.dropped === 0) return statement
    dropped += open.dropped
    opened.push({ query: open.query, params })
    return { ...statement, query: open.query }
  }

  return {
    rewrite: (body) => {
      const parsed = Body.parse(JSON.parse(body))
      const queries = z.looseObject({ queries: z.array(Statement) }).safeParse(parsed)
      return JSON.stringify(
        queries.success ? { ...parsed, queries: queries.data.queries.map(pass) } : pass(Statement.parse(parsed)),
      )
    },
    drop: () => {
      isDropping = true
    },
    dropped: () => dropped,
    sent: () => sent,
    opened: () => opened,
  }
}
