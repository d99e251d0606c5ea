import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { semanticJobs } from '../../../src/features/semantic/jobs.ts'
import { runJob } from '../../../src/jobs.ts'
import { fakeJobDeps } from '../../support/fake-deps.ts'
import { bagOfWords, openWorld, type SemanticWorld, type Team } from './world.ts'

let world: SemanticWorld
let team: Team

beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())
beforeEach(async () => {
  world.node.vectorOf = bagOfWords
  world.node.before = async () => {}
  team = await world.team()
})

const query = async (text: string, ...values: unknown[]) =>
  (await world.postgres.pool.query(text, [team.orgId, ...values])).rows
const left = async () => ({
  chunks: (await query('select count(*)::int as n from chunks where org_id = $1'))[0]?.n,
  vectors: (await query('select count(*)::int as n from embeddings where org_id = $1'))[0]?.n,
})
const words = (word: string, times: number) => `${word} `.repeat(times)

describe('indexing', () => {
  it('keeps the chunks of a text where the text has them', async () => {
    const text = `# One\n\n${words('first', 150)}.\n\n## Two\n\n${words('second', 150)}.`
    const { body } = await team.ask('POST', '/chunk', { text, source_id: 'book', metadata: { year: 2026 } })
    expect(body.chunks.length).toBeGreaterThan(1)
    for (const { content, start_offset } of body.chunks) {
      expect(text.slice(start_offset, start_offset + content.length)).toBe(content)
    }
    expect(body.chunks[0]?.metadata).toEqual({ year: 2026, heading_path: ['One'] })
    expect(body.chunks.at(-1)?.metadata).toEqual({ year: 2026, heading_path: ['One', 'Two'] })
    expect(await left()).toEqual({ chunks: body.chunks.length, vectors: body.chunks.length })
  })

  it('shows chunks without keeping any, and has none of an empty text', async () => {
    const { body } = await team.ask('POST', '/chunk', { text: words('shown', 500), store: false })
    expect(body.chunks.length).toBeGreaterThan(1)
    expect(await left()).toEqual({ chunks: 0, vectors: 0 })
    expect((await team.ask('POST', '/chunk', { text: '' })).body.chunks).toEqual([])
    expect(await team.ask('POST', '/index', { source_id: 'empty', text: '' })).toMatchObject({
      status: 200,
      body: { chunks: 0, space_id: null },
    })
  })

  it('takes the place of what was there, unless it is told not to', async () => {
    await team.ask('POST', '/index', { source_id: 'page', text: words('old', 600) })
    const kept = await team.ask('POST', '/index', { source_id: 'page', text: 'new', replace: false })
    expect(kept).toMatchObject({ status: 409, body: { code: 'conflict' } })
    const { body } = await team.ask('POST', '/index', { source_id: 'page', text: 'new' })
    expect(body).toMatchObject({ chunks: 1, replaced: 3 })
    expect(await left()).toEqual({ chunks: 1, vectors: 1 })
    expect((await team.ask('DELETE', '/index/page')).status).toBe(204)
    expect(await left()).toEqual({ chunks: 0, vectors: 0 })
  })

  it('takes pieces that somebody else has cut', async () => {
    const chunks = [{ content: 'one', metadata: { page: 1 } }, { content: 'two' }]
    const { body } = await team.ask('POST', '/index', { source_id: 'pages', chunks, metadata: { book: 'a' } })
    expect(body).toMatchObject({ chunks: 2 })
    const rows = await query(
      'select content, start_offset, end_offset, metadata from chunks where org_id = $1 order by chunk_index',
    )
    expect(rows).toEqual([
      { content: 'one', start_offset: 0, end_offset: 3, metadata: { book: 'a', page: 1 } },
      { content: 'two', start_offset: 3, end_offset: 6, metadata: { book: 'a' } },
    ])
  })

  it('is whole for whoever searches: all of the old text or all of the new', async () => {
    const versions = ['alpha', 'beta', 'gamma', 'delta']
    const textOf = (word: string) => words(word, 400)
    await team.ask('POST', '/index', { source_id: 'moving', text: textOf('alpha') })
    const seen = new Set<string>()
    let isDone = false
    const reader = async (mode: string) => {
      do {
        const wish = { query: versions.join(' or '), mode, threshold: 0, top_k: 50 }
        const { body } = await team.ask('POST', '/search', wish)
        const found = body.results.map(({ content }) => content.split(' ').find((word) => word.length > 3))
        seen.add(`${new Set(found).size} text of ${found.length > 0 ? 'some' : 'no'} chunks`)
      } while (!isDone)
    }
    const writer = async () => {
      for (const word of versions) await team.ask('POST', '/index', { source_id: 'moving', text: textOf(word) })
      isDone = true
    }
    await Promise.all([writer(), reader('semantic'), reader('hybrid'), reader('keyword')])
    expect([...seen]).toEqual(['1 text of some chunks'])
  })

  it('leaves the old text where the new one cannot be embedded', async () => {
    await team.ask('POST', '/index', { source_id: 'page', text: 'the old text' })
    world.node.before = async () => {
      world.node.vectorOf = () => [1, 2]
    }
    expect((await team.ask('POST', '/index', { source_id: 'page', text: 'the new text' })).status).toBe(502)
    const { body } = await team.ask('POST', '/search', { query: 'text', mode: 'keyword' })
    expect(body.results).toMatchObject([{ content: 'the old text' }])
    expect(await left()).toEqual({ chunks: 1, vectors: 1 })
  })

  /** Has the next call of the node wait. */
  function held() {
    const [called, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    world.node.before = async () => {
      world.node.before = async () => {}
      called.resolve()
      await released.promise
    }
    return { called: called.promise, release: released.resolve }
  }

  it('is taken away while it is done for the first time, and leaves nothing', async () => {
    const { called, release } = held()
    const slow = team.ask('POST', '/index', { source_id: 'page', text: 'never to be searched' })
    await called
    expect((await team.ask('DELETE', '/index/page')).status).toBe(204)
    release()
    expect(await slow).toMatchObject({ status: 409, body: { code: 'conflict' } })
    expect(await left()).toEqual({ chunks: 0, vectors: 0 })
    expect((await team.ask('GET', '/stats')).body).toMatchObject({ sources: 0, chunks: 0 })
    expect((await team.ask('DELETE', '/index/page')).status).toBe(404)
  })

  it('refuses a text that was asked for earlier and is ready later', async () => {
    const { called: first, release } = held()
    const slow = team.ask('POST', '/index', { source_id: 'page', text: 'asked for first' })
    await first
    expect((await team.ask('POST', '/index', { source_id: 'page', text: 'asked for second' })).status).toBe(200)
    release()
    expect(await slow).toMatchObject({ status: 409 })
    const { body } = await team.ask('POST', '/search', { query: 'asked', mode: 'keyword' })
    expect(body.results).toMatchObject([{ content: 'asked for second' }])
    expect(await left()).toEqual({ chunks: 1, vectors: 1 })
  })

  it.each([
    ['neither a text nor chunks', { source_id: 'a' }],
    ['both', { source_id: 'a', text: 'a', chunks: [{ content: 'a' }] }],
    ['a name of nothing', { source_id: ' ', text: 'a' }],
    ['an overlap of half a chunk', { source_id: 'a', text: 'a', chunk_size: 400, chunk_overlap: 200 }],
    ['chunks that are too small', { source_id: 'a', text: 'a', chunk_size: 99 }],
    ['a note that is too long', { source_id: 'a', text: 'a', metadata: { note: 'x'.repeat(513) } }],
    ['too much of a text', { source_id: 'a', text: 'x'.repeat(1_000_001) }],
  ])('is refused with %s', async (_what, body) => {
    expect((await team.ask('POST', '/index', body)).status).toBe(422)
  })

  it('is a job beyond 200 chunks, which are not found before', async () => {
    const answer = await team.ask('POST', '/index', { source_id: 'long', text: words('word', 40_000) })
    expect(answer).toMatchObject({ status: 202, body: { object: 'job', kind: 'semantic.index', status: 'queued' } })
    expect((await team.ask('POST', '/search', { query: 'word', mode: 'keyword' })).body.results).toEqual([])
    const [row] = await query('select input from jobs where org_id = $1')
    expect(JSON.stringify(row).length).toBeLessThan(1000)
  })

  it('leaves no chunks for ever that were never searched, nor searches', async () => {
    await team.ask('POST', '/index', { source_id: 'kept', text: 'this one stays' })
    await team.ask('POST', '/index', { source_id: 'long', text: 'never' }, { prefer: 'respond-async' })
    await team.ask('POST', '/search', { query: 'never', mode: 'keyword' })
    await world.gateway.rows()
    const [job] = semanticJobs
    const deps = fakeJobDeps({ db: world.postgres.database(), system: world.postgres.systemDatabase() })
    const run = async (days: number) =>
      job && runJob({ ...deps, redis: world.gateway.redis }, job, { dueMs: Date.now() + days * 86_400_000 })
    const searches = async () => (await query('select from semantic_searches where org_id = $1')).length
    await run(0.5)
    expect([await left(), await searches()]).toEqual([{ chunks: 2, vectors: 1 }, 1])
    await run(2)
    expect([await left(), await searches()]).toEqual([{ chunks: 1, vectors: 1 }, 1])
    await run(91)
    expect([await left(), await searches()]).toEqual([{ chunks: 1, vectors: 1 }, 0])
  })
})
