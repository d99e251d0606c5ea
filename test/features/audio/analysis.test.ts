import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DemoNode } from '../../../scripts/local/demo-node/server.ts'
import * as sounds from '../../support/sounds.ts'
import { agentModels, demo, formOf, speechModels, startAudio, textModel } from './world.ts'

let node: DemoNode
beforeAll(async () => {
  node = await demo()
})
afterAll(() => node?.close())

const start = (models = [...speechModels, ...agentModels]) => startAudio([{ name: 'gpu', demo: node, models }])
type World = Awaited<ReturnType<typeof start>>

async function spoken(world: World, input: string, voice = 'demo_ada'): Promise<Uint8Array> {
  const fields = { model: 'tts-1', voice, input, response_format: 'wav' }
  const response = await world.post('/v1/audio/speech', fields)
  expect(response.status).toBe(200)
  return new Uint8Array(await response.arrayBuffer())
}

/** One recording after the other; both are of the same kind. */
const behind = (one: Uint8Array, other: Uint8Array): Uint8Array => {
  const joined = Buffer.concat([one, other.subarray(44)])
  return new Uint8Array(joined)
}

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

describe('a transcription of the platform', () => {
  it('says how sure it is, where everything was said, and keeps it where that is wanted', async () => {
    const world = await start()
    const wav = await spoken(world, 'The ship is late. ')
    const fields = { include_timestamps: 'true', store: 'true', language: 'auto' }
    const answer = await world.post('/api/v1/audio/transcribe', formOf(wav, fields))
    const body = await json(answer)
    expect(body).toMatchObject({
      object: 'audio.transcription',
      transcription: 'The ship is late.',
      language: 'en',
      has_content: true,
      confidence_source: 'logprob',
      segments: [{ text: 'The ship is late.', start_ms: expect.any(Number) }],
      model: 'gpu/demo/whisper-large-v3',
      transcript_id: expect.stringMatching(/^trn_/),
    })
    expect(body.confidence).toBeCloseTo(Math.exp(-0.1) * 0.99, 5)
    const kept = (await world.runs()).filter(({ id }) => id === body.transcript_id)
    expect(kept).toMatchObject([{ text: 'The ship is late.', words: [{ word: 'The' }, {}, {}, {}] }])
  })

  it('finds nothing in silence, and believes no words over it', async () => {
    const world = await start()
    const nothing = { transcription: '', has_content: false, confidence: null, confidence_source: null }
    const silent = await world.post('/api/v1/audio/transcribe', formOf(sounds.wav(16_000)))
    expect(await json(silent)).toMatchObject(nothing)
    node.script({ 'demo/whisper-large-v3': { pieces: ['Thanks for watching!'] } })
    const invented = await world.post('/api/v1/audio/transcribe', formOf(sounds.wav(16_000)))
    expect(await json(invented)).toMatchObject(nothing)
    node.script({})
  })

  it('is tried again warmer where a phrase loops', async () => {
    const world = await start()
    const segment = { start: 0, end: 2, text: 'na na na', avg_logprob: -0.2, no_speech_prob: 0, compression_ratio: 3 }
    node.script({
      'speech POST /v1/audio/transcriptions': { answer: { text: 'na na na', duration: 2, segments: [segment] } },
    })
    const before = node.seen().length
    const answer = await world.post('/api/v1/audio/transcribe', formOf(sounds.flac(16_000)))
    expect(answer.status).toBe(200)
    expect(
      node
        .seen()
        .slice(before)
        .filter(({ path }) => path === '/v1/audio/transcriptions'),
    ).toHaveLength(3)
    node.script({})
  })

  it.each([
    ['neither a file nor an upload', {}, 422],
    ['a field that there is none of', { file: 'x', model: 'y' }, 422],
  ])('is not made of %s', async (_what, body, status) => {
    const world = await start()
    expect((await world.post('/api/v1/audio/transcribe', body)).status).toBe(status)
  })

  it('takes ten minutes at once, and what is longer as an upload', async () => {
    const world = await start()
    const answer = await world.post('/api/v1/audio/transcribe', formOf(sounds.mp3(23_000)))
    expect([answer.status, await json(answer)]).toMatchObject([
      422,
      {
        code: 'too_long',
        detail: expect.stringContaining('upload_id'),
        errors: [{ pointer: '/file', detail: expect.stringContaining('longer than 10 minutes') }],
      },
    ])
    const other = await json(await world.post('/api/v1/audio/transcribe', formOf(new TextEncoder().encode('%PDF-1.7'))))
    expect(other).toMatchObject({ code: 'unsupported_media_type', errors: [{ pointer: '/file' }] })
    const silent = await json(await world.post('/api/v1/audio/transcribe', formOf(sounds.wav(0))))
    expect(silent).toMatchObject({ code: 'no_audio_stream', errors: [{ pointer: '/file' }] })
  })
})

