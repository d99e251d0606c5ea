import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { reading, type Shown } from './readers.ts'
import { openWorld, type SemanticWorld, type Team } from './world.ts'

let world: SemanticWorld
let team: Team
const shown: Shown[] = []

/** What a judge was shown, and its scores: a document is the more relevant the higher the number in it. */
function judged({ text }: Shown) {
  const { documents } = JSON.parse(text) as { documents: { number: string; document: string }[] }
  const scoreOf = (document: string): number => Number(/\d+/.exec(document)?.[0] ?? 0) / 100
  return { scores: Object.fromEntries(documents.map(({ number, document }) => [number, scoreOf(document)])) }
}

beforeAll(async () => {
  world = await openWorld({ upstream: reading(shown, judged) })
})
afterAll(() => world?.close())
beforeEach(async () => {
  shown.length = 0
  team = await world.team()
})

const texts = (many: number) => Array.from({ length: many }, (_, at) => ({ content: `a fox of number ${at}` }))

describe('a search whose results are put in a new order', () => {
  it('gives those first that a model finds relevant, with its scores', async () => {
    await team.ask('POST', '/index', { source_id: 'foxes', chunks: texts(5) })
    const { status, body } = await team.ask('POST', '/search', {
      query: 'fox',
      mode: 'keyword',
      rerank: true,
      top_k: 2,
    })
    expect(status).toBe(200)
    expect(body.results).toMatchObject([
      { content: 'a fox of number 4', score: 0.04 },
      { content: 'a fox of number 3', score: 0.03 },
    ])
    expect(body.search_parameters).toMatchObject({ rerank: true, reranked_by: [expect.stringContaining('openai/')] })
  })

  it('leaves what is behind the first thirty behind them, in an order that its scores tell', async () => {
    await team.ask('POST', '/index', { source_id: 'foxes', chunks: texts(40) })
    const plain = await team.ask('POST', '/search', { query: 'fox', mode: 'keyword', top_k: 50 })
    expect(shown).toEqual([])
    const { body } = await team.ask('POST', '/search', { query: 'fox', mode: 'keyword', rerank: true, top_k: 50 })
    const ids = (some: { content_id: string }[]) => some.map(({ content_id }) => content_id)
    expect(new Set(ids(body.results.slice(0, 30)))).toEqual(new Set(ids(plain.body.results.slice(0, 30))))
    expect(ids(body.results.slice(30))).toEqual(ids(plain.body.results.slice(30)))
    const scores = body.results.map(({ score }) => score)
    expect(scores).toEqual(scores.toSorted((one, other) => other - one))
  })

  it('asks nobody where there is nothing to choose from', async () => {
    await team.ask('POST', '/index', { source_id: 'foxes', chunks: texts(1) })
    const { body } = await team.ask('POST', '/search', { query: 'fox', mode: 'keyword', rerank: true })
    expect(body).toMatchObject({ results: [{ content: 'a fox of number 0' }], search_parameters: { reranked_by: [] } })
    expect(shown).toEqual([])
  })
})
