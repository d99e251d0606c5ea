import { describe, expect, it } from 'vitest'
import { writeRows } from '../../../src/features/ledger/flush.ts'
import { count, full } from '../../support/lane.ts'
import { made, type Team, teamOf, world } from './world.ts'

const models = [
  { provider: 'openai', model: 'gpt-4o' },
  { provider: 'openai', model: 'gpt-4o-mini', weight: 2 },
  { provider: 'openai', model: 'gpt-4.1' },
]
const now = () => Math.floor(Date.now() / 1000)

/** Calls of a team, written down as its ledger would, with what is `altered` of their decisions. */
async function calls(team: Team, bodies: readonly object[], altered: object = {}): Promise<void> {
  const { gateway, postgres } = world()
  for (const body of bodies) {
    const headers = { authorization: `Bearer ${team.apiKey}` }
    await (await gateway.chat({ messages: [{ role: 'user', content: 'Hello' }], ...body }, { headers })).text()
  }
  const rows = (await gateway.rows()).filter(({ org_id }) => org_id === team.orgId)
  const decisions = new Map(gateway.ledger.decisions().map((decision) => [decision.request_id, decision]))
  const entries = rows.map((row) => ({
    requestId: row.request_id,
    rowText: JSON.stringify({ ...row, decision: { ...decisions.get(row.request_id), ...altered } }),
    counters: [],
    held: false,
    corrections: [],
  }))
  await writeRows({ db: postgres.database(), redis: gateway.redis }, team.orgId, entries)
}

type Told = {
  count: number
  logged: number
  ips: { value: number; low: number; high: number }
  snips: { value: number } | null
}
type Report = Record<'cost_usd' | 'latency_ms' | 'quality' | 'success', Told> & {
  decisions: number
  reproduced: number
  evaluated: number
  effective_sample_size: number
  unsupported_share: number
}

async function replayed(team: Team, body: object): Promise<Report> {
  const { status, body: report } = await team.ask('POST', '/replay', body)
  expect(report).toMatchObject({ object: 'routing_replay', not_reproduced: [], truncated: false })
  expect(status).toBe(200)
  return report as Report
}

/** To be run in an open world. */
export const replaySuite = () =>
  describe('a replay of decisions', () => {
    it('reproduces them all, and tells what another policy would have come to', async () => {
      const team = await teamOf()
      const { id } = await made(team, { name: 'By lot', strategy: 'random', targets: models, attach: { kind: 'org' } })
      const CALLS = count(30, 300)
      const own = ['gpt-4o', 'auto:cost', 'auto:balanced', 'gpt-4o-mini'].map((model) => ({ model }))
      await calls(team, [...Array.from({ length: CALLS }, () => ({ model: 'auto' })), ...own])

      const same = await replayed(team, { policy_id: id, to: now() + 60 })
      expect(same).toMatchObject({ decisions: CALLS + 4, reproduced: CALLS + 4, evaluated: CALLS + 2 })
      expect(same.effective_sample_size).toBeCloseTo(CALLS + 2, 6)
      expect(same.unsupported_share).toBeCloseTo(0, 6)
      expect(same.cost_usd.ips.value).toBeCloseTo(same.cost_usd.logged, 12)
      expect(same.success).toMatchObject({ logged: 1, ips: { value: 1 } })

      const cheap = await replayed(team, { policy: { strategy: 'cost', targets: models }, to: now() + 60 })
      expect(cheap.cost_usd.snips?.value).toBeLessThan(same.cost_usd.logged / 2)
      expect(cheap.effective_sample_size).toBeLessThan(CALLS)
      expect(cheap.unsupported_share).toBeCloseTo(0, 6)
      const best = await replayed(team, { policy: { strategy: 'quality', targets: models }, to: now() + 60 })
      expect(best.quality.count).toBeGreaterThan(0)

      const elsewhere = { strategy: 'priority', targets: [{ provider: 'openai', model: 'gpt-3.5-turbo' }] }
      const unknown = await replayed(team, { policy: elsewhere, to: now() + 60 })
      expect(unknown.unsupported_share).toBeGreaterThan(0.9)
      expect(unknown.cost_usd.ips.value).toBeCloseTo(0, 2)
    })

    it('is of the time that is asked, a week at the most', async () => {
      const team = await teamOf()
      await calls(team, [{ model: 'auto' }])
      const policy = { strategy: 'random' }
      expect(await replayed(team, { policy, to: now() - 60 })).toMatchObject({ decisions: 0, unsupported_share: null })
      const week = 7 * 86_400
      for (const span of [{ from: 5, to: 5 }, { from: 5, to: 6 + week }, { from: 5 }]) {
        expect((await team.ask('POST', '/replay', { policy, ...span })).status).toBe(422)
      }
    })

    it('is of one policy that is one’s own', async () => {
      const [team, other] = [await teamOf(), await teamOf()]
      const { id } = await made(other)
      expect((await team.ask('POST', '/replay', { policy_id: id })).status).toBe(404)
      expect((await team.ask('POST', '/replay', {})).status).toBe(422)
      expect((await team.ask('POST', '/replay', { policy_id: id, policy: { strategy: 'cost' } })).status).toBe(422)
    })

    it('names what it cannot reproduce', async () => {
      const team = await teamOf()
      await calls(team, [{ model: 'gpt-4o' }], { propensity: 0.5 })
      const { body } = await team.ask('POST', '/replay', { policy: { strategy: 'cost' }, to: now() + 60 })
      expect(body).toMatchObject({ decisions: 1, reproduced: 0, not_reproduced: [expect.stringMatching(/^dec_/)] })
    })

    it.runIf(full())('reads ten thousand, the newest, and says that there are more', async () => {
      const team = await teamOf()
      await world().postgres.pool.query(
        `insert into decisions (id, org_id, request_id, key_id, asked_model, strategy, candidates, excluded, attempts,
           outcome, cache, is_stream, policy_version, prices_version, created_at, propensity, inputs)
         select 'dec_' || $1 || n, $1, 'req_' || n, 'key', 'gpt-4o', 'explicit', '[]', '[]', '[]', 'refused', 'off', false,
           '', '', $2::bigint - n, 0, '{"strategy":"explicit","options":[],"most":0}' from generate_series(1, 10001) n`,
        [team.orgId, now()],
      )
      const { body } = await team.ask('POST', '/replay', { policy: { strategy: 'cost' } })
      expect(body).toMatchObject({ decisions: 10_000, reproduced: 10_000, truncated: true, evaluated: 0 })
    })
  })
