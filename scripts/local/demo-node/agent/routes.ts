import * as z from 'zod'
import { base64Field } from '../body.ts'
import { httpFailure } from '../failures.ts'
import { demoVersion } from '../model-routes.ts'
import { enterDelayed, fileOf, readFields, sendObject, textOf } from '../own-answer.ts'
import { sendJson } from '../responses.ts'
import { readForm } from '../transcription.ts'
import type { Exchange, Methods, ScriptedReply } from '../types.ts'
import { embedImage, embedWords } from './image-embedding.ts'
import { analysisOf, classify, diarize } from './listen.ts'

/** A made-up card that holds what is loaded. */
function handleMetrics({ node, response }: Exchange): void {
  const usedMb = node.runners.list().reduce((sum, { model }) => sum + model.sizeBytes / 2 ** 20, 0)
  const gpu = {
    name: 'demo',
    memory_mb: node.memoryMb,
    free_mb: Math.max(0, Math.floor(node.memoryMb - usedMb)),
    utilisation: node.counters.activeGenerations > 0 ? 1 : 0,
  }
  sendJson(response, 200, { version: demoVersion, gpus: [gpu] })
}

function handleModels({ node, response }: Exchange): void {
  sendJson(response, 200, { object: 'list', data: node.offered.agent.map(({ id, task }) => ({ id, task })) })
}

type Entered = { model: string; script: ScriptedReply | undefined }

/** The named model, or the first of the task; 404 when there is none. */
async function enter(
  exchange: Exchange,
  asked: string | undefined,
  tasks: readonly string[],
): Promise<Entered | undefined> {
  const able = exchange.node.offered.agent.filter(({ task }) => tasks.includes(task))
  const model = asked ?? able[0]?.id
  const entered = model === undefined ? {} : await enterDelayed(exchange, model)
  if (!entered) return undefined
  const isKnown = able.some(({ id }) => id === model) || entered.script !== undefined
  if (model === undefined || !isKnown) throw httpFailure(404, `model '${model ?? tasks[0]}' not found`)
  return { model, script: entered.script }
}

async function handleMeasure(exchange: Exchange): Promise<void> {
  const bytes = await fileOf(await readForm(exchange))
  await sendObject(exchange, analysisOf(bytes).measures, undefined)
}

const labelList = z.array(z.string().min(1)).min(1)

function labelsOf(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined
  try {
    return labelList.parse(JSON.parse(text))
  } catch {
    throw httpFailure(422, 'labels: a JSON array of texts')
  }
}

async function handleClassification(exchange: Exchange): Promise<void> {
  const form = await readForm(exchange)
  const bytes = await fileOf(form)
  const labels = labelsOf(textOf(form, 'labels'))
  const entered = await enter(exchange, textOf(form, 'model'), ['audio-classification'])
  if (!entered) return
  const { scores, segments } = classify(analysisOf(bytes), labels)
  const perSegment = textOf(form, 'per_segment') === 'true' ? { segments } : {}
  await sendObject(exchange, { model: entered.model, scores, ...perSegment }, entered.script)
}

async function handleDiarization(exchange: Exchange): Promise<void> {
  const form = await readForm(exchange)
  const bytes = await fileOf(form)
  const wanted = textOf(form, 'num_speakers')
  const count = wanted === undefined ? undefined : Number(wanted)
  if (count !== undefined && !(Number.isInteger(count) && count >= 1))
    throw httpFailure(422, 'num_speakers: at least 1')
  const entered = await enter(exchange, textOf(form, 'model'), ['speaker-diarization'])
  if (!entered) return
  await sendObject(exchange, { model: entered.model, ...diarize(analysisOf(bytes), count) }, entered.script)
}

const embeddingsRequest = z.object({
  model: z.string().optional(),
  input: z.array(z.union([z.object({ image: base64Field }), z.object({ text: z.string() })])).min(1),
})

const imageTasks = ['zero-shot-image-classification', 'image-feature-extraction']

async function handleEmbeddings(exchange: Exchange): Promise<void> {
  const body = await readFields(exchange, embeddingsRequest)
  const entered = await enter(exchange, body.model, imageTasks)
  if (!entered) return
  const data = body.input.map((input, index) => ({
    object: 'embedding',
    index,
    embedding: 'image' in input ? embedImage(input.image) : embedWords(input.text),
  }))
  const usage = { prompt_tokens: 0, total_tokens: 0 }
  await sendObject(exchange, { object: 'list', data, model: entered.model, usage }, entered.script)
}

const rerankRequest = z.object({
  model: z.string().optional(),
  query: z.string(),
  documents: z.array(z.string()),
  top_n: z.number().int().min(1).optional(),
})

const wordsOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])

/** The share of the query's words that a document has; the shorter of two equal ones is a little nearer. */
function relevance(query: Set<string>, document: string): number {
  const words = wordsOf(document)
  const shared = [...query].filter((word) => words.has(word)).length
  return Number((shared / Math.max(1, query.size) - Math.min(0.01, words.size / 100_000)).toFixed(6))
}

async function handleRerank(exchange: Exchange): Promise<void> {
  const body = await readFields(exchange, rerankRequest)
  const entered = await enter(exchange, body.model, ['text-ranking'])
  if (!entered) return
  const query = wordsOf(body.query)
  const results = body.documents
    .map((document, index) => ({ index, relevance_score: Math.max(0, relevance(query, document)) }))
    .sort((left, right) => right.relevance_score - left.relevance_score || left.index - right.index)
    .slice(0, body.top_n)
  await sendObject(exchange, { model: entered.model, results }, entered.script)
}

/** The agent's wire, with made-up models. */
export const agentRoutes: Readonly<Record<string, Methods>> = {
  '/metrics': { GET: handleMetrics },
  '/v1/models': { GET: handleModels },
  '/v1/audio/measure': { POST: handleMeasure },
  '/v1/audio/classifications': { POST: handleClassification },
  '/v1/audio/diarizations': { POST: handleDiarization },
  '/v1/embeddings': { POST: handleEmbeddings },
  '/v1/rerank': { POST: handleRerank },
}
