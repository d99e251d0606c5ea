import * as z from 'zod'
import { httpFailure } from '../failures.ts'
import { pitchOfVoice, voices } from '../offered.ts'
import { enterDelayed, fileOf, readFields, sendObject, sendPieces, textOf } from '../own-answer.ts'
import { sendJson, sendText } from '../responses.ts'
import { readForm } from '../transcription.ts'
import type { Exchange, Methods, ScriptedReply } from '../types.ts'
import { encodeParts, type SpokenPart, speechFormats, speechTypes } from './encode.ts'
import { hear, type Transcript } from './hear.ts'
import { toSrt, toVtt } from './subtitles.ts'
import { sentencesOf, speakSentence } from './tone-text.ts'

function handleModels({ node, response }: Exchange): void {
  const created = Math.floor(node.nowMs() / 1000)
  const data = node.offered.speech.map((model) => ({ ...model, object: 'model', created, owned_by: 'demo' }))
  sendJson(response, 200, { object: 'list', data })
}

function handleVoices({ node, response }: Exchange): void {
  const speaker = node.offered.speech.find(({ task }) => task === 'text-to-speech')
  const listed = voices.map(({ pitchHz: _, ...voice }) => ({ ...voice, model_id: speaker?.id }))
  sendJson(response, 200, { object: 'list', voices: speaker ? listed : [] })
}

function requireModel({ node }: Exchange, { asked, task }: { asked: string; task: string }): void {
  const model = node.offered.speech.find(({ id }) => id === asked)
  if (!model) throw httpFailure(404, `Model '${asked}' is not installed locally.`)
  if (model.task !== task) throw httpFailure(404, `Model '${asked}' is not supported.`)
}

/** A script's pieces are the segments, a second each. */
function scriptedTranscript(pieces: readonly string[], language: string | undefined): Transcript {
  const segments = pieces.map((text, id) => ({
    id,
    seek: 0,
    start: id,
    end: id + 1,
    text,
    tokens: [],
    temperature: 0,
    avg_logprob: -0.1,
    compression_ratio: 1,
    no_speech_prob: 0.01,
    words: null,
  }))
  return { text: pieces.join('').trim(), language: language ?? 'en', duration: pieces.length, segments }
}

type Wanted = { format: string; task: 'transcribe' | 'translate'; granularities: readonly string[]; stream: boolean }

function verbose(transcript: Transcript, { task, granularities }: Wanted) {
  const withWords = granularities.includes('word')
  const words = withWords ? transcript.segments.flatMap((segment) => segment.words ?? []) : null
  const segments = transcript.segments.map((segment) => ({ ...segment, words: withWords ? segment.words : null }))
  return { task, ...transcript, segments, words }
}

function sse(event: unknown): string {
  return `data: ${JSON.stringify(event)}\n\n`
}

async function sendTranscript(
  exchange: Exchange,
  transcript: Transcript,
  how: Wanted & { script: ScriptedReply | undefined },
) {
  const { script, format, stream } = how
  if (stream) {
    const deltas = transcript.segments.filter(({ text }) => text !== '').map(({ text }) => text)
    const events = deltas.map((delta) => sse({ type: 'transcript.text.delta', delta }))
    const done = sse({ type: 'transcript.text.done', text: transcript.text })
    return sendPieces(exchange, { contentType: 'text/event-stream', pieces: [...events, done], script })
  }
  if (format === 'json') return sendObject(exchange, { text: transcript.text }, script)
  if (format === 'verbose_json') return sendObject(exchange, verbose(transcript, how), script)
  const text = { srt: toSrt(transcript.segments), vtt: toVtt(transcript.segments) }[format] ?? transcript.text
  const contentType = format === 'vtt' ? 'text/vtt; charset=utf-8' : 'text/plain; charset=utf-8'
  return sendPieces(exchange, { contentType, pieces: [text], script })
}

const transcriptFormats = ['json', 'text', 'srt', 'vtt', 'verbose_json']

async function transcribe(exchange: Exchange, task: Wanted['task']): Promise<void> {
  const form = await readForm(exchange)
  const bytes = await fileOf(form)
  const asked = textOf(form, 'model')
  if (asked === undefined) throw httpFailure(422, 'model: Field required')
  const format = textOf(form, 'response_format') ?? 'json'
  if (!transcriptFormats.includes(format))
    throw httpFailure(422, `response_format: '${format}' is none of ${transcriptFormats}`)
  const entered = await enterDelayed(exchange, asked)
  if (!entered) return
  const { script } = entered
  if (script === undefined) requireModel(exchange, { asked, task: 'automatic-speech-recognition' })
  const language = task === 'translate' ? undefined : textOf(form, 'language')
  const temperature = Number(textOf(form, 'temperature') ?? 0)
  const transcript = script?.pieces
    ? scriptedTranscript(script.pieces, language)
    : hear(bytes, { language, temperature })
  const granularities = form.getAll('timestamp_granularities[]').map(String)
  const stream = textOf(form, 'stream') === 'true'
  await sendTranscript(exchange, transcript, { format, task, granularities, stream, script })
}

const speechRequest = z.object({
  model: z.string(),
  input: z.string(),
  voice: z.union([z.string(), z.object({ id: z.string() }).transform(({ id }) => id)]),
  response_format: z.enum(speechFormats).default('mp3'),
  speed: z.number().min(0.25).max(4).default(1),
  stream_format: z.enum(['audio', 'sse']).default('audio'),
})

/** `POST /v1/audio/speech`: tones that the transcription hears as the words again. */
async function handleSpeech(exchange: Exchange): Promise<void> {
  const body = await readFields(exchange, speechRequest)
  const entered = await enterDelayed(exchange, body.model)
  if (!entered) return
  const { script } = entered
  if (script === undefined) requireModel(exchange, { asked: body.model, task: 'text-to-speech' })
  const pitchHz = pitchOfVoice(body.voice)
  if (pitchHz === undefined) throw httpFailure(422, `Voice '${body.voice}' is not known.`)
  const { response_format: format } = body
  if (format === 'opus' || format === 'aac' || format === 'flac') {
    throw httpFailure(415, `The demo node has no encoder for ${format}: it makes wav and pcm, and mp3 without sound.`)
  }
  const parts: SpokenPart[] = (script?.pieces ?? sentencesOf(body.input)).map((text) => ({
    text,
    samples: speakSentence(text, { pitchHz, speed: body.speed }),
  }))
  const encoded = encodeParts(parts, format)
  if (body.stream_format === 'audio') {
    return sendPieces(exchange, { contentType: speechTypes[format], pieces: encoded, script })
  }
  const deltas = encoded.map((part) => sse({ type: 'speech.audio.delta', audio: Buffer.from(part).toString('base64') }))
  const usage = { input_tokens: 0, output_tokens: 0, total_tokens: 0 }
  const pieces = [...deltas, sse({ type: 'speech.audio.done', usage })]
  await sendPieces(exchange, { contentType: 'text/event-stream', pieces, script })
}

/** Shaped like speaches. */
export const speechRoutes: Readonly<Record<string, Methods>> = {
  '/health': { GET: ({ response }) => sendText(response, 200, 'OK') },
  '/v1/models': { GET: handleModels },
  '/v1/audio/voices': { GET: handleVoices },
  '/v1/audio/transcriptions': { POST: (exchange) => transcribe(exchange, 'transcribe') },
  '/v1/audio/translations': { POST: (exchange) => transcribe(exchange, 'translate') },
  '/v1/audio/speech': { POST: handleSpeech },
}
