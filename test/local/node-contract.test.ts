import { afterAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import { soundFrom, tone, wavOf } from '../ops/agent/sounds.ts'

/**
 * What clients rely on at the servers of a node: asked of the demo node always, and of real ones when OLLAMA_HOST,
 * SPEECH_URL or AGENT_URL name them. What a server has no model for is skipped, and printed.
 */

let starting: Promise<DemoNode> | undefined
const demo = () => {
  starting ??= startDemoNode({ chunkDelayMs: 0 })
  return starting
}
afterAll(async () => (await starting)?.close())

type Subject = { name: string; url(): Promise<string> }

function subjects(server: 'url' | 'speechUrl' | 'agentUrl', variable: string): Subject[] {
  const real = process.env[variable]?.replace(/\/+$/, '')
  const own = { name: 'demo node', url: async () => (await demo())[server] }
  return real ? [own, { name: `${variable} ${real}`, url: async () => real }] : [own]
}

function skip({ name }: Subject, what: string): void {
  console.info(`${name}: skipped, it has ${what}`)
}

async function send(url: string, body: unknown): Promise<Response> {
  return fetch(url, { method: 'POST', body: body instanceof FormData ? body : JSON.stringify(body) })
}

function formOf(bytes: Uint8Array<ArrayBuffer>, fields: Record<string, string>): FormData {
  const form = new FormData()
  form.set('file', new Blob([bytes], { type: 'audio/wav' }), 'sound.wav')
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  return form
}

const beep = wavOf(soundFrom(tone(440, 0.3), { seconds: 1, sampleRate: 16_000 }))
const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const Tags = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      size: z.number(),
      digest: z.string(),
      modified_at: z.iso.datetime({ offset: true }),
      details: z.object({ family: z.string(), parameter_size: z.string(), quantization_level: z.string() }),
      capabilities: z.array(z.string()).optional(),
    }),
  ),
})
const Show = z.object({ capabilities: z.array(z.string()), model_info: z.record(z.string(), z.unknown()) })
const NativeError = z.object({ error: z.string() })
const End = z.object({
  done: z.literal(true),
  done_reason: z.string(),
  total_duration: z.number(),
  eval_count: z.number(),
})

describe.each(subjects('url', 'OLLAMA_HOST'))('Ollama: $name', (subject) => {
  const modelWith = async (wanted: string, without?: string): Promise<string | undefined> => {
    const url = await subject.url()
    for (const { name } of Tags.parse(await (await fetch(`${url}/api/tags`)).json()).models) {
      const { capabilities } = Show.parse(await (await send(`${url}/api/show`, { model: name })).json())
      if (capabilities.includes(wanted) && !capabilities.includes(without ?? '')) return name
    }
    return undefined
  }
  const chat = async (model: string, extra: object) =>
    send(`${await subject.url()}/api/chat`, { model, options: { num_predict: 8 }, ...extra })
  const hello = [{ role: 'user', content: 'Hello' }]

  it('has a version, a list and a memory', async () => {
    const url = await subject.url()
    expect(await (await fetch(`${url}/api/version`)).json()).toEqual({ version: expect.any(String) })
    Tags.parse(await (await fetch(`${url}/api/tags`)).json())
    expect(await (await fetch(`${url}/api/ps`)).json()).toEqual({ models: expect.any(Array) })
  })

  it('answers what it does not have with 404 and a sentence', async () => {
    const response = await chat('no-such-model:0b', { messages: hello })
    expect(response.status).toBe(404)
    NativeError.parse(await response.json())
  })

  it('streams lines of which the last counts and measures', async () => {
    const model = await modelWith('completion')
    if (model === undefined) return skip(subject, 'no model that chats')
    const lines = (await (await chat(model, { messages: hello })).text()).trim().split('\n')
    End.parse(JSON.parse(lines.at(-1) ?? ''))
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ done: false, message: { role: 'assistant' } })
  })

  it('gives vectors of unit length', async () => {
    const model = await modelWith('embedding')
    if (model === undefined) return skip(subject, 'no model that embeds')
    const answer = await (await send(`${await subject.url()}/api/embed`, { model, input: ['a', 'b'] })).json()
    const { embeddings } = z.object({ embeddings: z.array(z.array(z.number())) }).parse(answer)
    expect(embeddings.map((vector) => Math.hypot(...vector))).toEqual([expect.closeTo(1, 2), expect.closeTo(1, 2)])
  })

  it('looks at a picture with a model that sees, and fails it with one that does not', async () => {
    const messages = [{ role: 'user', content: 'What is this?', images: [pixel] }]
    const [seeing, blind] = [await modelWith('vision'), await modelWith('completion', 'vision')]
    if (seeing === undefined || blind === undefined)
      return skip(subject, 'not both a model that sees and one that does not')
    expect((await chat(seeing, { messages, stream: false })).status).toBe(200)
    expect((await chat(blind, { messages, stream: false })).status).toBeGreaterThanOrEqual(400)
  })
})

