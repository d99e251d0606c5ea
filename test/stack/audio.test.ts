import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { count, full } from '../support/lane.ts'
import * as sounds from '../support/sounds.ts'
import { type Stack, startStack } from '../support/stack.ts'

const SENTENCES = 'The harbour is quiet. Two boats come in.'
const WAIT = { timeout: count(40_000, 150_000), interval: 100 }

let node: DemoNode
let stack: Stack
let orgId: string
let apiKey: string
let client: OpenAI
let wav: Uint8Array<ArrayBuffer>

beforeAll(async () => {
  node = await startDemoNode({ chunkDelayMs: 0 })
  stack = await startStack({
    vars: { OLLAMA_BASE_URL: node.url, NODE_SPEECH_URL: node.speechUrl, NODE_AGENT_URL: node.agentUrl },
  })
  const made = await stack.org({ scopes: ['audio:read', 'audio:write', 'models:read', 'node:write'] })
  orgId = made.orgId
  apiKey = made.apiKey
  client = new OpenAI({ apiKey, baseURL: `${stack.url}/v1`, maxRetries: 0 })
  const spoken = { model: 'tts-1', voice: 'alloy', input: SENTENCES, response_format: 'wav' } as const
  wav = new Uint8Array(await (await client.audio.speech.create(spoken)).arrayBuffer())
})
afterAll(async () => {
  await stack?.close()
  await node?.close()
})

const file = (bytes: Uint8Array<ArrayBuffer> = wav) => toFile(bytes, 'sound.wav')

function form(bytes: Uint8Array, fields: Record<string, string> = {}): FormData {
  const body = new FormData()
  for (const [name, value] of Object.entries(fields)) body.append(name, value)
  body.append('file', new File([new Uint8Array(bytes)], 'sound.wav'))
  return body
}

async function analyse(name: string, bytes: Uint8Array, fields: Record<string, string> = {}) {
  const init = { method: 'POST', body: form(bytes, fields) }
  const answer = await stack.call(apiKey, `/api/v1/audio/${name}`, undefined, init)
  return { status: answer.status, body: z.looseObject({}).parse(await answer.json()) }
}

const inFlight = async (): Promise<unknown> => {
  const answer = await stack.call(apiKey, '/api/v1/audio/health')
  return z.looseObject({ in_flight: z.number() }).parse(await answer.json()).in_flight
}

describe('the official client', () => {
  it('hears what it had spoken', async () => {
    const whole = await client.audio.transcriptions.create({ file: await file(), model: 'whisper-1' })
    expect(whole.text).toBe(SENTENCES)
    const english = await client.audio.translations.create({ file: await file(), model: 'whisper-1' })
    expect(english.text).toBe(SENTENCES)
    const verbose = await client.audio.transcriptions.create({
      file: await file(),
      model: 'whisper-1',
      response_format: 'verbose_json',
      timestamp_granularities: ['word', 'segment'],
    })
    expect(verbose.segments?.map(({ text }) => text.trim())).toEqual(['The harbour is quiet.', 'Two boats come in.'])
    expect(verbose.words?.map(({ word }) => word).join(' ')).toBe(SENTENCES)
    const srt = await client.audio.transcriptions.create({
      file: await file(),
      model: 'whisper-1',
      response_format: 'srt',
    })
    expect(srt).toContain('\nTwo boats come in.\n')
  })

  it('finds the models that hear and speak in the list', async () => {
    const listed = (await client.models.list()).data.map(({ id }) => id)
    const heard = 'ollama/demo/whisper-small'
    expect(listed).toContain(heard)
    expect(await client.models.retrieve(heard)).toMatchObject({ id: heard, owned_by: 'ollama' })
    const said = await client.audio.transcriptions.create({ file: await file(), model: heard })
    expect(said.text).not.toBe('')
  })

  it('reads a transcription as it is made', async () => {
    const stream = await client.audio.transcriptions.create({
      file: await file(),
      model: 'gpt-4o-mini-transcribe',
      stream: true,
    })
    const events: OpenAI.Audio.TranscriptionStreamEvent[] = []
    for await (const event of stream) events.push(event)
    const deltas = events.flatMap((event) => (event.type === 'transcript.text.delta' ? [event.delta] : []))
    expect(deltas.join('')).toBe(SENTENCES)
    expect(deltas.length).toBe(2)
    expect(events.at(-1)).toMatchObject({ type: 'transcript.text.done', text: SENTENCES })
  })

  it('is told what is no sound', async () => {
    const pdf = client.audio.transcriptions.create({
      file: await toFile(Buffer.from('%PDF-1.7'), 'talk.mp3'),
      model: 'whisper-1',
    })
    await expect(pdf).rejects.toMatchObject({ status: 415, code: 'unsupported_media_type' })
  })

  it('is in the books, with what was heard in none of them', async () => {
    const rows = () =>
      stack.query(
        `select l.operation, l.cost_nanos::int as cost, l.status, d.task_type, a.ok, a.audio_ms is not null as has_length
         from usage_ledger l join decisions d using (request_id) join audio_runs a using (request_id)
         where l.org_id = $1 and l.operation = 'translation'`,
        [orgId],
      )
    const row = {
      operation: 'translation',
      cost: 0,
      status: 'ok',
      task_type: 'audio_transcription',
      ok: true,
      has_length: true,
    }
    await expect.poll(rows, WAIT).toEqual([row])
  })
})

async function uploaded(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const Upload = z.object({ id: z.string(), upload_url: z.string() })
  const announced = await stack.call(apiKey, '/api/v1/uploads', { filename: 'a.wav', size_bytes: bytes.length })
  const { id, upload_url } = Upload.parse(await announced.json())
  const sent = { method: 'PUT', body: bytes, headers: { 'content-type': 'audio/wav' } }
  expect((await stack.call(apiKey, upload_url, undefined, sent)).status).toBe(200)
  return id
}

