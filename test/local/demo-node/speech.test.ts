import OpenAI, { toFile } from 'openai'
import { describe, expect, it } from 'vitest'
import type { DemoNode } from '../../../scripts/local/demo-node/server.ts'
import { hearSentences, sentencesOf, speakSentence } from '../../../scripts/local/demo-node/speech/tone-text.ts'
import { noise, silence, soundFrom, tone, wavOf } from '../../ops/agent/sounds.ts'
import { asObject, startNode } from './demo-client.ts'

const whisper = 'demo/whisper-large-v3'
const text = 'Hello there, Zoë! Does this work? It costs 3.50 €.'

function clientOf(node: DemoNode): OpenAI {
  return new OpenAI({ baseURL: `${node.speechUrl}/v1`, apiKey: 'none', maxRetries: 0 })
}

async function speak(node: DemoNode, fields: { speed?: number; response_format?: 'mp3' | 'wav'; voice?: string } = {}) {
  const wanted = { model: 'demo/kokoro-82m', input: text, voice: 'alloy', response_format: 'wav' as const, ...fields }
  return new Uint8Array(await (await clientOf(node).audio.speech.create(wanted)).arrayBuffer())
}

function formOf(bytes: Uint8Array<ArrayBuffer>, fields: Record<string, string> = {}): FormData {
  const form = new FormData()
  form.set('file', new Blob([bytes]), 'sound.wav')
  for (const [name, value] of Object.entries({ model: whisper, ...fields })) form.set(name, value)
  return form
}

function transcribe(node: DemoNode, bytes: Uint8Array<ArrayBuffer>, fields: Record<string, string> = {}) {
  return fetch(`${node.speechUrl}/v1/audio/transcriptions`, { method: 'POST', body: formOf(bytes, fields) })
}

it('keeps a text together when it is cut into sentences', () => {
  expect(sentencesOf(text).join('')).toBe(text)
  expect(sentencesOf('no end')).toEqual(['no end'])
  expect(sentencesOf('')).toEqual([])
})

describe('tones', () => {
  it.each([0.25, 1, 2, 4])('are heard as the words again at speed %d, wherever they begin', (speed) => {
    const spoken = speakSentence('Grüße, 世界 🌍', { pitchHz: 120, speed })
    const later = new Float32Array(spoken.length + 3333)
    later.set(spoken, 3333)
    expect(hearSentences(later, 24_000).map((sentence) => sentence.text)).toEqual(['Grüße, 世界 🌍'])
  })

  it('are not heard in noise, nor in a tone', () => {
    for (const wave of [noise(0.3), tone(2700, 0.3)]) {
      const [samples = new Float32Array()] = soundFrom(wave, { seconds: 2, sampleRate: 24_000 }).channels
      expect(hearSentences(samples, 24_000)).toEqual([])
    }
  })
})

it('lists models, voices and its health', async () => {
  const node = await startNode()
  const models = await asObject(await fetch(`${node.speechUrl}/v1/models`))
  expect(models.data).toContainEqual(
    expect.objectContaining({ id: whisper, object: 'model', task: 'automatic-speech-recognition' }),
  )
  expect(await asObject(await fetch(`${node.speechUrl}/v1/audio/voices`))).toMatchObject({
    voices: expect.arrayContaining([expect.objectContaining({ id: 'demo_ada', gender: 'female' })]),
  })
  expect(await (await fetch(`${node.speechUrl}/health`)).text()).toBe('OK')
  expect((await fetch(`${node.speechUrl}/api/tags`)).status).toBe(404)
})

it.each(['wav', 'mp3'] as const)('returns the words it spoke as %s, through the OpenAI client', async (format) => {
  const node = await startNode()
  const file = await toFile(await speak(node, { response_format: format }), `said.${format}`)
  const heard = await clientOf(node).audio.transcriptions.create({ model: whisper, file })
  expect(heard.text).toBe(text)
})

it('times sentences and words', async () => {
  const node = await startNode()
  const file = await toFile(await speak(node), 'said.wav')
  const wanted = { model: whisper, file, response_format: 'verbose_json' } as const
  const heard = await clientOf(node).audio.transcriptions.create({ ...wanted, timestamp_granularities: ['word'] })
  expect(heard).toMatchObject({ task: 'transcribe', language: 'en', text })
  expect(heard.segments?.map((segment) => segment.text).join('')).toBe(text)
  expect(heard.words?.map(({ word }) => word)).toEqual(text.split(' '))
  const times = heard.words?.flatMap(({ start, end }) => [start, end]) ?? []
  expect(times).toEqual([...times].sort((left, right) => left - right))
  expect(heard.duration).toBeGreaterThan(times.at(-1) ?? Number.POSITIVE_INFINITY)
})

it('streams what it hears, sentence by sentence', async () => {
  const node = await startNode()
  const file = await toFile(await speak(node), 'said.wav')
  const stream = await clientOf(node).audio.transcriptions.create({ model: whisper, file, stream: true })
  const deltas: string[] = []
  let done = ''
  for await (const event of stream) {
    if (event.type === 'transcript.text.delta') deltas.push(event.delta)
    if (event.type === 'transcript.text.done') done = event.text
  }
  expect(deltas.length).toBeGreaterThan(2)
  expect([deltas.join(''), done]).toEqual([text, text])
})

