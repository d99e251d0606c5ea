import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { count } from '../../support/lane.ts'
import { bagOfWords, DIMENSIONS, MODEL, openWorld, type SemanticWorld, type Team } from './world.ts'

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

const foxes = 'The quick fox jumps over the lazy dog in the garden.'
const tunnels = 'A tunnel leads to the machine, and its timeout is ninety seconds.'

async function indexed(): Promise<void> {
  for (const [source_id, text] of Object.entries({ foxes, tunnels })) {
    const { status, body } = await team.ask('POST', '/index', { source_id, text, metadata: { about: source_id } })
    expect(body).toMatchObject({ chunks: 1, replaced: 0, model_used: `ollama/${MODEL}`, language: 'english' })
    expect(status).toBe(200)
  }
}

describe('search', () => {
  it('finds by meaning what is near enough, with its cosine and what was noted of it', async () => {
    await indexed()
    const { body } = await team.ask('POST', '/search', { query: 'tunnel machine timeout', threshold: 0.4 })
    expect(body.results).toMatchObject([{ source_id: 'tunnels', content: tunnels, metadata: { about: 'tunnels' } }])
    expect(body.results[0]?.score).toBe(body.results[0]?.similarity_score)
    expect(body.search_parameters).toMatchObject({ mode: 'semantic', top_k: 10, model_used: `ollama/${MODEL}` })
    const none = await team.ask('POST', '/search', { query: 'tunnel machine timeout', threshold: 0.99 })
    expect(none.body.results).toEqual([])
  })

  it('finds words by their stems, all of them before any of them, without asking a model', async () => {
    await indexed()
    world.node.calls.length = 0
    const { body } = await team.ask('POST', '/search', { query: 'jumping foxes', mode: 'keyword' })
    expect(body.results).toMatchObject([{ source_id: 'foxes', similarity_score: null }])
    const some = await team.ask('POST', '/search', { query: 'fox timeouts', mode: 'keyword' })
    expect(some.body.results.map((result) => result.source_id).sort()).toEqual(['foxes', 'tunnels'])
    const repeated = [{ content: 'a fox has a timeout' }, { content: 'fox fox fox fox fox fox fox fox fox' }]
    await team.ask('POST', '/index', { source_id: 'repeated', chunks: repeated })
    world.node.calls.length = 0
    // Of no language that it could be told by, so that other forms of its words are not found but beside others.
    const forms = await team.ask('POST', '/search', {
      query: 'fox timeouts',
      mode: 'keyword',
      source_filter: 'repeated',
    })
    expect(forms.body.results).toHaveLength(2)
    const all = await team.ask('POST', '/search', { query: 'fox timeout', mode: 'keyword' })
    expect(all.body.results[0]?.content).toBe('a fox has a timeout')
    const not = await team.ask('POST', '/search', { query: 'garden -fox', mode: 'keyword' })
    expect(not.body.results).toEqual([])
    expect(world.node.calls).toEqual([])
  })

  it('fuses both, and gives what words found its cosine', async () => {
    await indexed()
    const { body } = await team.ask('POST', '/search', { query: 'tunnel timeout', mode: 'hybrid', threshold: 0.9 })
    expect(body.results).toHaveLength(1)
    expect(body.results[0]).toMatchObject({ source_id: 'tunnels', score: 0.5 })
    expect(body.results[0]?.similarity_score).toBeGreaterThan(0.3)
    const both = await team.ask('POST', '/search', { query: 'tunnel timeout', mode: 'hybrid', threshold: 0 })
    expect(both.body.results[0]).toMatchObject({ source_id: 'tunnels', score: 1 })
    expect(both.body.results[1]).toMatchObject({ source_id: 'foxes' })
  })

  it('looks into the sources that it is told, and no others', async () => {
    await indexed()
    for (const mode of ['semantic', 'keyword', 'hybrid']) {
      const wish = { query: 'fox in the tunnel', mode, threshold: 0, source_filter: 'foxes' }
      const { body } = await team.ask('POST', '/search', wish)
      expect(body.results.map((result) => result.source_id)).toEqual(['foxes'])
    }
  })

  it('knows nothing of another organisation', async () => {
    await indexed()
    const other = await world.team()
    for (const mode of ['semantic', 'keyword', 'hybrid']) {
      const { status, body } = await other.ask('POST', '/search', { query: foxes, mode, threshold: 0 })
      expect([status, body.results]).toEqual([200, []])
    }
    expect((await other.ask('DELETE', '/index/foxes')).status).toBe(404)
    expect((await team.ask('DELETE', '/index/foxes')).status).toBe(204)
  })

  it('answers a query of no words that count with nothing or with something, and never fails', async () => {
    await indexed()
    for (const query of ['the of and', 'und oder nicht', '" "', '- -', 'or or or', '\u200f\u202e!', '🎧']) {
      for (const mode of ['semantic', 'keyword', 'hybrid']) {
        const { status } = await team.ask('POST', '/search', { query, mode, threshold: 0 })
        expect([query, mode, status]).toEqual([query, mode, 200])
      }
    }
  })

  it('never gives a chunk of another organisation, however often it is asked', {
    timeout: count(60_000, 900_000),
  }, async () => {
    const word = (at: number) => `word${at % 97}`
    const chunksOf = (whose: string) =>
      Array.from({ length: 60 }, (_, at) => ({ content: `${whose} ${word(at)} ${word(at * 7)} ${word(at * 13)}` }))
    const other = await world.team()
    await other.ask('POST', '/index', { source_id: 'same', chunks: chunksOf('theirs') })
    await team.ask('POST', '/index', { source_id: 'same', chunks: chunksOf('mine') })
    let [asked, foreign, found] = [0, 0, 0]
    for (; asked < count(12, 10_000); asked++) {
      const query = `theirs ${word(asked)} ${word(asked * 3)}`
      const mode = ['semantic', 'keyword', 'hybrid'][asked % 3]
      const wish = { query, mode, threshold: 0, top_k: 50, ...(asked % 5 === 0 && { source_filter: 'same' }) }
      for (const { content } of (await team.ask('POST', '/search', wish)).body.results) {
        found += 1
        if (!content.startsWith('mine')) foreign += 1
      }
    }
    expect(foreign).toBe(0)
    expect(found).toBeGreaterThan(asked)
  })

  it('writes every search down, whatever it found', async () => {
    await indexed()
    await team.ask('POST', '/search', { query: 'fox', mode: 'keyword' })
    await team.ask('POST', '/search', { query: 'nothing of the kind' })
    await world.gateway.rows()
    const { rows } = await world.postgres.pool.query(
      'select query, mode, results, top_k from semantic_searches where org_id = $1 order by id',
      [team.orgId],
    )
    expect(rows).toEqual([
      { query: 'fox', mode: 'keyword', results: 1, top_k: 10 },
      { query: 'nothing of the kind', mode: 'semantic', results: 0, top_k: 10 },
    ])
    const { body } = await team.ask('GET', '/stats')
    expect(body).toMatchObject({
      sources: 2,
      chunks: 2,
      spaces: [{ model: `ollama/${MODEL}`, dimensions: DIMENSIONS, is_default: true, vectors: 2 }],
      searches: { count: 2, without_results: 1, by_mode: { keyword: 1, semantic: 1 } },
    })
  })

  it('says which space it cannot search when its model is gone, and still finds words', async () => {
    await indexed()
    const { body: stats } = await team.ask('GET', '/stats')
    const id = stats.spaces[0]?.id
    world.node.vectorOf = () => [1, 2, 3]
    const odd = await team.ask('POST', '/search', { query: 'fox' })
    expect(odd).toMatchObject({ status: 502, body: { code: 'model_output_invalid', fault: 'bad_output' } })
    await world.postgres.pool.query(`update embedding_spaces set model = 'ollama/gone:latest' where id = $1`, [id])
    for (const mode of ['semantic', 'hybrid']) {
      const gone = await team.ask('POST', '/search', { query: 'fox', mode })
      expect(gone).toMatchObject({
        status: 503,
        body: { code: 'no_capable_model', capability: 'embedding', space: id },
      })
    }
    expect((await team.ask('POST', '/search', { query: 'fox', mode: 'keyword' })).body.results).toHaveLength(1)
    expect((await team.ask('GET', '/health')).body).toMatchObject({
      status: 'degraded',
      embedding: { available: false },
    })
  })

  it.each([
    ['no words', { query: '   ' }, 422, 'invalid_request'],
    ['too many results', { query: 'fox', top_k: 51 }, 422, 'invalid_request'],
    ['a threshold beyond 1', { query: 'fox', threshold: 1.1 }, 422, 'invalid_request'],
    ['a field that it does not have', { query: 'fox', filter: 'foxes' }, 422, 'invalid_request'],
    ['more than may be asked', { query: 'fox '.repeat(501) }, 422, 'too_long'],
    ['a model that nobody has', { query: 'fox', model_name: 'no-such-model' }, 404, 'model_not_found'],
  ])('refuses %s', async (_what, body, status, code) => {
    expect(await team.ask('POST', '/search', body)).toMatchObject({ status, body: { code } })
  })

  it('takes signs of any kind as words like any other', async () => {
    const queries = ['*', "'", '"unclosed', '-', ':*', '& | !', '日本語', 'und & oder', '<->', '\\', '{}', '%_']
    for (const query of queries) {
      const { status } = await team.ask('POST', '/search', { query, mode: 'keyword' })
      expect([query, status]).toEqual([query, 200])
    }
  })
})

