/**
 * What it costs to speak another wire: `node --expose-gc --disable-warning=ExperimentalWarning scripts/bench/translate.ts`.
 * CPU of a streamed chunk from the vendor's bytes to the caller's, for each pair, over OpenAI's wire passed through;
 * memory that a prompt of 10 MB takes; and how long a vendor works on for a caller who has left. In one process,
 * without network.
 */
import type { PartDecoder } from '../../src/adapters/providers/chat-stream.ts'
import type { StreamPart, Wire } from '../../src/core/models.ts'
import { createMeter } from '../../src/features/completions/meter.ts'
import { openAiRendering, type Rendering } from '../../src/features/completions/rendering.ts'
import { readRequest } from '../../src/features/completions/request.ts'
import { messagesRendering } from '../../src/features/messages/rendering.ts'
import { createEvents } from '../../src/features/responses/events.ts'
import { createOutput } from '../../src/features/responses/output.ts'
import { piecesOf } from '../../src/features/responses/pieces.ts'
import { anthropicDecoder } from '../../test/adapters/providers/anthropic-support.ts'
import { decoderOf } from '../../test/adapters/providers/support.ts'
import { cutBy } from '../../test/conformance/fixtures/pieces.ts'
import { scribes } from '../../test/conformance/fixtures/scribes.ts'
import { surfaces } from '../../test/conformance/surfaces/all.ts'
import type { Surface } from '../../test/conformance/surfaces/surface.ts'
import { type Truth, wires } from '../../test/conformance/truth.ts'
import { models, startWorld, typeOf, type World } from '../../test/conformance/world.ts'
import { scriptedBody } from '../../test/support/scripted-body.ts'
import { type Figure, isMissed, lineOf } from './report.ts'

const CHUNKS = 5000
const ROUNDS = 9
const MEGABYTE = 1024 * 1024
const PROMPT_BYTES = 9.5 * MEGABYTE
const PIECE_CHARS = 65_536
const ABORTS = 20

const encoder = new TextEncoder()
const median = (values: readonly number[]): number =>
  [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0

const words = Array.from({ length: CHUNKS }, (_, position) => ` word${position % 97}`).join('')
const truth: Truth = { name: 'words', said: [{ kind: 'text', text: words }], end: 'stop', counts: undefined }
const asked = readRequest({ model: 'm', messages: [{ role: 'user', content: 'Hi' }], stream: true })

/** A vendor's stream, one event a piece. */
function eventsOf(wire: Wire): Uint8Array[] {
  const end = wire === 'ollama' ? '\n' : '\n\n'
  const events = scribes[wire].stream(truth, cutBy(6)).split(end).slice(0, -1)
  return events.map((event) => encoder.encode(event + end))
}

type Write = (part: StreamPart) => string

const written =
  (rendering: Rendering) =>
  (open: ReturnType<typeof createMeter>['open']): Write =>
    rendering.stream(asked, open).part

/** What a response is kept in besides costs nothing by the chunk. */
const writtenAsResponse = (): Write => {
  const events = createEvents()
  const output = createOutput({ responseId: 'resp_1', events, seal: undefined })
  return ({ chunk }) => {
    for (const choice of chunk.choices) for (const piece of piecesOf(choice)) output.take(piece)
    return String(events.take())
  }
}

const writers: Readonly<Record<string, (open: ReturnType<typeof createMeter>['open']) => Write>> = {
  chat: written(openAiRendering),
  messages: written(messagesRendering('msg_1')),
  responses: writtenAsResponse,
}

type Reached = { surface: Surface; wire: Wire }

type Pair = { name: string; decoder: () => PartDecoder; events: Uint8Array[]; writer: string }

const pairs: Pair[] = Object.keys(writers).flatMap((writer) =>
  wires.map((wire) => {
    const isNative = wire === 'anthropic' && writer === 'messages'
    const decoder = () => (isNative ? anthropicDecoder({ native: true }) : decoderOf(wire))
    return { name: `${writer} over ${wire}`, decoder, events: eventsOf(wire), writer }
  }),
)

/** Microseconds of a chunk from bytes to bytes. */
function chunkMicros({ decoder, events, writer }: Pair): number {
  const running = decoder()
  const meter = createMeter()
  const write = writers[writer]?.(meter.open) ?? (() => '')
  const startMs = performance.now()
  for (const event of events) {
    const parts: StreamPart[] = []
    running.push(event, parts)
    for (const part of parts) {
      meter.take(part)
      encoder.encode(write(part))
    }
  }
  return ((performance.now() - startMs) * 1000) / events.length
}

function measureChunks(): Figure[] {
  const [passed, ...others] = pairs
  if (!passed) return []
  const rounds = Array.from({ length: ROUNDS }, () => {
    const base = chunkMicros(passed)
    return { base, ratios: others.map((pair) => chunkMicros(pair) / base) }
  }).slice(2)
  const base: Figure = {
    name: `${passed.name}, passed through`,
    value: median(rounds.map((round) => round.base)),
    unit: 'µs',
  }
  const ratios = others.map(({ name }, position): Figure => {
    const spread = rounds.map((round) => round.ratios[position] ?? 0)
    return { name, value: median(spread), unit: 'x', most: 3, spread }
  })
  return [base, ...ratios]
}

function liveBytes(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const prompts = {
  'one byte a character': 'ab cde '.repeat(PROMPT_BYTES / 7),
  // A single character beyond Latin makes an engine keep all of them in two bytes.
  'a wide one among them': `世${'ab cde '.repeat(PROMPT_BYTES / 7)}`,
}

/** Memory in use when the vendor has the whole prompt, for each byte of it; the caller's own copy is not counted. */
async function measureMemory(world: World): Promise<Figure[]> {
  if (!globalThis.gc) throw new Error('node --expose-gc is needed')
  const figures: Figure[] = []
  for (const surface of surfaces) {
    for (const wire of wires) {
      for (const [kind, prompt] of Object.entries(prompts)) {
        const value = await memoryOf(world, { surface, wire }, prompt)
        figures.push({ name: `${surface.name} over ${wire}, ${kind}`, value, unit: 'x', most: 4 })
      }
    }
  }
  return figures
}

/** Node wants to be told that a request may be read before it is written. */
const HALF = { duplex: 'half' }

/** A body as it comes from a network: whoever has read it has the only copy. */
function arriving(text: string): ReadableStream<Uint8Array> {
  let start = 0
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(encoder.encode(text.slice(start, start + PIECE_CHARS)))
      start += PIECE_CHARS
      if (start >= text.length) controller.close()
    },
  })
}

