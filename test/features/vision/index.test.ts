import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { count } from '../../support/lane.ts'
import { pictureNames, pixelsOf, pngChunk, pngOf } from '../../support/pictures.ts'
import { form, openWorld, PNG, picture, type Team, type VisionWorld } from './world.ts'

let world: VisionWorld
let team: Team

beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())
beforeEach(async () => {
  world.node.script({ 'llava:7b': sees('A caption'), 'gemma4:e2b': sees('A caption') })
  world.node.offer({})
  world.gateway.heal()
  world.sent.length = 0
  team = await world.team()
})

const sees = (text: string) => ({ capabilities: ['completion', 'vision'] as const, pieces: [text] })
type Found = { image_id: string; similarity_score: number; match: string; space: string }
const found = ({ body }: { body: Record<string, unknown> }) => body.results as Found[]
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

/** A picture that no other is like: its bytes are its own, and so is what the node makes of them. */
const plain = (colour: readonly [number, number, number], side = 16) =>
  pngOf(new Uint8Array(Array.from({ length: side * side }, () => colour).flat()), side)

describe('the index', () => {
  it('takes a picture with its caption, once, and gives it back, changed and removed', async () => {
    const between = [pngChunk('tEXt', 'Comment\0Somebody made this')]
    const made = pngOf(pixelsOf('house', 32), 32, { between })
    const fields = { tags: JSON.stringify(['a', 'b']), metadata: '{"shelf":7}', source_id: 'album' }
    const first = await team.ask('POST', '/images', form({ file: made, ...fields }))
    expect([first.status, first.body]).toMatchObject([
      201,
      {
        object: 'image',
        sha256: createHash('sha256').update(made).digest('hex'),
        filename: 'file-0.png',
        mime: 'image/png',
        width: 32,
        height: 32,
        caption: 'A caption',
        tags: ['a', 'b'],
        metadata: { shelf: 7 },
        source_id: 'album',
        stored: true,
        near_duplicates: [],
        space: 'image',
      },
    ])
    const id = String(first.body.id)
    const kept = world.files.get(`${team.orgId}/images/${id}`)
    expect(Buffer.from(kept ?? []).toString('latin1')).not.toContain('Somebody')
    expect(kept?.length).toBeGreaterThan(100)

    const again = await team.ask('POST', '/images', form({ file: made }))
    expect([again.status, again.body.id, again.body.caption]).toEqual([200, id, 'A caption'])

    expect((await team.ask('GET', `/images/${id}`)).body).toMatchObject({ id, stored: true })
    const changed = await team.ask('PATCH', `/images/${id}`, { caption: 'My house', tags: ['c'], source_id: null })
    expect([changed.status, changed.body]).toMatchObject([200, { caption: 'My house', tags: ['c'], source_id: null }])
    expect((await team.ask('PATCH', `/images/${id}`, {})).status).toBe(422)
    expect((await team.ask('GET', '/images?tag=c')).body).toMatchObject({ data: [{ id }], has_more: false })
    expect((await team.ask('GET', '/images?tag=a')).body).toMatchObject({ data: [] })

    const others = await world.team()
    for (const method of ['GET', 'DELETE']) expect((await others.ask(method, `/images/${id}`)).status).toBe(404)
    expect((await others.ask('PATCH', `/images/${id}`, { tags: [] })).status).toBe(404)
    expect(found(await others.ask('POST', '/search', { image_base64: base64(made), threshold: 0 }))).toEqual([])

    expect((await team.ask('DELETE', `/images/${id}`)).status).toBe(204)
    expect((await team.ask('GET', `/images/${id}`)).status).toBe(404)
    expect(world.files.has(`${team.orgId}/images/${id}`)).toBe(false)
    expect(found(await team.ask('POST', '/search', { image_base64: base64(made), threshold: 0 }))).toEqual([])
  })

  it('keeps no bytes where that is not wanted, and one row of two calls at once', async () => {
    const both = await Promise.all(
      [1, 2].map(() => team.ask('POST', '/images', { image_base64: base64(PNG), caption: 'x', store: false })),
    )
    expect(both.map(({ status }) => status).sort()).toEqual([200, 201])
    expect(new Set(both.map(({ body }) => body.id)).size).toBe(1)
    expect([...world.files.keys()].filter((key) => key.startsWith(team.orgId))).toEqual([])
    expect(world.sent.filter(({ path }) => path === '/api/chat')).toEqual([])
    const vectors = await world.postgres.pool.query('select 1 from embeddings where org_id = $1', [team.orgId])
    expect(vectors.rows).toHaveLength(1)
  })

  it('tells of pictures that look the same', async () => {
    const ids: string[] = []
    for (const side of [64, 96]) {
      const { body } = await team.ask('POST', '/images', { image_base64: base64(picture('rings', side)), caption: 'x' })
      ids.push(String(body.id))
      if (side === 96) expect(body.near_duplicates).toMatchObject([{ image_id: ids[0] }])
    }
    const other = await team.ask('POST', '/images', { image_base64: base64(picture('sunset', 64)), caption: 'x' })
    expect(other.body.near_duplicates).toEqual([])
  })

  it('finds every picture by itself first, and by words, and by both', async () => {
    const colours = Array.from({ length: count(5, 96) }, (_, at) => [
      (at * 67) % 256,
      (at * 131) % 256,
      (at * 29) % 256,
    ])
    const all = [
      ...colours.map(([r = 0, g = 0, b = 0]) => plain([r, g, b])),
      ...pictureNames.map((name) => picture(name)),
    ]
    const ids: string[] = []
    for (const one of all) {
      const { status, body } = await team.ask('POST', '/images', {
        image_base64: base64(one),
        caption: 'x',
        store: false,
      })
      expect(status).toBe(201)
      ids.push(String(body.id))
    }
    world.sent.length = 0
    for (const [at, one] of all.entries()) {
      const [first] = found(await team.ask('POST', '/search-similar', { image_base64: base64(one) }))
      expect(first).toMatchObject({ image_id: ids[at], match: 'exact', space: 'image' })
      expect(first?.similarity_score).toBeGreaterThanOrEqual(0.99)
    }
    expect(world.sent.filter(({ path }) => path === '/v1/embeddings')).toEqual([])
    const red = await team.ask('POST', '/images', { image_base64: base64(plain([222, 28, 28])), tags: ['red'] })
    const words = await team.ask('POST', '/search', { search_prompt: 'red', top_k: 5 })
    expect(words.body.search_criteria).toMatchObject({ by: 'text', spaces: [{ space: 'image', threshold: 0.2 }] })
    expect(found(words).map(({ image_id }) => image_id)).toContain(red.body.id)
    const both = await team.ask(
      'POST',
      '/search',
      form({ file: plain([20, 150, 40]), search_prompt: 'red', filter: '{"tags":["red"]}' }),
    )
    expect([both.status, both.body.search_criteria]).toMatchObject([200, { by: 'both', filter: { tags: ['red'] } }])
    expect(found(both).map(({ image_id }) => image_id)).toEqual([red.body.id])
    expect((await team.ask('POST', '/search', { top_k: 3 })).status).toBe(422)
  })

  it('finds pictures by their captions where no model makes vectors of pictures', async () => {
    world.node.offer({ agent: [] })
    const houses = await team.ask('POST', '/images', { image_base64: base64(PNG), caption: 'a red house with a door' })
    expect(houses.body).toMatchObject({ space: 'caption' })
    const rings = await team.ask('POST', '/images', { image_base64: base64(picture('rings')), caption: 'purple rings' })
    const wish = { search_prompt: 'a red house with a door', threshold: 0.9 }
    const first = await team.ask('POST', '/search', wish)
    expect(found(first)).toMatchObject([{ image_id: houses.body.id, space: 'caption' }])
    await team.ask('PATCH', `/images/${rings.body.id}`, { caption: wish.search_prompt })
    expect(found(await team.ask('POST', '/search', wish))).toHaveLength(2)
    const [own] = found(await team.ask('POST', '/search', { image_base64: base64(picture('rings')) }))
    expect(own).toMatchObject({ image_id: rings.body.id, match: 'exact' })
  })

  it('says so where the model is gone that its pictures were placed by', async () => {
    await team.ask('POST', '/images', { image_base64: base64(PNG), caption: 'x' })
    world.node.offer({ agent: [] })
    const gone = await team.ask('POST', '/search', { search_prompt: 'a house' })
    expect([gone.status, gone.body]).toMatchObject([503, { code: 'no_capable_model', capability: 'image_embedding' }])
    const known = await team.ask('POST', '/search', { image_base64: base64(PNG) })
    expect(known.status).toBe(200)
  })

  it('has each vector of its agent in the books, as a call of the node under its request', async () => {
    const before = (await world.gateway.rows()).length
    await team.ask('POST', '/images', { image_base64: base64(PNG), caption: 'x' })
    await team.ask('POST', '/search', { search_prompt: 'a house' })
    world.node.script({ 'agent POST /v1/embeddings': { refuse: { status: 500, message: 'no' } } })
    await team.ask('POST', '/search', { search_prompt: 'a barn' })
    const rows = (await world.gateway.rows()).slice(before)
    const row = { org_id: team.orgId, operation: 'embedding', provider: 'ollama', cost_nanos: 0, prompt_tokens: 0 }
    expect(rows).toMatchObject([
      { ...row, status: 'ok', error_code: null },
      { ...row, status: 'ok', error_code: null },
      { ...row, status: 'error', error_code: 'provider_error' },
    ])
    expect(rows.every(({ parent_request_id: of, request_id: own }) => of?.startsWith('req_') && of !== own)).toBe(true)
  })

  it('is an error where the agent fails, and leaves nothing', async () => {
    world.node.script({ 'agent POST /v1/embeddings': { refuse: { status: 500, message: 'CUDA out of memory' } } })
    const failed = await team.ask('POST', '/images', { image_base64: base64(PNG), caption: 'x' })
    expect([failed.status, failed.body]).toMatchObject([502, { code: 'provider_error', fault: 'out_of_memory' }])
    world.node.script({ 'agent POST /v1/embeddings': { answer: { data: [] } } })
    const empty = await team.ask('POST', '/images', { image_base64: base64(PNG), caption: 'x' })
    expect([empty.status, empty.body.code]).toEqual([502, 'model_output_invalid'])
    expect((await team.ask('GET', '/images')).body).toMatchObject({ data: [] })
    expect(await world.runs(team.orgId)).toMatchObject([{ ok: false, operation: 'index' }, { ok: false }])
  })
})
