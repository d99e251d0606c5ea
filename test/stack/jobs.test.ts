import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { modelOf } from '../../src/features/catalog/service.ts'
import { ledgerRow } from '../support/ledger-row.ts'
import { type Stack, startStack } from '../support/stack.ts'

/** A day on which nobody else has calls. */
const START = Date.UTC(2019, 5, 15) / 1000
const DUE_MS = Date.UTC(2019, 5, 16, 2, 30)
const TOKEN = 'token-of-who-scrapes-metrics'

let stack: Stack

beforeAll(async () => {
  stack = await startStack({ vars: { METRICS_TOKEN: TOKEN } })
})
afterAll(() => stack?.close())

async function metric(name: string): Promise<number> {
  const answer = await fetch(`${stack.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
  const line = (await answer.text()).split('\n').find((each) => each.startsWith(`${name} `))
  return Number(line?.split(' ').at(-1) ?? 0)
}

describe('the clock', () => {
  it('runs the jobs in the Worker that has the objects: a day that does not add up is found out', async () => {
    const { orgId } = await stack.org({ name: 'Checked' })
    const row = ledgerRow({
      org_id: orgId,
      id: `led_${orgId}`,
      request_id: `req_${orgId}`,
      price_id: modelOf('openai', 'gpt-4o')?.price?.id ?? '',
      created_at: START,
      cost_nanos: 1,
    })
    await stack.query('insert into usage_ledger select * from json_populate_recordset(null::usage_ledger, $1::json)', [
      JSON.stringify([row]),
    ])
    const before = await metric('helix_jobs_total{job="recompute"}')
    await stack.tick(DUE_MS)
    const audited = await stack.query(
      `select target_id, details->>'against' as against from audit_log where org_id = $1 and action = 'ledger.drift'`,
      [orgId],
    )
    expect(audited).toEqual([{ target_id: '2019-06-15', against: 'prices' }])
    expect(await metric('helix_jobs_total{job="recompute"}')).toBe(before + 1)
    expect(await metric('helix_system_queries_total{job="recompute"}')).toBeGreaterThan(0)
    expect(await metric('helix_ledger_drift_total{against="prices"}')).toBeGreaterThan(0)
  })

  it('runs nothing that is due at another hour', async () => {
    const before = await metric('helix_jobs_total{job="recompute"}')
    await stack.tick(Date.UTC(2019, 5, 16, 14, 30))
    expect(await metric('helix_jobs_total{job="recompute"}')).toBe(before)
  })
})
