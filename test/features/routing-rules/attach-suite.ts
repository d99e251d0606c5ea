import { describe, expect, it } from 'vitest'
import { full, made, plain, successorOf, teamOf, world } from './world.ts'

/** To be run in an open world. */
export const attachSuite = () =>
  describe('whom a routing policy governs', () => {
    it('is told by their next call', async () => {
      const team = await teamOf()
      const without = await team.policy()
      expect('routing' in without || 'marks' in without).toBe(false)
      const { id } = await made(team, { ...full, attach: { kind: 'org' } })
      const { routing, version } = await team.policy()
      expect(routing).toMatchObject({
        id,
        version: 1,
        strategy: 'smart',
        targets: [
          {
            provider: 'openai',
            maxCostPerTokenNanoUsd: 2000,
            maxCostPerRequestNanoUsd: 100_000_000,
            timeoutMs: 15_000,
          },
          { provider: 'anthropic' },
        ],
        caps: { simple: { maxCostNanoUsd: 0, maxLatencyMs: 2000 }, complex: { minQuality: 8.5 } },
        defaultModel: 'gpt-4o-mini',
        cache: { mode: 'exact', ttlSeconds: 60, scope: 'user' },
        experiment: full.experiment,
      })
      await team.ask('DELETE', `/policies/${id}`)
      const after = await team.policy()
      expect([after.version, version === without.version]).toEqual([without.version, false])
    })

    it('is the nearest: a key before its agent, and that before everybody', async () => {
      const team = await teamOf()
      await world().postgres.pool.query(`update api_keys set agent_id = 'nightly' where id = $1`, [team.keyId])
      const names: string[] = []
      const ids: string[] = []
      for (const attach of [{ kind: 'org' }, { kind: 'agent', id: 'nightly' }, { kind: 'key', id: team.keyId }]) {
        const { id } = await made(team, { name: attach.kind, attach })
        ids.push(id)
        names.push((await team.policy()).routing?.id === id ? attach.kind : 'another')
      }
      expect(names).toEqual(['org', 'agent', 'key'])
      await team.ask('PATCH', `/policies/${ids[2]}`, { attach: null })
      expect((await team.policy()).routing?.id).toBe(ids[1])
      await team.ask('PATCH', `/policies/${ids[1]}`, { attach: { id: 'daily' } })
      expect((await team.policy()).routing?.id).toBe(ids[0])
    })

    it('is governed by one of each kind, and is told by which', async () => {
      const team = await teamOf()
      const { id } = await made(team, { ...plain, attach: { kind: 'key', id: team.keyId } })
      const attach = { kind: 'key', id: await successorOf(team) }
      const refused = await team.ask('POST', '/policies', { name: 'Other', attach })
      expect(refused).toMatchObject({
        status: 409,
        body: { detail: expect.stringContaining("'Plain'"), policy_id: id },
      })
      const other = await made(team, { name: 'Other' })
      expect((await team.ask('PATCH', `/policies/${other.id}`, { attach })).status).toBe(409)
      await team.ask('PATCH', `/policies/${id}`, { attach: null })
      expect((await team.ask('PATCH', `/policies/${other.id}`, { attach })).status).toBe(200)
      expect((await team.policy()).routing?.id).toBe(other.id)
    })

    it('stays when the key it names was revoked meanwhile', async () => {
      const team = await teamOf()
      const gone = await successorOf(team)
      const { id } = await made(team, { ...plain, attach: { kind: 'key', id: gone } })
      await world().postgres.pool.query('update api_keys set revoked_at = 1 where id = $1', [gone])
      expect(await team.ask('PATCH', `/policies/${id}`, { strategy: 'smart' })).toMatchObject({
        status: 200,
        body: { attach: { kind: 'key', id: gone } },
      })
    })
  })
