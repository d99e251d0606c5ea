import { and, eq, inArray, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { hammingDistance, perceptualHash } from '../media/service.ts'
import {
  defaultSpace,
  embedInto,
  meanVector,
  type NearestFilter,
  type Neighbour,
  nearest,
  type Space,
  vectorsOf,
} from '../spaces/service.ts'
import { writeCaption } from './caption.ts'
import { embedderFor, embedOne } from './image-embedding.ts'
import type { Result, SearchBody, SearchView } from './images-schema.ts'
import { MAX_SHOWN_BYTES, NEAR_BITS, requirePrompt } from './limits.ts'
import { type Picture, readPicture, shownBase64 } from './picture.ts'
import { type ImageRow, standingOf } from './rows.ts'
import { recorded } from './runs.ts'
import { hasOne } from './schema.ts'
import { images } from './table.ts'

/** From here on pictures count as alike, and captions. */
const ALIKE = 0.7
/** Words are never as near to pictures as pictures are to each other. */
const ALIKE_IN_WORDS = 0.2
/** Scores that differ by less are the same; what looks more like it comes first. */
const SAME = 1e-4

type Sought = {
  picture: Picture | undefined
  phash: string | undefined
  /** The picture itself, where it is in the index. */
  existing: ImageRow | undefined
  words: string | undefined
}

/** Where is searched, by what, and from which cosine on. */
type View = { space: Space; vector: readonly number[]; threshold: number }

/** Pictures of the index that are like a picture, like words, or like both. Throws as its models do, and 503 `no_capable_model`. */
export async function searchSimilar(ctx: Ctx, body: SearchBody): Promise<SearchView> {
  if (body.search_prompt !== undefined) requirePrompt('search_prompt', body.search_prompt)
  const picture = hasOne(body) ? await readPicture(ctx, body, MAX_SHOWN_BYTES) : undefined
  return recorded(ctx, { operation: 'search-similar', picture }, async () => {
    const sought = await soughtOf(ctx, picture, body.search_prompt)
    const views = await viewsOf(ctx, sought, body.threshold)
    const results = await resultsOf(ctx, { sought, views, body })
    const answer: SearchView = {
      object: 'vision.search',
      results,
      search_criteria: {
        by: !picture ? 'text' : body.search_prompt === undefined ? 'image' : 'both',
        top_k: body.top_k,
        spaces: views.map(({ space, threshold }) => ({
          space: kindOf(space),
          space_id: space.id,
          model_used: space.model,
          threshold,
        })),
        filter: { tags: body.filter?.tags ?? null, source_id: body.filter?.source_id ?? null },
      },
      searched_at: nowSeconds(ctx),
    }
    return { answer, outcome: {} }
  })
}

const kindOf = ({ modality }: Space): 'image' | 'caption' => (modality === 'image' ? 'image' : 'caption')

async function soughtOf(ctx: Ctx, picture: Picture | undefined, words: string | undefined): Promise<Sought> {
  const phash = picture && (await perceptualHash(picture.bytes, picture.image))
  const standing = picture && (await standingOf(ctx, { sha256: picture.sha256, phash: phash ?? null }))
  return { picture, phash, existing: standing?.existing, words }
}

/** The pictures' own space where its model can be reached, and that of captions for what else there is. */
async function viewsOf(ctx: Ctx, sought: Sought, threshold: number | undefined): Promise<View[]> {
  const [own, captions] = await Promise.all([defaultSpace(ctx, 'image'), defaultSpace(ctx, 'caption')])
  const views: View[] = []
  const inImages = own && (await imageVector(ctx, own, sought))
  if (own && inImages) {
    const usual = sought.words === undefined ? ALIKE : ALIKE_IN_WORDS
    views.push({ space: own, vector: inImages, threshold: threshold ?? usual })
  }
  // A picture alone is told in words only where nothing better is there.
  if (captions && (sought.words !== undefined || views.length === 0)) {
    views.push({ space: captions, vector: await captionVector(ctx, captions, sought), threshold: threshold ?? ALIKE })
  }
  if (own && views.length === 0) {
    throw new AppError('no_capable_model', `The model '${own.model}' of the indexed pictures cannot be reached.`, {
      details: { capability: 'image_embedding', space: own.id, model: own.model },
      retryAfterSeconds: 30,
    })
  }
  return views
}

const halves = (vectors: readonly (readonly number[])[]): readonly number[] =>
  vectors.length === 1 ? (vectors[0] ?? []) : meanVector(vectors, [0.5, 0.5])

async function keptVector(ctx: Ctx, space: Space, { existing }: Sought): Promise<readonly number[] | undefined> {
  if (!existing) return undefined
  return (await vectorsOf(ctx, { space, ownerKind: 'image', ownerIds: [existing.id] })).get(existing.id)
}

/** Undefined where the model of the space cannot be reached and is needed. */
async function imageVector(ctx: Ctx, space: Space, sought: Sought): Promise<readonly number[] | undefined> {
  const { picture, words } = sought
  const kept = picture && (await keptVector(ctx, space, sought))
  if (kept && words === undefined) return kept
  const embedder = await embedderFor(ctx, space.model)
  if (!embedder) return undefined
  const vectors: (readonly number[])[] = []
  if (picture) vectors.push(kept ?? (await embedOne(ctx, embedder, { image: shownBase64(picture) })))
  if (words !== undefined) vectors.push(await embedOne(ctx, embedder, { text: words }))
  return halves(vectors)
}

async function captionVector(ctx: Ctx, space: Space, sought: Sought): Promise<readonly number[]> {
  const { picture, words } = sought
  const kept = picture && (await keptVector(ctx, space, sought))
  const texts = words === undefined ? [] : [words]
  if (picture && !kept) texts.push((await writeCaption(ctx, picture, undefined)).caption ?? 'a picture')
  const { vectors } = texts.length === 0 ? { vectors: [] } : await embedInto(ctx, space, texts)
  return halves(kept ? [kept, ...vectors] : vectors)
}

type Searching = { sought: Sought; views: readonly View[]; body: SearchBody }
type Hit = { neighbour: Neighbour; view: View }

async function resultsOf(ctx: Ctx, { sought, views, body }: Searching): Promise<Result[]> {
  const filter = filterOf(ctx, body.filter)
  const found = await Promise.all(
    views.map(async (view): Promise<Hit[]> => {
      const { space, vector } = view
      const neighbours = await nearest(ctx, { space, vector, ownerKind: 'image', limit: body.top_k, filter })
      return neighbours.map((neighbour) => ({ neighbour, view }))
    }),
  )
  const hits = found.flat().filter(({ neighbour, view }) => neighbour.similarity >= view.threshold - SAME)
  const rows = await rowsOf(ctx, hits)
  const results = hits.flatMap(({ neighbour, view }) => {
    const row = rows.get(neighbour.ownerId)
    return row ? [ranked(row, neighbour, { view, sought })] : []
  })
  return results
    .toSorted(byLikeness)
    .slice(0, body.top_k)
    .map(({ result }) => result)
}

function filterOf({ caller: { orgId } }: Ctx, filter: SearchBody['filter']): NearestFilter {
  const { tags, source_id: sourceId } = filter ?? {}
  return {
    ...(sourceId !== undefined && { sourceIds: [sourceId] }),
    ...(tags !== undefined && {
      where: sql`exists (select from images i where i.org_id = ${orgId} and i.id = e.owner_id
        and i.tags @> ${JSON.stringify(tags)}::jsonb)`,
    }),
  }
}

async function rowsOf({ db, caller: { orgId } }: Ctx, hits: readonly Hit[]): Promise<Map<string, ImageRow>> {
  if (hits.length === 0) return new Map()
  const ids = [...new Set(hits.map(({ neighbour }) => neighbour.ownerId))]
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(images)
      .where(and(eq(images.org_id, orgId), inArray(images.id, ids))),
  ])
  return new Map(rows.map((row) => [row.id, row]))
}

type Ranked = { result: Result; bits: number }

function ranked(row: ImageRow, { similarity }: Neighbour, { view, sought }: { view: View; sought: Sought }): Ranked {
  const isSame = row.id === sought.existing?.id
  const known = sought.phash !== undefined && row.phash !== null
  const bits = isSame ? -1 : known ? hammingDistance(sought.phash ?? '', row.phash ?? '') : 64
  const { id, caption, tags, source_id, metadata } = row
  const match = isSame ? 'exact' : bits <= NEAR_BITS ? 'near' : 'semantic'
  const space = kindOf(view.space)
  return {
    bits,
    result: { image_id: id, similarity_score: similarity, match, space, caption, tags, source_id, metadata },
  }
}

function byLikeness(one: Ranked, other: Ranked): number {
  const steps = ({ result }: Ranked): number => Math.round(result.similarity_score / SAME)
  return steps(other) - steps(one) || one.bits - other.bits
}
