import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bmpOf, pixelsOf, pngChunk, pngOf } from '../../support/pictures.ts'
import { form, openWorld, PNG, type Team, type VisionWorld } from './world.ts'

let world: VisionWorld
let team: Team

const sees = { capabilities: ['completion', 'vision'] } as const
const saying = (text: string) => ({ ...sees, pieces: [text] })
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world?.close())
beforeEach(async () => {
  world.node.script({})
  world.gateway.heal()
  world.sent.length = 0
  team = await world.team()
})

const asked = () => world.sent.filter(({ path }) => path === '/api/chat')

describe('analyze', () => {
  it('asks a model of the node, says how sure it is, and keeps nothing of the picture', async () => {
    const secret = 'A very particular prompt'
    world.node.script({ 'llava:7b': saying('An unmistakable answer') })
    const { status, body } = await team.ask(
      'POST',
      '/analyze',
      form({ file: PNG, prompt: secret, model_name: 'llava:7b' }),
    )
    expect([status, body]).toMatchObject([
      200,
      {
        filename: 'file-0.png',
        model_used: 'ollama/llava:7b',
        result: 'An unmistakable answer',
        confidence: expect.any(Number),
        confidence_source: 'logprob',
        metadata: { width: 24, height: 24, format: 'png', sha256: sha256(PNG), size_bytes: PNG.length, scaled: false },
      },
    ])
    const [run, ...others] = await world.runs(team.orgId)
    expect(others).toEqual([])
    expect(run).toMatchObject({
      operation: 'analyze',
      ok: true,
      provider: 'ollama',
      model: 'llava:7b',
      image_sha256: sha256(PNG),
      image_bytes: PNG.length,
      tokens: expect.any(Number),
    })
    const kept = JSON.stringify([await everything(), world.gateway.log, world.gateway.noted, [...world.files.keys()]])
    for (const word of [secret, 'unmistakable', base64(PNG).slice(40, 80)]) expect(kept).not.toContain(word)
    expect(kept).toContain(sha256(PNG))
    expect(world.files.size).toBe(0)
  })

  /** All rows of the database that say anything of this team, as text. */
  async function everything(): Promise<unknown[]> {
    const { rows } = await world.postgres.pool.query(
      `select table_name from information_schema.columns where table_schema = 'public' and column_name = 'org_id'`,
    )
    const tables = rows.map(({ table_name: name }) => String(name))
    const kept = await Promise.all(
      tables.map((name) =>
        world.postgres.pool.query(`select t::text as row from "${name}" t where org_id = $1`, [team.orgId]),
      ),
    )
    return kept.flatMap((result) => result.rows)
  }

  it('never forwards what a file tells of its making', async () => {
    const place = 'GPS 52.5163 N 13.3777 E'
    const between = [pngChunk('eXIf', place), pngChunk('tEXt', `Comment\0${place}`)]
    const told = pngOf(pixelsOf('rings', 24), 24, { between })
    expect(Buffer.from(told).toString('latin1')).toContain(place)
    for (const body of [form({ file: told }), { image_base64: base64(told) }]) {
      expect((await team.ask('POST', '/analyze', body)).status).toBe(200)
    }
    expect(asked()).toHaveLength(2)
    for (const { body } of asked()) {
      const images: string[] = JSON.parse(body).messages[0].images
      expect(images).toHaveLength(1)
      const received = Buffer.from(images[0] ?? '', 'base64')
      expect(received.toString('latin1')).not.toContain('GPS')
      expect(received.subarray(1, 4).toString()).toBe('PNG')
    }
  })

  it('goes by the bytes of a file, and tells what its sender said', async () => {
    const named = await team.ask('POST', '/analyze', form({ file: PNG }, 'image/jpeg'))
    expect(named.body.metadata).toMatchObject({ format: 'png', declared_type: 'image/jpeg' })
    const text = new TextEncoder().encode('This is no picture at all, whatever it is called.')
    const other = await team.ask('POST', '/analyze', form({ file: text }))
    const rule = expect.stringContaining('one of these by its bytes: jpeg')
    expect([other.status, other.body.errors]).toEqual([415, [{ pointer: '/file', detail: rule }]])
    const empty = await team.ask('POST', '/analyze', form({ file: new Uint8Array() }))
    expect([empty.status, empty.text]).toEqual([415, expect.stringContaining('This file is empty.')])
    const broken = await team.ask('POST', '/analyze', form({ file: PNG.subarray(0, 20) }))
    const fault = { detail: expect.stringContaining('cannot be read') }
    expect([broken.status, broken.body]).toMatchObject([
      422,
      { code: 'undecodable_image', errors: [{ pointer: '/file', ...fault }] },
    ])
    const encoded = await team.ask('POST', '/analyze', { image_base64: base64(PNG.subarray(0, 20)) })
    expect(encoded.body.errors).toMatchObject([{ pointer: '/image_base64', ...fault }])
  })

  it.each([
    ['bmp', bmpOf(pixelsOf('house', 8), 8)],
    ['gif', Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')],
    ['webp', Buffer.from('UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA', 'base64')],
  ])('takes %s', async (format, bytes) => {
    world.node.script({ 'llava:7b': saying('Fine'), 'gemma4:e2b': saying('Fine') })
    const { status, body } = await team.ask('POST', '/analyze', { image_base64: base64(bytes) })
    expect([status, body.metadata]).toMatchObject([200, { format }])
  })

  it('fetches a picture through the guard', async () => {
    world.pages.set(
      'https://pictures.test/a.png',
      () => new Response(Buffer.from(PNG), { headers: { 'content-type': 'image/png' } }),
    )
    world.pages.set('https://pictures.test/gone.png', () => new Response('no', { status: 404 }))
    const found = await team.ask('POST', '/analyze', { image_url: 'https://pictures.test/a.png' })
    expect([found.status, found.body.metadata]).toMatchObject([200, { sha256: sha256(PNG) }])
    const gone = await team.ask('POST', '/analyze', { image_url: 'https://pictures.test/gone.png' })
    expect([gone.status, gone.text]).toEqual([422, expect.stringContaining('status 404')])
    const inside = await team.ask('POST', '/analyze', { image_url: 'http://169.254.169.254/latest/meta-data' })
    expect([inside.status, inside.body.code]).toEqual([422, 'outbound_blocked'])
  })

  it.each([
    ['without a picture', { prompt: 'What is it?' }, '/file'],
    ['with two', { image_base64: 'AAAA', image_url: 'https://pictures.test/a.png' }, '/file'],
    ['with what is no base64', { image_base64: '§§§§' }, '/image_base64'],
    ['with a prompt that is too long', { image_base64: base64(PNG), prompt: 'x'.repeat(2001) }, '/prompt'],
    ['with too few tokens', { image_base64: base64(PNG), max_tokens: 49 }, '/max_tokens'],
    ['with a field that is none', { image_base64: base64(PNG), nothing: 1 }, ''],
  ])('is refused %s', async (_how, body, pointer) => {
    const refused = await team.ask('POST', '/analyze', body)
    expect([refused.status, refused.body.errors]).toMatchObject([422, [{ pointer: expect.stringContaining(pointer) }]])
    expect(asked()).toEqual([])
  })

  it('asks twice where nothing else tells how sure it is, if that is wanted', async () => {
    const told = (content: string) => ({
      answer: { model: 'llava:7b', message: { role: 'assistant', content }, done: true, done_reason: 'stop' },
    })
    const answers = [told('A red house.'), told('A red house.'), told('A dog.'), told('A red house.')]
    world.node.script({ 'ollama POST /api/chat': answers })
    const ask = (confidence: boolean) =>
      team.ask('POST', '/analyze', { image_base64: base64(PNG), model_name: 'llava:7b', confidence })
    const [sure, unsure] = [await ask(true), await ask(true)]
    expect(sure.body).toMatchObject({ confidence: 1, confidence_source: 'agreement' })
    expect(unsure.body).toMatchObject({ result: 'A dog.', confidence: 0, confidence_source: 'agreement' })
    expect(asked()).toHaveLength(4)
    expect((await ask(false)).body).toMatchObject({ confidence: null, confidence_source: null })
    expect(asked()).toHaveLength(5)
  })

  it('knows models that do not see, and those that are not there', async () => {
    const image_base64 = base64(PNG)
    const blind = await team.ask('POST', '/analyze', { image_base64, model_name: 'llama3.2:3b' })
    expect([blind.status, blind.body]).toMatchObject([400, { code: 'wrong_capability', capability: 'vision' }])
    const none = await team.ask('POST', '/analyze', { image_base64, model_name: 'nobody:1b' })
    expect([none.status, none.body.code]).toEqual([404, 'model_not_found'])
    expect(asked()).toEqual([])
  })

  it('is an error where the model fails, and is written down as one', async () => {
    const refuse = { status: 500, message: 'model requires more system memory (9.1 GiB) than is available (1 GiB)' }
    world.node.script({ 'llava:7b': { ...sees, refuse }, 'gemma4:e2b': { ...sees, refuse } })
    const { status } = await team.ask('POST', '/analyze', form({ file: PNG, model_name: 'llava:7b' }))
    expect(status).toBe(502)
    expect(await world.runs(team.orgId)).toMatchObject([
      { ok: false, error_code: expect.any(String), image_sha256: sha256(PNG) },
    ])
  })
})

describe('detect-objects', () => {
  const answering = (objects: unknown) => world.node.script({ 'llava:7b': saying(JSON.stringify({ objects })) })

  it('gives each object once, inside of the picture', async () => {
    answering([
      { name: 'house', box: { x1: -0.1, y1: 0.4, x2: 0.6, y2: 1.2 }, confidence: 0.9 },
      { name: 'House', box: { x1: 0, y1: 0.4, x2: 0.6, y2: 1 }, confidence: 0.3 },
      { name: 'door', box: { x1: 0.3, y1: 0.6, x2: 0.4, y2: 0.9 }, confidence: 0.5 },
      { name: 'line', box: { x1: 0.3, y1: 0.6, x2: 0.3, y2: 0.9 }, confidence: 0.5 },
    ])
    const { status, body } = await team.ask('POST', '/detect-objects', form({ file: PNG, model_name: 'llava:7b' }))
    expect([status, body]).toMatchObject([
      200,
      {
        objects: [
          { name: 'house', box: { x: 0, y: 0.4, width: 0.6, height: 0.6 }, position: 'bottom-left', confidence: 0.9 },
          { name: 'door', position: 'right', confidence: 0.5 },
        ].map((one) => (one.name === 'door' ? { ...one, position: 'bottom' } : one)),
        counts: { house: 1, door: 1 },
        confidence_source: 'model',
      },
    ])
    expect(body.confidence).toBeGreaterThan(0.85)
    expect(JSON.parse(asked()[0]?.body ?? '{}').format).toMatchObject({ required: ['objects'] })
  })

  it('asks for labels and drops what is none of them', async () => {
    const box = { x1: 0.1, y1: 0.1, x2: 0.4, y2: 0.4 }
    answering([
      { name: 'dog', box, confidence: null },
      { name: 'cat', box, confidence: null },
    ])
    const labels = JSON.stringify(['Dog', 'bird'])
    const { body } = await team.ask('POST', '/detect-objects', form({ file: PNG, model_name: 'llava:7b', labels }))
    expect(body).toMatchObject({ counts: { Dog: 1 }, confidence: null, confidence_source: null })
    expect(asked()[0]?.body).toContain('bird')
  })

  it('asks once more for what is no answer, and then it is an error', async () => {
    const good = JSON.stringify({ objects: [] })
    world.node.script({ 'llava:7b': [saying('I see a house.'), saying(good)] })
    const again = await team.ask('POST', '/detect-objects', form({ file: PNG, model_name: 'llava:7b' }))
    expect([again.status, again.body.objects]).toEqual([200, []])
    expect(asked()).toHaveLength(2)
    world.node.script({ 'llava:7b': saying('I see a house.') })
    const never = await team.ask('POST', '/detect-objects', form({ file: PNG, model_name: 'llava:7b' }))
    expect([never.status, never.body.code]).toEqual([502, 'model_output_invalid'])
  })
})

describe.each(['/extract-text', '/ocr'])('%s', (path) => {
  it('reads blocks with their line breaks', async () => {
    const blocks = [
      { text: 'Opening hours\n9 to 5', box: null, confidence: 1 },
      { text: 'Ring', box: null, confidence: 0 },
    ]
    world.node.script({ 'llava:7b': saying(JSON.stringify({ blocks })) })
    const { status, body } = await team.ask('POST', path, form({ file: PNG, model_name: 'llava:7b', language: 'en' }))
    expect([status, body]).toMatchObject([
      200,
      {
        extracted_text: 'Opening hours\n9 to 5\nRing',
        has_text: true,
        blocks,
        confidence: 20 / 24,
        confidence_source: 'model',
      },
    ])
    expect(asked()[0]?.body).toContain('en')
  })

  it('finds no text where there is none', async () => {
    world.node.script({ 'llava:7b': saying('{"blocks":[]}') })
    const { body } = await team.ask('POST', path, form({ file: PNG, model_name: 'llava:7b' }))
    expect(body).toMatchObject({ extracted_text: '', has_text: false, blocks: [], confidence: null })
  })
})

describe('what can be looked at', () => {
  it('is told with the models, and nothing is when they are gone', async () => {
    const { body } = await team.ask('GET', '/models')
    expect(body).toMatchObject({ object: 'vision.models' })
    const ids = (body.models as { id: string }[]).map(({ id }) => id).sort()
    expect(ids).toEqual(['ollama/demo/clip-hash', 'ollama/gemma4:e2b', 'ollama/llava:7b'])
    expect((await team.ask('GET', '/health')).body).toMatchObject({
      status: 'healthy',
      max_concurrent_tasks: 2,
      in_flight: 0,
      queued: 0,
      formats: ['jpeg', 'png', 'gif', 'webp', 'bmp'],
      models_available: 2,
      image_embedding: true,
    })
    // Nobody looks at anything after this.
    for (const model of ['llava:7b', 'gemma4:e2b']) {
      await fetch(`${world.node.url}/api/delete`, { method: 'DELETE', body: JSON.stringify({ model }) })
    }
    world.node.offer({ agent: [] })
    const refused = await team.ask('POST', '/analyze', { image_base64: base64(PNG) })
    expect([refused.status, refused.body]).toMatchObject([503, { code: 'no_capable_model', capability: 'vision' }])
    expect((await team.ask('GET', '/health')).body).toMatchObject({ status: 'unavailable', models_available: 0 })
  })
})