async function memoryOf(world: World, { surface, wire }: Reached, prompt: string): Promise<number> {
  const request = JSON.stringify(surface.request(models[wire])).replace('"Hi"', JSON.stringify(prompt))
  // Buffers of the call before are given back by a second look.
  liveBytes()
  await new Promise((resolve) => setImmediate(resolve))
  const own = liveBytes()
  let live = own
  const answer = () => {
    live = liveBytes()
    return Response.json(scribes[wire].whole({ ...truth, said: [] }))
  }
  const response = await world.ask(surface, '', answer, { body: arriving(request), ...HALF })
  await response.text()
  if (response.status !== 200) throw new Error(`${surface.name} over ${wire} was refused`)
  await world.gateway.rows()
  world.sent.length = 0
  return (live - own) / encoder.encode(request).length
}

/** From hanging up until the vendor sees it. */
async function measureAborts(world: World): Promise<Figure[]> {
  const waits: number[] = []
  for (const surface of surfaces) {
    for (const wire of wires) {
      for (let time = 0; time < ABORTS; time++) {
        const left = Promise.withResolvers<void>()
        const response = await world.ask(surface, surface.streamed(models[wire]), ({ signal }) => {
          const body = scriptedBody(eventsOf(wire).slice(0, 8), {
            end: 'hang',
            type: typeOf(wire, true),
            ...(signal && { signal }),
          })
          void body.left.then(left.resolve)
          return body.response
        })
        const reader = response.body?.getReader()
        await reader?.read()
        const startMs = performance.now()
        await reader?.cancel()
        await left.promise
        waits.push(performance.now() - startMs)
      }
    }
  }
  return [{ name: `the longest of ${waits.length}, all pairs`, value: Math.max(...waits), unit: 'ms', most: 100 }]
}

const world = await startWorld()
const shown: [string, Figure[]][] = [
  ['chunks', measureChunks()],
  ['memory of a 10 MB prompt', await measureMemory(world)],
  ['hanging up', await measureAborts(world)],
]
for (const [part, figures] of shown) {
  console.log(`\n${part}`)
  for (const figure of figures) console.log(`  ${lineOf(figure)}`)
}
if (shown.some(([, figures]) => figures.some(isMissed))) process.exitCode = 1
