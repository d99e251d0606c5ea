import { describe, expect, it } from 'vitest'
import { watchPredicates, withoutPredicates } from './predicate-proxy.ts'

describe('a statement without the condition on its organisation', () => {
  it.each([
    [
      'select "id" from "api_keys" where ("api_keys"."org_id" = $1 and "api_keys"."id" = $2)',
      'select "id" from "api_keys" where (("api_keys"."org_id" = $1 or true) and "api_keys"."id" = $2)',
    ],
    ['delete from "t" where org_id = $12', 'delete from "t" where (org_id = $12 or true)'],
    ['select from t m where m.org_id = $2', 'select from t m where (m.org_id = $2 or true)'],
    ['select from "orgs" where "orgs"."id" = $1', 'select from "orgs" where ("orgs"."id" = $1 or true)'],
    [
      'select from "a" inner join "orgs" on "orgs"."id" = "a"."org_id"',
      'select from "a" inner join "orgs" on ("orgs"."id" = "a"."org_id" or true)',
    ],
  ])('is %s', (query, open) => {
    expect(withoutPredicates(query)).toEqual({ query: open, dropped: 1 })
  })

  it.each([
    'insert into "t" ("id", "org_id") values ($1, $2)',
    'select "org_id" from "t" where "t"."id" = $1',
    `select set_config('app.org', $1, true)`,
  ])('is the same where there is none: %s', (query) => {
    expect(withoutPredicates(query)).toEqual({ query, dropped: 0 })
  })
})

describe('what goes on to Postgres', () => {
  const query = 'select from "t" where "t"."org_id" = $1'
  const batch = JSON.stringify({
    queries: [
      { query: 'select 1', params: [] },
      { query, params: ['org_1'], arrayMode: true },
    ],
  })

  it('is what came, until conditions are dropped', () => {
    const predicates = watchPredicates()
    expect(JSON.parse(predicates.rewrite(batch))).toEqual(JSON.parse(batch))
    expect(predicates.opened()).toEqual([])
    predicates.drop()
    const open = 'select from "t" where ("t"."org_id" = $1 or true)'
    expect(JSON.parse(predicates.rewrite(batch))).toEqual({
      queries: [
        { query: 'select 1', params: [] },
        { query: open, params: ['org_1'], arrayMode: true },
      ],
    })
    expect(JSON.parse(predicates.rewrite(JSON.stringify({ query, params: ['org_1'] })))).toEqual({
      query: open,
      params: ['org_1'],
    })
    expect(predicates.dropped()).toBe(2)
    expect(predicates.opened()).toHaveLength(2)
    expect(predicates.sent()).toHaveLength(5)
  })
})
