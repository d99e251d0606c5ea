import type { Ctx } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import { type JobView, startJob } from '../job-queue/service.ts'
import { imageOf } from '../media/service.ts'
import { openUpload, storeUpload } from '../uploads/service.ts'
import { analyzed } from './analyze.ts'
import { type Chosen, chooseModel } from './choice.ts'
import { MAX_SHOWN_BYTES, MOST_AT_ONCE, requirePrompt } from './limits.ts'
import { bytesOf, type PictureSource, readPicture } from './picture.ts'
import { recorded } from './runs.ts'
import { type BatchBody, type BatchView, DEFAULT_PROMPT } from './schema.ts'

export const BATCH_JOB = 'vision.batch'

/** As many as a node looks at, unless it says otherwise. */
const AT_ONCE = 2

/** Of larger pictures two, as they are sent, would not fit into an isolate beside what they came in. */
const LARGE_BYTES = 5 * 1024 * 1024

export type BatchItem = PictureSource & { filename?: string | undefined; prompt: string }
export type Batch = { items: readonly BatchItem[]; modelName: string | undefined; maxTokens: number }

/**
 * Looks at several pictures: each has its result or its error. Many of them, or on request, are looked at after the
 * answer. Throws as `chooseModel`, 404 for an unknown upload, and 502 `provider_error` where none went well.
 */
export async function analyzeBatch(ctx: Ctx, body: BatchBody, isLater: boolean): Promise<BatchView | JobView> {
  const { files, images = [], prompts, model_name: modelName, max_tokens: maxTokens } = body
  for (const prompt of prompts) requirePrompt('prompts', prompt)
  const sources = files ? files.map((file) => ({ file, filename: file.filename })) : images
  const promptOf = (at: number): string => prompts[prompts.length > 1 ? at : 0] ?? DEFAULT_PROMPT
  const items = sources.map((source, at): BatchItem => ({ ...source, prompt: promptOf(at) }))
  const batch = { items, modelName, maxTokens }
  const uploads = items.flatMap(({ upload_id }) => upload_id ?? [])
  await Promise.all(uploads.map((id) => openUpload(ctx, id)))
  // Known before anything is kept for later.
  const chosen = await chooseModel(ctx, 'image_analysis', modelName)
  if (isLater || items.length > MOST_AT_ONCE) return later(ctx, batch)
  return runBatch(ctx, batch, { chosen })
}

/** The files are kept apart, so that the job's row stays small. */
async function later(ctx: Ctx, { items, modelName, maxTokens }: Batch): Promise<JobView> {
  const kept: Record<string, unknown>[] = []
  for (const item of items) {
    const { filename, prompt, image_url, upload_id } = item
    const isNamed = image_url !== undefined || upload_id !== undefined
    const uploadId = isNamed ? upload_id : await stored(ctx, item)
    kept.push({ filename, prompt, image_url, upload_id: uploadId })
  }
  return startJob(ctx, { kind: BATCH_JOB, input: { items: kept, modelName, maxTokens } })
}

async function stored(ctx: Ctx, item: BatchItem): Promise<string> {
  const { bytes, type } = await bytesOf(ctx, item, MAX_SHOWN_BYTES)
  const mime = /^[\w.+-]+\/[\w.+-]+$/.exec(type ?? '')?.[0] ?? safeMime(bytes)
  return storeUpload(ctx, { filename: item.filename ?? 'image', mime, bytes })
}

/** What is broken is told of in the result of the picture. */
function safeMime(bytes: Uint8Array): string {
  try {
    return imageOf(bytes)?.mime ?? 'application/octet-stream'
  } catch {
    return 'application/octet-stream'
  }
}

type Running = { chosen: Chosen; told?: (share: number) => Promise<void> }

/** See `analyzeBatch`. What the stores do not answer ends all of it. */
export async function runBatch(ctx: Ctx, batch: Batch, { chosen, told }: Running): Promise<BatchView> {
  const { items } = batch
  const results: BatchView['results'] = []
  const waiting = [...items.entries()]
  const inTurn = createTurns()
  let done = 0
  const lookAtNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, item] = next
      results[index] = { index, ...(await lookAt(ctx, item, { batch, chosen, inTurn })) }
      done += 1
      await told?.(done / items.length)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lookAtNext))
  const failed = results.filter(({ error }) => error !== null)
  if (failed.length === items.length) {
    const errors = failed.map(({ index, error }) => ({ index, code: error?.code }))
    throw new AppError('provider_error', 'No picture of the batch could be analysed.', { details: { errors } })
  }
  return {
    object: 'vision.batch',
    total_images: items.length,
    successful_analyses: items.length - failed.length,
    failed_analyses: failed.length,
    results,
  }
}

/** Does one thing after another. */
type InTurn = <T>(work: () => Promise<T>) => Promise<T>

function createTurns(): InTurn {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
}

type Looked = Omit<BatchView['results'][number], 'index'>

type LookingAt = { batch: Batch; chosen: Chosen; inTurn: InTurn }

async function lookAt(ctx: Ctx, item: BatchItem, { batch, chosen, inTurn }: LookingAt): Promise<Looked> {
  const filename = item.filename ?? null
  try {
    const read = await readPicture(ctx, item, MAX_SHOWN_BYTES)
    const picture = { ...read, filename: item.filename ?? read.filename }
    const wish = { prompt: item.prompt, maxTokens: batch.maxTokens, temperature: 0.1, isDoubted: false, isLast: false }
    const look = () =>
      recorded(ctx, { operation: 'batch-analyze', picture }, () => analyzed(ctx, { ...wish, picture, chosen }))
    const result = await (picture.sizeBytes > LARGE_BYTES ? inTurn(look) : look())
    return { filename: result.filename ?? null, result, error: null }
  } catch (error) {
    if (error instanceof DependencyError || !(error instanceof AppError)) throw error
    return { filename, result: null, error: { code: error.code, message: error.message, status: error.status } }
  }
}
