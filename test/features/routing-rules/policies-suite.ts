import { describe, expect, it } from 'vitest'
import { auditOf, full, made, plain, teamOf, world } from './world.ts'

/** To be run in an open world. */
export const policiesSuite = () =>
  describe('a routing policy', () => {
    it('is shown as it was written, wherever it is read', async () => {
      const team = await teamOf()
      const { id } = await made(team, full)
      expect((await team.ask('GET', `/policies/${id}`)).body).toMatchObject({ ...full, version: 1, attach: null })
      expect((await team.ask('GET', '/policies')).body).toMatchObject({ data: [{ id, ...full }], has_more: false })
      expect((await team.ask('GET', `/policies/${id}/versions`)).body).toMatchObject({
        data: [{ id: `${id}@1`, version: 1, strategy: 'smart', created_by: team.keyId }],
      })
    })

    it('is what it is by itself where little is said', async () => {
      const { id } = await made(await teamOf(), { name: 'Little' })
      expect(id).toMatch(/^rpl_[0-9a-z]{26}$/)
    })

    it('has a version for every change of its rules, and for no other change', async () => {
      const team = await teamOf()
      const { id } = await made(team)
      const versionAfter = async (method: string, body: object) => {
        const { body: policy } = await team.ask(method, `/policies/${id}`, body)
        return policy
      }
      expect(await versionAfter('PATCH', { name: 'Renamed' })).toMatchObject({ name: 'Renamed', version: 1 })
      expect(await versionAfter('PATCH', { attach: { kind: 'org' } })).toMatchObject({ version: 1 })
      expect(await versionAfter('PATCH', { strategy: 'cost' })).toMatchObject({ version: 1 })
      expect(await versionAfter('PATCH', { strategy: 'latency' })).toMatchObject({ version: 2, name: 'Renamed' })
      expect(await versionAfter('PUT', full)).toMatchObject({ ...full, version: 3, attach: null })
      expect(await versionAfter('PUT', full)).toMatchObject({ version: 3 })
      const first = await team.ask('GET', `/policies/${id}/versions?limit=2`)
      expect(first.body).toMatchObject({ data: [{ version: 3 }, { version: 2 }], has_more: true, last_id: `${id}@2` })
      const rest = await team.ask('GET', `/policies/${id}/versions?limit=2&after=${id}@2`)
      expect(rest.body).toMatchObject({ data: [{ version: 1, strategy: 'cost' }], has_more: false })
      expect(await auditOf(team)).toEqual(['routing_policy.create', ...Array(4).fill('routing_policy.update')])
    })

    it('is rolled back by a new version with what an earlier one said', async () => {
      const team = await teamOf()
      const { id } = await made(team)
      await team.ask('PUT', `/policies/${id}`, { ...full, attach: { kind: 'org' } })
      const back = await team.ask('POST', `/policies/${id}/rollback`, { version: 1 })
      expect(back).toMatchObject({
        status: 200,
        body: {
          version: 3,
          strategy: 'cost',
          targets: [],
          experiment: null,
          name: 'Everything',
          attach: { kind: 'org' },
        },
      })
      expect((await team.policy()).routing).toEqual({ id, version: 3, strategy: 'cost', targets: [], fallbacks: {} })
      const never = await team.ask('POST', `/policies/${id}/rollback`, { version: 9 })
      expect(never).toMatchObject({ status: 422, body: { errors: [{ pointer: '/version' }] } })
      expect((await auditOf(team)).at(-1)).toBe('routing_policy.rollback')
    })

    it('is changed within by a merge patch', async () => {
      const team = await teamOf()
      const { id } = await made(team, full)
      const patch = {
        caps: { simple: null, medium: { max_cost_usd: 0.5 } },
        fallbacks: { '*': ['auto'] },
        experiment: { id: null, unit: 'key' },
        bandit: null,
        targets: null,
      }
      const { body } = await team.ask('PATCH', `/policies/${id}`, patch)
      expect(body).toMatchObject({
        version: 2,
        caps: { medium: { max_cost_usd: 0.5 }, complex: { min_quality: 8.5 } },
        fallbacks: { '*': ['auto'], 'gpt-4o': ['claude-sonnet-4-5', 'auto'] },
        experiment: { ...full.experiment, unit: 'key' },
        bandit: null,
        targets: [],
      })
      const wrong = await team.ask('PATCH', `/policies/${id}`, { cache: { mode: 'fuzzy' } })
      expect(wrong).toMatchObject({ status: 422, body: { errors: [{ pointer: '/cache/mode' }] } })
    })

    it('is gone once it is deleted, and its name and place are free', async () => {
      const team = await teamOf()
      const { id } = await made(team, { ...plain, attach: { kind: 'org' } })
      expect((await team.send('DELETE', `/policies/${id}`)).status).toBe(204)
      for (const [method, path, body] of [
        ['GET', '', undefined],
        ['PUT', '', plain],
        ['PATCH', '', { strategy: 'cost' }],
        ['DELETE', '', undefined],
        ['GET', '/versions', undefined],
        ['POST', '/rollback', { version: 1 }],
      ] as const) {
        expect((await team.send(method, `/policies/${id}${path}`, body)).status, `${method} ${path}`).toBe(404)
      }
      expect((await team.policy()).routing).toBeUndefined()
      await made(team, { ...plain, attach: { kind: 'org' } })
    })

    it.each([
      ['another organisation', { kind: 'org', id: 'org_other' }],
      ['a key of nobody', { kind: 'key', id: 'key_none' }],
      ['an agent without a name', { kind: 'agent' }],
      ['an agent of two words', { kind: 'agent', id: 'two words' }],
    ])('is refused for %s', async (_what, attach) => {
      const refused = await (await teamOf()).ask('POST', '/policies', { ...plain, attach })
      expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/attach/id' }] } })
    })

    it('is refused when it says more than its callers can carry', async () => {
      const chains = Array.from({ length: 50 }, (_, at) => [`${at}`, Array(5).fill('m'.repeat(200))])
      const body = { ...plain, fallbacks: Object.fromEntries(chains) }
      expect((await (await teamOf()).ask('POST', '/policies', body)).status).toBe(422)
    })

    it('is one of a hundred at the most', async () => {
      const team = await teamOf()
      await world().postgres.pool.query(
        `insert into routing_policies (id, org_id, name, rules, version, created_at, updated_at)
       select 'rpl_' || $1 || n, $1, 'p' || n, '{"strategy":"cost","targets":[],"fallbacks":{}}', 1, 0, 0
       from generate_series(1, 99) n`,
        [team.orgId],
      )
      await made(team)
      expect((await team.ask('POST', '/policies', { name: 'One more' })).status).toBe(409)
    })

    it('has its name to itself', async () => {
      const team = await teamOf()
      const { id } = await made(team)
      expect(await team.ask('POST', '/policies', plain)).toMatchObject({ status: 409, body: { code: 'conflict' } })
      const other = await made(team, { name: 'Other' })
      expect((await team.ask('PATCH', `/policies/${other.id}`, { name: 'Plain' })).status).toBe(409)
      expect((await team.ask('PUT', `/policies/${id}`, plain)).status).toBe(200)
    })

    it('of another organisation is not there', async () => {
      const [mine, theirs] = [await teamOf(), await teamOf()]
      const { id } = await made(theirs)
      expect((await mine.ask('GET', `/policies/${id}`)).status).toBe(404)
      expect((await mine.ask('PATCH', `/policies/${id}`, { name: 'Mine' })).status).toBe(404)
      expect((await mine.ask('GET', `/policies/${id}/versions`)).status).toBe(404)
    })

    it('changed twice at the same time has both changes or says that it has not', async () => {
      const team = await teamOf()
      const { id } = await made(team)
      const strategies = ['latency', 'quality', 'smart', 'random']
      const answers = await Promise.all(
        strategies.map((strategy) => team.ask('PATCH', `/policies/${id}`, { strategy })),
      )
      const done = answers.filter(({ status }) => status === 200).length
      expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true)
      expect(done).toBeGreaterThan(0)
      expect((await team.ask('GET', `/policies/${id}`)).body).toMatchObject({ version: 1 + done })
    })
  })
