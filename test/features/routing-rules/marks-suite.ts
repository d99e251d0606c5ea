import { describe, expect, it } from 'vitest'
import { auditOf, type Team, teamOf, world } from './world.ts'

const mark = (team: Team, model: string, body: object) =>
  team.ask('PUT', `/models/${encodeURIComponent(model)}/availability`, body)
const read = (team: Team, model: string) => team.ask('GET', `/models/${encodeURIComponent(model)}/availability`)
const inAnHour = () => Math.floor(Date.now() / 1000) + 3600

/** To be run in an open world. */
export const marksSuite = () =>
  describe('a model that is taken out of use', () => {
    it('is known by the next call, and so is that it is back', async () => {
      const team = await teamOf()
      const before = await team.policy()
      expect('marks' in before).toBe(false)
      const until = inAnHour()
      const marked = await mark(team, 'openai/gpt-4o', { available: false, reason: 'too slow', until })
      expect(marked).toMatchObject({
        status: 200,
        body: { model: 'openai/gpt-4o', available: false, reason: 'too slow', until, updated_by: team.keyId },
      })
      await mark(team, 'gpt-4.1', { available: false })
      expect((await team.policy()).marks).toEqual([
        { model: 'gpt-4.1', reason: '' },
        { model: 'openai/gpt-4o', reason: 'too slow', untilMs: until * 1000 },
      ])
      await mark(team, 'openai/gpt-4o', { available: true })
      await mark(team, 'gpt-4.1', { available: true, reason: 'good again' })
      expect((await team.policy()).version).toBe(before.version)
      expect((await read(team, 'gpt-4.1')).body).toMatchObject({ available: true, reason: 'good again', until: null })
      expect(await auditOf(team)).toEqual(Array(4).fill('model.availability'))
    })

    it('is in use where nobody has said anything', async () => {
      const { status, body } = await read(await teamOf(), 'gpt-4o')
      expect(status).toBe(200)
      expect(body).toMatchObject({ available: true, until: null, created_at: null, updated_at: null })
    })

    it('is in use again once its time is over', async () => {
      const team = await teamOf()
      await mark(team, 'gpt-4o', { available: false, until: inAnHour() })
      await world().postgres.pool.query('update model_marks set until = 5 where org_id = $1', [team.orgId])
      expect((await read(team, 'gpt-4o')).body).toMatchObject({ available: true, until: 5 })
      // Any change has the policy compiled anew.
      await mark(team, 'gpt-4.1', { available: false })
      expect((await team.policy()).marks).toEqual([{ model: 'gpt-4.1', reason: '' }])
    })

    it('is listed by name, among others of its organisation', async () => {
      const [team, other] = [await teamOf(), await teamOf()]
      for (const model of ['gpt-4o', 'openai/gpt-4.1', 'gpt-4.1']) await mark(team, model, { available: false })
      await mark(other, 'gpt-4o-mini', { available: false })
      const first = await team.ask('GET', '/models?limit=2')
      expect(first.body).toMatchObject({ data: [{ id: 'gpt-4.1' }, { id: 'gpt-4o' }], has_more: true })
      const rest = await team.ask('GET', '/models?limit=2&after=gpt-4o')
      expect(rest.body).toMatchObject({ data: [{ id: 'openai/gpt-4.1' }], has_more: false })
    })

    it.each([
      ['a time that is over', { available: false, until: 1 }],
      ['a time for one that is in use', { available: true, until: 9_999_999_999 }],
      ['nothing', {}],
      ['a field that it does not have', { available: true, by: 'me' }],
    ])('is refused for %s', async (_what, body) => {
      expect((await mark(await teamOf(), 'gpt-4o', body)).status).toBe(422)
    })

    it('has a name that a call could use', async () => {
      const team = await teamOf()
      expect((await mark(team, 'no-such-model', { available: false })).status).toBe(404)
      expect((await read(team, 'nobody/no-such-model')).status).toBe(404)
      expect((await mark(team, 'openai/not-listed-yet', { available: false })).status).toBe(200)
    })

    it('is one of two hundred at the most, and others that are back give way', async () => {
      const team = await teamOf()
      await world().postgres.pool.query(
        `insert into model_marks (org_id, model, available, reason, created_at, updated_at)
         select $1, 'm' || n, n = 200, '', 0, 0 from generate_series(1, 200) n`,
        [team.orgId],
      )
      expect((await mark(team, 'gpt-4o', { available: false })).status).toBe(200)
      expect((await read(team, 'm200')).status).toBe(404)
      expect((await mark(team, 'gpt-4.1', { available: false })).status).toBe(409)
      expect((await mark(team, 'gpt-4o', { available: true })).status).toBe(200)
      expect((await mark(team, 'gpt-4.1', { available: false })).status).toBe(200)
    })
  })
