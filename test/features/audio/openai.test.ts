import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { DemoNode } from '../../../scripts/local/demo-node/server.ts'
import * as sounds from '../../support/sounds.ts'
import { agentModels, demo, formOf, hearingModel, speechModels, startAudio, textModel } from './world.ts'

const SENTENCES = 'Hello there. We walk. It is far.'

let node: DemoNode
let other: DemoNode
beforeAll(async () => {
  ;[node, other] = await Promise.all([demo(), demo()])
})
afterAll(async () => {
  await Promise.all([node?.close(), other?.close()])
})

const start = () => startAudio([{ name: 'gpu', demo: node, models: [...speechModels, ...agentModels] }])
const model = { model: 'whisper-1' }
const say = (fields: object = {}) => ({
  model: 'tts-1',
  voice: 'alloy',
  input: SENTENCES,
  response_format: 'wav',
  ...fields,
})

async function spoken(world: Awaited<ReturnType<typeof start>>, fields: object = {}): Promise<Uint8Array> {
  const response = await world.post('/v1/audio/speech', say(fields))
  expect(response.status).toBe(200)
  return new Uint8Array(await response.arrayBuffer())
}

async function eventsOf(
  response: Response,
): Promise<{ type?: string; delta?: string; text?: string; error?: { code: string } }[]> {
  const text = await response.text()
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => JSON.parse(event.slice(6)))
}

