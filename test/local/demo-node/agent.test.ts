import { deflateSync } from 'node:zlib'
import { expect, it } from 'vitest'
import type { DemoNode } from '../../../scripts/local/demo-node/server.ts'
import { isJsonObject, type JsonObject } from '../../../scripts/local/demo-node/types.ts'
import { soundFrom, tone, type Wave, wavOf } from '../../ops/agent/sounds.ts'
import { asObject, postJson, startNode } from './demo-client.ts'

function send(node: DemoNode, path: string, wave: Wave, fields: Record<string, string> = {}): Promise<Response> {
  const form = new FormData()
  form.set('file', new Blob([wavOf(soundFrom(wave, { seconds: 5, sampleRate: 16_000 }))]), 'sound.wav')
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  return fetch(node.agentUrl + path, { method: 'POST', body: form })
}

async function postAgent(node: DemoNode, path: string, body: unknown): Promise<JsonObject> {
  return asObject(await fetch(node.agentUrl + path, { method: 'POST', body: JSON.stringify(body) }))
}

/** A PNG of one colour, with a lighter dot where wanted. */
function picture([red, green, blue]: readonly [number, number, number], dot?: number): string {
  const [width, height] = [16, 16]
  const rows = Buffer.alloc((width * 3 + 1) * height)
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const at = Math.floor(pixel / width) * (width * 3 + 1) + 1 + (pixel % width) * 3
    rows.set(pixel === dot ? [255, 255, 255] : [red, green, blue], at)
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const chunk = (name: string, body: Buffer) => {
    const size = Buffer.alloc(4)
    size.writeUInt32BE(body.length)
    return Buffer.concat([size, Buffer.from(name), body, Buffer.alloc(4)])
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows))]).toString('base64')
}

async function embed(node: DemoNode, input: readonly JsonObject[]): Promise<number[][]> {
  const { data } = await postAgent(node, '/v1/embeddings', { model: 'demo/clip-hash', input })
  if (!Array.isArray(data)) throw new Error('no list')
  return data.map((entry) => entry.embedding)
}

const near = (left: readonly number[] = [], right: readonly number[] = []) =>
  left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0)

it('has a made-up card that fills when models load', async () => {
  const node = await startNode({ memoryMb: 10_000 })
  const free = async () => {
    const { gpus, version } = await asObject(await fetch(`${node.agentUrl}/metrics`))
    expect(version).toContain('demo')
    const [gpu] = Array.isArray(gpus) ? gpus : []
    expect(gpu).toMatchObject({ name: 'demo', memory_mb: 10_000, utilisation: 0 })
    return Number(gpu.free_mb)
  }
  expect(await free()).toBe(10_000)
  await postJson(node, '/api/generate', { model: 'llama3.2:3b', stream: false })
  expect(await free()).toBeLessThan(8_200)
})

it('offers what it is told to', async () => {
  const node = await startNode({ offer: { agent: [{ id: 'demo/word-ranker', task: 'text-ranking' }] } })
  expect(await asObject(await fetch(`${node.agentUrl}/v1/models`))).toEqual({
    object: 'list',
    data: [{ id: 'demo/word-ranker', task: 'text-ranking' }],
  })
  expect((await send(node, '/v1/audio/diarizations', tone(200, 0.3))).status).toBe(404)
  node.offer({})
  expect((await send(node, '/v1/audio/diarizations', tone(200, 0.3))).status).toBe(200)
})

it('measures sounds, and refuses what it cannot read', async () => {
  const node = await startNode()
  expect(await asObject(await send(node, '/v1/audio/measure', tone(220, 0.3)))).toMatchObject({
    duration_ms: 5000,
    sample_rate: 16_000,
    prosody: { pitch_mean_hz: expect.closeTo(220, 0) },
  })
  const form = new FormData()
  form.set('file', new Blob(['ID3 but no sound']))
  expect((await fetch(`${node.agentUrl}/v1/audio/measure`, { method: 'POST', body: form })).status).toBe(415)
})

