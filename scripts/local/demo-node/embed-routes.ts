import { readJson } from './body.ts'
import { embedText, normalise } from './embedding.ts'
import { httpFailure } from './failures.ts'
import { enterScript, keepAliveMs, resolveModel } from './inference.ts'
import { loadModel } from './memory.ts'
import { readOptions } from './options.ts'
import { splitPieces } from './pieces.ts'
import { embeddingsRequest, embedRequest } from './requests.ts'
import { sendJson } from './responses.ts'
import type { Exchange, JsonObject } from './types.ts'

export type EmbedInput = {
  asked: string
  input: readonly string[]
  truncate: boolean
  dimensions: number
  options: JsonObject | null | undefined
  keepAlive: number | string | null | undefined
  notFound: string
}

export type Embedded = { vectors: number[][]; tokens: number }

/** Texts to vectors with the model's width and context; undefined when a script has answered already. */
export async function embed(exchange: Exchange, wanted: EmbedInput): Promise<Embedded | undefined> {
  const { node } = exchange
  const entered = await enterScript(exchange, wanted.asked)
  if (!entered) return undefined
  const model = resolveModel(exchange, wanted.asked, entered.script, wanted.notFound)
  const aliveMs = keepAliveMs(wanted.keepAlive)
  const options = readOptions(wanted.options)
  const limit = Math.min(model.contextLength, options.contextLength)
  await loadModel(exchange, model, { aliveMs, contextLength: limit })
  let tokens = 0
  const vectors = wanted.input.map((text) => {
    const pieces = splitPieces(text)
    if (pieces.length > limit && !wanted.truncate) {
      throw httpFailure(400, 'the input length exceeds the context length')
    }
    tokens += Math.min(pieces.length, limit)
    const vector = embedText(pieces.slice(0, limit).join(''), model.embeddingLength)
    const shorter = wanted.dimensions > 0 && wanted.dimensions < vector.length
    return shorter ? normalise(vector.slice(0, wanted.dimensions)) : vector
  })
  if (aliveMs === 0) node.runners.unload(model.name)
  return { vectors, tokens }
}

/** The texts of an `input` field; 400 for anything but a string, a list of strings, or nothing. */
export function readInput(input: unknown): string[] {
  if (input === undefined || input === null || input === '') return []
  if (typeof input === 'string') return [input]
  if (Array.isArray(input) && input.every((entry) => typeof entry === 'string')) return input
  throw httpFailure(400, 'invalid input type')
}

/** `POST /api/embed`. */
export async function handleEmbed(exchange: Exchange): Promise<void> {
  const startNs = process.hrtime.bigint()
  const body = await readJson(exchange, 'EmbedRequest', embedRequest)
  const asked = body.model ?? ''
  const embedded = await embed(exchange, {
    asked,
    input: readInput(body.input),
    truncate: body.truncate ?? true,
    dimensions: body.dimensions ?? 0,
    options: body.options,
    keepAlive: body.keep_alive,
    notFound: `model '${asked}' not found`,
  })
  if (!embedded) return
  const { vectors, tokens } = embedded
  if (vectors.length === 0) return sendJson(exchange.response, 200, { model: asked, embeddings: [] })
  const totalNs = Math.max(2, Number(process.hrtime.bigint() - startNs))
  sendJson(exchange.response, 200, {
    model: asked,
    embeddings: vectors,
    total_duration: totalNs,
    load_duration: Math.floor(totalNs / 2),
    prompt_eval_count: tokens,
  })
}

/** `POST /api/embeddings`, the older route with one text and no metrics. */
export async function handleEmbeddings(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange, 'EmbeddingRequest', embeddingsRequest)
  const asked = body.model ?? ''
  if (asked === '') throw httpFailure(400, 'model is required')
  const embedded = await embed(exchange, {
    asked,
    input: readInput(body.prompt),
    truncate: true,
    dimensions: 0,
    options: body.options,
    keepAlive: body.keep_alive,
    notFound: `model ${JSON.stringify(asked)} not found, try pulling it first`,
  })
  if (embedded) sendJson(exchange.response, 200, { embedding: embedded.vectors[0] ?? [] })
}
