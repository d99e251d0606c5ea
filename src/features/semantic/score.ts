import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { cosine, embedFor, meanVector, nearest, type Space, textSpaceOf } from '../spaces/service.ts'
import { chunkText } from './chunker.ts'
import { crossReferences, type Dimensions, linksIn, scoreImportance, timeliness } from './importance.ts'
import { MAX_READ_CHARS, requireLength } from './limits.ts'
import type { ImportanceBody } from './schema-extract.ts'
import { overallQuality, qualityOf } from './text-quality.ts'

const WINDOW = { size: 800, overlap: 0, unit: 'char' } as const

/**
 * How important a text is, with the parts that make it so. Throws 422 `too_long`, and as `embedFor` where the text has
 * to be compared with interests or with what is kept.
 */
export async function importanceOf(ctx: Ctx, body: ImportanceBody) {
  const { content, context, published_at: publishedAt, engagement = null, authority = null, links } = body
  requireLength('content', content, MAX_READ_CHARS)
  const windows = chunkText(content, WINDOW).map(({ start, end }) => content.slice(start, end))
  const compared = await compare(ctx, body, windows)
  const linked = links ?? linksIn(content)
  const now = context.now ?? nowSeconds(ctx)
  const quality = qualityOf(content)
  const dimensions: Dimensions = {
    quality: overallQuality(quality),
    relevance: compared.relevance,
    timeliness: publishedAt === undefined ? null : timeliness(publishedAt, now, context.time_sensitivity),
    uniqueness: compared.uniqueness,
    engagement,
    authority,
    cross_references: linked === undefined ? null : crossReferences(linked),
  }
  const { score, weights, level } = scoreImportance(dimensions)
  return {
    object: 'semantic.importance' as const,
    importance_score: score,
    importance_level: level,
    dimensions,
    weights,
    quality_parts: quality,
    windows: windows.length,
    model_used: compared.model,
  }
}

type Compared = { relevance: number | null; uniqueness: number | null; model: string | null }
const share = (value: number): number => Math.min(1, Math.max(0, value))

/** With the caller's interests and with what is kept; nothing is asked of a model where there is neither. */
async function compare(ctx: Ctx, body: ImportanceBody, windows: readonly string[]): Promise<Compared> {
  const { context, content_id: contentId, model_name: modelName } = body
  const interests = [...context.interests, ...(context.place === undefined ? [] : [context.place])]
  const space = await textSpaceOf(ctx, modelName)
  if (interests.length === 0 && !space) return { relevance: null, uniqueness: null, model: null }
  const { vectors, model } = await embedFor(ctx, {
    texts: [...windows, ...interests],
    modelName: modelName === undefined ? undefined : (space?.model ?? modelName),
  })
  const own = meanVector(vectors.slice(0, windows.length), windows.map(estimateTokens))
  const near = vectors.slice(windows.length).map((vector) => share(cosine(own, vector)))
  return {
    relevance: near.length === 0 ? null : Math.max(...near),
    uniqueness: space && space.model === model ? await uniquenessOf(ctx, { space, vector: own, contentId }) : null,
    model,
  }
}

type Standing = { space: Space; vector: readonly number[]; contentId: string | undefined }

/** How far it is from everything that is kept, but for itself; null where nothing is. */
async function uniquenessOf(ctx: Ctx, { space, vector, contentId = '' }: Standing): Promise<number | null> {
  const [first] = await nearest(ctx, {
    space,
    vector,
    ownerKind: 'chunk',
    limit: 1,
    filter: {
      where: sql`e.source_id <> ${contentId} and e.owner_id <> ${contentId} and exists (select from chunks c
        where c.org_id = e.org_id and c.id = e.owner_id and c.is_current)`,
    },
  })
  return first ? 1 - share(first.similarity) : null
}