it('gives every label a share of one, the same each time, of the whole and of its parts', async () => {
  const node = await startNode()
  const labels = ['calm', 'excited', 'unheard-of']
  const ask = () =>
    send(node, '/v1/audio/classifications', tone(300, 0.8), { labels: JSON.stringify(labels), per_segment: 'true' })
  const answer = await asObject(await ask())
  const scores: { label: string; score: number }[] = Array.isArray(answer.scores) ? answer.scores : []
  expect(scores.map(({ label }) => label).sort()).toEqual(labels)
  expect(scores[0]?.label).toBe('excited')
  expect(scores.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 4)
  expect(answer).toMatchObject({
    model: 'demo/sound-classifier',
    segments: [{ start_ms: 0, scores: expect.anything() }],
  })
  expect(await asObject(await ask())).toEqual(answer)
  expect((await send(node, '/v1/audio/classifications', tone(300), { labels: '{' })).status).toBe(422)
})

it('tells speakers apart by their pitch', async () => {
  const node = await startNode()
  const turns: Wave = (seconds) => {
    if (seconds % 1 > 0.6) return 0
    return tone(Math.floor(seconds) % 2 === 0 ? 110 : 220, 0.4)(seconds)
  }
  const answer = await asObject(await send(node, '/v1/audio/diarizations', turns))
  const segments: { speaker: string }[] = Array.isArray(answer.segments) ? answer.segments : []
  expect(segments.map(({ speaker }) => speaker.slice(-1)).join('')).toBe('01010')
  expect(answer.speakers).toHaveLength(2)
  expect(answer.silhouette).toBeGreaterThan(0.9)
  const one = await asObject(await send(node, '/v1/audio/diarizations', turns, { num_speakers: '1' }))
  expect([Array.isArray(one.speakers) && one.speakers.length, one.silhouette]).toEqual([1, null])
})

it('puts pictures and the words for their colours in one space', async () => {
  const node = await startNode()
  const [red, again, dotted, blue, word, noPng] = await embed(node, [
    { image: picture([220, 30, 30]) },
    { image: picture([220, 30, 30]) },
    { image: picture([224, 28, 30], 40) },
    { image: picture([30, 60, 220]) },
    { text: 'something red' },
    { image: Buffer.from('some other picture').toString('base64') },
  ])
  expect(again).toEqual(red)
  expect(near(red, red)).toBeCloseTo(1, 5)
  expect(near(noPng, noPng)).toBeCloseTo(1, 5)
  expect(near(red, dotted)).toBeGreaterThan(0.98)
  expect(near(red, blue)).toBeLessThan(0.7)
  expect(near(word, red)).toBeGreaterThan(near(word, blue) + 0.3)
})

it('ranks documents by the words of the query', async () => {
  const node = await startNode()
  const documents = ['about fish', 'a red car and a blue one', 'red car']
  const answer = await postAgent(node, '/v1/rerank', {
    model: 'demo/word-ranker',
    query: 'red car',
    documents,
    top_n: 2,
  })
  const results = Array.isArray(answer.results) ? answer.results.filter(isJsonObject) : []
  expect(results.map(({ index }) => index)).toEqual([2, 1])
})

it('plays a script by model and by route, and shows what it has seen', async () => {
  const node = await startNode({
    script: {
      'demo/word-ranker': { answer: { results: 'garbage' } },
      'agent GET /metrics': [{ refuse: { status: 500, message: 'no card' } }, {}],
      'ollama GET /api/tags': { html: '<p>portal</p>' },
    },
  })
  expect(await postAgent(node, '/v1/rerank', { query: 'q', documents: ['d'] })).toEqual({ results: 'garbage' })
  const metrics = () => fetch(`${node.agentUrl}/metrics`, { headers: { 'X-Sent': 'yes' } })
  expect([(await metrics()).status, (await metrics()).status]).toEqual([500, 200])
  expect(await (await fetch(`${node.url}/api/tags`)).text()).toBe('<p>portal</p>')
  expect(node.seen().at(-2)).toMatchObject({
    server: 'agent',
    method: 'GET',
    path: '/metrics',
    headers: { 'x-sent': 'yes' },
  })
})

it('lets nobody in without its service token when it has one', async () => {
  const node = await startNode({ access: { id: 'id.access', secret: 's3cret' } })
  const headers = { 'CF-Access-Client-Id': 'id.access', 'CF-Access-Client-Secret': 's3cret' }
  for (const url of [`${node.url}/api/version`, `${node.speechUrl}/health`, `${node.agentUrl}/metrics`]) {
    expect([(await fetch(url)).status, (await fetch(url, { headers })).status]).toEqual([403, 200])
  }
})
