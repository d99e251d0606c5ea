import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, unfit } from '../../core/errors.ts'
import { perceptualHash, strippedPieces } from '../media/service.ts'
import {
  embedInto,
  embedIntoSpace,
  type Space,
  spaceFor,
  spacesOf,
  storeVectors,
  vectorsOf,
} from '../spaces/service.ts'
import { writeCaption } from './caption.ts'
import { embedderFor, embedOne } from './image-embedding.ts'
import type { ChangeBody, IndexBody, IndexView } from './images-schema.ts'
import { MAX_IMAGES, MAX_INDEXED_BYTES, MAX_SHOWN_BYTES } from './limits.ts'
import { type Picture, readPicture, shownBase64 } from './picture.ts'
import { changeImage, type ImageRow, insertImage, keyOf, readImage, standingOf, viewOf } from './rows.ts'
import { type Outcome, recorded } from './runs.ts'

export type Indexed = { view: IndexView; isNew: boolean }

/**
 * Takes a picture into the index of its organisation; the same file is there already. Throws as `readPicture`, 409
 * beyond 10,000 pictures, 503 `no_capable_model` where nothing makes a vector of it, and what its models throw.
 */
export async function index(ctx: Ctx, body: IndexBody): Promise<Indexed> {
  const picture = await readPicture(ctx, body, MAX_INDEXED_BYTES)
  if (picture.sizeBytes > MAX_SHOWN_BYTES && body.caption === undefined) {
    throw unfit('caption', 'is needed for a picture of more than 20 MB, which no model is shown')
  }
  const phash = (await perceptualHash(picture.bytes, picture.image)) ?? null
  const { existing, near, count } = await standingOf(ctx, { sha256: picture.sha256, phash })
  const toView = (row: ImageRow, space: IndexView['space']): IndexView => ({
    ...viewOf(row),
    near_duplicates: near,
    space,
  })
  if (existing) return { view: toView(existing, null), isNew: false }
  if (count >= MAX_IMAGES) throw new AppError('conflict', `An organisation has up to ${MAX_IMAGES} pictures.`)
  return recorded(ctx, { operation: 'index', picture }, async () => {
    const { caption, outcome } = await captionOf(ctx, picture, body)
    const located = await locate(ctx, picture, caption)
    const row = rowOf(ctx, { picture, body, caption, phash })
    const kept = await keep(ctx, { row, picture, located })
    const view = kept === row ? toView(row, spaceOf(located.space)) : toView(kept, null)
    return { answer: { view, isNew: kept === row }, outcome }
  })
}

const spaceOf = ({ modality }: Pick<Space, 'modality'>): 'image' | 'caption' =>
  modality === 'image' ? 'image' : 'caption'

/** What its sender says, else what a model says; null where none can be asked: then the picture stands for itself. */
async function captionOf(
  ctx: Ctx,
  picture: Picture,
  { caption, model_name: modelName }: IndexBody,
): Promise<{ caption: string | null; outcome: Outcome }> {
  if (caption !== undefined) return { caption, outcome: {} }
  try {
    return await writeCaption(ctx, picture, modelName)
  } catch (error) {
    const isOptional = modelName === undefined && error instanceof AppError && error.code === 'no_capable_model'
    if (isOptional) return { caption: null, outcome: {} }
    throw error
  }
}

type Located = { space: Space; vector: readonly number[] }

/** Where a picture is among the others: by itself where a model for that is there, else by its caption. */
async function locate(ctx: Ctx, picture: Picture, caption: string | null): Promise<Located> {
  const embedder = picture.sizeBytes > MAX_SHOWN_BYTES ? undefined : await embedderFor(ctx)
  if (embedder) {
    const vector = await embedOne(ctx, embedder, { image: shownBase64(picture) })
    const space = await spaceFor(ctx, { model: embedder.id, dimensions: vector.length, modality: 'image' })
    return { space, vector }
  }
  if (caption === null) {
    throw new AppError('no_capable_model', 'No model makes a vector of this picture, and none writes a caption.', {
      details: { capability: 'image_embedding' },
      retryAfterSeconds: 30,
    })
  }
  return locateText(ctx, caption)
}

async function locateText(ctx: Ctx, caption: string): Promise<Located> {
  const { space, vectors } = await embedIntoSpace(ctx, { texts: [caption], modality: 'caption' })
  return { space, vector: vectors[0] ?? [] }
}

type Fresh = { picture: Picture; body: IndexBody; caption: string | null; phash: string | null }

function rowOf(ctx: Ctx, { picture, body, caption, phash }: Fresh): ImageRow {
  const { orgId, keyId, userId } = ctx.caller
  const { image, sha256, sizeBytes, filename, declaredType } = picture
  const id = ctx.newId('img')
  const now = nowSeconds(ctx)
  return {
    id,
    org_id: orgId,
    sha256,
    r2_key: body.store ? keyOf(orgId, id) : null,
    filename: filename ?? null,
    mime: image.mime,
    width: image.width,
    height: image.height,
    size_bytes: sizeBytes,
    phash,
    caption,
    tags: body.tags,
    source_id: body.source_id ?? null,
    metadata: { ...body.metadata, ...(declaredType !== undefined && { declared_type: declaredType }) },
    created_by: userId ?? keyId,
    created_at: now,
    updated_at: now,
  }
}

type Keeping = { row: ImageRow; picture: Picture; located: Located }

/** The bytes first, without what tells of their making; they go again where the row does not come to be. */
async function keep(ctx: Ctx, { row, picture, located }: Keeping): Promise<ImageRow> {
  const { r2_key: key } = row
  if (key !== null) {
    const pieces = strippedPieces(picture.bytes, picture.image.format)
    const sizeBytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    await ctx.bucket.put(key, { body: streamOf(pieces), sizeBytes, contentType: picture.image.mime })
  }
  let isKept = false
  try {
    isKept = await insertImage(ctx, row, located)
  } finally {
    if (!isKept && key !== null) await ctx.bucket.remove([key])
  }
  if (isKept) return row
  const { existing } = await standingOf(ctx, row)
  if (!existing) throw new AppError('conflict', 'This picture was indexed and removed at the same time.')
  return existing
}

/** A large picture is not held twice. */
const streamOf = (pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const piece of pieces) if (piece.length > 0) controller.enqueue(piece)
      controller.close()
    },
  })

/** Changes what is told of a picture; one that is found by its caption moves with it. Throws 404. */
export async function change(ctx: Ctx, id: string, wish: ChangeBody): Promise<ImageRow> {
  const { caption } = wish
  if (caption !== undefined && (await readImage(ctx, id)).caption !== caption) await move(ctx, id, caption)
  return changeImage(ctx, id, wish)
}

async function move(ctx: Ctx, id: string, caption: string): Promise<void> {
  const { source_id: sourceId } = await readImage(ctx, id)
  for (const space of await spacesOf(ctx, 'caption')) {
    const before = await vectorsOf(ctx, { space, ownerKind: 'image', ownerIds: [id] })
    if (before.size === 0) continue
    const { vectors } = await embedInto(ctx, space, [caption])
    const owned = vectors.map((vector) => ({ ownerId: id, sourceId: sourceId ?? undefined, vector }))
    await storeVectors(ctx, { space, ownerKind: 'image' }, owned)
  }
}
