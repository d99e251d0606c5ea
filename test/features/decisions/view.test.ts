import { describe, expect, it } from 'vitest'
import { viewOf } from '../../../src/features/decisions/rows.ts'
import { DecisionPage, WholeDecision } from '../../../src/features/decisions/schema.ts'
import { toPage } from '../../../src/http/page.ts'

type Row = Parameters<typeof viewOf>[0]

const helper = { target: 'openai/gpt-4o', request_id: 'req_2', outcome: 'ok', cost_nanos: 1500, latency_ms: 20 }

const row: Row = {
  id: 'dec_1',
  org_id: 'org_1',
  request_id: 'req_1',
  key_id: 'key_1',
  user_id: null,
  asked_model: 'auto:balanced',
  strategy: 'smart',
  candidates: [
    { target: 'a/b', reason: 'smart_choice', score: 2.5, quality: 8, cost_nanos: 2_000_000, latency_ms: 900 },
    { target: 'c/d', reason: 'default_model', relaxed: ['quality'] },
  ],
  excluded: [{ target: 'e/f', reason: 'over_max_cost' }],
  attempts: [{ target: 'a/b', outcome: 'ok', duration_ms: 5 }],
  chosen: 'a/b',
  outcome: 'ok',
  cache: 'miss',
  is_stream: false,
  policy_version: 'p1',
  prices_version: 'v1',
  created_at: 5,
  propensity: 0.25,
  relaxed: ['latency'],
  routing_policy_id: 'rpl_1',
  routing_policy_version: 3,
  task_type: 'text_generation',
  complexity: 'simple',
  experiment: { id: 'exp_1', variant: 'b', propensity: 0.5 },
  inputs: { strategy: 'smart', options: [{ id: 'a/b', cost_nanos: 2_000_000 }] },
  ensemble: {
    strategy: 'best_of_n',
    voting_method: 'best_of_n',
    agreement: 0.5,
    members: [{ ...helper, confidence: null, score: 0.7, quality: 7, won: true }],
    helpers: [{ ...helper, role: 'judge' }],
  },
  saved_nanos: 250,
}

/** As a row of a release that knew less. */
const earlier: Row = {
  ...row,
  candidates: [{ target: 'a/b', reason: 'explicit_choice' }],
  propensity: null,
  relaxed: null,
  routing_policy_id: null,
  routing_policy_version: null,
  task_type: null,
  complexity: null,
  experiment: null,
  inputs: null,
  ensemble: null,
  saved_nanos: null,
}

describe('a decision', () => {
  it('shows what its order came of, in USD', () => {
    const shown = WholeDecision.parse(viewOf(row))
    expect(shown.candidates).toEqual([
      { target: 'a/b', reason: 'smart_choice', score: 2.5, quality: 8, cost_usd: 0.002, latency_ms: 900 },
      { target: 'c/d', reason: 'default_model', relaxed: ['quality'] },
    ])
    expect(shown).toMatchObject({
      propensity: 0.25,
      relaxed: ['latency'],
      routing_policy_id: 'rpl_1',
      routing_policy_version: 3,
      experiment: { id: 'exp_1', variant: 'b', propensity: 0.5 },
      ensemble: {
        // A row of a release that kept no list of calls.
        members: [{ target: 'openai/gpt-4o', cost_usd: 0.0000015, won: true, calls: ['req_2'] }],
        helpers: [{ role: 'judge', cost_usd: 0.0000015 }],
      },
      saved_usd: 0.00000025,
      inputs: row.inputs,
    })
    expect(JSON.stringify(shown)).not.toContain('org_1')
  })

  it('is shown in a list without what its order came of', () => {
    const { data } = DecisionPage.parse(toPage([viewOf(row)], 1))
    expect(data).toMatchObject([{ id: 'dec_1', object: 'decision', propensity: 0.25 }])
    expect(data.some((shown) => 'inputs' in shown)).toBe(false)
  })

  it('of an earlier release says less', () => {
    expect(WholeDecision.parse(viewOf(earlier))).toMatchObject({
      candidates: [{ target: 'a/b', reason: 'explicit_choice' }],
      propensity: null,
      relaxed: [],
      experiment: null,
      inputs: null,
      ensemble: null,
      saved_usd: null,
    })
  })
})
