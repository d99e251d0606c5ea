import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bagOfWords, MODEL, openWorld, type SemanticWorld, type Team } from './world.ts'

let world: SemanticWorld
let team: Team

beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())
beforeEach(async () => {
  world.node.vectorOf = bagOfWords
  world.node.calls.length = 0
  team = await world.team()
})

const content = 'The tunnel to the machine was closed, and its timeout was raised to ninety seconds.'
const now = 1_800_000_000

async function score(body: object, status = 200): Promise<Scored> {
  const response = await team.send('POST', '/api/v1/semantic/score-importance', { content, ...body })
  expect(response.status).toBe(status)
  return JSON.parse(await response.text())
}
type Scored = {
  importance_score: number
  dimensions: Record<string, number | null>
  weights: Record<string, number>
  windows: number
}

describe('scores of importance', () => {
  it('leave out what nobody knows, and ask no model where there is nothing to compare with', async () => {
    const alone = await score({})
    expect(alone).toMatchObject({ windows: 1, model_used: null, dimensions: { relevance: null, uniqueness: null } })
    expect(alone.weights.quality).toBe(1)
    expect(alone.importance_score).toBe(alone.dimensions.quality)
    expect(world.node.calls).toEqual([])
  })

  it('add up from all parts where everything is known', async () => {
    await team.ask('POST', '/index', { source_id: 'other', text: 'Something else entirely is kept here.' })
    const scored = await score({
      context: { interests: ['tunnel timeout', 'gardens'], time_sensitivity: 'high', now },
      published_at: now - 2 * 86_400,
      engagement: 0.5,
      authority: 0.25,
      links: 5,
    })
    expect(scored).toMatchObject({
      model_used: `ollama/${MODEL}`,
      dimensions: {
        timeliness: expect.closeTo(Math.exp(-1), 9),
        engagement: 0.5,
        authority: 0.25,
        cross_references: 0.5,
        uniqueness: expect.any(Number),
      },
      weights: { quality: expect.closeTo(0.25, 9), cross_references: expect.closeTo(0.05, 9) },
    })
    expect(scored.dimensions.relevance).toBeGreaterThan(0.2)
    const sum = Object.entries(scored.weights).reduce(
      (total, [part, weight]) => total + weight * (scored.dimensions[part] ?? 0),
      0,
    )
    expect(Math.abs(sum - scored.importance_score)).toBeLessThan(1e-6)
  })

  it('know a text that is kept already, unless it is the text itself', async () => {
    await team.ask('POST', '/index', { source_id: 'mine', text: content })
    expect((await score({})).dimensions.uniqueness).toBeCloseTo(0, 5)
    expect((await score({ content_id: 'mine' })).dimensions.uniqueness).toBeNull()
    await team.ask('POST', '/index', { source_id: 'other', text: 'Something else entirely is kept here.' })
    expect((await score({ content_id: 'mine' })).dimensions.uniqueness).toBeGreaterThan(0.3)
    team = await world.team()
    expect((await score({})).dimensions.uniqueness).toBeNull()
  })

  it('are of all of a long text', async () => {
    const long = `${content} `.repeat(60).trim()
    const { windows } = await score({ content: long, context: { interests: ['tunnels'] } })
    expect(windows).toBeGreaterThanOrEqual(Math.ceil(long.length / 800))
    expect(world.node.calls.flat().slice(0, windows).join('')).toBe(long)
    expect(await score({ content: 'x'.repeat(20_001) }, 422)).toMatchObject({ code: 'too_long' })
    expect(await score({ engagement: 2 }, 422)).toMatchObject({ code: 'invalid_request' })
  })

  it('name what is missing where interests cannot be compared', async () => {
    await team.ask('POST', '/index', { source_id: 'other', text: 'Something else.' })
    await world.postgres.pool.query(`update embedding_spaces set model = 'ollama/gone:latest' where org_id = $1`, [
      team.orgId,
    ])
    expect(await score({ context: { interests: ['tunnels'] } }, 503)).toMatchObject({
      code: 'no_capable_model',
      capability: 'embedding',
    })
  })
})