const Models = z.object({ data: z.array(z.object({ id: z.string(), task: z.string().optional() })) })
const Verbose = z.object({
  text: z.string(),
  duration: z.number(),
  segments: z.array(
    z.object({ start: z.number(), end: z.number(), avg_logprob: z.number(), no_speech_prob: z.number() }),
  ),
})

describe.each(subjects('speechUrl', 'SPEECH_URL'))('speech: $name', (subject) => {
  const modelFor = async (task: string): Promise<string | undefined> => {
    const { data } = Models.parse(await (await fetch(`${await subject.url()}/v1/models`)).json())
    return data.find((model) => model.task === task)?.id
  }
  const transcribe = async (bytes: Uint8Array<ArrayBuffer>, fields: Record<string, string>) =>
    send(`${await subject.url()}/v1/audio/transcriptions`, formOf(bytes, fields))

  it('is well', async () => {
    expect((await fetch(`${await subject.url()}/health`)).status).toBe(200)
  })

  it('transcribes WAV, with segments when asked, and refuses what is no recording', async () => {
    const model = await modelFor('automatic-speech-recognition')
    if (model === undefined) return skip(subject, 'no model that transcribes')
    z.object({ text: z.string() }).parse(await (await transcribe(beep, { model })).json())
    Verbose.parse(await (await transcribe(beep, { model, response_format: 'verbose_json' })).json())
    const refused = await transcribe(new Uint8Array(Buffer.from('no sound at all')), { model })
    expect([400, 415, 422]).toContain(refused.status)
  })

  it('does not transcribe with a model that it does not have', async () => {
    expect((await transcribe(beep, { model: 'no/such-model' })).status).toBeGreaterThanOrEqual(400)
  })

  it('speaks WAV', async () => {
    const model = await modelFor('text-to-speech')
    if (model === undefined) return skip(subject, 'no model that speaks')
    const url = await subject.url()
    const listed = await (await fetch(`${url}/v1/audio/voices`)).json().catch(() => undefined)
    const { voices } = z.object({ voices: z.array(z.object({ name: z.string() })) }).parse(listed)
    const voice = voices[0]?.name
    const body = JSON.stringify({ model, voice, input: 'Hello.', response_format: 'wav' })
    const headers = { 'content-type': 'application/json' }
    const spoken = await fetch(`${url}/v1/audio/speech`, { method: 'POST', headers, body })
    expect(Buffer.from(await spoken.arrayBuffer()).toString('latin1', 0, 4)).toBe('RIFF')
  })
})

describe.each(subjects('agentUrl', 'AGENT_URL'))('agent: $name', (subject) => {
  it('tells of its cards and models, and measures', async () => {
    const url = await subject.url()
    const Gpu = z.object({ name: z.string(), memory_mb: z.number(), free_mb: z.number(), utilisation: z.number() })
    const metrics = await (await fetch(`${url}/metrics`)).json()
    z.object({ version: z.string(), gpus: z.array(Gpu) }).parse(metrics)
    Models.parse(await (await fetch(`${url}/v1/models`)).json())
    const measured = await (await send(`${url}/v1/audio/measure`, formOf(beep, {}))).json()
    expect(measured).toMatchObject({ duration_ms: 1000, sample_rate: 16_000, channels: 1, tempo_bpm: null })
  })
})