describe('embedding', () => {
  it('cuts a text that is longer than the window of the model, and says so', async () => {
    world.node.contextWindow = 2048
    const long = 'Words and more words stand in this text. '.repeat(240)
    const { body } = await team.ask('POST', '/embed', { text: long })
    expect(body).toMatchObject({ dimensions: DIMENSIONS, text_length: long.length, model_used: `ollama/${MODEL}` })
    expect(body.windows).toBeGreaterThan(1)
    expect(Math.hypot(...body.embedding)).toBeCloseTo(1, 6)
    expect(world.node.calls.flat().join('')).toBe(long)
  })

  it('makes vectors of a hundred texts in their order, 64 to a call', async () => {
    const texts = Array.from({ length: 100 }, (_, at) => `text number ${at}`)
    const { body } = await team.ask('POST', '/embed/batch', { texts })
    expect(body.embeddings).toHaveLength(100)
    expect(world.node.calls.map(({ length }) => length)).toEqual([64, 36])
    const alone = await team.ask('POST', '/embed', { text: texts[70] })
    expect(body.embeddings[70]).toEqual(alone.body.embedding)
    expect(alone.body.windows).toBe(1)
  })

  it('makes no space for what is kept nowhere', async () => {
    await team.ask('POST', '/embed', { text: 'a text' })
    expect((await team.ask('GET', '/stats')).body.spaces).toEqual([])
  })

  it('compares two texts, and two chunks', async () => {
    const same = await team.ask('POST', '/similarity', { texts: ['a red fox', 'a red fox'] })
    expect(same.body.similarity).toBeCloseTo(1, 6)
    const { body } = await team.ask('POST', '/chunk', { text: foxes, source_id: 'foxes' })
    const id = body.chunks[0]?.id
    expect((await team.ask('POST', '/similarity', { ids: [id, id] })).body.similarity).toBeCloseTo(1, 6)
    const other = await world.team()
    expect((await other.ask('POST', '/similarity', { ids: [id, id] })).status).toBe(404)
    expect((await team.ask('POST', '/similarity', { texts: ['a', 'b'], ids: [id, id] })).status).toBe(422)
  })

  it('is refused beyond its limits, and where no model makes vectors', async () => {
    const long = await team.ask('POST', '/embed', { text: 'x'.repeat(10_001) })
    expect(long).toMatchObject({ status: 422, body: { code: 'too_long', limit: 10_000, length: 10_001 } })
    expect((await team.ask('POST', '/embed/batch', { texts: Array(101).fill('a') })).status).toBe(422)
    world.node.vectorOf = () => [0, 0, 0]
    expect(await team.ask('POST', '/embed', { text: 'a' })).toMatchObject({ status: 502 })
  })
})