describe('who speaks', () => {
  it('is told with what they say, under either name of the route', async () => {
    const world = await start()
    const one = await spoken(world, 'Hello, who is there? ', 'demo_ada')
    const other = await spoken(world, 'It is only me, Ben. ', 'demo_ben')
    for (const path of ['identify-speakers', 'identify-speaker']) {
      const answer = await world.post(`/api/v1/audio/${path}`, formOf(behind(one, other)))
      const body = await json(answer)
      expect(body).toMatchObject({ speakers_identified: 2, transcribed: true, analysis_source: 'facts' })
      const segments = body.segments as { speaker: string; text: string }[]
      const said = (speaker: string | undefined) =>
        segments
          .filter((segment) => segment.speaker === speaker)
          .map(({ text }) => text)
          .join(' ')
          .trim()
      expect(said(segments[0]?.speaker)).toBe('Hello, who is there?')
      expect(said(segments.at(-1)?.speaker)).toBe('It is only me, Ben.')
      expect(body.speaker_analysis).toContain('There are 2 speakers.')
    }
    const within = (await world.rows()).filter(({ parent_request_id }) => parent_request_id)
    expect(within.map(({ operation }) => operation)).toEqual(['transcription', 'transcription'])
    expect(world.inFlight('gpu')).toBe(0)
  })
})

describe('what a sound is', () => {
  it('is told by a model that heard it, over closed lists', async () => {
    const world = await start()
    const wav = await spoken(world, 'This is a calm voice. ')
    const emotion = await json(await world.post('/api/v1/audio/analyze-emotion', formOf(wav, { per_segment: 'true' })))
    expect(emotion).toMatchObject({ method: 'classifier', segments: expect.any(Array), analysis_source: 'facts' })
    const detected = emotion.detected_emotions as { emotion: string; confidence: number }[]
    expect(emotion.dominant_emotion).toBe(detected[0]?.emotion)
    expect(emotion.confidence).toBe(detected[0]?.confidence)
    const own = await json(
      await world.post('/api/v1/audio/classify', formOf(wav, { 'categories[]': ['speech', 'music'] })),
    )
    expect(own).toMatchObject({ detected_categories: [{ category: 'speech' }], confidence_source: 'model' })
    const music = await json(await world.post('/api/v1/audio/analyze-music', formOf(wav)))
    expect(music).toMatchObject({ loudness_lufs: expect.any(Number), vocals: { present: expect.any(Boolean) } })
    expect(String(music.music_analysis)).toContain('LUFS')
  })

  it('has no measures where no agent can read the file, and still its labels', async () => {
    const world = await start()
    node.script({
      'agent POST /v1/audio/classifications': {
        answer: {
          model: 'x',
          scores: [
            { label: 'Jazz', score: 9 },
            { label: 'rock', score: 1 },
          ],
        },
      },
      'agent POST /v1/audio/measure': { refuse: { status: 415, message: 'WAV only' } },
    })
    const music = await json(await world.post('/api/v1/audio/analyze-music', formOf(sounds.flac(16_000))))
    expect(music).toMatchObject({
      detected_genres: [
        { genre: 'jazz', confidence: 0.9 },
        { genre: 'rock', confidence: 0.1 },
      ],
      tempo_bpm: null,
      key: null,
      loudness_lufs: null,
      vocals: null,
    })
    node.script({})
  })

  it('is summed up by a text model, unless it makes up a number', async () => {
    const world = await start([...speechModels, ...agentModels, textModel])
    const wav = await spoken(world, 'Listen. ')
    node.script({ 'llama3.1:8b': { pieces: ['A voice that ', 'is calm.'] } })
    const good = await json(await world.post('/api/v1/audio/classify', formOf(wav)))
    expect(good).toMatchObject({ classification: 'A voice that is calm.', analysis_source: 'model' })
    node.script({ 'llama3.1:8b': { pieces: ['It lasts 1234 seconds.'] } })
    const bad = await json(await world.post('/api/v1/audio/classify', formOf(wav)))
    expect(bad).toMatchObject({ analysis_source: 'facts' })
    expect(bad.classification).not.toContain('1234')
    node.script({})
  })

  it.each(['analyze-emotion', 'classify', 'analyze-music', 'identify-speakers'])(
    'is never guessed by a text model: %s',
    async (path) => {
      const world = await start([textModel])
      const answer = await world.post(`/api/v1/audio/${path}`, formOf(sounds.wav(8000)))
      const capability = path === 'identify-speakers' ? 'diarization' : 'audio_classification'
      expect([answer.status, await json(answer)]).toMatchObject([503, { code: 'no_capable_model', capability }])
      expect(answer.headers.get('retry-after')).toBe('30')
      expect(await world.rows()).toEqual([])
    },
  )
})

it('what can be done, and by which models', async () => {
  const world = await start([...speechModels, ...agentModels, textModel])
  expect(await json(await world.call('/api/v1/audio/models'))).toMatchObject({
    total_models: 4,
    models: expect.arrayContaining([
      expect.objectContaining({ name: 'demo/pitch-diarizer', node: 'gpu', capabilities: ['diarization'] }),
    ]),
  })
  expect(await json(await world.call('/api/v1/audio/health'))).toMatchObject({
    status: 'healthy',
    formats: ['mp3', 'wav', 'flac', 'aac', 'ogg', 'webm', 'm4a'],
    max_concurrent_tasks: 2,
    in_flight: 0,
    models: { transcription: ['gpu/demo/whisper-large-v3'], audio_classification: ['gpu/demo/sound-classifier'] },
  })
})
