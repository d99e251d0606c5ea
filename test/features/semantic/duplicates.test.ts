import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { count } from '../../support/lane.ts'
import { duplicateSet, type Kind } from './duplicate-set.ts'
import { bagOfWords, DIMENSIONS, MODEL, openWorld, type SemanticWorld, type Team } from './world.ts'

let world: SemanticWorld
let team: Team

beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())
beforeEach(async () => {
  world.node.vectorOf = bagOfWords
  team = await world.team()
})

const text =
  'The quick brown fox jumps over the lazy dog while seven wizards quietly brew a strong potion in the old tower.'

const index = (source_id: string, content: string) => team.ask('POST', '/index', { source_id, text: content })
const chunkOf = async (sourceId: string): Promise<string> => {
  const { rows } = await world.postgres.pool.query(
    'select id from chunks where org_id = $1 and source_id = $2 and is_current order by chunk_index',
    [team.orgId, sourceId],
  )
  return rows[0]?.id
}
const detect = (content_id: string, content: string, more: object = {}) =>
  team.ask('POST', '/detect-duplicates', { content_id, content, ...more })
const pairs = async () =>
  (
    await world.postgres.pool.query(
      `select original_content_id as original, duplicate_content_id as duplicate, duplicate_type as type, similarity_score
        from duplicate_pairs where org_id = $1 order by 1, 2`,
      [team.orgId],
    )
  ).rows

describe('duplicates', () => {
  it('are exact for the same text, whose older copy is the original, and are noted once', async () => {
    await index('first', text)
    const original = await chunkOf('first')
    for (let again = 0; again < 2; again++) {
      const { status, body } = await detect('my-copy', text)
      expect([status, body]).toMatchObject([
        200,
        {
          content_id: 'my-copy',
          model_used: `ollama/${MODEL}`,
          duplicates: [
            {
              original_content_id: original,
              duplicate_content_id: 'my-copy',
              similarity_score: 1,
              duplicate_type: 'exact',
              confidence: 1,
              confidence_source: 'agreement',
            },
          ],
        },
      ])
    }
    expect(await pairs()).toEqual([{ original, duplicate: 'my-copy', type: 'exact', similarity_score: 1 }])
  })

  it('name a kept text as the original of what was kept later', async () => {
    await index('later', text)
    await world.postgres.pool.query(
      'update semantic_sources set created_at = created_at + 60 where org_id = $1 and source_id = $2',
      [team.orgId, 'later'],
    )
    await world.postgres.pool.query('update chunks set created_at = created_at + 60 where org_id = $1', [team.orgId])
    await index('earlier', text)
    const { body } = await detect('earlier', text)
    expect(body).toMatchObject({
      duplicates: [{ original_content_id: 'earlier', duplicate_content_id: await chunkOf('later') }],
    })
  })

  it('are no comparison of a text with itself, by its source or by its chunk', async () => {
    await index('alone', text)
    for (const id of ['alone', await chunkOf('alone')]) {
      expect((await detect(id, text)).body).toMatchObject({ duplicates: [], compared: 0 })
    }
  })

  it('are whole sources, too, where they are the same to the letter', async () => {
    const long = Array.from({ length: 40 }, (_, at) => `Sentence ${at} says something of number ${at * 7919}.`).join(
      ' ',
    )
    await index('long', long)
    const { body } = await detect('copy-of-long', long)
    expect(body).toMatchObject({
      duplicates: expect.arrayContaining([
        expect.objectContaining({ original_content_id: 'long', similarity_score: 1, duplicate_type: 'exact' }),
      ]),
    })
  })

  it('are found by their writing where their meaning is missed, with little confidence', async () => {
    await index('first', text)
    world.node.vectorOf = (some) => bagOfWords(some === text ? 'nothing of the kind' : some)
    await index('kept', 'Something else is kept as well, of another meaning.')
    world.node.vectorOf = () => bagOfWords('entirely other words')
    const { body } = await detect('near', `${text.replace('seven', 'eight')}`, { threshold: 0.6 })
    const [found] = duplicatesOf(body)
    expect(found).toMatchObject({ original_content_id: await chunkOf('first') })
    expect(found?.confidence).toBeLessThan(0.3)
  })

  it('have to be more alike than the threshold, which is not below 0.6', async () => {
    await index('first', text)
    expect((await detect('other', 'Nobody has written anything like this before.')).body).toMatchObject({
      duplicates: [],
    })
    expect(await detect('copy', text, { threshold: 0.5 })).toMatchObject({ status: 422 })
    expect(await detect('copy', 'x'.repeat(10_001))).toMatchObject({ status: 422, body: { code: 'too_long' } })
    expect((await detect('copy', text, { threshold: 1 })).body).toMatchObject({ duplicates: [{ similarity_score: 1 }] })
  })

  it('are nobody else’s', async () => {
    await index('first', text)
    team = await world.team()
    expect((await detect('copy', text)).body).toMatchObject({ duplicates: [], compared: 0 })
  })

  it('are told from texts on the same topic: F1 is at least 0.95 on a generated set', {
    timeout: 240_000,
  }, async () => {
    const set = duplicateSet({ seed: 7, originals: count(6, 60), dimensions: DIMENSIONS })
    world.node.vectorOf = set.vectorOf
    const chunks = set.originals.map((content) => ({ content }))
    expect(await team.ask('POST', '/index', { source_id: 'library', chunks })).toMatchObject({ status: 200 })
    const { rows } = await world.postgres.pool.query('select id, content from chunks where org_id = $1', [team.orgId])
    const contentOf = new Map<string, string>(rows.map(({ id, content }) => [id, content]))
    const tally = { right: 0, wrong: 0, missed: 0 }
    const types: Record<Kind, string[]> = { copy: [], near_copy: [], paraphrase: [], same_topic: [] }
    for (const [at, { kind, text: content, of }] of set.cases.entries()) {
      const found = duplicatesOf((await detect(`case-${at}`, content)).body)
      const right = found.filter((one) => contentOf.get(one.original_content_id) === of)
      types[kind].push(...right.map((one) => one.duplicate_type))
      tally.right += right.length
      tally.wrong += found.length - right.length
      tally.missed += of !== undefined && right.length === 0 ? 1 : 0
    }
    const f1 = (2 * tally.right) / (2 * tally.right + tally.wrong + tally.missed)
    expect({ f1: f1 >= 0.95 ? 'enough' : f1, ...tally }).toMatchObject({ f1: 'enough' })
    expect(types.copy.every((type) => type === 'exact')).toBe(true)
    expect(types.near_copy.filter((type) => type === 'semantic')).toEqual([])
    expect(types.paraphrase.length).toBeGreaterThanOrEqual(0.8 * set.originals.length)
  })
})

type Found = { original_content_id: string; duplicate_type: string; confidence: number }
const duplicatesOf = (body: object): Found[] =>
  'duplicates' in body && Array.isArray(body.duplicates) ? body.duplicates : []
