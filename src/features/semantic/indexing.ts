import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { Priority } from '../../core/routing.ts'
import { type JobView, startJob } from '../job-queue/service.ts'
import { type Space, spaceFor, spaceWithoutModel, textSpaceOf } from '../spaces/service.ts'
import { embedLong } from './embedding.ts'
import { languageOf } from './language.ts'
import { MAX_CHUNKS, MOST_AT_ONCE, tooLong } from './limits.ts'
import { type CutChunk, textOf } from './pieces.ts'
import type { IndexView } from './schema.ts'
import {
  type ChunkRow,
  chunksWithoutVector,
  discard,
  type NewSource,
  readSource,
  sha256Of,
  storeChunkVectors,
  swapIn,
  writeChunks,
} from './store.ts'

/** A text that is to be searched. */
export type Text = {
  sourceId: string
  chunks: readonly CutChunk[]
  metadata: Record<string, unknown>
  /** False refuses what is there already. */
  replace: boolean
  modelName: string | undefined
  /** After the answer, however short it is. */
  isLater: boolean
}

/** What is left to do once the chunks are written: plain data, so that a job can do it. */
export type Rest = NewSource & { modelName?: string | undefined }

export type Indexed = { rows: ChunkRow[] } & ({ job: JobView; view?: undefined } | { job?: undefined; view: IndexView })

/** The kind of the job that embeds what was written. */
export const INDEX_JOB = 'semantic.index'

/**
 * Makes a text searchable, in place of what was searched of its source; a long one by a job. Throws 409 where it may not
 * take that place, and as `embedLong`; then the source is as it was.
 */
export async function indexText(ctx: Ctx, text: Text): Promise<Indexed> {
  const { sourceId, chunks, metadata, replace, modelName, isLater } = text
  await requirePlace(ctx, text)
  const generation = ctx.newId('gen')
  const language = languageOf(textOf(chunks.slice(0, 4)))
  const rest: Rest = {
    sourceId,
    generation,
    language,
    metadata,
    replace,
    chunkCount: chunks.length,
    contentSha256: await sha256Of(textOf(chunks)),
    ...(modelName !== undefined && { modelName }),
  }
  const rows = await writeChunks(ctx, rest, chunks)
  if (isLater || chunks.length > MOST_AT_ONCE) {
    return { rows, job: await startJob(ctx, { kind: INDEX_JOB, input: rest }) }
  }
  return { rows, view: await finishIndex(ctx, rest) }
}

/** Throws 409 and 422. */
async function requirePlace(ctx: Ctx, { sourceId, chunks, replace }: Text): Promise<void> {
  const { source, chunksInAll } = await readSource(ctx, sourceId)
  if (source && !replace) throw new AppError('conflict', `The source '${sourceId}' is indexed already.`)
  const inAll = chunksInAll - (source?.chunk_count ?? 0) + chunks.length
  if (inAll > MAX_CHUNKS) throw tooLong('chunks', { limit: MAX_CHUNKS, length: inAll })
}

type Doing = { priority?: Priority | undefined; told?: ((share: number) => Promise<void>) | undefined }

/** Embeds what was written and has it searched. What fails leaves nothing behind, and the source as it was. */
export async function finishIndex(ctx: Ctx, rest: Rest, doing: Doing = {}): Promise<IndexView> {
  try {
    return await embedAndSwap(ctx, rest, doing)
  } catch (error) {
    // What is left here is removed by the clock.
    await discard(ctx, rest).catch((cause) =>
      ctx.log.warn('chunks_left', { generation: rest.generation, cause: String(cause) }),
    )
    throw error
  }
}

/** The same, and what was embedded stays for the next try. */
export async function embedAndSwap(ctx: Ctx, rest: Rest, doing: Doing = {}): Promise<IndexView> {
  const space = await embedChunks(ctx, rest, doing)
  const replaced = await swapIn(ctx, rest)
  if (replaced === undefined) {
    throw new AppError('conflict', `The source '${rest.sourceId}' was indexed anew or removed in the meantime.`)
  }
  return {
    object: 'semantic.index',
    source_id: rest.sourceId,
    chunks: rest.chunkCount,
    replaced,
    space_id: space?.id ?? null,
    model_used: space?.model ?? null,
    language: rest.language,
  }
}

/** So many are embedded before they are kept. */
const EMBEDDED_AT_ONCE = 320

async function embedChunks(ctx: Ctx, rest: Rest, { priority, told }: Doing): Promise<Space | undefined> {
  const { sourceId, generation, chunkCount, modelName } = rest
  let space = await textSpaceOf(ctx, modelName)
  for (let done = 0; ; ) {
    const waiting = await chunksWithoutVector(ctx, { sourceId, generation, space, limit: EMBEDDED_AT_ONCE + 1 })
    if (waiting.length === 0) return space
    const some = waiting.slice(0, EMBEDDED_AT_ONCE)
    const texts = some.map(({ content }) => content)
    // A space is asked by its own model, so that nothing else is put into it.
    const asked = modelName === undefined ? undefined : (space?.model ?? modelName)
    const { vectors, model } = await embedLong(ctx, { texts, modelName: asked, priority })
    if (space && space.model !== model) throw spaceWithoutModel(space)
    space ??= await spaceFor(ctx, { model, dimensions: vectors[0]?.length ?? 0, modality: 'text' })
    const pairs = some.map(({ id }, at) => [id, vectors[at] ?? []] as const)
    await storeChunkVectors(ctx, { space, sourceId }, pairs)
    if (waiting.length <= EMBEDDED_AT_ONCE) return space
    done += some.length
    await told?.(done / chunkCount)
  }
}
