/**
 * CPU cost of reading vendor streams, one small event a network chunk: `node scripts/bench/stream-parse.ts`.
 * Prints microseconds a chunk for the decoder alone and for the whole path with one `read()` a chunk.
 */
import { createChatStream, type PartDecoder } from '../../src/adapters/providers/chat-stream.ts'
import { createOllamaDecoder } from '../../src/adapters/providers/ollama-stream.ts'
import { createOpenAiDecoder } from '../../src/adapters/providers/openai-stream.ts'
import { watchBody } from '../../src/adapters/providers/upstream-body.ts'
import type { StreamPart } from '../../src/core/models.ts'

const CHUNKS = 20_000
const ROUNDS = 7

const encoder = new TextEncoder()
const upstream = { name: 'bench', secret: 'secret' }

type Wire = { name: string; decoder: () => PartDecoder; chunks: Uint8Array[] }

function chunksOf(eventOf: (token: string) => string): Uint8Array[] {
  return Array.from({ length: CHUNKS }, (_, position) => encoder.encode(eventOf(` word${position % 97}`)))
}

const openAiEvent = (token: string, id = 'chatcmpl-CkQ2vX8mT4aLrWb1') =>
  `data: ${JSON.stringify({
    id,
    object: 'chat.completion.chunk',
    created: 1_763_712_000,
    model: 'gpt-4o-2024-08-06',
    service_tier: 'default',
    system_fingerprint: 'fp_cbf1785567',
    choices: [{ index: 0, delta: { content: token }, logprobs: null, finish_reason: null }],
    usage: null,
    obfuscation: 'vK3q',
  })}\n\n`

const ollamaLine = (token: string) =>
  `${JSON.stringify({
    model: 'llama3.1:8b',
    created_at: '2026-08-22T10:15:00.123456Z',
    message: { role: 'assistant', content: token },
    done: false,
  })}\n`

const openAiDecoder = () => createOpenAiDecoder({ upstream, model: 'm', quirks: {} })
let serial = 0
const wires: Wire[] = [
  { name: 'openai, text kept', decoder: openAiDecoder, chunks: chunksOf(openAiEvent) },
  {
    name: 'openai, text rewritten',
    decoder: openAiDecoder,
    chunks: chunksOf((token) => openAiEvent(token, `chatcmpl-${serial++}`)),
  },
  { name: 'ollama', decoder: () => createOllamaDecoder({ upstream, model: 'm' }), chunks: chunksOf(ollamaLine) },
]

function decoderMicros({ decoder, chunks }: Wire): number {
  const running = decoder()
  const startMs = performance.now()
  for (const chunk of chunks) {
    const parts: StreamPart[] = []
    running.push(chunk, parts)
  }
  return ((performance.now() - startMs) * 1000) / CHUNKS
}

async function pathMicros({ decoder, chunks }: Wire): Promise<number> {
  let next = 0
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks[next++]
      if (chunk === undefined) controller.close()
      else controller.enqueue(chunk)
    },
  })
  const limits = { idleMs: 60_000, deadlineMs: Date.now() + 600_000 }
  const controller = new AbortController()
  const watched = watchBody({
    response: new Response(body),
    limits,
    controller,
    signal: controller.signal,
    name: 'bench',
    now: Date.now,
  })
  const stream = createChatStream(watched, decoder())
  const startMs = performance.now()
  for (let read = 0; read < CHUNKS; read++) await stream.read()
  const micros = ((performance.now() - startMs) * 1000) / CHUNKS
  stream.cancel()
  return micros
}

const median = (values: number[]) => values.sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0

for (const wire of wires) {
  const decoder: number[] = []
  const path: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    decoder.push(decoderMicros(wire))
    path.push(await pathMicros(wire))
  }
  const figures = `decoder ${median(decoder).toFixed(2)} µs, with read() ${median(path).toFixed(2)} µs a chunk`
  console.log(`${wire.name.padEnd(24)} ${figures}`)
}