describe('what is said', () => {
  it('is heard again as it was spoken, in every format of text', async () => {
    const world = await start()
    const wav = await spoken(world)
    const json = await world.post('/v1/audio/transcriptions', formOf(wav, model))
    expect(json.headers.get('x-helix-model')).toBe('demo/whisper-large-v3')
    expect(await json.json()).toMatchObject({ text: SENTENCES, usage: { type: 'duration' } })
    node.script({
      'demo/whisper-large-v3': { pieces: ['Hello there. ', 'We walk. ', 'It is far.'] },
    })
    const text = await world.post('/v1/audio/transcriptions', formOf(wav, { ...model, response_format: 'text' }))
    expect([text.headers.get('content-type'), await text.text()]).toEqual([
      'text/plain; charset=utf-8',
      `${SENTENCES}\n`,
    ])
    const srt = await world.post('/v1/audio/transcriptions', formOf(wav, { ...model, response_format: 'srt' }))
    expect(await srt.text()).toMatch(/^1\n00:00:00,\d{3} --> 00:00:\d\d,\d{3}\nHello there\.\n\n2\n/)
    const vtt = await world.post('/v1/audio/transcriptions', formOf(wav, { ...model, response_format: 'vtt' }))
    expect(await vtt.text()).toMatch(/^WEBVTT\n\n00:00:00\.\d{3} --> /)
    node.script({})
    const verbose = await world.post(
      '/v1/audio/transcriptions',
      formOf(wav, { ...model, response_format: 'verbose_json', 'timestamp_granularities[]': ['word', 'segment'] }),
    )
    expect(await verbose.json()).toMatchObject({
      task: 'transcribe',
      text: SENTENCES,
      language: 'en',
      segments: [{ id: 0, text: 'Hello there. ', avg_logprob: -0.1 }, {}, {}],
      words: expect.arrayContaining([expect.objectContaining({ word: 'walk.' })]),
    })
    expect(world.inFlight('gpu')).toBe(0)
  })

  it.each<[string, Uint8Array]>([
    ['MP3', sounds.mp3(100)],
    ['WAV', sounds.wav(8000)],
    ['FLAC', sounds.flac(16_000)],
    ['AAC', sounds.aac(50)],
    ['OGG', sounds.ogg('opus', 48_000)],
    ['WebM', sounds.webm({ durationMs: 1000 })],
    ['M4A', sounds.mp4()],
  ])('is heard in a file of the kind %s, under a name that fits, whatever it was called', async (kind, bytes) => {
    const world = await start()
    const before = node.seen().length
    const answer = await world.post('/v1/audio/transcriptions', formOf(bytes, model, 'letter.pdf'))
    expect(answer.status).toBe(200)
    if (kind !== 'WAV')
      expect(await answer.json()).toMatchObject({ text: expect.stringContaining(`received ${kind} `) })
    expect(
      node
        .seen()
        .slice(before)
        .map(({ path }) => path),
    ).toContain('/v1/audio/transcriptions')
  })

  it('is not believed of a server that talks without end, or of another time', async () => {
    const world = await start()
    const text = 'word '.repeat(2_000_000)
    node.script({ 'speech POST /v1/audio/transcriptions': { answer: { text } } })
    const wav = sounds.wav(8000)
    const streamed = await world.post('/v1/audio/transcriptions', formOf(wav, { ...model, stream: 'true' }))
    expect(await eventsOf(streamed)).toEqual([{ error: expect.objectContaining({ code: 'provider_error' }) }])
    const segments = [{ start: 0, end: 1e30, text: 'x' }]
    node.script({ 'speech POST /v1/audio/transcriptions': { answer: { text: 'x', segments } } })
    const answer = await world.post('/v1/audio/transcriptions', formOf(wav, model))
    expect([answer.status, await answer.text()]).toEqual([502, expect.stringContaining('bad_output')])
    node.script({})
    expect(world.inFlight('gpu')).toBe(0)
  })

  it('is booked at no price, with a run that holds nothing of it', async () => {
    const world = await start()
    const wav = await spoken(world)
    const answer = await world.post('/v1/audio/translations', formOf(wav, model))
    expect(await answer.json()).toMatchObject({ text: SENTENCES })
    expect(answer.headers.get('x-helix-decision-id')).toMatch(/^dec_/)
    const rows = await world.rows()
    expect(
      rows.map(({ operation, status, cost_nanos, provider }) => ({ operation, status, cost_nanos, provider })),
    ).toEqual([
      { operation: 'speech', status: 'ok', cost_nanos: 0, provider: 'gpu' },
      { operation: 'translation', status: 'ok', cost_nanos: 0, provider: 'gpu' },
    ])
    const runs = await world.runs()
    expect(runs).toMatchObject([
      { operation: 'speech', ok: true, characters: SENTENCES.length },
      { operation: 'translation', ok: true, language: 'en', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ])
    expect(JSON.stringify([rows, runs, world.log])).not.toContain('walk')
  })

  it('comes as a stream, also from servers that know nothing of its events', async () => {
    const world = await start()
    const wav = await spoken(world)
    const ask = async () =>
      eventsOf(await world.post('/v1/audio/transcriptions', formOf(wav, { ...model, stream: 'true' })))
    const events = await ask()
    expect(events.map(({ type }) => type)).toEqual([...Array(3).fill('transcript.text.delta'), 'transcript.text.done'])
    expect(
      events
        .slice(0, 3)
        .map(({ delta }) => delta)
        .join(''),
    ).toBe(SENTENCES)
    expect(events.at(-1)?.text).toBe(SENTENCES)
    node.script({ 'speech POST /v1/audio/transcriptions': { answer: { text: SENTENCES } } })
    expect(await ask()).toEqual([
      { type: 'transcript.text.delta', delta: SENTENCES },
      { type: 'transcript.text.done', text: SENTENCES },
    ])
    node.script({ 'speech POST /v1/audio/transcriptions': { html: '<p>Log in, please.</p>' } })
    const broken = await ask()
    expect(broken).toEqual([{ error: expect.objectContaining({ code: 'provider_error' }) }])
    node.script({})
    expect((await world.rows()).map(({ status }) => status)).toEqual(['ok', 'ok', 'ok', 'error'])
    expect(world.inFlight('gpu')).toBe(0)
  })

  it('is asked of the next node where one fails, and nobody reads the words of either', async () => {
    const world = await startAudio([
      { name: 'broken', demo: other, models: speechModels },
      { name: 'gpu', demo: node, models: speechModels },
    ])
    const wav = await spoken(world)
    other.script({
      'speech POST /v1/audio/transcriptions': { refuse: { status: 500, message: 'CUDA out of memory of Ada' } },
    })
    const answer = await world.post('/v1/audio/transcriptions', formOf(wav, model))
    expect([answer.status, answer.headers.get('x-helix-provider')]).toEqual([200, 'gpu'])
    const message = `CUDA out of memory of Ada${' at frame'.repeat(1000)}`
    const refusing = { 'speech POST /v1/audio/transcriptions': { refuse: { status: 500, message } } }
    node.script(refusing)
    const failed = await world.post('/v1/audio/transcriptions', formOf(wav, model))
    const body = await failed.text()
    expect([failed.status, JSON.parse(body).error.code]).toEqual([502, 'provider_error'])
    expect(body).toContain('out_of_memory')
    expect(body).not.toContain('Ada')
    node.script({})
    other.script({})
    expect([world.inFlight('gpu'), world.inFlight('broken')]).toEqual([0, 0])
  })

  it('is heard by a model of Ollama where there is no speech server', async () => {
    const world = await startAudio([{ name: 'gpu', demo: node, models: [textModel, hearingModel] }])
    node.script({ 'gemma4:e4b': { capabilities: ['completion', 'audio'], pieces: ['It ', 'works.'] } })
    const answer = await world.post('/v1/audio/transcriptions', formOf(sounds.wav(8000), model))
    expect(await answer.json()).toMatchObject({ text: 'It works.' })
    const flac = await world.post('/v1/audio/transcriptions', formOf(sounds.flac(16_000), model))
    expect(flac.status).toBe(503)
    node.script({})
  })

  it.each([
    [
      'a renamed PDF',
      () => formOf(new TextEncoder().encode('%PDF-1.7 and more'), model),
      415,
      'unsupported_media_type',
    ],
    ['a WAV without samples', () => formOf(sounds.wav(0), model), 422, 'no_audio_stream'],
    ['an unknown model', () => formOf(sounds.wav(800), { model: 'nobody/has-it' }), 404, 'model_not_found'],
    [
      'a model that only speaks',
      () => formOf(sounds.wav(800), { model: 'gpu/demo/kokoro-82m' }),
      400,
      'wrong_capability',
    ],
    [
      'words without verbose_json',
      () => formOf(sounds.wav(800), { ...model, 'timestamp_granularities[]': 'word' }),
      400,
      'invalid_request',
    ],
  ])('is not looked for in %s', async (_what, form, status, code) => {
    const world = await start()
    const answer = await world.post('/v1/audio/transcriptions', form())
    expect([answer.status, ((await answer.json()) as { error: { code: string } }).error.code]).toEqual([status, code])
  })

  it('is asked for in the file, and what is wrong with that is said', async () => {
    const world = await start()
    const refusal = async (bytes: Uint8Array) =>
      (await world.post('/v1/audio/transcriptions', formOf(bytes, model))).json()
    const empty = { param: 'file', message: expect.stringContaining('This file is empty.') }
    expect(await refusal(new Uint8Array())).toMatchObject({ error: empty })
    expect(await refusal(sounds.wav(0))).toMatchObject({ error: { param: 'file', code: 'no_audio_stream' } })
  })
})

describe('speech', () => {
  const LONG = Array.from({ length: 12 }, (_, at) => `This is sentence ${at + 1} of a long speech.`).join(' ')

  it('is one file, however many pieces it was made in', async () => {
    const world = await start()
    const before = node.seen().length
    const wav = await spoken(world, { input: LONG })
    const asked = node
      .seen()
      .slice(before)
      .filter(({ path }) => path === '/v1/audio/speech')
    expect(asked.length).toBeGreaterThan(1)
    expect(Buffer.from(wav).toString('latin1').match(/RIFF/g)).toHaveLength(1)
    const heard = await world.post('/v1/audio/transcriptions', formOf(wav, model))
    expect(((await heard.json()) as { text: string }).text).toBe(LONG)
  })

  it('is told in events to those who want them', async () => {
    const world = await start()
    const events = await eventsOf(
      await world.post('/v1/audio/speech', say({ response_format: 'pcm', stream_format: 'sse' })),
    )
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['speech.audio.delta', 'speech.audio.done']))
    expect(events.at(-1)).toMatchObject({ type: 'speech.audio.done', usage: {} })
  })

  it('says which format a server cannot make, and what is nothing to say', async () => {
    const world = await start()
    const flac = await world.post('/v1/audio/speech', say({ response_format: 'flac' }))
    expect([flac.status, await flac.json()]).toMatchObject([400, { error: { param: 'response_format' } }])
    const nothing = await world.post('/v1/audio/speech', say({ input: ' \n\t ' }))
    expect([nothing.status, await nothing.json()]).toMatchObject([400, { error: { param: 'input' } }])
    const nobody = await world.post('/v1/audio/speech', say({ voice: 'nobody' }))
    expect([nobody.status, await nobody.text()]).toEqual([400, expect.stringContaining('GET /v1/audio/voices')])
  })

  it('ends at the node when its listener leaves, and gives the place back', async () => {
    const world = await start()
    node.script({ 'demo/kokoro-82m': { hang: { afterPieces: 1 } } })
    const response = await world.post('/v1/audio/speech', say({ response_format: 'pcm' }))
    const reader = response.body?.getReader()
    expect((await reader?.read())?.done).toBe(false)
    expect(world.inFlight('gpu')).toBe(1)
    await reader?.cancel()
    await vi.waitFor(() => expect(world.inFlight('gpu')).toBe(0))
    expect((await world.rows()).map(({ status, stream }) => ({ status, stream }))).toEqual([
      { status: 'aborted', stream: true },
    ])
    node.script({})
  })
})

it('lists the voices of the speech server', async () => {
  const world = await start()
  const answer = await world.call('/v1/audio/voices')
  expect(await answer.json()).toMatchObject({
    object: 'list',
    data: expect.arrayContaining([
      expect.objectContaining({ id: 'demo_ada', language: 'en', provider: 'gpu', model: 'demo/kokoro-82m' }),
    ]),
  })
})