async function resultOf(accepted: Response) {
  const Result = z.looseObject({ transcription: z.string(), transcript_id: z.string().optional() })
  const Job = z.object({ id: z.string(), status: z.string(), result: Result.optional() })
  const { id } = Job.parse(await accepted.json())
  const see = async () => Job.parse(await (await stack.call(apiKey, `/api/v1/jobs/${id}`)).json())
  await expect.poll(async () => (await see()).status, WAIT).toBe('completed')
  return (await see()).result
}

describe('a recording', () => {
  it('is written down, told apart and told what it is', async () => {
    expect(await analyse('transcribe', wav)).toMatchObject({
      status: 200,
      body: { transcription: SENTENCES, has_content: true, confidence_source: 'logprob' },
    })
    expect(await analyse('identify-speaker', wav)).toMatchObject({ status: 200, body: { speakers_identified: 1 } })
    expect(await analyse('analyze-music', wav)).toMatchObject({
      status: 200,
      body: { loudness_lufs: expect.any(Number) },
    })
    expect(await analyse('transcribe', sounds.wav(16_000))).toMatchObject({
      status: 200,
      body: { transcription: '', has_content: false },
    })
  })

  it('that was uploaded is written down by a job, and its transcript kept once', async () => {
    const upload_id = await uploaded(wav)
    const later = { headers: { prefer: 'respond-async' } }
    const answer = await stack.call(apiKey, '/api/v1/audio/transcribe', { upload_id, store: true }, later)
    expect(answer.status).toBe(202)
    const result = await resultOf(answer)
    expect(result).toMatchObject({ transcription: SENTENCES })
    const kept = `/api/v1/audio/transcripts/${result?.transcript_id}`
    expect(await (await stack.call(apiKey, kept)).json()).toMatchObject({ text: SENTENCES, segments: [{}, {}] })
    const list = await (await stack.call(apiKey, '/api/v1/audio/transcripts')).json()
    expect(list).toMatchObject({ data: [{ id: result?.transcript_id }], has_more: false })
    expect((await stack.call(apiKey, kept, undefined, { method: 'DELETE' })).status).toBe(204)
    expect((await stack.call(apiKey, kept)).status).toBe(404)
  })

  // Thirty megabytes through three processes take their time.
  it.runIf(full())('that is too large to be held goes to the node as it is read', { timeout: 180_000 }, async () => {
    const large = new Uint8Array(30 * 1024 * 1024)
    large.set(sounds.flac(16_000 * 3000))
    const upload_id = await uploaded(large)
    const answer = await stack.call(apiKey, '/api/v1/audio/transcribe', { upload_id })
    expect(answer.status).toBe(202)
    const result = await resultOf(answer)
    expect(result?.transcription).toContain(`FLAC of ${large.length} bytes`)
    expect(await stack.call(apiKey, '/api/v1/audio/classify', { upload_id: 'upl_none' })).toMatchObject({ status: 404 })
  })
})

it('what was noted of sounds is gone after ninety days', async () => {
  await stack.query(
    `insert into audio_runs (id, org_id, request_id, operation, ok, ms, created_at)
     values ('aur_old', $1, 'req_old', 'speech', true, 1, 1)`,
    [orgId],
  )
  await stack.query(
    `insert into transcripts (id, org_id, text, expires_at, created_at, updated_at) values ('trn_old', $1, 'x', 2, 1, 1)`,
    [orgId],
  )
  await stack.tick(Date.UTC(2019, 5, 16, 5, 30))
  const left = () =>
    stack.query(`select id from audio_runs where id = 'aur_old' union select id from transcripts where id = 'trn_old'`)
  expect(await left()).toEqual([])
})

describe('a node', () => {
  it('has its place back from listeners who leave', async () => {
    const slow = { pieces: Array.from({ length: 150 }, () => 'So. '), pieceDelayMs: 100 }
    node.script({ 'demo/kokoro-82m': slow, 'demo/whisper-large-v3': slow })
    const leaving = new AbortController()
    const { signal } = leaving
    const spoken = { model: 'tts-1', voice: 'alloy', input: SENTENCES, response_format: 'pcm' } as const
    const response = await client.audio.speech.create(spoken, { signal })
    expect((await response.body?.getReader().read())?.done).toBe(false)
    const heard = { file: await file(), model: 'whisper-1', stream: true } as const
    const events = await client.audio.transcriptions.create(heard, { signal })
    await expect.poll(inFlight, WAIT).toBe(2)
    leaving.abort()
    events.controller.abort()
    await response.body?.cancel().catch(() => undefined)
    await expect.poll(inFlight, WAIT).toBe(0)
    const aborted = () =>
      stack.query("select operation from usage_ledger where org_id = $1 and status = 'aborted' order by 1", [orgId])
    await expect.poll(aborted, WAIT).toEqual([{ operation: 'speech' }, { operation: 'transcription' }])
    node.script({})
  })

  it('with text models alone has nothing guessed about a sound', async () => {
    node.offer({ speech: [], agent: [] })
    expect((await stack.call(apiKey, '/api/v1/models/refresh', {})).status).toBe(200)
    const all = await Promise.all(['classify', 'analyze-emotion', 'analyze-music'].map((name) => analyse(name, wav)))
    const refused = { status: 503, body: { code: 'no_capable_model', capability: 'audio_classification' } }
    expect(all).toMatchObject([refused, refused, refused])
    expect(await analyse('identify-speakers', wav)).toMatchObject({ status: 503, body: { capability: 'diarization' } })
  })
})