it('writes subtitles', async () => {
  const node = await startNode()
  const bytes = new Uint8Array(await speak(node))
  expect(await (await transcribe(node, bytes, { response_format: 'srt' })).text()).toMatch(
    /^1\n00:00:00,000 --> 00:00:0\d,\d{3}\nHello there, Zoë!\n\n2\n/,
  )
  expect(await (await transcribe(node, bytes, { response_format: 'vtt' })).text()).toMatch(
    /^WEBVTT\n\n00:00:00\.000 -->/,
  )
  expect(await (await transcribe(node, bytes, { response_format: 'text' })).text()).toBe(text)
})

it('says what it measured of a sound that is not its own, and hears nothing in silence and noise', async () => {
  const node = await startNode()
  const ofTone = await asObject(
    await transcribe(node, wavOf(soundFrom(tone(200, 0.3), { seconds: 2, sampleRate: 16_000 }))),
  )
  expect(ofTone.text).toMatch(
    /^\[demo node\] This is not a transcription.*2\.0 seconds at -\d+\.\d LUFS with a pitch of 200 Hz/,
  )
  for (const wave of [silence, noise(0.2)]) {
    const file = wavOf(soundFrom(wave, { seconds: 1, sampleRate: 16_000 }))
    expect(await asObject(await transcribe(node, file, { response_format: 'verbose_json' }))).toMatchObject({
      text: '',
      segments: [{ text: '', no_speech_prob: 0.95 }],
    })
  }
})

it('refuses what is no recording, no model and no file', async () => {
  const node = await startNode()
  const wav = wavOf(soundFrom(silence, { seconds: 1, sampleRate: 8000 }))
  const pdf = new Uint8Array(Buffer.from('%PDF-1.7 this is not a sound'))
  const statuses = await Promise.all([
    transcribe(node, pdf),
    transcribe(node, new Uint8Array()),
    transcribe(node, wav, { model: 'demo/none' }),
    transcribe(node, wav, { model: 'demo/kokoro-82m' }),
    transcribe(node, wav, { response_format: 'xml' }),
    fetch(`${node.speechUrl}/v1/audio/transcriptions`, { method: 'POST', body: new FormData() }),
  ])
  expect(statuses.map(({ status }) => status)).toEqual([415, 400, 404, 404, 422, 422])
  expect(await statuses[0]?.json()).toEqual({ detail: expect.stringContaining('not supported') })
})

it('streams sound in base64 events, and says which formats it cannot make', async () => {
  const node = await startNode()
  const ask = (fields: Record<string, unknown>) =>
    fetch(`${node.speechUrl}/v1/audio/speech`, {
      method: 'POST',
      body: JSON.stringify({ model: 'demo/kokoro-82m', input: text, voice: 'demo_ben', ...fields }),
    })
  const events = (await (await ask({ response_format: 'pcm', stream_format: 'sse' })).text())
    .trim()
    .split('\n\n')
    .map((line) => JSON.parse(line.slice(6)))
  expect(events.map(({ type }) => type)).toEqual([
    ...sentencesOf(text).map(() => 'speech.audio.delta'),
    'speech.audio.done',
  ])
  const refused = await ask({ response_format: 'opus' })
  expect([refused.status, await refused.json()]).toEqual([415, { detail: expect.stringContaining('demo node') }])
  expect((await ask({ voice: 'nobody' })).status).toBe(422)
  expect((await ask({ speed: 9 })).status).toBe(422)
})

it('plays a script: an answer, a refusal, half an answer, garbage', async () => {
  const node = await startNode({
    script: {
      'demo/whisper-large-v3': [
        { pieces: ['One.', ' Two.'] },
        { answer: { text: 42 } },
        { refuse: { status: 500, message: 'CUDA out of memory' } },
        { cutAfter: { bytes: 5 } },
        { html: '<h1>Hello</h1>' },
      ],
      'speech GET /health': { refuse: { status: 503, message: 'starting' } },
    },
  })
  const wav = wavOf(soundFrom(silence, { seconds: 1, sampleRate: 8000 }))
  expect(await (await transcribe(node, wav)).json()).toEqual({ text: 'One. Two.' })
  expect(await (await transcribe(node, wav)).json()).toEqual({ text: 42 })
  const failed = await transcribe(node, wav)
  expect([failed.status, await failed.json()]).toEqual([500, { detail: 'CUDA out of memory' }])
  await expect(transcribe(node, wav).then((response) => response.text())).rejects.toThrow()
  expect(await (await transcribe(node, wav)).text()).toBe('<h1>Hello</h1>')
  expect((await fetch(`${node.speechUrl}/health`)).status).toBe(503)
  node.script({})
  expect((await fetch(`${node.speechUrl}/health`)).status).toBe(200)
})
