import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { decode } from '../../../ops/node/agent/decode.ts'
import { parseGpus, readGpus } from '../../../ops/node/agent/gpu.ts'
import { createAgent } from '../../../ops/node/agent/server.ts'
import { readSettings } from '../../../ops/node/agent/settings.ts'
import { soundFrom, tone, wavOf } from './sounds.ts'

const running: Server[] = []

afterEach(() => {
  for (const server of running.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

async function listen(server: Server): Promise<string> {
  running.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}

const startAgent = (environment: Record<string, string> = {}) => listen(createAgent(readSettings(environment)))

function formOf(bytes: Uint8Array<ArrayBuffer>): FormData {
  const form = new FormData()
  form.set('file', new Blob([bytes]), 'sound')
  return form
}

const beep = wavOf(soundFrom(tone(440, 0.5), { seconds: 1, sampleRate: 16_000 }))

it('reads what nvidia-smi prints', () => {
  const printed = 'NVIDIA GeForce RTX 3090, 24576, 20111, 37\nNVIDIA T4, Rev, 15360, 15000, [N/A]\n\n'
  expect(parseGpus(printed)).toEqual([
    { name: 'NVIDIA GeForce RTX 3090', memory_mb: 24_576, free_mb: 20_111, utilisation: 0.37 },
    { name: 'NVIDIA T4, Rev', memory_mb: 15_360, free_mb: 15_000, utilisation: 0 },
  ])
  expect(parseGpus('NVIDIA-SMI has failed')).toEqual([])
})

it('has no cards where there is no nvidia-smi', async () => {
  expect(await readGpus('no-such-command')).toEqual([])
})

it('answers metrics, its models and measures', async () => {
  const url = await startAgent()
  expect(await (await fetch(`${url}/metrics`)).json()).toMatchObject({ version: '1.0.0', gpus: expect.any(Array) })
  expect(await (await fetch(`${url}/v1/models`)).json()).toEqual({ object: 'list', data: [] })
  const measured = await fetch(`${url}/v1/audio/measure`, { method: 'POST', body: formOf(beep) })
  expect(await measured.json()).toMatchObject({ duration_ms: 1000, sample_rate: 16_000, channels: 1 })
  expect((await fetch(`${url}/v1/rerank`, { method: 'POST', body: '{}' })).status).toBe(404)
  expect((await fetch(`${url}/v1/audio/measure`, { method: 'POST', body: new FormData() })).status).toBe(422)
  expect((await fetch(`${url}/v1/audio/measure`, { method: 'POST', body: '{}' })).status).toBe(415)
})

it('refuses what is too large or no recording', async () => {
  const url = await startAgent({ MAX_BODY_MB: '0.01' })
  const send = (bytes: Uint8Array<ArrayBuffer>) =>
    fetch(`${url}/v1/audio/measure`, { method: 'POST', body: formOf(bytes) }).then(({ status }) => status)
  expect([await send(beep), await send(new Uint8Array(0)), await send(new Uint8Array(500))]).toEqual([413, 415, 415])
  await expect(decode(new Uint8Array(9), 'no-such-command')).rejects.toMatchObject({ status: 415 })
})

it('reads other formats through the decoder of the machine', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'helix-test-'))
  try {
    await writeFile(join(folder, 'beep.wav'), beep)
    // Stands for ffmpeg: writes a sound whatever it reads, but only for a file that is there.
    const decoder = join(folder, 'decoder')
    await writeFile(
      decoder,
      `#!/bin/sh\nwhile [ "$1" != -i ]; do shift; done\ntest -s "$2" && cat '${folder}/beep.wav'\n`,
    )
    await chmod(decoder, 0o755)
    expect((await decode(new Uint8Array(50), decoder)).sampleRate).toBe(16_000)
    await writeFile(decoder, '#!/bin/sh\nexit 1\n')
    await expect(decode(new Uint8Array(50), decoder)).rejects.toMatchObject({ status: 415 })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

it('wants its token when it has one', async () => {
  const url = await startAgent({ AGENT_TOKEN: 'right' })
  const status = async (headers: Record<string, string>) => (await fetch(`${url}/metrics`, { headers })).status
  expect(await status({})).toBe(401)
  expect(await status({ authorization: 'Bearer wrong' })).toBe(401)
  expect(await status({ authorization: 'Bearer right' })).toBe(200)
})

it('passes a path on to its service, without the caller’s credential, and lists its model', async () => {
  const seen: IncomingMessage[] = []
  const service = await listen(
    createServer((request, response) => {
      seen.push(request)
      request.pipe(response)
    }),
  )
  const url = await startAgent({ AGENT_TOKEN: 't', RERANK_URL: `${service}/`, RERANK_MODEL: 'bge-reranker' })
  const headers = { authorization: 'Bearer t', 'content-type': 'application/json', 'x-other': 'no' }
  expect(await (await fetch(`${url}/v1/models`, { headers })).json()).toMatchObject({
    data: [{ id: 'bge-reranker', task: 'text-ranking' }],
  })
  const body = JSON.stringify({ query: 'q', documents: [] })
  expect(await (await fetch(`${url}/v1/rerank`, { method: 'POST', headers, body })).text()).toBe(body)
  expect(seen[0]?.url).toBe('/v1/rerank')
  expect(seen[0]?.headers).not.toHaveProperty('authorization')
  expect(seen[0]?.headers).not.toHaveProperty('x-other')
})

it('says when a service does not answer, and which setting is wrong', async () => {
  const closed = await listen(createServer())
  running.splice(running.length - 1)[0]?.close()
  const url = await startAgent({ EMBED_URL: closed, EMBED_MODEL: 'clip' })
  expect((await fetch(`${url}/v1/embeddings`, { method: 'POST', body: '{}' })).status).toBe(502)
  expect(() => readSettings({ EMBED_URL: 'http://x' })).toThrow('EMBED_MODEL')
  expect(() => readSettings({ PORT: 'many' })).toThrow('PORT')
})
